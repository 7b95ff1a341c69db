//! What the scheduler asks the driver to do.
//!
//! Actions must be carried out in the order given. [`Action::Discard`] and [`Action::Evict`] free
//! memory that later actions use, so the driver returns from them when the bytes are free. All
//! other actions are only begun; an event reports their result.

use crate::event::Failure;
use crate::ids::{JobId, KeyId, RecordId, RunId, SubmitId, TaskId, WorkerId};
use crate::job::Refusal;
use crate::memory::Pool;
use serde::{Deserialize, Serialize};

/// One request to the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Record an entry durably; answered by `Persisted` or `NotPersisted`.
    Persist {
        /// The number that the answer names.
        record: RecordId,
        /// The entry.
        entry: JournalEntry,
    },
    /// Tell the client that its job is accepted: it survives a restart.
    Acknowledge {
        /// The submit that it answers.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job's number.
        job: JobId,
    },
    /// Tell the client that its job is refused, and why.
    Refuse {
        /// The submit that it answers.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The reason.
        why: Refusal,
    },
    /// Run a step; answered by `Finished`, `Failed`, or, after a `Stop`, by `Stopped`.
    Start {
        /// The number that the answer names.
        run: RunId,
        /// The step to run.
        task: TaskId,
        /// The worker to run it on.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// The threads that it may use, at most those of the worker; zero on a device.
        threads: u32,
    },
    /// Make a run end soon; it still answers with `Finished`, `Failed` or `Stopped`.
    Stop {
        /// The run.
        run: RunId,
        /// The worker that runs it.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// Free what a partition left; it is not needed any more. Immediate.
    Discard {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// Load a key to a location; answered by `Loaded` or `LoadFailed`.
    Load {
        /// The number that the answer names.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where to.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// Free a copy of a key that is not in use. Immediate.
    Evict {
        /// The key.
        key: KeyId,
        /// Where the copy is.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// Run a known-answer test on a quarantined device; answered by `Probed`.
    Probe {
        /// The number that the answer names.
        run: RunId,
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A draining worker is free and will get no more work. Used by a driver that removes workers
    /// while the machine runs.
    Close {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// Tell the client how its job ended. The end was recorded durably before.
    Answer {
        /// The job.
        job: JobId,
        /// The outcome.
        outcome: Outcome,
    },
}

/// Where a copy of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLocation {
    /// In the shared memory pools.
    Shared,
    /// In the memory of a device. Used by a backend that keeps keys in device memory.
    Device(WorkerId),
}

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// A job is accepted. The driver adds the input that it kept for the submit.
    Accepted {
        /// The submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job's number.
        job: JobId,
    },
    /// A partition is done. The driver adds what the partition left.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// A job has ended. The driver adds the result.
    Ended {
        /// The job.
        job: JobId,
        /// The outcome.
        outcome: Outcome,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every partition is done.
    #[error("complete")]
    Complete,
    /// A partition failed for good.
    #[error("partition {partition} failed at step {step}: {why}")]
    Failed {
        /// The partition.
        partition: u32,
        /// The step.
        step: u16,
        /// The reason.
        why: FailureReason,
    },
    /// The client cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// Its deadline passed first.
    #[error("the deadline passed before it was complete")]
    DeadlineMissed,
}

/// Why a partition failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// A run reported that it can never succeed.
    #[error("a run reported that it can never succeed")]
    Permanent,
    /// It failed [`Retry::attempts`](crate::Retry::attempts) times; this was the last failure.
    #[error("it failed as often as the retry limit allows, last with {0:?}")]
    TooOften(Failure),
    /// A key that it needs was withdrawn or could not be loaded.
    #[error("key {0} was withdrawn or could not be loaded")]
    Key(KeyId),
    /// It added more, or other, partitions than the job's growth bound allows.
    #[error("it added more or other partitions than its growth bound allows")]
    GrewBeyondBound,
    /// The job was restored after a restart and its claims exceed what the budget allows now.
    #[error("it no longer fits in {0}: its claims exceed what the budget allows")]
    NoLongerFits(Pool),
}
