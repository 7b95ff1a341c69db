//! What the world tells the scheduler.
//!
//! Every report about work carries its [`Run`]; a report about a run that is over is ignored and
//! traced, so that a late worker can never touch the state of the work that took its place.

use crate::ids::{JobId, KeyId, RecordId, RunId, SubmitId, WorkerId};
use crate::job::{JobSpec, PartitionSpec, WorkerKind};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// Something happened outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A client wants a job done. Answered by [`Action::Refuse`], or by [`Action::Acknowledge`]
    /// once its acceptance is durable and then, in the end, by one [`Action::Answer`].
    ///
    /// [`Action::Refuse`]: crate::Action::Refuse
    /// [`Action::Acknowledge`]: crate::Action::Acknowledge
    /// [`Action::Answer`]: crate::Action::Answer
    Submit {
        /// Echoed in the acknowledgement or the refusal.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job.
        spec: JobSpec,
    },
    /// After a restart: a job that the journal knows as accepted and not ended. It is not
    /// acknowledged again, and it is not refused for a full queue.
    Restore {
        /// Its number before the restart.
        job: JobId,
        /// The job.
        spec: JobSpec,
        /// Partitions that were done, with what they left still at hand.
        finished: Vec<u32>,
    },
    /// The client no longer wants it.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// The journal has it, durably.
    Persisted {
        /// The record.
        record: RecordId,
    },
    /// The journal could not take it.
    NotPersisted {
        /// The record.
        record: RecordId,
    },
    /// A running step that may emit adds partitions to its job. Their `after` indices go on from
    /// the partitions the job has.
    Grow {
        /// The run of the emitting step.
        run: RunId,
        /// What is added.
        partitions: Vec<PartitionSpec>,
    },
    /// A run is done and its result is where the next step finds it.
    Finished {
        /// The run.
        run: RunId,
        /// The most it was seen to hold, its input included; `None` if nobody measured.
        peak: Option<Memory>,
        /// The step wants to run again (a producer that has more to emit).
        again: bool,
    },
    /// A run failed, and whatever it allocated beyond its input is free again.
    Failed {
        /// The run.
        run: RunId,
        /// How.
        failure: Failure,
    },
    /// A run ended because it was told to [`Action::Stop`]; its memory is free again.
    ///
    /// [`Action::Stop`]: crate::Action::Stop
    Stopped {
        /// The run.
        run: RunId,
    },
    /// A worker is ready for work.
    #[serde(rename = "lane_joined")]
    WorkerJoined {
        /// Its number, never used before.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// What it is.
        kind: WorkerKind,
    },
    /// A worker finishes what it runs and then leaves.
    #[serde(rename = "lane_draining")]
    WorkerDraining {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A worker is gone, and what ran on it, and the keys that lay there.
    #[serde(rename = "lane_lost")]
    WorkerLost {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// The known-answer test of a quarantined device ended.
    Probed {
        /// The run of the test.
        run: RunId,
        /// Whether the answer was right.
        passed: bool,
    },
    /// A key exists and can be loaded. Declaring it again changes nothing.
    KeyDeclared {
        /// Its number.
        key: KeyId,
        /// Its sizes.
        spec: KeySpec,
    },
    /// A key can no longer be loaded. Work that already holds it goes on; the rest fails. It is no
    /// longer pinned, and its copy in host memory goes when its last user is done.
    KeyWithdrawn {
        /// The key.
        key: KeyId,
    },
    /// From now on this key stays in host memory once it is there. Pinning a key that would leave
    /// too little for a job already accepted is refused in the trace.
    Pin {
        /// The key.
        key: KeyId,
    },
    /// It may be evicted again when it is idle.
    Unpin {
        /// The key.
        key: KeyId,
    },
    /// A key load is done.
    Loaded {
        /// The run of the load.
        run: RunId,
    },
    /// A key load failed, and what it had allocated is free again.
    LoadFailed {
        /// The run of the load.
        run: RunId,
    },
    /// How much memory the process really holds, to be compared with the ledger.
    Resident {
        /// Measured bytes.
        memory: Memory,
    },
    /// Nothing but time has passed: the driver woke at [`Scheduler::next_wake`].
    ///
    /// [`Scheduler::next_wake`]: crate::Scheduler::next_wake
    Tick,
}

/// How a run failed, as far as it matters for what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It may go better next time: the same step runs again.
    Transient,
    /// The device erred: the step runs again, elsewhere if there is an elsewhere, and the device
    /// is quarantined.
    Device,
    /// What the partition made is wrong (a proof that does not verify): the partition starts over
    /// from its first step.
    BadResult,
    /// It can never succeed (a bad witness): the job fails.
    Permanent,
}

/// How large a key is, wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpec {
    /// Bytes of the shared pools while it is resident there; all steps that name the key need it
    /// there, if this is not zero.
    pub shared: Memory,
    /// Bytes of device memory of a copy; device steps that name the key need one on their device,
    /// if this is not zero.
    pub device: u64,
}
