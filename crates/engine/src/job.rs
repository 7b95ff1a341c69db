//! A job as its client sees it: [`Submission`], [`JobHandle`], [`Status`] and result.

use crate::input::{Input, InputError};
use crate::message::Message;
use crate::sync::{Arc, Condvar, Mutex};
use athanor_scheduler::{Class, FailureReason, JobId, Outcome, Refusal, SubmitId};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

/// A request to prove one input of one circuit.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The circuit's name.
    pub circuit: String,
    /// The input to prove.
    pub input: Input,
    /// The owner of the job. The scheduler divides capacity between tenants, and results are shared only
    /// within one tenant.
    pub tenant: String,
    /// The job's priority.
    pub class: Class,
    /// Time after which the result is no longer wanted.
    pub deadline: Option<SystemTime>,
    /// Whether the job may share the result of an equal running job or of the proof cache.
    pub share: bool,
    /// Identifier that the journal's owner gives to the job.
    pub reference: Option<std::sync::Arc<str>>,
    /// The client's idempotency key. The journal refuses a second job of the tenant under the same key.
    pub idempotency_key: Option<std::sync::Arc<str>>,
    /// URL that the journal's owner notifies of the job's end.
    pub callback: Option<std::sync::Arc<str>>,
}

impl Submission {
    /// A request of class [`Class::Normal`] without a deadline, for the tenant with the empty name.
    pub fn new(circuit: &str, input: Input) -> Submission {
        Submission {
            circuit: circuit.into(),
            input,
            tenant: String::new(),
            class: Class::Normal,
            deadline: None,
            share: true,
            reference: None,
            idempotency_key: None,
            callback: None,
        }
    }
}

/// A verified result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The bytes that the check of the last partition returned.
    pub bytes: std::sync::Arc<[u8]>,
    /// Wall time of each stage and of its parts, in the order in which they ended.
    pub marks: Vec<(String, Duration)>,
    /// Whether the result comes from the proof cache.
    pub cached: bool,
}

/// Reason that a job is not accepted or has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// No circuit of that name is loaded.
    #[error("no circuit {0:?} is loaded")]
    UnknownCircuit(String),
    /// The circuit proves its warm-up input. A later retry can succeed.
    #[error("circuit {0:?} is not ready yet: it is proving its warm-up input")]
    NotReady(String),
    /// The circuit does not accept the input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The scheduler does not admit the job.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A step failed and is not retried.
    #[error("{message}")]
    Failed {
        /// A stable error code in kebab case.
        code: String,
        /// Description for people.
        message: String,
        /// Whether submitting the job again can succeed.
        retry: bool,
    },
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The job's deadline passed.
    #[error("the deadline passed before it was complete")]
    DeadlineMissed,
    /// The engine drains or has stopped. An accepted job stays in the journal.
    #[error("the engine is stopping; an accepted job goes on when it starts again")]
    Stopping,
}

impl JobError {
    /// A stable error code in kebab case.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            JobError::Input(error) => error.code,
            _ => "failed",
        }
    }

    /// An internal error of the engine.
    pub(crate) fn internal(message: &str) -> JobError {
        JobError::Failed { code: "internal".into(), message: message.into(), retry: false }
    }

    /// The error of a job that ended without a result. `last`: code and message of its last failed run.
    pub(crate) fn of(outcome: &Outcome, last: Option<(&'static str, String)>) -> JobError {
        match outcome {
            Outcome::Cancelled => JobError::Cancelled,
            Outcome::DeadlineMissed => JobError::DeadlineMissed,
            Outcome::Complete => JobError::internal("complete, and without a result"),
            Outcome::Failed { why, .. } => {
                let retry = !matches!(why, FailureReason::Permanent);
                let (code, message) = last.unwrap_or(("failed", outcome.to_string()));
                JobError::Failed { code: code.into(), message, retry }
            }
        }
    }
}

/// The state of a job.
///
/// ```text
///            recorded as accepted, or
///            restored and circuit ready
///  Entering ───────────────────────────► Accepted ───────────────┐
///     │ │                                   ▲                    │ complete, failed,
///     │ │ restored and                      │ circuit            │ cancelled, deadline
///     │ │ circuit not ready                 │ ready              │ missed, engine stops
///     │ └────────────────────────────────► Waiting ──────────────┤
///     │                                                          ▼
///     └────────────────────────────────────────────────────────► Ended
///            refused, cached result, or engine stops
/// ```
///
/// `Ended` is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The job is submitted and not yet acknowledged.
    Entering,
    /// The job is accepted: it survives a restart if the journal is durable.
    Accepted {
        /// The job's number.
        job: JobId,
        /// Number of completed partitions.
        done: u32,
        /// Total number of partitions.
        partitions: u32,
        /// The stage that started last.
        stage: Option<std::sync::Arc<str>>,
    },
    /// The job was accepted before a restart. It resumes when its circuit is ready.
    Waiting {
        /// The job's number.
        job: JobId,
    },
    /// The job has ended.
    Ended(Result<std::sync::Arc<Finished>, JobError>),
}

