//! Messages from other threads to the engine's thread. Only the engine's thread changes the engine's
//! state.

use crate::backend::{Done, Payload, Plan, TaskError};
use crate::circuits::Loaded;
use crate::core::Core;
use crate::job::{JobState, Submission};
use athanor_scheduler::{RecordId, RunId, SubmitId};
use std::sync::Arc;

/// The output of a run.
pub(crate) enum Made {
    /// A step's payload.
    Left(Done),
    /// A check's verified bytes.
    Bytes(Arc<[u8]>),
}

/// The report of a run that has ended.
pub(crate) struct Ended {
    pub(crate) run: RunId,
    pub(crate) made: Result<Made, TaskError>,
}

/// A planned submission.
pub(crate) struct Planned {
    pub(crate) submission: Arc<Submission>,
    pub(crate) circuit: Arc<Loaded>,
    pub(crate) plan: Plan,
    pub(crate) state: crate::sync::Arc<JobState>,
    /// Whether the journal stores the job. It does not store a warm-up.
    pub(crate) journaled: bool,
}

pub(crate) enum Message {
    Submit(Box<Planned>),
    Cancel(SubmitId),
    Ended(Ended),
    Probed {
        run: RunId,
        passed: bool,
    },
    KeyRead {
        run: RunId,
        read: Result<Payload, TaskError>,
    },
    Recorded {
        record: RecordId,
        durable: bool,
    },
    Resident(u64),
    /// A rare query or change, run on the engine's thread.
    Do(Box<dyn FnOnce(&mut Core) + Send>),
    /// Ends the thread.
    Stop,
}
