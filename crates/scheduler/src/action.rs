//! What the scheduler wants done.
//!
//! Actions are to be carried out in the order given. [`Action::Discard`] and [`Action::Evict`]
//! free memory *before* the actions after them use it: the driver returns from them when the bytes
//! are back. All others are begun and answered by an event.

use crate::event::Failure;
use crate::ids::{JobId, KeyId, LaneId, RecordId, Run, TaskId, Ticket};
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
        entry: Entry,
    },
    /// Tell the client that its job is accepted and will not be lost.
    Acknowledge {
        /// Of its submit.
        ticket: Ticket,
        /// The job's number.
        job: JobId,
    },
    /// Tell the client that its job is not taken, and why.
    Refuse {
        /// Of its submit.
        ticket: Ticket,
        /// Why, and what to change.
        why: Refusal,
    },
    /// Run a step; answered by `Finished`, `Failed`, or, after a `Stop`, by `Stopped`.
    Start {
        /// To be named in the answer.
        run: Run,
        /// What to run.
        task: TaskId,
        /// Where.
        lane: LaneId,
        /// Threads it may use, at most those of the lane; zero on a device.
        threads: u32,
    },
    /// Make a run end soon; it still answers, by any of the three.
    Stop {
        /// The run.
        run: Run,
        /// Where it runs.
        lane: LaneId,
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
        run: Run,
        /// The key.
        key: KeyId,
        /// Where to.
        place: Place,
    },
    /// Free a key's copy that nobody uses. Immediate.
    Evict {
        /// The key.
        key: KeyId,
        /// Where.
        place: Place,
    },
    /// Give a quarantined device work with a known answer; answered by `Probed`.
    Probe {
        /// To be named in the answer.
        run: Run,
        /// The device.
        lane: LaneId,
    },
    /// A draining lane has nothing left to do and will get nothing more.
    Close {
        /// The lane.
        lane: LaneId,
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
pub enum Place {
    /// In the shared pools of the machine.
    Shared,
    /// On a device.
    Device(LaneId),
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The job is accepted. The driver adds the input it kept under the ticket.
    Accepted {
        /// Of its submit.
        ticket: Ticket,
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
        why: Reason,
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
pub enum Reason {
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
