//! The one writer: all that waits goes into one transaction, and one sync pays for all of it.

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
use crate::forget::{self, Forgotten};
use crate::jobs::Writing;
use crate::probe::Probe;
use crate::throttle::Throttle;
use crate::{StoreError, jobs, meta};

/// Most records of one transaction.
const GROUP: usize = 256;

/// One for each kind of error: a full disk first takes the blobs, and then the database.
type Throttles = HashMap<Discriminant<StoreError>, Throttle>;

enum Message {
    Record(Record, Receipt),
    Chore(Chore),
}

/// Work that is done between groups of records: one step after each.
pub(crate) enum Chore {
    /// Forgets a batch of ended jobs; see [`forget::batch`].
    Forget { before: i64, excess: u64, answer: oneshot::Sender<Result<Forgotten, StoreError>> },
    /// Gives free pages back; see [`forget::vacuum`].
    Vacuum { answer: oneshot::Sender<Result<bool, StoreError>> },
}

/// What the writer works with.
pub(crate) struct Desk {
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) pool: SqlitePool,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) keep_inputs: bool,
    pub(crate) clock: ServiceClock,
    pub(crate) probe: Arc<Probe>,
}

pub(crate) struct Writer {
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(desk: Desk) -> Result<Writer, StoreError> {
        let (queue, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || desk.serve(&inbox))
            .map_err(|source| StoreError::Io { path: "journal-writer".into(), source })?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Begins to write a record; dropping the receipt says that it was not kept.
    pub(crate) fn write(&self, record: Record, receipt: Receipt) {
        self.send(Message::Record(record, receipt));
    }

    /// Has a chore done, after the records that wait now.
    pub(crate) fn chore(&self, chore: Chore) {
        self.send(Message::Chore(chore));
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

impl Desk {
    fn serve(self, inbox: &Receiver<Message>) {
        let (mut group, mut chores) = (Vec::new(), VecDeque::new());
        let mut throttles = Throttles::new();
        let mut beat = Instant::now();
        loop {
            let due = HEARTBEAT.saturating_sub(beat.elapsed());
            let patience = if chores.is_empty() { due } else { Duration::ZERO };
            let mut next = match inbox.recv_timeout(patience) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(message) = next {
                match message {
                    Message::Record(record, receipt) => group.push((record, receipt)),
                    Message::Chore(chore) => chores.push_back(chore),
                }
                next = if group.len() < GROUP { inbox.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.write_group(std::mem::take(&mut group), &mut throttles);
            }
            if let Some(chore) = chores.pop_front() {
                self.runtime.block_on(self.run(chore));
            }
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                self.note(meta::set_service_time(&self.pool, self.clock.now()), &mut throttles);
            }
        }
        self.note(meta::set_service_time(&self.pool, self.clock.now()), &mut throttles);
        self.note(meta::closed(&self.pool), &mut throttles);
    }

    fn write_group(&self, group: Vec<(Record, Receipt)>, throttles: &mut Throttles) {
        let written = self.runtime.block_on(self.write(&group));
        self.probe.written(written.is_ok());
        match written {
            Ok(kept) => {
                for ((_, receipt), kept) in group.into_iter().zip(kept) {
                    if kept { receipt.durable() } else { receipt.failed() }
                }
            }
            Err(error) => {
                tell(&error, throttles);
                group.into_iter().for_each(|(_, receipt)| receipt.failed());
            }
        }
    }

    async fn run(&self, chore: Chore) {
        // Who asked may be gone.
        match chore {
            Chore::Forget { before, excess, answer } => {
                let _ = answer.send(forget::batch(&self.pool, before, excess).await);
            }
            Chore::Vacuum { answer } => {
                let _ = answer.send(forget::vacuum(&self.pool).await);
            }
        }
    }

    fn note(
        &self,
        writing: impl Future<Output = Result<(), StoreError>>,
        throttles: &mut Throttles,
    ) {
        if let Err(error) = self.runtime.block_on(writing) {
            tell(&error, throttles);
        }
    }
}

impl Desk {
    /// Writes a group; which of its records are kept. The whole group fails if the transaction does.
    async fn write(&self, group: &[(Record, Receipt)]) -> Result<Vec<bool>, StoreError> {
        let Desk { pool, blobs, .. } = self;
        let seal = blobs.seal_id();
        let beside = Writing {
            keep_inputs: self.keep_inputs,
            seal: seal.as_deref(),
            service_time: self.clock.now(),
        };
        // Blobs first: a row never names one that is not there.
        let mut names = Vec::with_capacity(group.len());
        for (record, _) in group {
            names.push(match record {
                Record::Accepted { job, submission } => {
                    let digest = blake3::hash(submission.input.bytes()).to_hex();
                    // A name for each job, so that deleting one job's input leaves the others'.
                    let name = format!("{digest}-{job}");
                    Some(blobs.put(&name, submission.input.bytes()).await?)
                }
                _ => None,
            });
        }
        // The lock of writers first: one that is asked for after a read is refused at once, and not
        // waited for, while somebody else writes.
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut kept = Vec::with_capacity(group.len());
        let mut gone = Vec::new();
        for ((record, _), blob) in group.iter().zip(&names) {
            // A record of its own that fails (an idempotency key that is taken) takes no other with it.
            let mut part = transaction.begin().await?;
            match jobs::write(&mut part, record, blob.as_deref(), beside).await {
                Ok(unneeded) => {
                    part.commit().await?;
                    gone.extend(unneeded);
                    kept.push(true);
                }
                Err(StoreError::Database(sqlx::Error::Database(error)))
                    if error.is_unique_violation() =>
                {
                    part.rollback().await?;
                    gone.extend(blob.clone());
                    kept.push(false);
                }
                Err(error) => return Err(error),
            }
        }
        transaction.commit().await?;
        for blob in gone {
            // What is not needed any more may be left behind by a crash here; nothing is lost by it.
            let _ = blobs.delete(&blob).await;
        }
        Ok(kept)
    }
}

/// A person must hear of a journal that cannot be written; the engine tries again.
fn tell(error: &StoreError, throttles: &mut Throttles) {
    let throttle = throttles.entry(discriminant(error)).or_default();
    if let Some(suppressed) = throttle.pass(Instant::now()) {
        tracing::error!(%error, suppressed, "the journal cannot be written");
    }
}
