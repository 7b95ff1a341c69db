//! What is kept of a job and its partitions.

use crate::action::KeyLocation;
use crate::action::Outcome;
use crate::ids::{CircuitId, JobId, KeyId, RunId, Span, Time, WorkerId};
use crate::job::{Class, Growth};
use crate::memory::{Memory, Profile, Step};
use crate::ready::{Holding, Priority, Requirements};
use crate::trace::BudgetPart;
use std::sync::Arc;

/// What a partition is waiting for or doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionState {
    /// For so many partitions before it.
    WaitsForPartitions(u32),
    /// For a credit to emit more.
    WaitsForCredit,
    /// For its turn.
    Ready(Requirements),
    /// For its key to blocked_on that device.
    LoadingKey(WorkerId),
    /// For that run.
    Running(RunId),
    /// For its next try.
    Backoff(Time),
    /// For nothing: done or dropped.
    Over,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) profile: Arc<Profile>,
    pub(crate) step: u16,
    pub(crate) state: PartitionState,
    pub(crate) failures: u32,
    /// Added while the job ran.
    pub(crate) grown: bool,
    /// It has started, counts as in flight and uses its keys.
    pub(crate) started: bool,
    pub(crate) holding: Holding,
    /// The device it failed on last.
    pub(crate) avoid: Option<WorkerId>,
    /// Partitions it has added in its current run.
    pub(crate) emitted: u32,
    /// Partitions that come after it.
    pub(crate) successors: Vec<u32>,
}

impl Partition {
    pub(crate) fn current(&self) -> &Step {
        &self.profile.steps()[usize::from(self.step)]
    }

    /// Its steps that are not done.
    pub(crate) fn remaining_steps(&self) -> &[Step] {
        &self.profile.steps()[usize::from(self.step)..]
    }
}

/// Where a job is in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Its acceptance is being written down.
    Accepting,
    /// It runs.
    Open,
    /// Its end is decided, and perhaps written down.
    Ended { outcome: Outcome, recorded: bool },
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) circuit: CircuitId,
    /// Where its priority starts; rises with age.
    pub(crate) class: Class,
    pub(crate) deadline: Option<Time>,
    pub(crate) tag: u64,
    pub(crate) holds: Memory,
    pub(crate) growth: Option<Growth>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) state: JobState,
    /// The budget part that pays for `holds`, once it has started.
    pub(crate) admitted: Option<BudgetPart>,
    /// The most that one of its partitions needs beside its own hold: peak and unpinned keys.
    pub(crate) need: Memory,
    /// Partitions not done.
    pub(crate) unfinished: u32,
    /// Runs not over.
    pub(crate) running: u32,
    /// Partitions added, and those of them not done.
    pub(crate) grown: u32,
    pub(crate) grown_unfinished: u32,
    /// Cancelled before its acceptance was durable.
    pub(crate) pending_outcome: Option<Outcome>,
    pub(crate) age_timer: Option<Time>,
}

impl Job {
    pub(crate) fn priority(&self, partition: u32) -> Priority {
        Priority {
            class: self.class,
            deadline: self.deadline.map_or(u64::MAX, |t| t.0),
            tag: self.tag,
            job: self.id,
            partition,
        }
    }

    pub(crate) fn open(&self) -> bool {
        self.state == JobState::Open
    }
}

/// Something under way outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActiveRun {
    pub(crate) since: Time,
    pub(crate) work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A step of a partition on a worker.
    Task { job: JobId, partition: u32, worker: WorkerId },
    /// A key on its way to a place, with the partition it was fetched for.
    Load { key: KeyId, location: KeyLocation, job: JobId, partition: u32 },
    /// A known-answer test.
    Test { worker: WorkerId },
}

/// Full jitter: evenly from nothing to the doubled bound.
pub(crate) fn backoff(
    retry: &crate::config::Retry,
    failures: u32,
    jitter: &mut crate::jitter::Jitter,
) -> Span {
    let doublings = failures.saturating_sub(1).min(63);
    let bound = retry.base.0.saturating_mul(1 << doublings).min(retry.cap.0);
    Span(jitter.below(bound.saturating_add(1)))
}
