//! What the scheduler wants done.
//!
//! Actions are to be carried out in the order given. [`Action::Discard`] and [`Action::Evict`]
//! free memory *before* the actions after them use it: the driver returns from them when the bytes
//! are back. All others are begun and answered by an event.

use crate::event::Failure;
use crate::ids::{JobId, KeyId, RecordId, RunId, SubmitId, TaskId, WorkerId};
use crate::job::Refusal;
use crate::memory::Pool;
use serde::{Deserialize, Serialize};

/// Something to do outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Write this down durably; answered by `Persisted` or `NotPersisted`.
    Persist {
        /// To be named in the answer.
        record: RecordId,
        /// What to write.
        entry: JournalEntry,
    },
    /// Tell the client that its job is accepted and will not be lost.
    Acknowledge {
        /// Of its submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job's number.
        job: JobId,
    },
    /// Tell the client that its job is not taken, and why.
    Refuse {
        /// Of its submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// Why, and what to change.
        why: Refusal,
    },
    /// Run a step; answered by `Finished`, `Failed`, or, after a `Stop`, by `Stopped`.
    Start {
        /// To be named in the answer.
        run: RunId,
        /// What to run.
        task: TaskId,
        /// Where.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Threads it may use, at most those of the worker; zero on a device.
        threads: u32,
    },
    /// Make a run end soon; it still answers, by any of the three.
    Stop {
        /// The run.
        run: RunId,
        /// Where it runs.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// Free what this partition left behind: nobody will ask for it. Immediate.
    Discard {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// Bring a key to a place; answered by `Loaded` or `LoadFailed`.
    Load {
        /// To be named in the answer.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where to.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// Free a key's copy that nobody uses. Immediate.
    Evict {
        /// The key.
        key: KeyId,
        /// Where.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// Give a quarantined device work with a known answer; answered by `Probed`.
    Probe {
        /// To be named in the answer.
        run: RunId,
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A draining worker has nothing left to do and will get nothing more.
    Close {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// Tell the client how its job ended; recorded durably before.
    Answer {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
}

/// Where a copy of a key lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLocation {
    /// In the shared pools of the machine.
    Shared,
    /// On a device.
    Device(WorkerId),
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// The job is accepted. The driver adds the input it kept under the ticket.
    Accepted {
        /// Of its submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// Its number.
        job: JobId,
    },
    /// A partition is done; the driver adds what it left.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// The job has ended; the driver adds the result.
    Ended {
        /// The job.
        job: JobId,
        /// How.
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
        /// Its step.
        step: u16,
        /// Why.
        why: FailureReason,
    },
    /// The client cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// Its deadline came first.
    #[error("the deadline passed before it was complete")]
    DeadlineMissed,
}

/// Why a partition failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// A run said that it can never succeed.
    #[error("it can never succeed")]
    Permanent,
    /// It failed as often as it may; the last failure was this.
    #[error("it failed too often, last as {0:?}")]
    TooOften(Failure),
    /// Its key was withdrawn, or could not be loaded.
    #[error("key {0} cannot be had")]
    Key(KeyId),
    /// It added more, or other, partitions than the job's growth bound allows.
    #[error("its graph grew beyond its declared bound")]
    GrewBeyondBound,
    /// Its claim no longer fits beside memory that measured larger than declared.
    #[error("it no longer fits in {0}")]
    NoLongerFits(Pool),
}
