//! A request on its way into the engine and back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use athanor_engine::{Class, Input, JobError, Status, Submission};
use athanor_store::{JobRow, JobState, Page};
use futures_util::Stream;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use crate::answers::{Event, Job, Jobs};
use crate::auth::Caller;
use crate::callbacks;
use crate::events;
use crate::problem::{Problem, Reason, by_code};
use crate::state::{App, OpenJob};

/// What a client asks for.
pub(crate) struct Asked {
    pub(crate) circuit: String,
    pub(crate) input: Input,
    pub(crate) class: Option<String>,
    /// From now.
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotency_key: Option<String>,
    /// Told of the end.
    pub(crate) callback: Option<String>,
    /// The memory of the input.
    pub(crate) room: OwnedSemaphorePermit,
}

/// A time from now in seconds, as clients say it.
pub(crate) fn from_now(seconds: f64) -> Result<Duration, Problem> {
    // Beyond a century it is a mistake, and beyond the clock an overflow.
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds < CENTURY).ok_or_else(|| {
        Problem::new(Reason::BadRequest, "the deadline is no number of seconds from now on")
    })
}

/// Longest idempotency key.
const KEY_BYTES: usize = 256;

/// Accepts a job and gives its name; the same name for the same key and input. Returns when the job
/// is durable.
pub(crate) async fn submit(
    app: &Arc<App>,
    caller: &Caller,
    asked: Asked,
) -> Result<String, Problem> {
    let circuit = asked.circuit.clone();
    let submitted = submit_unlogged(app, caller, asked).await;
    submitted.inspect_err(|problem| events::refused(Some(caller), Some(&circuit), problem))
}

async fn submit_unlogged(app: &Arc<App>, caller: &Caller, asked: Asked) -> Result<String, Problem> {
    let class = caller.class(asked.class.as_deref())?;
    if let Some(callback) = &asked.callback {
        app.callbacks.check(callback)?;
    }
    let room = Some(asked.room);
    let submission = Submission {
        circuit: asked.circuit,
        input: asked.input,
        tenant: caller.tenant.clone(),
        class,
        deadline: asked.deadline.map(|after| SystemTime::now() + after),
        // Each job has a row and a proof of its own; who wants one job twice says so by its key.
        share: false,
        reference: None,
        idempotency_key: asked.idempotency_key.as_deref().map(Into::into),
        callback: asked.callback.map(Into::into),
    };
    let Some(key) = asked.idempotency_key else {
        return accept(app, submission, new_name()?, room).await;
    };
    if key.is_empty() || key.len() > KEY_BYTES {
        let message = format!("an Idempotency-Key has 1 to {KEY_BYTES} bytes");
        return Err(Problem::new(Reason::BadRequest, message));
    }
    // Held until the job is durable: of two requests under one key the second finds the first.
    let _one_at_a_time = app.keys.lock().await;
    match app.store.by_key(&caller.tenant, &key).await? {
        None => accept(app, submission, new_name()?, room).await,
        Some(row) if !same_request(&row, &submission) => {
            let message = "this Idempotency-Key was used for another request; use a new one";
            Err(Problem::new(Reason::KeyConflict, message))
        }
        // Cancelled is no outcome to repeat: asking again revives the job.
        Some(row) if row.state == JobState::Cancelled => {
            accept(app, submission, row.public, room).await
        }
        Some(row) => Ok(row.public),
    }
}

fn same_request(row: &JobRow, submission: &Submission) -> bool {
    let digest = blake3::Hash::from_bytes(submission.input.digest());
    row.circuit == submission.circuit && row.input_digest == digest.to_hex().as_str()
}

