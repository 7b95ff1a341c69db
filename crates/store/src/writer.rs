//! The one writer: all that waits goes into one transaction, and one sync pays for all of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use athanor_engine::{Receipt, Record};
use sqlx::{Acquire, SqlitePool};

use crate::blobs::Blobs;
use crate::probe::Probe;
use crate::{StoreError, jobs};

/// Most records of one transaction.
const GROUP: usize = 256;

pub(crate) struct Writer {
    queue: Option<Sender<(Record, Receipt)>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(
        runtime: tokio::runtime::Handle,
        pool: SqlitePool,
        blobs: Arc<Blobs>,
        keep_inputs: bool,
        probe: Arc<Probe>,
    ) -> Result<Writer, StoreError> {
        let (queue, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || serve(&runtime, &pool, &blobs, keep_inputs, &probe, &inbox))
            .map_err(|source| StoreError::Io { path: "journal-writer".into(), source })?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Begins to write a record; dropping the receipt says that it was not kept.
    pub(crate) fn write(&self, record: Record, receipt: Receipt) {
        if let Some(queue) = &self.queue {
            let _ = queue.send((record, receipt));
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

fn serve(
    runtime: &tokio::runtime::Handle,
    pool: &SqlitePool,
    blobs: &Blobs,
    keep_inputs: bool,
    probe: &Probe,
    inbox: &Receiver<(Record, Receipt)>,
) {
    while let Ok(first) = inbox.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = inbox.try_recv()
        {
            group.push(next);
        }
        let written = runtime.block_on(write(pool, blobs, keep_inputs, &group));
        probe.written(written.is_ok());
        match written {
            Ok(kept) => {
                for ((_, receipt), kept) in group.into_iter().zip(kept) {
                    if kept { receipt.durable() } else { receipt.failed() }
                }
            }
            Err(error) => {
                eprint_once(&error);
                group.into_iter().for_each(|(_, receipt)| receipt.failed());
            }
        }
    }
}

/// Writes a group; which of its records are kept. The whole group fails if the transaction does.
async fn write(
    pool: &SqlitePool,
    blobs: &Blobs,
    keep_inputs: bool,
    group: &[(Record, Receipt)],
) -> Result<Vec<bool>, StoreError> {
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
        match jobs::write(&mut part, record, blob.as_deref(), keep_inputs).await {
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

/// A person must hear of a journal that does not write; the engine tries again.
fn eprint_once(error: &StoreError) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "warning: the journal could not be written: {error}");
}
