//! Submitting one transaction at a time: a bounded queue in front of the executor.
//!
//! Whoever submits learns at once when the queue is full, and backs off in its own thread; the
//! executor's workers never sleep and never see a retry. A transaction whose deadline passes while
//! it waits gets a receipt that says so.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::block::Block;
use crate::context::Context;
use crate::executor::{ExecutorError, FastPathExecutor};
use crate::histogram::LatencyHistogram;
use crate::object::{ObjectRef, Owner};
use crate::receipt::{Output, Receipt};
use crate::state::State;
use crate::transaction::{Abort, Access, PrivateClaim, Transaction};

/// Settings of the queue.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Transactions that may wait. Default: 65,536.
    pub capacity: usize,
    /// Most transactions of a block. Default: 10,000.
    pub batch: usize,
    /// Share of the capacity from which the queue counts as congested. Default: 0.8.
    pub congested_at: f64,
    /// How often [`FastPathService::execute_with_retry`] tries again. Default:
    /// `FASTPATH_MAX_RETRIES`, or 5.
    pub max_retries: u32,
    /// How it waits in between. Default: `FASTPATH_CONGESTION_CONTROL`, or exponential.
    pub backoff: Backoff,
}

impl Default for QueueConfig {
    fn default() -> Self {
        let set = |name: &str| std::env::var(name).ok();
        Self {
            capacity: 1 << 16,
            batch: 10_000,
            congested_at: 0.8,
            max_retries: set("FASTPATH_MAX_RETRIES").and_then(|n| n.parse().ok()).unwrap_or(5),
            backoff: Backoff::from_name(&set("FASTPATH_CONGESTION_CONTROL").unwrap_or_default()),
        }
    }
}

/// How a submitter waits when the queue is full.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub enum Backoff {
    /// A random time below a bound that doubles each time (full jitter), 1 ms at first and 1 s at
    /// most; the bound is larger while the queue is congested.
    #[default]
    Exponential,
    /// A random time below 10 ms.
    Fixed,
    /// Not at all: busy is the answer.
    Off,
}

impl Backoff {
    /// `exponential`, `fixed` or `off`; anything else is exponential.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "fixed" => Self::Fixed,
            "off" => Self::Off,
            _ => Self::Exponential,
        }
    }

    /// The longest wait before try number `retry`, counted from zero.
    #[must_use]
    pub fn bound(self, retry: u32, congested: bool) -> Option<Duration> {
        const FIRST: u64 = 1;
        const MOST: u64 = 1000;
        let factor = if congested { 2 } else { 1 };
        let millis = match self {
            Self::Off => return None,
            Self::Fixed => 10,
            Self::Exponential => (FIRST * factor).saturating_mul(1 << retry.min(20)).min(MOST),
        };
        Some(Duration::from_millis(millis))
    }
}

/// A transaction that was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError<T> {
    /// The queue is full; the transaction comes back.
    #[error("{waiting} transactions are waiting: try again later")]
    Busy {
        /// The transaction.
        transaction: T,
        /// How many wait.
        waiting: usize,
    },
    /// The service has stopped; the transaction comes back.
    #[error("the service has stopped")]
    Stopped {
        /// The transaction.
        transaction: T,
    },
    /// The service ended before the transaction's block did. Whether it took effect is not known
    /// here; the state tells.
    #[error("the service ended before the receipt was there")]
    Lost,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Ticket {
    receipt: Receiver<Receipt>,
}

impl Ticket {
    /// Waits for the receipt; `None` if the service ended first.
    #[must_use]
    pub fn wait(self) -> Option<Receipt> {
        self.receipt.recv().ok()
    }
}

/// What the service's thread leaves: the executor, and why it ended.
type End<S> = (FastPathExecutor<S>, Result<(), ExecutorError>);

/// An executor with a thread of its own that makes blocks of whatever waits.
pub struct FastPathService<T: Transaction + Send + 'static, S: State + 'static> {
    queue: Arc<Queue<T>>,
    config: QueueConfig,
    worker: Option<JoinHandle<End<S>>>,
}

struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    started: Instant,
    retries: AtomicU64,
    busy: AtomicU64,
    metrics: Mutex<Metrics>,
}

