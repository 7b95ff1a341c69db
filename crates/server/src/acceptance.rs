//! Accepts jobs.
//!
//! ```text
//!  request ─► quotas ─► planned ─► recorded ─► id returned
//!             └───────── one task, detached from the request ─────────┘
//! ```
//!
//! Acceptance runs to its end in a separate task. If the client disconnects, either there is no job, or there
//! is one that quotas, input memory, callbacks, cancellation and idempotency keys take into account.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use athanor_engine::{Input, JobError, Submission};
use athanor_store::{JobRow, JobState};
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::Caller;
use crate::callbacks;
use crate::circuits;
use crate::events;
use crate::jobs::{find_row, job_lock};
use crate::problem::{Problem, Reason};
use crate::state::{App, OpenJob};

/// A client's request for a job.
pub(crate) struct SubmitRequest {
    pub(crate) circuit: String,
    pub(crate) input: Input,
    pub(crate) class: Option<String>,
    /// Time from now.
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotency_key: Option<String>,
    /// URL that receives the job when it has ended.
    pub(crate) callback: Option<String>,
    /// The memory reserved for the input.
    pub(crate) input_memory: OwnedSemaphorePermit,
}

/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;

/// Accepts a job and returns its id when the job is durable. A repeated request with the same idempotency key and
/// input returns the same id.
pub(crate) async fn submit(
    app: &Arc<App>,
    caller: &Caller,
    request: SubmitRequest,
) -> Result<String, Problem> {
    let circuit = request.circuit.clone();
    let submitted = submit_inner(app, caller, request).await;
    submitted.inspect_err(|problem| events::refused(Some(caller), Some(&circuit), problem))
}

async fn submit_inner(
    app: &Arc<App>,
    caller: &Caller,
    request: SubmitRequest,
) -> Result<String, Problem> {
    let class = caller.class(request.class.as_deref())?;
    if let Some(callback) = &request.callback {
        app.callbacks.check(callback)?;
    }
    let key = request.idempotency_key;
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY_BYTES) {
        let message = format!("the Idempotency-Key must have 1 to {MAX_KEY_BYTES} bytes");
        return Err(Problem::new(Reason::BadRequest, message));
    }
    let submission = Submission {
        circuit: request.circuit,
        input: request.input,
        tenant: caller.tenant.clone(),
        class,
        deadline: request.deadline.map(|after| SystemTime::now() + after),
        // Equal inputs give separate jobs, each with a row and a proof. Only an idempotency key makes requests share
        // a job.
        share: false,
        reference: None,
        idempotency_key: key.as_deref().map(Into::into),
        callback: request.callback.map(Into::into),
    };
    let (app, memory) = (app.clone(), Some(request.input_memory));
    run_detached(async move {
        match key {
            None => accept(&app, submission, new_id()?, memory).await,
            Some(key) => accept_with_key(&app, &key, submission, memory).await,
        }
    })
    .await
}

/// Longest wait until a job is durable. Acceptance continues after it.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs work to its end, whether the future returned here is polled to its end or dropped.
async fn run_detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::time::timeout(ACCEPT_TIMEOUT, tokio::spawn(work)).await {
        Ok(ended) => {
            ended.unwrap_or_else(|error| Err(Problem::new(Reason::Internal, error.to_string())))
        }
        Err(_) => {
            let message = "the job is not durable yet and acceptance continues: repeat the request with the same \
                           Idempotency-Key, or list the jobs";
            Err(Problem::new(Reason::Timeout, message))
        }
    }
}

/// Accepts a job with an idempotency key, or returns the id of the existing one.
async fn accept_with_key(
    app: &Arc<App>,
    key: &str,
    submission: Submission,
    memory: Option<OwnedSemaphorePermit>,
) -> Result<String, Problem> {
    let tenant = submission.tenant.clone();
    // Held until the job is durable, so that the second of two requests with one key finds the job of the first.
    let _key_lock = app.locks.lock(format!("key {} {tenant} {key}", tenant.len())).await;
    match app.store.by_key(&tenant, key).await? {
        None => accept(app, submission, new_id()?, memory).await,
        Some(row) if !same_request(&row, &submission) => {
            let message = "the Idempotency-Key was used for a request with a different circuit or input: use a new key";
            Err(Problem::new(Reason::KeyConflict, message))
        }
        // A repeated request of a cancelled job retries it.
        Some(row) if row.state == JobState::Cancelled => {
            let _job_lock = app.locks.lock(job_lock(&row.public)).await;
            accept(app, submission, row.public, memory).await
        }
        Some(row) => Ok(row.public),
    }
}

fn same_request(row: &JobRow, submission: &Submission) -> bool {
    let digest = blake3::Hash::from_bytes(submission.input.digest());
    row.circuit == submission.circuit && row.input_digest == digest.to_hex().as_str()
}

