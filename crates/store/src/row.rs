//! The rows of the table `jobs`.

use athanor_engine::{Class, JobId};

/// The durable state of a job.
///
/// ```text
///                           ┌─► Complete          result stored
///  submit ─► Accepted ──────┼─► Failed            a step failed, or the input was lost
///               ▲           ├─► Cancelled         cancelled by its tenant
///               │           └─► DeadlineMissed    deadline passed
///               │                  │
///               └──── retry ◄──────┘              from Failed, Cancelled and DeadlineMissed
/// ```
///
/// Only an accepted job ends; a second end is ignored. A retry replaces the row by one with the same id and a new
/// number. A submit with the idempotency key of a cancelled job retries that job. Progress within `Accepted` is in
/// memory ([`athanor_engine::Status`]) except for finished partitions, which the journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// The job is durable and has not ended.
    Accepted,
    /// The job has a verified result, which is stored.
    Complete,
    /// The job failed and is not retried automatically.
    Failed,
    /// The job was cancelled.
    Cancelled,
    /// The deadline passed before the job was complete.
    DeadlineMissed,
}

impl JobState {
    /// The stable name, as in the journal and the interfaces.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Accepted => "accepted",
            JobState::Complete => "complete",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::DeadlineMissed => "deadline-missed",
        }
    }

    /// The state with this name; `Failed` for an unknown name.
    pub(crate) fn named(name: &str) -> JobState {
        let all =
            [JobState::Accepted, JobState::Complete, JobState::Cancelled, JobState::DeadlineMissed];
        all.into_iter().find(|state| state.name() == name).unwrap_or(JobState::Failed)
    }
}

/// The state of a job's callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackState {
    /// The job has not ended, or no request has succeeded yet.
    Waiting,
    /// A request succeeded.
    Delivered,
    /// All attempts failed, or the URL is not allowed any more.
    GivenUp,
}

impl CallbackState {
    /// The stable name, as in the journal and the interfaces.
    pub fn name(self) -> &'static str {
        match self {
            CallbackState::Waiting => "waiting",
            CallbackState::Delivered => "told",
            CallbackState::GivenUp => "given-up",
        }
    }
}

/// The HTTP callback of a job, sent when the job has ended.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The URL.
    pub url: String,
    /// The name of the [`CallbackState`].
    pub state: String,
}

/// A job's row. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The id that clients see.
    pub public: String,
    /// The engine's number.
    pub number: JobId,
    /// The owner.
    pub tenant: String,
    /// The circuit's name.
    pub circuit: String,
    /// The priority.
    pub class: Class,
    /// The time after which the proof is no longer wanted.
    pub deadline: Option<i64>,
    /// The client's idempotency key.
    pub idempotency_key: Option<String>,
    /// The input's kind.
    pub input_kind: String,
    /// BLAKE3 of the input's kind and bytes, in hex.
    pub input_digest: String,
    /// The blob with the input, if it is still kept.
    pub input_blob: Option<String>,
    /// Id of the key that sealed the input; `unknown` for jobs of older journals.
    pub input_seal: Option<String>,
    /// The state.
    pub state: JobState,
    /// The stable name of the failure.
    pub code: Option<String>,
    /// The failure as text.
    pub message: Option<String>,
    /// The time of acceptance.
    pub created: i64,
    /// The time of the end.
    pub ended: Option<i64>,
    /// The callback, if the client asked for one.
    pub callback: Option<Callback>,
}

/// A page of a list of jobs.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Cursor: only jobs with a smaller number.
    pub before: Option<u64>,
    /// The most jobs to return.
    pub limit: u32,
}