/// Submits again what ended without a result.
pub(crate) async fn retry(app: &Arc<App>, caller: &Caller, public: &str) -> Result<(), Problem> {
    let row = row_of(app, caller, public).await?;
    if matches!(row.state, JobState::Accepted | JobState::Complete) {
        let message = format!("the job is {}: there is nothing to retry", row.state.name());
        return Err(Problem::new(Reason::WrongState, message));
    }
    let input = app.store.input(&row).await?.ok_or_else(|| {
        Problem::new(Reason::WrongState, "the job's input is not kept any more: submit it again")
    })?;
    let room = app.inputs.take(input.bytes().len())?;
    let submission = Submission {
        class: row.class,
        tenant: row.tenant,
        idempotency_key: row.idempotency_key.map(Into::into),
        share: false,
        callback: row.callback.map(|callback| callback.url.into()),
        ..Submission::new(&row.circuit, input)
    };
    accept(app, submission, row.public, Some(room)).await.map(|_| ())
}

async fn accept(
    app: &Arc<App>,
    submission: Submission,
    public: String,
    room: Option<OwnedSemaphorePermit>,
) -> Result<String, Problem> {
    admit(app, &submission)?;
    let submission = Submission { reference: Some(public.as_str().into()), ..submission };
    let (tenant, circuit) = (submission.tenant.clone(), submission.circuit.clone());
    let callback = submission.callback.is_some();
    let about = events::About::of(&submission);
    let engine = app.clone();
    // Parsing an input takes a while for a large one.
    let begun = tokio::task::spawn_blocking(move || engine.engine.begin(submission)).await;
    let handle = begun.map_err(|error| Problem::new(Reason::Internal, error.to_string()))??;
    let (status, _) = handle.next(0).await;
    if let Status::Ended(Err(error)) = status {
        app.refused.fetch_add(1, Ordering::Relaxed);
        return Err(error.into());
    }
    events::accepted(&public, &about);
    follow(app, public.clone(), OpenJob { tenant, circuit, handle, callback, room });
    Ok(public)
}

/// Whether one more job is within the limits of its tenant and circuit.
fn admit(app: &App, submission: &Submission) -> Result<(), Problem> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(stopping());
    }
    let limits = app.config().limits;
    let open = app.open();
    let count = |same: &dyn Fn(&OpenJob) -> bool| open.values().filter(|job| same(job)).count();
    let critical = submission.class == Class::Critical;
    let most = limits.jobs.saturating_add(if critical { limits.jobs_critical } else { 0 });
    let full = open.len() >= most
        || (open.len() >= limits.jobs_per_tenant
            && count(&|job| job.tenant == submission.tenant) >= limits.jobs_per_tenant)
        || (open.len() >= limits.jobs_per_circuit
            && count(&|job| job.circuit == submission.circuit) >= limits.jobs_per_circuit);
    match full {
        false => Ok(()),
        true => {
            app.refused.fetch_add(1, Ordering::Relaxed);
            Err(Problem::new(Reason::Busy, "too many jobs are waiting; come back later"))
        }
    }
}

/// The answer to what would begin now.
pub(crate) fn stopping() -> Problem {
    Problem::new(Reason::Stopping, "the service is stopping and takes no new work; come back later")
}

/// Keeps a job findable until it has ended, and counts how it did.
pub(crate) fn follow(app: &Arc<App>, public: String, job: OpenJob) {
    let job = Arc::new(job);
    app.open().insert(public.clone(), job.clone());
    events::follow_stages(&public, &job);
    let app = app.clone();
    let began = std::time::Instant::now();
    tokio::spawn(async move {
        let end = job.handle.finished().await;
        app.metrics.ended(&job.circuit, began.elapsed(), &end);
        events::ended(&public, &job.circuit, began.elapsed(), &end);
        // A job that ended because the service stops is still accepted in the journal.
        app.open().remove(&public);
        let callback = job.callback;
        drop(job);
        if callback {
            callbacks::ended(app, &public).await;
        }
    });
}

