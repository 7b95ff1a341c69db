//! Jobs as they are kept.

use athanor_engine::{Class, JobId};

/// How a job stands, as far as it must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Accepted and not ended.
    Accepted,
    /// Its result is kept.
    Complete,
    /// A step failed for good.
    Failed,
    /// Nobody wanted it any more; it can be revived.
    Cancelled,
    /// Its deadline passed.
    DeadlineMissed,
}

impl JobState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Accepted => "accepted",
            JobState::Complete => "complete",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::DeadlineMissed => "deadline-missed",
        }
    }

    pub(crate) fn named(name: &str) -> JobState {
        let all =
            [JobState::Accepted, JobState::Complete, JobState::Cancelled, JobState::DeadlineMissed];
        all.into_iter().find(|state| state.name() == name).unwrap_or(JobState::Failed)
    }
}

/// Whether who asked to be called knows of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackState {
    /// Not yet.
    Waiting,
    /// Yes.
    Told,
    /// No, and it is not tried any more.
    GivenUp,
}

impl CallbackState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            CallbackState::Waiting => "waiting",
            CallbackState::Told => "told",
            CallbackState::GivenUp => "given-up",
        }
    }
}

/// Who is called when a job has ended.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Where.
    pub url: String,
    /// The [`CallbackState`]'s name.
    pub state: String,
}

/// A job's row. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The name that clients know.
    pub public: String,
    /// The engine's number.
    pub number: JobId,
    /// Whose it is.
    pub tenant: String,
    /// Its circuit.
    pub circuit: String,
    /// How urgent it is.
    pub class: Class,
    /// When it is no longer wanted.
    pub deadline: Option<i64>,
    /// The client's own key.
    pub idempotency_key: Option<String>,
    /// The input's kind.
    pub input_kind: String,
    /// BLAKE3 of kind and bytes, in hex.
    pub input_digest: String,
    /// Where the input lies, if it is still kept.
    pub input_blob: Option<String>,
    /// Id of the key that sealed the input; `unknown` for jobs of older journals.
    pub input_seal: Option<String>,
    /// How it stands.
    pub state: JobState,
    /// Why it failed: a stable name.
    pub code: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// When it was accepted.
    pub created: i64,
    /// When it ended.
    pub ended: Option<i64>,
    /// Who wants to be told.
    pub callback: Option<Callback>,
}

/// Which jobs of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only jobs older than the one of that number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}
