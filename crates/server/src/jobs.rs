//! Operations on accepted jobs: wait, read, list, watch, cancel.

use std::sync::Arc;
use std::time::Duration;

use athanor_engine::{Input, JobError, Journal, Outcome, Receipt, Record, Status};
use athanor_store::{JobRow, JobState, Page};
use futures_util::Stream;
use serde_json::value::RawValue;

use crate::auth::Caller;
use crate::problem::{Problem, Reason, reason_of_code};
use crate::responses::{Job, JobEvent, Jobs};
use crate::state::{App, OpenJob};

/// Parses a client's deadline, in seconds from now.
pub(crate) fn deadline_after(seconds: f64) -> Result<Duration, Problem> {
    // A longer time is a mistake, and could overflow the clock.
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds < CENTURY).ok_or_else(|| {
        let message = format!(
            "deadline {seconds} is not valid: give the seconds from now, at least 0 and less than 100 years"
        );
        Problem::new(Reason::BadRequest, message)
    })
}

/// A job's row, if the job belongs to the caller's tenant. Jobs of other tenants are reported as not found.
pub(crate) async fn find_row(app: &App, caller: &Caller, public: &str) -> Result<JobRow, Problem> {
    let row = app.store.job(public).await?.filter(|row| row.tenant == caller.tenant);
    row.ok_or_else(|| {
        Problem::new(Reason::JobNotFound, format!("there is no such job: {public:?}"))
    })
}

/// The output of [`wait`].
pub(crate) struct ProofOutput {
    pub(crate) bytes: Vec<u8>,
    /// The duration of each stage and its parts; empty if the job had ended before the wait.
    pub(crate) stages: Vec<(String, Duration)>,
}

/// Waits for a job's end, at most for `timeout`, and returns its result.
pub(crate) async fn wait(
    app: &Arc<App>,
    caller: &Caller,
    public: &str,
    timeout: Duration,
) -> Result<ProofOutput, Problem> {
    if let Some(job) = app.find_open_job(&caller.tenant, public) {
        let ended = tokio::time::timeout(timeout, job.handle.finished()).await;
        return match ended {
            Ok(Ok(finished)) => {
                Ok(ProofOutput { bytes: finished.bytes.to_vec(), stages: finished.marks.clone() })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let message =
                    format!("job {public} has not ended within {timeout:?}: read its result later");
                Err(Problem::new(Reason::Timeout, message))
            }
        };
    }
    Ok(ProofOutput { bytes: result(app, caller, public).await?, stages: Vec::new() })
}

/// A job's result.
///
/// # Errors
///
/// If the job has not ended, has ended without a result, or the result is not stored.
pub(crate) async fn result(app: &App, caller: &Caller, public: &str) -> Result<Vec<u8>, Problem> {
    let row = find_row(app, caller, public).await?;
    let problem = |reason| {
        let message = row.message.clone().unwrap_or_else(|| row.state.name().into());
        Err(Problem::new(reason, message))
    };
    match row.state {
        JobState::Complete => app
            .store
            .result(public)
            .await?
            .ok_or_else(|| Problem::new(Reason::Storage, "the result is not stored any more")),
        JobState::Accepted => Err(Problem::new(Reason::WrongState, "the job has not ended yet")),
        JobState::Failed => problem(reason_of_code(row.code.as_deref().unwrap_or_default())),
        JobState::Cancelled => problem(Reason::Cancelled),
        JobState::DeadlineMissed => problem(Reason::Timeout),
    }
}

/// A job of the caller's tenant.
pub(crate) async fn show(app: &App, caller: &Caller, public: &str) -> Result<Job, Problem> {
    Ok(Job::of(app, &find_row(app, caller, public).await?))
}

/// The status changes of a job. Changes that follow each other quickly are merged; the last event is the job's end.
pub(crate) fn watch(job: Arc<OpenJob>) -> impl Stream<Item = JobEvent> {
    futures_util::stream::unfold((job, 0, false), |(job, seen, ended)| async move {
        if ended {
            return None;
        }
        let (status, version) = job.handle.next(seen).await;
        let ended = matches!(status, Status::Ended(_));
        Some((JobEvent::of(&status), (job, version, ended)))
    })
}

/// Limit on the jobs of a page.
const MAX_PAGE: u32 = 500;

/// The tenant's jobs, newest first, after a cursor.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    before: Option<u64>,
    limit: Option<u32>,
) -> Result<Jobs, Problem> {
    let limit = limit.unwrap_or(50).clamp(1, MAX_PAGE);
    let rows = app.store.list(&caller.tenant, &Page { before, limit }).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.number.0);
    Ok(Jobs { jobs: rows.iter().map(|row| Job::of(app, row)).collect(), next })
}

/// A JSON input with its original text, so that large numbers keep all digits.
pub(crate) fn json_input(input: &RawValue) -> Input {
    Input::new("json", input.get().as_bytes().to_vec())
}

/// Longest wait until a cancellation is recorded.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Cancels a job and waits until the cancellation is recorded.
pub(crate) async fn cancel(app: &App, caller: &Caller, public: &str) -> Result<(), Problem> {
    if let Some(job) = app.find_open_job(&caller.tenant, public) {
        return cancel_open(&job).await;
    }
    // The module `unreadable` reads and opens a job under the same lock. Either the job is open when this task gets the
    // lock, or `unreadable` reads the job after this task has recorded its end, and does not open it.
    let _job_lock = app.locks.lock(job_lock(public)).await;
    match app.find_open_job(&caller.tenant, public) {
        Some(job) => cancel_open(&job).await,
        None => cancel_not_open(app, find_row(app, caller, public).await?).await,
    }
}

/// The name of the lock for retrying, restoring or cancelling a job that is not open.
pub(crate) fn job_lock(public: &str) -> String {
    format!("job {public}")
}

async fn cancel_open(job: &OpenJob) -> Result<(), Problem> {
    job.handle.cancel();
    match tokio::time::timeout(CANCEL_TIMEOUT, job.handle.finished()).await {
        Ok(Err(JobError::Cancelled)) => Ok(()),
        Ok(Ok(_)) => {
            Err(Problem::new(Reason::WrongState, "the job completed before it was cancelled"))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let message = format!(
                "the cancellation of job {} is not recorded yet: check the job later",
                job.id
            );
            Err(Problem::new(Reason::Timeout, message))
        }
    }
}

/// Cancels a job that is not open: it has ended, or it is accepted and its input cannot be read now.
async fn cancel_not_open(app: &App, row: JobRow) -> Result<(), Problem> {
    let row = match row.state {
        JobState::Accepted => cancel_in_journal(app, row).await?,
        _ => row,
    };
    if row.state == JobState::Cancelled {
        return Ok(());
    }
    let message = format!("the job is {}: nothing to cancel", row.state.name());
    Err(Problem::new(Reason::WrongState, message))
}

/// Records the cancellation of an accepted job. If it has ended in the meantime, the journal keeps that end.
async fn cancel_in_journal(app: &App, row: JobRow) -> Result<JobRow, Problem> {
    let (sender, recorded) = tokio::sync::oneshot::channel();
    let receipt = Receipt::new(move |durable| _ = sender.send(durable));
    let (job, outcome) = (row.number, Outcome::Cancelled);
    app.store.record(Record::Ended { job, outcome, failure: None, result: None }, receipt);
    match recorded.await {
        Ok(true) => Ok(app.store.job(&row.public).await?.unwrap_or(row)),
        _ => Err(Problem::new(Reason::Storage, "the cancellation could not be recorded")),
    }
}