/// The state that the engine shares with one client of a job. The transitions are at [`Status`].
#[derive(Debug)]
pub(crate) struct JobState {
    /// The engine's identifier of the submission, valid before the job has a number.
    pub(crate) ticket: SubmitId,
    standing: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Debug)]
struct Standing {
    status: Status,
    /// Whether the job was ever acknowledged, even if it has ended since.
    accepted: bool,
    /// Number of changes of `status`.
    version: u64,
    wakers: Vec<Waker>,
}

impl Standing {
    fn await_change<T>(&mut self, context: &mut Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            self.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl JobState {
    pub(crate) fn new(ticket: SubmitId) -> Arc<JobState> {
        let standing =
            Standing { status: Status::Entering, accepted: false, version: 0, wakers: Vec::new() };
        Arc::new(JobState { ticket, standing: Mutex::new(standing), changed: Condvar::new() })
    }

    /// Sets the status and wakes all waiters. It does nothing if the job has ended.
    pub(crate) fn set(&self, status: Status) {
        let wakers = {
            let mut standing = self.lock();
            if matches!(standing.status, Status::Ended(_)) {
                return;
            }
            standing.accepted |= !matches!(status, Status::Entering | Status::Ended(Err(_)));
            standing.status = status;
            standing.version += 1;
            self.changed.notify_all();
            std::mem::take(&mut standing.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Standing> {
        crate::sync::lock(&self.standing)
    }

    /// Blocks until `pick` returns `Some` for the status.
    fn wait_for<T>(&self, mut pick: impl FnMut(&Status) -> Option<T>) -> T {
        let mut standing = self.lock();
        loop {
            if let Some(found) = pick(&standing.status) {
                return found;
            }
            standing = crate::sync::wait(&self.changed, standing);
        }
    }

    fn ended(status: &Status) -> Option<Result<std::sync::Arc<Finished>, JobError>> {
        match status {
            Status::Ended(end) => Some(end.clone()),
            _ => None,
        }
    }

    pub(crate) fn wait(&self) -> Result<std::sync::Arc<Finished>, JobError> {
        self.wait_for(Self::ended)
    }

    pub(crate) fn accepted(&self) -> Result<(), JobError> {
        self.wait_for(|status| match status {
            Status::Entering => None,
            Status::Accepted { .. } | Status::Waiting { .. } | Status::Ended(Ok(_)) => Some(Ok(())),
            Status::Ended(Err(error)) => Some(Err(error.clone())),
        })
    }

    pub(crate) fn poll(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Result<std::sync::Arc<Finished>, JobError>> {
        let mut standing = self.lock();
        match Self::ended(&standing.status) {
            Some(end) => Poll::Ready(end),
            None => standing.await_change(context),
        }
    }

    fn poll_accepted(&self, context: &mut Context<'_>) -> Poll<Result<(), JobError>> {
        let mut standing = self.lock();
        match (&standing.status, standing.accepted) {
            (_, true) => Poll::Ready(Ok(())),
            (Status::Ended(Err(error)), false) => Poll::Ready(Err(error.clone())),
            _ => standing.await_change(context),
        }
    }

    fn poll_changed(&self, context: &mut Context<'_>, seen: u64) -> Poll<(Status, u64)> {
        let mut standing = self.lock();
        match standing.version == seen && !matches!(standing.status, Status::Ended(_)) {
            false => Poll::Ready((standing.status.clone(), standing.version)),
            true => standing.await_change(context),
        }
    }
}

/// One client's handle of a job. Dropping the handle does not cancel the job.
#[derive(Debug)]
pub struct JobHandle {
    state: Arc<JobState>,
    core: Sender<Message>,
}

impl JobHandle {
    pub(crate) fn new(state: Arc<JobState>, core: Sender<Message>) -> JobHandle {
        JobHandle { state, core }
    }

    /// The current status.
    pub fn status(&self) -> Status {
        self.state.lock().status.clone()
    }

    /// Blocks until the job is accepted.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the job ended with an error before this call saw it accepted.
    pub fn accepted(&self) -> Result<(), JobError> {
        self.state.accepted()
    }

    /// Resolves when the job is accepted, even if it has ended since.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the job ended with an error and was never accepted.
    pub async fn admitted(&self) -> Result<(), JobError> {
        std::future::poll_fn(|context| self.state.poll_accepted(context)).await
    }

    /// Blocks until the job has ended.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the job ended without a result.
    pub fn wait(&self) -> Result<std::sync::Arc<Finished>, JobError> {
        self.state.wait()
    }

    /// Blocks until the job has ended or `patience` has passed. `None` if the time has passed.
    pub fn wait_timeout(
        &self,
        patience: Duration,
    ) -> Option<Result<std::sync::Arc<Finished>, JobError>> {
        let until = std::time::Instant::now() + patience;
        let mut standing = self.state.lock();
        loop {
            if let Some(end) = JobState::ended(&standing.status) {
                return Some(end);
            }
            let left = until.checked_duration_since(std::time::Instant::now())?;
            standing = crate::sync::wait_timeout(&self.state.changed, standing, left);
        }
    }

    /// Blocks until the status version differs from `seen`, or until `patience` has passed. The first
    /// version is zero. Returns the status and its version. A slow caller sees only the latest status.
    pub fn changed(&self, seen: u64, patience: Duration) -> (Status, u64) {
        let until = std::time::Instant::now() + patience;
        let mut standing = self.state.lock();
        while standing.version == seen {
            let left = until.checked_duration_since(std::time::Instant::now());
            let Some(left) = left else { break };
            standing = crate::sync::wait_timeout(&self.state.changed, standing, left);
        }
        (standing.status.clone(), standing.version)
    }

    /// Resolves to the status and its version when the version differs from `seen`, or at once if the
    /// job has ended.
    pub async fn next(&self, seen: u64) -> (Status, u64) {
        std::future::poll_fn(|context| self.state.poll_changed(context, seen)).await
    }

    /// Resolves when the job has ended. Several futures of one handle can wait at the same time.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the job ended without a result.
    pub async fn finished(&self) -> Result<std::sync::Arc<Finished>, JobError> {
        std::future::poll_fn(|context| self.state.poll(context)).await
    }

    /// Cancels this client's request. The job itself is cancelled with its last client. A repeated call
    /// has no effect.
    pub fn cancel(&self) {
        let _ = self.core.send(Message::Cancel(self.state.ticket));
    }
}

impl Future for JobHandle {
    type Output = Result<std::sync::Arc<Finished>, JobError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.poll(context)
    }
}

/// Loom tests of every interleaving of a job's end with its waiters:
/// `RUSTFLAGS="--cfg loom" cargo test --release -p athanor-engine --lib loom_`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    fn finished() -> Status {
        let bytes = std::sync::Arc::from(&b"proof"[..]);
        Status::Ended(Ok(std::sync::Arc::new(Finished { bytes, marks: Vec::new(), cached: false })))
    }

    fn accepted() -> Status {
        Status::Accepted { job: JobId(1), done: 0, partitions: 1, stage: None }
    }

    #[test]
    fn loom_nobody_who_waits_misses_the_end() {
        loom::model(|| {
            let state = JobState::new(SubmitId(1));
            let waiter = thread::spawn({
                let state = state.clone();
                move || state.wait()
            });
            let admitted = thread::spawn({
                let state = state.clone();
                move || state.accepted()
            });
            state.set(accepted());
            state.set(finished());
            assert!(waiter.join().unwrap().is_ok());
            assert_eq!(admitted.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn loom_the_first_end_stays() {
        loom::model(|| {
            let state = JobState::new(SubmitId(1));
            let other = thread::spawn({
                let state = state.clone();
                move || state.set(Status::Ended(Err(JobError::Cancelled)))
            });
            state.set(finished());
            let first = state.wait();
            other.join().unwrap();
            assert_eq!(state.wait(), first);
        });
    }

    #[test]
    fn loom_a_future_that_was_polled_is_woken() {
        loom::model(|| {
            let state = JobState::new(SubmitId(1));
            let ender = thread::spawn({
                let state = state.clone();
                move || state.set(finished())
            });
            assert!(loom::future::block_on(std::future::poll_fn(|c| state.poll(c))).is_ok());
            ender.join().unwrap();
        });
    }
}
