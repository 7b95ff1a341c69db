//! What threads tell the engine's own thread. It alone changes anything; all others send.

use crate::backend::{Done, Payload, Plan, TaskError};
use crate::circuits::Loaded;
use crate::core::Core;
use crate::job::{JobState, Submission};
use athanor_scheduler::{RecordId, RunId, SubmitId};
use std::sync::Arc;

/// What a run made.
pub(crate) enum Made {
    /// A step's payload.
    Left(Done),
    /// A check's verified bytes.
    Bytes(Arc<[u8]>),
}

/// A run is over.
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
    /// Whether the journal keeps it; a warm-up is nobody's job.
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
    /// Anything that is asked or changed seldom.
    Do(Box<dyn FnOnce(&mut Core) + Send>),
    /// Ends the thread.
    Stop,
}