struct Inner<T> {
    waiting: VecDeque<Waiting<T>>,
    open: bool,
}

#[derive(Default)]
struct Metrics {
    wait: LatencyHistogram,
    executor: String,
}

struct Waiting<T> {
    submitted: Submitted<T>,
    since: Instant,
    answer: SyncSender<Receipt>,
}

/// A transaction with the deadline of its submission.
struct Submitted<T> {
    transaction: T,
    /// Microseconds since the service started.
    deadline: Option<u64>,
}

impl<T: Transaction> Transaction for Submitted<T> {
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        self.transaction.execute(ctx)
    }

    fn access(&self) -> Access<'_> {
        self.transaction.access()
    }

    fn sender(&self) -> Owner {
        self.transaction.sender()
    }

    fn objects(&self) -> &[ObjectRef] {
        self.transaction.objects()
    }

    fn private(&self) -> Option<PrivateClaim<'_>> {
        self.transaction.private()
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline
    }
}

impl<T: Transaction + Send + 'static, S: State + 'static> FastPathService<T, S> {
    /// Starts a thread that executes what is submitted. Block times are microseconds since then.
    ///
    /// # Errors
    /// [`ExecutorError::Threads`] if the machine refuses the thread.
    pub fn start(
        executor: FastPathExecutor<S>,
        config: QueueConfig,
    ) -> Result<Self, ExecutorError> {
        let queue = Arc::new(Queue {
            inner: Mutex::new(Inner { waiting: VecDeque::new(), open: true }),
            filled: Condvar::new(),
            started: Instant::now(),
            retries: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            metrics: Mutex::default(),
        });
        let (shared, batch) = (Arc::clone(&queue), config.batch.max(1));
        let worker = std::thread::Builder::new()
            .name("fastpath-service".into())
            .spawn(move || serve(&shared, executor, batch))
            .map_err(ExecutorError::Threads)?;
        Ok(Self { queue, config, worker: Some(worker) })
    }

    /// Puts a transaction into the queue. It must begin within `patience`, if there is one.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] if the queue is full, with the transaction.
    pub fn submit(
        &self,
        transaction: T,
        patience: Option<Duration>,
    ) -> Result<Ticket, SubmitError<T>> {
        let mut inner = crate::sync_lock(&self.queue.inner);
        if !inner.open {
            return Err(SubmitError::Stopped { transaction });
        }
        let waiting = inner.waiting.len();
        if waiting >= self.config.capacity {
            self.queue.busy.fetch_add(1, Ordering::Relaxed);
            return Err(SubmitError::Busy { transaction, waiting });
        }
        let (answer, receipt) = sync_channel(1);
        let since = Instant::now();
        // A patience past the end of the clock is no deadline.
        let deadline = patience
            .and_then(|patience| (since - self.queue.started).checked_add(patience))
            .map(micros);
        let submitted = Submitted { transaction, deadline };
        inner.waiting.push_back(Waiting { submitted, since, answer });
        self.queue.filled.notify_one();
        Ok(Ticket { receipt })
    }

