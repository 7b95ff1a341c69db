//! The state of a job and of its partitions.

use crate::action::KeyLocation;
use crate::action::Outcome;
use crate::ids::{CircuitId, JobId, KeyId, RunId, Span, Time, WorkerId};
use crate::job::{Class, Growth};
use crate::memory::{Memory, Profile, Step};
use crate::ready::{Holding, Priority, Requirements};
use crate::trace::BudgetPart;
use std::sync::Arc;

/// The state of a partition: what it waits for, or what it is doing.
///
/// ```text
///   job accepted
///        │
///        ▼                    all predecessors done
///   WaitsForPartitions(n) ──────────────┐
///     ▲  │ a predecessor is done: n - 1 │
///     └──┘                              │
///                                       ▼   the step may exceed the growth bound
///   retry timer ──────────────────► (step ready?) ──────────────────► WaitsForCredit
///        ▲                          ▲   │   ▲                               │
///        │   Finished, steps left   │   │   └─── an added partition is done ┘
///        │   or `again`             │   ▼
///        │                          │  Ready ◄── Loaded, LoadFailed, WorkerLost ── LoadingKey
///        │                          │   │  │                                        ▲
///        │                          │   │  └── dispatch: the device lacks the key ──┘
///        │                          │   │ dispatch: memory, worker and keys are there
///        │                          │   ▼
///        │                          └─ Running ── Finished, last step ──► Over (done)
///        │                              │  │
///     Backoff ◄── a failure, retries left  └── `Permanent`, or no retries left ──► the job fails
///
///   When the job has ended:
///     any state but Running ──────────────────────────────────► Over (dropped)
///     Running ── Finished, Failed, Stopped or WorkerLost ─────► Over (dropped)
/// ```
///
/// A failure is `Failed`, `WorkerLost`, or a `Stopped` that the scheduler did not ask for. After
/// `Failure::BadResult` the partition goes through `Backoff` to its first step and holds no memory
/// meanwhile. While its job's steps are put into the queues anew, a ready partition is briefly
/// `WaitsForPartitions(0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionState {
    /// Waits for that many partitions that it comes after.
    WaitsForPartitions(u32),
    /// Waits until its step may emit more partitions within the job's growth bound.
    WaitsForCredit,
    /// Is in the ready queue with these requirements.
    Ready(Requirements),
    /// Waits for its key to be loaded onto that device.
    LoadingKey(WorkerId),
    /// Its step runs.
    Running(RunId),
    /// Waits until that time to try a failed step again.
    Backoff(Time),
    /// Is done or dropped.
    Over,
}

/// One partition of an accepted job.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) profile: Arc<Profile>,
    /// Index of its current step.
    pub(crate) step: u16,
    pub(crate) state: PartitionState,
    /// Failed runs so far.
    pub(crate) failures: u32,
    /// Added while the job ran.
    pub(crate) grown: bool,
    /// Its first step has started: it uses its keys and, unless it emits, counts as in flight.
    pub(crate) started: bool,
    /// The memory that it has reserved.
    pub(crate) holding: Holding,
    /// The device on which it failed last.
    pub(crate) avoid: Option<WorkerId>,
    /// Partitions that its current run has added.
    pub(crate) emitted: u32,
    /// Partitions that come after it and wait for it.
    pub(crate) successors: Vec<u32>,
}

impl Partition {
    /// The current step.
    pub(crate) fn current(&self) -> &Step {
        &self.profile.steps()[usize::from(self.step)]
    }

    /// The steps that are not done, the current one included.
    pub(crate) fn remaining_steps(&self) -> &[Step] {
        &self.profile.steps()[usize::from(self.step)..]
    }
}

/// The state of a job.
///
/// ```text
///                  Submit, valid                    Restore, valid
///                       │                                │
///                       ▼      Persisted                 ▼
///                   Accepting ──(acknowledge)─────────► Open
///                    │     │                             │
///       NotPersisted │     │ Persisted, cancelled or     │ all partitions done, a partition
///                    ▼     │ past its deadline meanwhile │ failed for good, Cancel, deadline
///       (refused, forgotten)                             │
///                          │                             ▼
///                          └──────────────────► Ended { recorded: false }
///                                                        │
///                                                        │ Persisted (answer)
///                                                        ▼
///                                               Ended { recorded: true }
///                                                        │
///                                                        ▼ none of its runs is active
///                                                   (forgotten)
/// ```
///
/// A record of an end that the journal could not make durable is given to it again after a backoff.
/// A restored job that is invalid, past its deadline or complete goes to `Ended` at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Its acceptance is being recorded in the journal.
    Accepting,
    /// Its steps may run.
    Open,
    /// Its outcome is decided; `recorded` once the journal has it.
    Ended { outcome: Outcome, recorded: bool },
}

/// One accepted job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) circuit: CircuitId,
    /// Its current class, which may rise with age.
    pub(crate) class: Class,
    pub(crate) deadline: Option<Time>,
    /// Start tag in virtual time, for fair shares; zero without.
    pub(crate) tag: u64,
    /// Its own memory ([`crate::JobSpec::holds`]).
    pub(crate) holds: Memory,
    pub(crate) growth: Option<Growth>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) state: JobState,
    /// The budget part from which `holds` was taken; `None` before the job's first start.
    pub(crate) admitted: Option<BudgetPart>,
    /// The most that one of its partitions needs beside `holds`: its peak and its unpinned keys.
    pub(crate) need: Memory,
    /// Partitions that are not done.
    pub(crate) unfinished: u32,
    /// Runs that are not over.
    pub(crate) running: u32,
    /// Partitions added so far.
    pub(crate) grown: u32,
    /// Added partitions that are not done.
    pub(crate) grown_unfinished: u32,
    /// The outcome of a job that was cancelled, or whose deadline passed, while `Accepting`.
    pub(crate) pending_outcome: Option<Outcome>,
    /// When its age timer expires.
    pub(crate) age_timer: Option<Time>,
}

impl Job {
    /// The priority of a partition's steps.
    pub(crate) fn priority(&self, partition: u32) -> Priority {
        Priority {
            class: self.class,
            deadline: self.deadline.map_or(u64::MAX, |t| t.0),
            tag: self.tag,
            job: self.id,
            partition,
        }
    }

    /// Whether its steps may run.
    pub(crate) fn open(&self) -> bool {
        self.state == JobState::Open
    }
}

/// A run that the driver has begun and not reported on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActiveRun {
    /// When it began.
    pub(crate) since: Time,
    pub(crate) work: Work,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Runs a step of a partition on a worker.
    Task { job: JobId, partition: u32, worker: WorkerId },
    /// Loads a key, for that partition.
    Load { key: KeyId, location: KeyLocation, job: JobId, partition: u32 },
    /// Tests a quarantined device.
    Test { worker: WorkerId },
}

/// The wait before a retry: even over `0 ..= min(cap, base * 2^(failures - 1))` (full jitter).
pub(crate) fn backoff(
    retry: &crate::config::Retry,
    failures: u32,
    jitter: &mut crate::jitter::Jitter,
) -> Span {
    let doublings = failures.saturating_sub(1).min(63);
    let bound = retry.base.0.saturating_mul(1 << doublings).min(retry.cap.0);
    Span(jitter.below(bound.saturating_add(1)))
}
