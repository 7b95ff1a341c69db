//! What clients do with jobs that were accepted: wait, read, list, watch, cancel.

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

/// A time from now in seconds, as clients say it.
pub(crate) fn deadline_after(seconds: f64) -> Result<Duration, Problem> {
    // Beyond a century it is a mistake, and beyond the clock an overflow.
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds < CENTURY).ok_or_else(|| {
        Problem::new(Reason::BadRequest, "the deadline is no number of seconds from now on")
    })
}

/// A job's row, if it is this tenant's: others' jobs do not exist for it.
pub(crate) async fn find_row(app: &App, caller: &Caller, public: &str) -> Result<JobRow, Problem> {
    let row = app.store.job(public).await?.filter(|row| row.tenant == caller.tenant);
    row.ok_or_else(|| Problem::new(Reason::JobNotFound, "there is no such job"))
}

/// A proof that was waited for.
pub(crate) struct ProofOutput {
    pub(crate) bytes: Vec<u8>,
    /// How long each stage and its parts took, if it was proven meanwhile.
    pub(crate) stages: Vec<(String, Duration)>,
}

/// Waits for a job's end, so long at most, and gives its result.
pub(crate) async fn wait(
    app: &Arc<App>,
    caller: &Caller,
    public: &str,
    timeout: Duration,
) -> Result<ProofOutput, Problem> {
    if let Some(job) = app.open_job(&caller.tenant, public) {
        let ended = tokio::time::timeout(timeout, job.handle.finished()).await;
        return match ended {
            Ok(Ok(finished)) => {
                Ok(ProofOutput { bytes: finished.bytes.to_vec(), stages: finished.marks.clone() })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let message = format!("not proven yet; ask for job {public} later");
                Err(Problem::new(Reason::Timeout, message))
            }
        };
    }
    Ok(ProofOutput { bytes: result(app, caller, public).await?, stages: Vec::new() })
}

/// A job's result, or why there is none.
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
            .ok_or_else(|| Problem::new(Reason::Storage, "the result is not kept any more")),
        JobState::Accepted => Err(Problem::new(Reason::WrongState, "the job has not ended yet")),
        JobState::Failed => problem(reason_of_code(row.code.as_deref().unwrap_or_default())),
        JobState::Cancelled => problem(Reason::Cancelled),
        JobState::DeadlineMissed => problem(Reason::Timeout),
    }
}

/// A job as its tenant sees it.
pub(crate) async fn show(app: &App, caller: &Caller, public: &str) -> Result<Job, Problem> {
    Ok(Job::of(app, &find_row(app, caller, public).await?))
}

/// Every standing of a job that there is time to tell; its end is the last.
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

/// Most jobs on a page.
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

/// An input in JSON, exactly as it was written: large numbers keep their digits.
pub(crate) fn json_input(input: &RawValue) -> Input {
    Input::new("json", input.get().as_bytes().to_vec())
}

/// Longest wait for a cancellation to be recorded.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Cancels a job and waits until that is recorded.
pub(crate) async fn cancel(app: &App, caller: &Caller, public: &str) -> Result<(), Problem> {
    if let Some(job) = app.open_job(&caller.tenant, public) {
        return cancel_open(&job).await;
    }
    // A job whose input becomes readable now is open before this is held, or after its end is recorded.
    let _job_lock = app.locks.lock(job_lock(public)).await;
    match app.open_job(&caller.tenant, public) {
        Some(job) => cancel_open(&job).await,
        None => cancel_not_open(app, find_row(app, caller, public).await?).await,
    }
}

/// The name of the lock of who revives, restores or cancels a job that is not open.
pub(crate) fn job_lock(public: &str) -> String {
    format!("job {public}")
}

async fn cancel_open(job: &OpenJob) -> Result<(), Problem> {
    job.handle.cancel();
    match tokio::time::timeout(CANCEL_TIMEOUT, job.handle.finished()).await {
        Ok(Err(JobError::Cancelled)) => Ok(()),
        Ok(Ok(_)) => Err(Problem::new(Reason::WrongState, "the job was complete before")),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let message =
                format!("the cancellation of job {} is under way; ask for it later", job.id);
            Err(Problem::new(Reason::Timeout, message))
        }
    }
}

/// Cancels a job that is not open: it has ended, or its input cannot be read and it waits in the
/// journal alone.
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

/// Records the end of an accepted job; the journal leaves one that has ended meanwhile as it is.
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
