//! What the driver reports to the scheduler.
//!
//! Every report about work names its [`RunId`]. A report about a run that is over is ignored and
//! traced, so a late report cannot change the state of a later attempt.

use crate::ids::{JobId, KeyId, RecordId, RunId, SubmitId, WorkerId};
use crate::job::{JobSpec, PartitionSpec, WorkerKind};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// One report to the scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A client submits a job. Answered by [`Action::Refuse`](crate::Action::Refuse), or by
    /// [`Action::Acknowledge`](crate::Action::Acknowledge) once its acceptance is durable and, at
    /// its end, by one [`Action::Answer`](crate::Action::Answer).
    Submit {
        /// The submit's number, echoed in the acknowledgement or the refusal.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job.
        spec: JobSpec,
    },
    /// After a restart: a job that the journal has as accepted and not ended. It is not
    /// acknowledged again, and a full queue does not refuse it.
    Restore {
        /// Its number before the restart.
        job: JobId,
        /// The job.
        spec: JobSpec,
        /// The partitions that were done and whose results were kept.
        finished: Vec<u32>,
    },
    /// The client cancels a job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// A record is durable.
    Persisted {
        /// The record.
        record: RecordId,
    },
    /// The journal could not make a record durable.
    NotPersisted {
        /// The record.
        record: RecordId,
    },
    /// A running step adds partitions to its job. Their `after` indices continue the numbering of
    /// the job's partitions. Used by a backend whose jobs emit partitions while they run.
    Grow {
        /// The run of the emitting step.
        run: RunId,
        /// The added partitions.
        partitions: Vec<PartitionSpec>,
    },
    /// A run is done and the next step can use its result.
    Finished {
        /// The run.
        run: RunId,
        /// The largest measured memory of the run, its input included; `None` if it was not
        /// measured.
        peak: Option<Memory>,
        /// Whether the step must run again, because it has more partitions to emit.
        again: bool,
    },
    /// A run failed; what it allocated beyond its input is free again.
    Failed {
        /// The run.
        run: RunId,
        /// The kind of failure.
        failure: Failure,
    },
    /// A run was stopped by [`Action::Stop`](crate::Action::Stop); its memory is free again.
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
        /// Its kind.
        kind: WorkerKind,
    },
    /// A worker must get no more work; it finishes what it runs and is then closed. Used by a
    /// driver that removes workers while the machine runs.
    #[serde(rename = "lane_draining")]
    WorkerDraining {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A worker is gone, with the run on it and the keys in its memory. Used by a driver whose
    /// workers can die, such as child processes.
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
    /// A key can no longer be loaded. Partitions that already use it go on; jobs with other
    /// partitions that need it fail. The key is unpinned, and its copy in shared memory is evicted
    /// when the last partition that uses it is done.
    KeyWithdrawn {
        /// The key.
        key: KeyId,
    },
    /// The key stays in shared memory once it is loaded. The pin is refused, with a trace record,
    /// if it would leave too little memory for an accepted job.
    Pin {
        /// The key.
        key: KeyId,
    },
    /// The key may be evicted again when it is idle.
    Unpin {
        /// The key.
        key: KeyId,
    },
    /// A key load is done.
    Loaded {
        /// The run of the load.
        run: RunId,
    },
    /// A key load failed; what it allocated is free again.
    LoadFailed {
        /// The run of the load.
        run: RunId,
    },
    /// The measured resident memory of the process, for comparison with the budget.
    Resident {
        /// Measured bytes.
        memory: Memory,
    },
    /// Only time has passed: the driver woke at
    /// [`Scheduler::next_wake`](crate::Scheduler::next_wake).
    Tick,
}

/// The kind of a failure, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The same step may succeed if it is tried again.
    Transient,
    /// The device failed: the step is tried again, on another device if there is one, and the
    /// device is quarantined.
    Device,
    /// The partition's result is wrong, such as a proof that does not verify: the partition starts
    /// again from its first step.
    BadResult,
    /// The step can never succeed, for example because of a bad witness: the job fails.
    Permanent,
}

/// The sizes of a key's copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpec {
    /// Bytes of a copy in the shared pools. If not zero, every step that names the key needs the
    /// copy resident.
    pub shared: Memory,
    /// Bytes of a copy in device memory. If not zero, every device step that names the key needs a
    /// copy on its device. Used by a backend that keeps keys in device memory.
    pub device: u64,
}
