//! A bounded queue in front of the executor, for the submission of single transactions.
//!
//! If the queue is full, `submit` returns immediately, and the submitter waits in its own thread
//! before it tries again. The executor's threads neither sleep for a retry nor process one. A
//! transaction whose deadline passes in the queue gets a receipt with `Failure::Expired`.

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
    /// Maximum number of waiting transactions. Default: 65,536.
    pub capacity: usize,
    /// Maximum number of transactions in a block. Default: 10,000.
    pub batch: usize,
    /// Share of the capacity from which the queue counts as congested. Default: 0.8.
    pub congested_at: f64,
    /// Maximum number of retries of [`FastPathService::execute_with_retry`]. Default:
    /// `FASTPATH_MAX_RETRIES`, or 5.
    pub max_retries: u32,
    /// Wait between two tries. Default: `FASTPATH_CONGESTION_CONTROL`, or exponential.
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

/// How long a submitter waits while the queue is full.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub enum Backoff {
    /// A random duration up to a bound that doubles with each retry (full jitter): 1 ms at first, 1
    /// s at most. The bound is twice as large while the queue is congested, up to the same maximum.
    #[default]
    Exponential,
    /// A random duration up to 10 ms.
    Fixed,
    /// No wait and no retry: [`SubmitError::Busy`] is returned.
    Off,
}

impl Backoff {
    /// The variant with this name: `exponential`, `fixed` or `off`. Any other name is
    /// `Exponential`.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "fixed" => Self::Fixed,
            "off" => Self::Off,
            _ => Self::Exponential,
        }
    }

    /// The longest wait before retry number `retry`, counted from zero; `None` for
    /// [`Backoff::Off`].
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

/// A transaction without a receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError<T> {
    /// The queue is full. The transaction is returned.
    #[error("{waiting} transactions are waiting: try again later")]
    Busy {
        /// The transaction.
        transaction: T,
        /// Number of waiting transactions.
        waiting: usize,
    },
    /// The service has stopped. The transaction is returned.
    #[error("the service has stopped")]
    Stopped {
        /// The transaction.
        transaction: T,
    },
    /// The service ended before the transaction's block was complete. The caller must read the
    /// state to learn whether the transaction took effect.
    #[error("the service ended before the receipt was there")]
    Lost,
}

/// A submitted transaction, whose receipt can be awaited.
#[derive(Debug)]
pub struct Ticket {
    receipt: Receiver<Receipt>,
}

impl Ticket {
    /// Waits for the receipt. `None` if the service ended first.
    #[must_use]
    pub fn wait(self) -> Option<Receipt> {
        self.receipt.recv().ok()
    }
}

/// The result of the service's thread: the executor, and why the thread ended.
type End<S> = (FastPathExecutor<S>, Result<(), ExecutorError>);

/// An executor in its own thread, which makes blocks of the waiting transactions.
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
    /// Microseconds since the service started. Replaces the transaction's own deadline.
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
    /// Starts a thread that executes submitted transactions. Block times are microseconds since the
    /// start.
    ///
    /// # Errors
    /// [`ExecutorError::Threads`] if the system cannot start the thread.
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

    /// Appends a transaction to the queue. If its block begins later than `patience` after this
    /// call, the transaction fails as expired. `None` means no deadline. [`Transaction::deadline`]
    /// of the transaction is not used.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] if the queue is full, [`SubmitError::Stopped`] if the service has
    /// stopped. Both return the transaction.
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
        // If the sum overflows, the transaction has no deadline.
        let deadline = patience
            .and_then(|patience| (since - self.queue.started).checked_add(patience))
            .map(micros);
        let submitted = Submitted { transaction, deadline };
        inner.waiting.push_back(Waiting { submitted, since, answer });
        self.queue.filled.notify_one();
        Ok(Ticket { receipt })
    }

    /// Submits a transaction and waits for its receipt. While the queue is full, waits in the
    /// calling thread and tries again, up to [`QueueConfig::max_retries`] times.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] after the last try, [`SubmitError::Stopped`] if the service has
    /// stopped, and [`SubmitError::Lost`] if it ended before the receipt was there.
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

    /// Number of waiting transactions.
    pub fn queue_length(&self) -> usize {
        crate::sync_lock(&self.queue.inner).waiting.len()
    }

    /// Whether the queue holds at least the share [`QueueConfig::congested_at`] of its capacity.
    pub fn is_congested(&self) -> bool {
        self.queue_length() as f64 >= self.config.congested_at * self.config.capacity as f64
    }

    /// The metrics of the executor and the queue, in the Prometheus text format.
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

    /// Stops accepting transactions, executes the waiting ones, and returns the executor.
    ///
    /// # Errors
    /// The error that ended the service, if one did. The waiting transactions then get no receipts.
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
            // A panic of the service's thread was printed where it occurred.
            let _ = worker.join();
        }
    }
}

/// Closes the queue when the service's thread ends for any reason, so that no ticket waits forever.
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
                    // If the ticket was dropped, no caller needs the receipt.
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
