//! The types of responses. REST writes them as JSON, gRPC converts them to messages.

use std::sync::atomic::Ordering;

use athanor_engine::{JobError, Status as JobStatus};
use athanor_store::JobRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::circuits;
use crate::problem::{Problem, Reason, reason_of_code};
use crate::state::App;

/// The stage of a job of an earlier run whose circuit is not loaded.
const WAITING_FOR_CIRCUIT: &str = "waiting-for-circuit";

/// A job that was accepted and is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The job's id.
    pub(crate) id: String,
    /// The path of the job.
    pub(crate) url: String,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) circuit: String,
    /// `accepted`, `complete`, `failed`, `cancelled` or `deadline-missed`.
    #[schema(value_type = String)]
    pub(crate) state: &'static str,
    /// `critical`, `high`, `normal` or `batch`.
    #[schema(value_type = String)]
    pub(crate) class: &'static str,
    /// The stage that runs; `waiting-for-circuit` if the circuit is not loaded.
    pub(crate) stage: Option<String>,
    pub(crate) partitions: Option<Partitions>,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    /// Milliseconds since 1970.
    pub(crate) ended: Option<i64>,
    pub(crate) error: Option<JobFailure>,
    /// State of the callback: `waiting`, `told` (a request succeeded) or `given-up`.
    pub(crate) callback: Option<String>,
}

/// Progress of a job.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Partitions {
    pub(crate) done: u32,
    pub(crate) total: u32,
}

/// Why a job ended without a proof.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobFailure {
    /// A stable name.
    pub(crate) code: String,
    pub(crate) detail: Option<String>,
    /// Whether a retry can succeed.
    pub(crate) retriable: bool,
}

impl Job {
    /// The job of a row, with its current progress if it is open.
    pub(crate) fn of(app: &App, row: &JobRow) -> Job {
        let open = app.find_open_job(&row.tenant, &row.public);
        let (stage, partitions) = match open.map(|job| job.handle.status()) {
            Some(JobStatus::Accepted { done, partitions: total, stage, .. }) => {
                (stage.map(|stage| stage.to_string()), Some(Partitions { done, total }))
            }
            Some(JobStatus::Waiting { .. }) => (Some(WAITING_FOR_CIRCUIT.to_owned()), None),
            _ => (None, None),
        };
        let error = row.code.as_ref().map(|code| JobFailure {
            code: code.clone(),
            detail: row.message.clone(),
            retriable: reason_of_code(code).retriable(),
        });
        Job {
            id: row.public.clone(),
            circuit: row.circuit.clone(),
            state: row.state.name(),
            class: row.class.name(),
            stage,
            partitions,
            created: row.created,
            ended: row.ended,
            error,
            callback: row.callback.as_ref().map(|callback| callback.state.clone()),
        }
    }
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Jobs {
    /// Newest first.
    pub(crate) jobs: Vec<Job>,
    /// The cursor of the next page; absent at the end.
    pub(crate) next: Option<u64>,
}

/// A change of a job's status, as watchers receive it.
///
/// ```text
/// Entering ──► Progress ──► … ──► Complete
///     │            │
///     └────────────┴────────────► Ended        failure, cancellation, deadline, stop
/// ```
#[derive(Debug)]
pub(crate) enum JobEvent {
    Entering,
    Progress { stage: Option<String>, partitions: Partitions },
    Complete,
    Ended(Problem),
}

impl JobEvent {
    pub(crate) fn of(status: &JobStatus) -> JobEvent {
        match status {
            JobStatus::Entering => JobEvent::Entering,
            JobStatus::Waiting { .. } => JobEvent::Progress {
                stage: Some(WAITING_FOR_CIRCUIT.to_owned()),
                partitions: Partitions { done: 0, total: 0 },
            },
            JobStatus::Accepted { done, partitions, stage, .. } => JobEvent::Progress {
                stage: stage.as_ref().map(|stage| stage.to_string()),
                partitions: Partitions { done: *done, total: *partitions },
            },
            JobStatus::Ended(Ok(_)) => JobEvent::Complete,
            JobStatus::Ended(Err(error)) => JobEvent::Ended(error.clone().into()),
        }
    }

