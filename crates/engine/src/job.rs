//! A job as its client holds it: what was asked, how it stands, how it ended.

use crate::input::{Input, InputError};
use crate::message::Message;
use crate::sync::{Arc, Condvar, Mutex};
use athanor_scheduler::{Class, FailureReason, JobId, Outcome, Refusal, SubmitId};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

/// What is asked of the engine.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The circuit's name.
    pub circuit: String,
    /// What to prove.
    pub input: Input,
    /// Whose job it is: shares are kept and results are shared within one tenant only.
    pub tenant: String,
    /// How urgent it is.
    pub class: Class,
    /// When it is no longer wanted.
    pub deadline: Option<SystemTime>,
    /// Whether a request that is just being proven, or a cached proof, may serve this one too.
    pub share: bool,
    /// What the journal's owner knows it by.
    pub reference: Option<std::sync::Arc<str>>,
    /// What the client knows it by: in the journal, a second job of the tenant under the same key is
    /// refused.
    pub idempotency_key: Option<std::sync::Arc<str>>,
    /// Where the journal's owner tells of the end.
    pub callback: Option<std::sync::Arc<str>>,
}

impl Submission {
    /// An ordinary request.
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
    /// What the circuit's last check made.
    pub bytes: std::sync::Arc<[u8]>,
    /// Wall time of each stage and of its parts, in the order in which they ended.
    pub marks: Vec<(String, Duration)>,
    /// Whether it was in the proof cache.
    pub cached: bool,
}

/// Why there is no job, or no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// No circuit of that name is loaded.
    #[error("no circuit {0:?} is loaded")]
    UnknownCircuit(String),
    /// The circuit is being warmed up; a retry can help.
    #[error("circuit {0:?} is not ready yet: it is proving its warm-up input")]
    NotReady(String),
    /// The circuit does not take the input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The scheduler does not take the job.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A step failed for good.
    #[error("{message}")]
    Failed {
        /// A stable name, in kebab case.
        code: String,
        /// What happened.
        message: String,
        /// Whether submitting it again may help.
        retry: bool,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Its deadline passed.
    #[error("the deadline passed before it was complete")]
    DeadlineMissed,
    /// The engine is draining or has stopped. An accepted job is in the journal.
    #[error("the engine is stopping; an accepted job goes on when it starts again")]
    Stopping,
}

impl JobError {
    /// A stable name, in kebab case.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            JobError::Input(error) => error.code,
            _ => "failed",
        }
    }

    /// A bug of ours.
    pub(crate) fn internal(message: &str) -> JobError {
        JobError::Failed { code: "internal".into(), message: message.into(), retry: false }
    }

    /// Of a job that ended without a result.
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

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not yet acknowledged.
    Entering,
    /// Accepted: it will not be lost.
    Accepted {
        /// Its number.
        job: JobId,
        /// Partitions that are done.
        done: u32,
        /// All its partitions.
        partitions: u32,
        /// The stage begun last.
        stage: Option<std::sync::Arc<str>>,
    },
    /// Accepted in an earlier run; it goes on when its circuit is loaded.
    Waiting {
        /// Its number.
        job: JobId,
    },
    /// It is over.
    Ended(Result<std::sync::Arc<Finished>, JobError>),
}

/// What the engine and all clients of a job share.
#[derive(Debug)]
pub(crate) struct JobState {
    /// The engine's name for it before it has a number.
    pub(crate) ticket: SubmitId,
    standing: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Debug)]
struct Standing {
    status: Status,
    /// Whether it was acknowledged, however it ended since.
    accepted: bool,
    /// Counts changes.
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

    /// Tells everybody; what has ended stays as it ended.
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

    /// Blocks until `pick` finds what it wants.
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

/// One client's hold on a job. Dropping it leaves the job to go on.
#[derive(Debug)]
pub struct JobHandle {
    state: Arc<JobState>,
    core: Sender<Message>,
}

impl JobHandle {
    pub(crate) fn new(state: Arc<JobState>, core: Sender<Message>) -> JobHandle {
        JobHandle { state, core }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.state.lock().status.clone()
    }

    /// Blocks until it is accepted; an accepted job is not lost.
    pub fn accepted(&self) -> Result<(), JobError> {
        self.state.accepted()
    }

    /// Resolves when it is accepted, also if it has ended since; an error if it was never accepted.
    pub async fn admitted(&self) -> Result<(), JobError> {
        std::future::poll_fn(|context| self.state.poll_accepted(context)).await
    }

    /// Blocks until it is over.
    pub fn wait(&self) -> Result<std::sync::Arc<Finished>, JobError> {
        self.state.wait()
    }

    /// Blocks until it is over, or so long.
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

    /// Blocks until its standing is another than the one of that version (zero at first), or so
    /// long; gives the standing and its version. A watcher that is slow sees the latest, not all.
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

    /// The next standing after the one of that version, as a future; at once if it has ended.
    pub async fn next(&self, seen: u64) -> (Status, u64) {
        std::future::poll_fn(|context| self.state.poll_changed(context, seen)).await
    }

    /// When it is over, as a future that others can wait for beside this one.
    pub async fn finished(&self) -> Result<std::sync::Arc<Finished>, JobError> {
        std::future::poll_fn(|context| self.state.poll(context)).await
    }

    /// Gives up this client's interest; the job itself ends when nobody is left who wants it. Giving
    /// up twice is giving up once.
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

/// Every interleaving of a job's end with those who wait for it, by the model checker:
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