/// A name that nobody guesses.
fn new_name() -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(Reason::Internal, error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A job's row, if it is this tenant's: others' jobs do not exist for it.
pub(crate) async fn row_of(app: &App, caller: &Caller, public: &str) -> Result<JobRow, Problem> {
    let row = app.store.job(public).await?.filter(|row| row.tenant == caller.tenant);
    row.ok_or_else(|| Problem::new(Reason::JobNotFound, "there is no such job"))
}

/// A proof that was waited for.
pub(crate) struct Proven {
    pub(crate) bytes: Vec<u8>,
    /// How long each stage and its parts took, if it was proven meanwhile.
    pub(crate) stages: Vec<(String, Duration)>,
}

/// Waits for a job's end, so long at most, and gives its result.
pub(crate) async fn wait(
    app: &Arc<App>,
    caller: &Caller,
    public: &str,
    patience: Duration,
) -> Result<Proven, Problem> {
    if let Some(job) = app.open_job(&caller.tenant, public) {
        let ended = tokio::time::timeout(patience, job.handle.finished()).await;
        return match ended {
            Ok(Ok(finished)) => {
                Ok(Proven { bytes: finished.bytes.to_vec(), stages: finished.marks.clone() })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let message = format!("not proven yet; ask for job {public} later");
                Err(Problem::new(Reason::Timeout, message))
            }
        };
    }
    Ok(Proven { bytes: result(app, caller, public).await?, stages: Vec::new() })
}

/// A job's result, or why there is none.
pub(crate) async fn result(app: &App, caller: &Caller, public: &str) -> Result<Vec<u8>, Problem> {
    let row = row_of(app, caller, public).await?;
    let because = |reason| {
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
        JobState::Failed => because(by_code(row.code.as_deref().unwrap_or_default())),
        JobState::Cancelled => because(Reason::Cancelled),
        JobState::DeadlineMissed => because(Reason::Timeout),
    }
}

/// A job as its tenant sees it.
pub(crate) async fn show(app: &App, caller: &Caller, public: &str) -> Result<Job, Problem> {
    Ok(Job::of(app, &row_of(app, caller, public).await?))
}

/// Every standing of a job that there is time to tell; its end is the last.
pub(crate) fn watch(job: Arc<OpenJob>) -> impl Stream<Item = Event> {
    futures_util::stream::unfold((job, 0, false), |(job, seen, over)| async move {
        if over {
            return None;
        }
        let (status, version) = job.handle.next(seen).await;
        let over = matches!(status, Status::Ended(_));
        Some((Event::of(&status), (job, version, over)))
    })
}

/// Most jobs on a page.
const PAGE: u32 = 500;

/// The tenant's jobs, newest first, after a cursor.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    before: Option<u64>,
    limit: Option<u32>,
) -> Result<Jobs, Problem> {
    let limit = limit.unwrap_or(50).clamp(1, PAGE);
    let rows = app.store.list(&caller.tenant, &Page { before, limit }).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.number.0);
    Ok(Jobs { jobs: rows.iter().map(|row| Job::of(app, row)).collect(), next })
}

/// An input in JSON, exactly as it was written: large numbers keep their digits.
pub(crate) fn json_input(input: &RawValue) -> Input {
    Input::new("json", input.get().as_bytes().to_vec())
}

/// Ends a client's interest in a job.
pub(crate) async fn cancel(app: &App, caller: &Caller, public: &str) -> Result<(), Problem> {
    let row = row_of(app, caller, public).await?;
    match app.open_job(&caller.tenant, public) {
        Some(job) => {
            job.handle.cancel();
            match job.handle.finished().await {
                Err(JobError::Cancelled) => Ok(()),
                Ok(_) => Err(Problem::new(Reason::WrongState, "it was complete before")),
                Err(error) => Err(error.into()),
            }
        }
        None if row.state == JobState::Cancelled => Ok(()),
        None => {
            let message = format!("the job is {}: nothing to cancel", row.state.name());
            Err(Problem::new(Reason::WrongState, message))
        }
    }
}