    /// The event of a job that is not open, from its row.
    pub(crate) fn from_row(row: &JobRow) -> JobEvent {
        use athanor_store::JobState;
        let reason = match row.state {
            JobState::Complete => return JobEvent::Complete,
            JobState::Accepted => return JobEvent::Entering,
            JobState::Failed => reason_of_code(row.code.as_deref().unwrap_or_default()),
            JobState::Cancelled => return JobEvent::Ended(JobError::Cancelled.into()),
            JobState::DeadlineMissed => return JobEvent::Ended(JobError::DeadlineMissed.into()),
        };
        let detail = row.message.clone().unwrap_or_else(|| row.state.name().into());
        JobEvent::Ended(Problem::new(reason, detail))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            JobEvent::Entering => "entering",
            JobEvent::Progress { .. } => "progress",
            JobEvent::Complete => "complete",
            JobEvent::Ended(_) => "ended",
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            JobEvent::Entering | JobEvent::Complete => serde_json::json!({}),
            JobEvent::Progress { stage, partitions } => serde_json::json!({
                "stage": stage,
                "done": partitions.done,
                "partitions": partitions.total,
            }),
            JobEvent::Ended(problem) => problem.json(),
        }
    }
}

/// Whether a proof is valid.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Verdict {
    pub(crate) valid: bool,
    /// Why the proof is not valid.
    pub(crate) reason: Option<String>,
}

/// One verdict per proof, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdicts {
    pub(crate) verdicts: Vec<Verdict>,
}

/// A circuit of the catalog, or one that is loaded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Circuit {
    pub(crate) name: String,
    /// `unloaded`, `loading`, `ready` or `failed`.
    #[schema(value_type = String)]
    pub(crate) state: &'static str,
    /// Why loading failed.
    pub(crate) reason: Option<String>,
    pub(crate) proof_system: Option<String>,
    pub(crate) curve: Option<String>,
    /// Whether the proving key is in memory now.
    pub(crate) key_resident: bool,
    /// The manifest in the catalog; only in the response for one circuit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) manifest: Option<serde_json::Value>,
}

/// Circuits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Circuits {
    pub(crate) circuits: Vec<Circuit>,
}

/// The status of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    #[schema(value_type = String)]
    pub(crate) version: &'static str,
    pub(crate) uptime_seconds: u64,
    pub(crate) stopping: bool,
    /// Age of the values in `memory`, `jobs` and `counters`, in seconds; zero unless the engine does not respond.
    pub(crate) age_seconds: f64,
    pub(crate) memory: Memory,
    pub(crate) jobs: JobCounts,
    /// Counters of the engine since its start, by name.
    #[schema(value_type = Object)]
    pub(crate) counters: serde_json::Value,
    pub(crate) circuits: Vec<Circuit>,
}

/// Memory of jobs and keys, in bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Memory {
    pub(crate) budget: u64,
    /// Reserved by the scheduler.
    pub(crate) reserved: u64,
    /// Resident memory of the process minus its resident memory at the start.
    pub(crate) resident: u64,
    /// `resident - reserved`.
    pub(crate) drift: i64,
}

/// Counts of jobs since the start of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobCounts {
    pub(crate) open: u64,
    /// Open jobs of the caller's tenant.
    pub(crate) yours: u64,
    pub(crate) accepted: u64,
    pub(crate) complete: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) late: u64,
}

impl Status {
    /// The current status, for this caller.
    pub(crate) fn of(app: &App, caller: &Caller) -> Result<Status, Problem> {
        let stats = app.engine.standing();
        let stats =
            stats.ok_or_else(|| Problem::new(Reason::Stopping, "the engine has stopped"))?;
        let counts = stats.stats.counts();
        let yours = app.quotas.of_tenant(&caller.tenant);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: app.began.elapsed().as_secs(),
            stopping: app.stopping.load(Ordering::Relaxed),
            age_seconds: stats.age.as_secs_f64(),
            memory: Memory {
                budget: stats.budget,
                reserved: stats.reserved,
                resident: stats.resident,
                drift: stats.drift(),
            },
            jobs: JobCounts {
                open: stats.open_jobs as u64,
                yours: yours as u64,
                accepted: counts.accepted,
                complete: counts.complete,
                failed: counts.failed,
                cancelled: counts.cancelled,
                late: counts.late,
            },
            counters: serde_json::to_value(stats.counters).unwrap_or_default(),
            circuits: circuits::list(app),
        })
    }
}
