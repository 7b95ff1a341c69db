//! The writer thread. It writes all waiting records in one transaction with one sync (group commit).

use std::collections::{HashMap, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use athanor_engine::{Receipt, Record};
use sqlx::{Acquire, SqlitePool};
use tokio::sync::oneshot;

use crate::blobs::Blobs;
use crate::clock::{HEARTBEAT, ServiceClock};
use crate::jobs::WriteContext;
use crate::retention::{self, DeletedBatch};
use crate::throttle::Throttle;
use crate::write_probe::WriteProbe;
use crate::{StoreError, jobs, meta};

/// Limit on the records of one transaction.
const GROUP: usize = 256;

/// A throttle for each kind of error: on a full disk first blobs fail, then the database.
type Throttles = HashMap<Discriminant<StoreError>, Throttle>;

enum Message {
    Record(Record, Receipt),
    Maintenance(Maintenance),
}

/// Maintenance work. The writer does one such step after each group of records.
pub(crate) enum Maintenance {
    /// Deletes a batch of ended jobs; see [`retention::delete_batch`].
    Delete { before: i64, excess: u64, reply: oneshot::Sender<Result<DeletedBatch, StoreError>> },
    /// Returns free pages to the file system; see [`retention::vacuum`].
    Vacuum { reply: oneshot::Sender<Result<bool, StoreError>> },
}

/// The state of the writer thread.
pub(crate) struct WriterState {
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) pool: SqlitePool,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) keep_inputs: bool,
    pub(crate) clock: ServiceClock,
    pub(crate) probe: Arc<WriteProbe>,
}

/// Handle of the writer thread. Dropping it writes the waiting records and ends the thread.
pub(crate) struct Writer {
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(state: WriterState) -> Result<Writer, StoreError> {
        let (queue, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || state.run(&inbox))
            .map_err(|source| StoreError::Io { path: "journal-writer".into(), source })?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a record. If the receipt is dropped, the record was not written.
    pub(crate) fn write(&self, record: Record, receipt: Receipt) {
        self.send(Message::Record(record, receipt));
    }

    /// Queues maintenance work, which runs after the records that wait now.
    pub(crate) fn schedule(&self, work: Maintenance) {
        self.send(Message::Maintenance(work));
    }

    fn send(&self, message: Message) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(message);
        }
    }

    pub(crate) fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl WriterState {
    fn run(self, inbox: &Receiver<Message>) {
        let (mut group, mut maintenance) = (Vec::new(), VecDeque::new());
        let mut throttles = Throttles::new();
        let mut last_heartbeat = Instant::now();
        loop {
            let due = HEARTBEAT.saturating_sub(last_heartbeat.elapsed());
            let timeout = if maintenance.is_empty() { due } else { Duration::ZERO };
            let mut next = match inbox.recv_timeout(timeout) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(message) = next {
                match message {
                    Message::Record(record, receipt) => group.push((record, receipt)),
                    Message::Maintenance(work) => maintenance.push_back(work),
                }
                next = if group.len() < GROUP { inbox.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.write_group(std::mem::take(&mut group), &mut throttles);
            }
            if let Some(work) = maintenance.pop_front() {
                self.runtime.block_on(self.maintain(work));
            }
            if last_heartbeat.elapsed() >= HEARTBEAT {
                last_heartbeat = Instant::now();
                let write = meta::set_service_time(&self.pool, self.clock.now());
                self.write_or_log(write, &mut throttles);
            }
        }
        let write = meta::set_service_time(&self.pool, self.clock.now());
        self.write_or_log(write, &mut throttles);
        self.write_or_log(meta::mark_closed(&self.pool), &mut throttles);
    }

    fn write_group(&self, group: Vec<(Record, Receipt)>, throttles: &mut Throttles) {
        let written = self.runtime.block_on(self.write(&group));
        self.probe.record(written.is_ok());
        match written {
            Ok(written) => {
                for ((_, receipt), written) in group.into_iter().zip(written) {
                    if written { receipt.durable() } else { receipt.failed() }
                }
            }
            Err(error) => {
                log_failure(&error, throttles);
                group.into_iter().for_each(|(_, receipt)| receipt.failed());
            }
        }
    }

    async fn maintain(&self, work: Maintenance) {
        // A send fails if the caller has dropped its future.
        match work {
            Maintenance::Delete { before, excess, reply } => {
                let _ = reply.send(retention::delete_batch(&self.pool, before, excess).await);
            }
            Maintenance::Vacuum { reply } => {
                let _ = reply.send(retention::vacuum(&self.pool).await);
            }
        }
    }

    /// Runs a write that has no receipt, and logs its failure.
    fn write_or_log(
        &self,
        write: impl Future<Output = Result<(), StoreError>>,
        throttles: &mut Throttles,
    ) {
        if let Err(error) = self.runtime.block_on(write) {
            log_failure(&error, throttles);
        }
    }

    /// Writes a group in one transaction. Returns for each record whether it was written.
    ///
    /// # Errors
    ///
    /// If a blob or the transaction fails; then no record of the group is written.
    async fn write(&self, group: &[(Record, Receipt)]) -> Result<Vec<bool>, StoreError> {
        let WriterState { pool, blobs, .. } = self;
        let seal = blobs.seal_id();
        let context = WriteContext {
            keep_inputs: self.keep_inputs,
            seal: seal.as_deref(),
            service_time: self.clock.now(),
        };
        // Blobs are written first, so that a row never refers to a missing blob.
        let mut names = Vec::with_capacity(group.len());
        for (record, _) in group {
            names.push(match record {
                Record::Accepted { job, submission } => {
                    let digest = blake3::hash(submission.input.bytes()).to_hex();
                    // The name contains the job's number, so that deleting one job's input keeps equal inputs of
                    // other jobs.
                    let name = format!("{digest}-{job}");
                    Some(blobs.put(&name, submission.input.bytes()).await?)
                }
                _ => None,
            });
        }
        // BEGIN IMMEDIATE takes the write lock first. A transaction that asks for it after a read fails at once while
        // another process writes, instead of waiting for `busy_timeout`.
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut written = Vec::with_capacity(group.len());
        let mut unneeded = Vec::new();
        for ((record, _), blob) in group.iter().zip(&names) {
            // Each record has its own savepoint: one that fails because its idempotency key exists does not affect
            // the others.
            let mut savepoint = transaction.begin().await?;
            match jobs::write(&mut savepoint, record, blob.as_deref(), context).await {
                Ok(old_blob) => {
                    savepoint.commit().await?;
                    unneeded.extend(old_blob);
                    written.push(true);
                }
                Err(StoreError::Database(sqlx::Error::Database(error)))
                    if error.is_unique_violation() =>
                {
                    savepoint.rollback().await?;
                    unneeded.extend(blob.clone());
                    written.push(false);
                }
                Err(error) => return Err(error),
            }
        }
        transaction.commit().await?;
        for blob in unneeded {
            // A blob that is not deleted here, by a crash or an error, is deleted at the next start.
            let _ = blobs.delete(&blob).await;
        }
        Ok(written)
    }
}

/// Logs that a write failed. The engine tries again.
fn log_failure(error: &StoreError, throttles: &mut Throttles) {
    let throttle = throttles.entry(discriminant(error)).or_default();
    if let Some(suppressed) = throttle.admit(Instant::now()) {
        tracing::error!(%error, suppressed, "the journal cannot be written");
    }
}