/// Retries a job that ended without a result.
pub(crate) async fn retry(app: &Arc<App>, caller: &Caller, public: &str) -> Result<(), Problem> {
    let (app, caller, public) = (app.clone(), caller.clone(), public.to_owned());
    run_detached(async move {
        // The second of two concurrent retries finds the job accepted.
        let _job_lock = app.locks.lock(job_lock(&public)).await;
        let row = find_row(&app, &caller, &public).await?;
        if matches!(row.state, JobState::Accepted | JobState::Complete) {
            let message = format!("the job is {}: there is nothing to retry", row.state.name());
            return Err(Problem::new(Reason::WrongState, message));
        }
        let input = app.store.input(&row).await?.ok_or_else(|| {
            let message = "the job's input is not stored any more: submit the job again";
            Problem::new(Reason::WrongState, message)
        })?;
        let memory = app.input_memory.reserve(input.bytes().len())?;
        let submission = Submission {
            class: row.class,
            tenant: row.tenant,
            idempotency_key: row.idempotency_key.map(Into::into),
            share: false,
            callback: row.callback.map(|callback| callback.url.into()),
            ..Submission::new(&row.circuit, input)
        };
        accept(&app, submission, row.public, Some(memory)).await.map(|_| ())
    })
    .await
}

/// Counts the job in the quotas, submits it to the engine, and waits until it is durable.
async fn accept(
    app: &Arc<App>,
    submission: Submission,
    public: String,
    memory: Option<OwnedSemaphorePermit>,
) -> Result<String, Problem> {
    let refused = |problem: Problem| {
        app.refused.fetch_add(1, Ordering::Relaxed);
        problem
    };
    if app.stopping.load(Ordering::Relaxed) {
        return Err(stopping_problem());
    }
    if !app.engine.is_responsive() {
        let message = "the engine does not respond: see /health, and submit again later";
        return Err(refused(Problem::new(Reason::Busy, message)));
    }
    let (limits, class) = (app.config().limits, submission.class);
    let admission = app.quotas.admit(&limits, &submission.tenant, &submission.circuit, class);
    let admission = admission.map_err(refused)?;
    let submission = Submission { reference: Some(public.as_str().into()), ..submission };
    let (tenant, circuit) = (submission.tenant.clone(), submission.circuit.clone());
    let callback = submission.callback.is_some();
    let summary = events::JobSummary::of(&submission);
    let planner = app.clone();
    // Planning parses the input. This takes too long for a network thread if the input is large.
    let planned = tokio::task::spawn_blocking(move || planner.engine.begin(submission)).await;
    let planned = planned.map_err(|error| Problem::new(Reason::Internal, error.to_string()))?;
    let handle = planned.map_err(|error| match error {
        JobError::UnknownCircuit(name) => circuits::not_loaded(app, &name),
        error => error.into(),
    })?;
    let job = OpenJob { id: public.clone(), tenant, circuit, handle, callback, admission, memory };
    let job = insert_open(app, job);
    if let Err(error) = job.handle.admitted().await {
        app.remove_open(&job);
        return Err(refused(error.into()));
    }
    events::accepted(&public, &summary);
    events::follow_stages(&public, &job);
    tokio::spawn(await_end(app.clone(), job));
    Ok(public)
}

/// The problem for requests that would begin new work while the service stops.
pub(crate) fn stopping_problem() -> Problem {
    Problem::new(
        Reason::Stopping,
        "the service is stopping and accepts no new work: try again later",
    )
}

/// Adds a job to the open jobs.
fn insert_open(app: &App, job: OpenJob) -> Arc<OpenJob> {
    let job = Arc::new(job);
    app.open_jobs().insert(job.id.clone(), job.clone());
    job
}

/// Adds an accepted job of an earlier run to the open jobs until it has ended.
pub(crate) fn follow_accepted(app: &Arc<App>, job: OpenJob) {
    let job = insert_open(app, job);
    events::follow_stages(&job.id, &job);
    tokio::spawn(await_end(app.clone(), job));
}

/// Waits for a job's end, then updates metrics and log, closes the job and sends its callback.
async fn await_end(app: Arc<App>, job: Arc<OpenJob>) {
    let began = Instant::now();
    let end = job.handle.finished().await;
    app.metrics.ended(&job.circuit, began.elapsed(), &end);
    events::ended(&job.id, &job.circuit, began.elapsed(), &end);
    // If the job ended because the service stops, it is still accepted in the journal.
    app.remove_open(&job);
    let (callback, id) = (job.callback, job.id.clone());
    drop(job);
    if callback {
        callbacks::deliver(app, &id).await;
    }
}

/// A random id of 128 bits, in hex.
fn new_id() -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(Reason::Internal, error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