    /// Submits and waits for the receipt. While the queue is full it waits in the calling thread
    /// and tries again, as often as the settings say.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] after the last try.
    pub fn execute_with_retry(
        &self,
        transaction: T,
        patience: Option<Duration>,
    ) -> Result<Receipt, SubmitError<T>> {
        let mut transaction = transaction;
        let mut retry = 0;
        loop {
            match self.submit(transaction, patience) {
                Ok(ticket) => return ticket.wait().ok_or(SubmitError::Lost),
                Err(SubmitError::Busy { transaction: back, waiting }) => {
                    let bound = self.config.backoff.bound(retry, self.is_congested());
                    let Some(bound) = bound.filter(|_| retry < self.config.max_retries) else {
                        return Err(SubmitError::Busy { transaction: back, waiting });
                    };
                    self.queue.retries.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(rand::rng().random_range(Duration::ZERO..=bound));
                    transaction = back;
                    retry += 1;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Transactions that wait.
    pub fn queue_length(&self) -> usize {
        crate::sync_lock(&self.queue.inner).waiting.len()
    }

    /// Whether the queue is fuller than it should be.
    pub fn is_congested(&self) -> bool {
        self.queue_length() as f64 >= self.config.congested_at * self.config.capacity as f64
    }

    /// The executor's metrics and the queue's, in the text format of Prometheus.
    pub fn export_prometheus(&self) -> String {
        let metrics = crate::sync_lock(&self.queue.metrics);
        let quantiles = [0.5, 0.9, 0.95, 0.99, 0.999].map(|q| {
            let millis = metrics.wait.percentile(q) as f64 / 1e6;
            format!("fastpath_queue_wait_time_ms{{quantile=\"{q}\"}} {millis}\n")
        });
        format!(
            "{}# HELP fastpath_queue_length Transactions that wait.\n\
             # TYPE fastpath_queue_length gauge\nfastpath_queue_length {}\n\
             # HELP fastpath_queue_wait_time_ms Milliseconds from submission to the block.\n\
             # TYPE fastpath_queue_wait_time_ms summary\n{}\
             # HELP fastpath_busy_total Submissions refused because the queue was full.\n\
             # TYPE fastpath_busy_total counter\nfastpath_busy_total {}\n\
             # HELP fastpath_submit_retries_total Submissions repeated after a wait.\n\
             # TYPE fastpath_submit_retries_total counter\nfastpath_submit_retries_total {}\n",
            metrics.executor,
            self.queue_length(),
            quantiles.concat(),
            self.queue.busy.load(Ordering::Relaxed),
            self.queue.retries.load(Ordering::Relaxed),
        )
    }

    /// Stops taking transactions, executes what waits, and gives the executor back.
    ///
    /// # Errors
    /// The error that ended the service, if one did. Whoever waited then gets no receipt.
    pub fn stop(mut self) -> Result<FastPathExecutor<S>, ExecutorError> {
        self.close();
        let worker = self.worker.take().expect("taken only here and in drop");
        match worker.join() {
            Ok((executor, result)) => result.map(|()| executor),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn close(&self) {
        crate::sync_lock(&self.queue.inner).open = false;
        self.queue.filled.notify_all();
    }
}

impl<T: Transaction + Send + 'static, S: State + 'static> Drop for FastPathService<T, S> {
    fn drop(&mut self) {
        self.close();
        if let Some(worker) = self.worker.take() {
            // A panic of the service was already printed where it happened.
            let _ = worker.join();
        }
    }
}

/// Closes the queue however the service's thread ends, so that nobody waits for it in vain.
struct Closing<'a, T>(&'a Queue<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        let mut inner = crate::sync_lock(&self.0.inner);
        inner.open = false;
        inner.waiting.clear();
    }
}

fn serve<T: Transaction, S: State>(
    queue: &Queue<T>,
    mut executor: FastPathExecutor<S>,
    batch: usize,
) -> End<S> {
    let _closing = Closing(queue);
    loop {
        let taken: Vec<Waiting<T>> = {
            let mut inner = crate::sync_lock(&queue.inner);
            while inner.waiting.is_empty() && inner.open {
                inner = queue.filled.wait(inner).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            let count = inner.waiting.len().min(batch);
            inner.waiting.drain(..count).collect()
        };
        if taken.is_empty() {
            return (executor, Ok(()));
        }
        let now = Instant::now();
        let mut answers = Vec::with_capacity(taken.len());
        let mut transactions = Vec::with_capacity(taken.len());
        {
            let mut metrics = crate::sync_lock(&queue.metrics);
            for waiting in taken {
                metrics.wait.record(now.duration_since(waiting.since).as_nanos() as u64);
                transactions.push(waiting.submitted);
                answers.push(waiting.answer);
            }
        }
        let time = micros(now - queue.started);
        let block = Block { time, ..Block::new(transactions) };
        match executor.execute_block(&block) {
            Ok(outcome) => {
                for (answer, receipt) in answers.into_iter().zip(outcome.receipts) {
                    // Whoever dropped the ticket does not want the receipt.
                    let _ = answer.send(receipt);
                }
            }
            Err(error) => return (executor, Err(error)),
        }
        crate::sync_lock(&queue.metrics).executor = executor.export_prometheus();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
