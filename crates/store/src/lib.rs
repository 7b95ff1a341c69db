//! Jobs that survive: the engine's journal in SQLite, inputs beside it as content-addressed files.
//!
//! [`Store`] is the one type to know. It keeps one row for each job, one for each finished partition
//! and one for each result; inputs lie in a directory of blobs, under the digest of their contents.
//! One thread writes. It takes every record that is waiting, writes them in one transaction and
//! answers them together (group commit), for what a disk limits is the number of syncs. SQLite runs
//! in WAL mode with `synchronous = FULL`: a receipt is given after the sync.
//!
//! A key-value store would be fewer lines and no C code. The journal is relational, though (a unique
//! idempotency key, lists by tenant and time), operators can open it while the service runs, and the
//! same tables will serve PostgreSQL.

mod blobs;
mod check;
mod clock;
mod error;
mod forget;
mod jobs;
mod lock;
mod meta;
mod probe;
mod restore;
mod row;
mod schema;
mod seal;
mod seals;
mod throttle;
mod wal;
mod writer;

pub use check::{BlobFault, Report, check};
pub use error::StoreError;
pub use restore::Restorable;
pub use row::{Callback, CallbackState, JobRow, JobState, Page};
pub use seal::SealKey;
pub use wal::WalReport;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athanor_engine::{JobId, Journal, JournalError, Receipt, Record, Unfinished};
use tokio::sync::oneshot;

use blobs::Blobs;
use clock::ServiceClock;
use lock::Lock;
use probe::Probe;
use restore::Reader;
use writer::{Chore, Desk, Writer};

/// The journal's file in the data directory.
const JOURNAL: &str = "journal.db";

/// The journal, and what can be asked of it.
///
/// Queries run on the store's own runtime: whoever asks may drop the future at any time, and no query or
/// connection is left half done.
pub struct Store {
    // Dropped in this order: the writer writes what it still has, and needs the others for that.
    writer: Writer,
    reader: Reader,
    /// See [`schema::open`].
    held: sqlx::SqliteConnection,
    runtime: tokio::runtime::Runtime,
    next_job: u64,
    probe: Arc<Probe>,
    lock: Mutex<Lock>,
}

/// How long things are kept, and how.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Encrypts inputs at rest.
    pub seal: Option<SealKey>,
    /// Inputs of jobs that ended with a result are kept too.
    pub inputs: bool,
}

impl Store {
    /// Opens the journal in a directory, which is made (for this user alone) if it is not there.
    ///
    /// # Errors
    ///
    /// Refuses a directory that another process has, a damaged journal, one of a newer version, and a seal key
    /// with which the inputs of accepted jobs cannot be read; it has changed nothing then.
    pub fn open(directory: &Path, keeping: Keeping) -> Result<Store, StoreError> {
        blobs::make_private(directory)?;
        let lock = Mutex::new(Lock::take(directory)?);
        let runtime = runtime(directory)?;
        let journal = directory.join(JOURNAL);
        warn_of_wal_damage(&journal);
        let opened = runtime.block_on(schema::open(&journal));
        let (pool, mut held) = opened.map_err(|error| error.of_journal(&journal))?;
        let blobs = Arc::new(Blobs::open(&directory.join("blobs"), keeping.seal)?);
        let prepared = runtime.block_on(async {
            seals::check(&pool, &mut held, &blobs).await?;
            blobs.sweep(&jobs::named_blobs(&pool).await?).await;
            Ok((jobs::next_number(&pool).await?, meta::service_time(&mut held).await?))
        });
        let (next_job, service_time) =
            prepared.map_err(|error: StoreError| error.of_journal(&journal))?;
        let clock = ServiceClock::from(service_time);
        let probe = Arc::new(Probe::default());
        let writer = Writer::start(Desk {
            runtime: runtime.handle().clone(),
            pool: pool.clone(),
            blobs: blobs.clone(),
            keep_inputs: keeping.inputs,
            clock,
            probe: probe.clone(),
        })?;
        let reader = Reader { pool, blobs, clock };
        Ok(Store { writer, reader, held, runtime, next_job, probe, lock })
    }

    /// Runs a query to its end, whether or not its future is polled to the end.
    async fn query<T, F>(
        &self,
        query: impl FnOnce(Reader) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let running = self.runtime.spawn(query(self.reader.clone()));
        running.await.unwrap_or(Err(StoreError::Closed))
    }

    /// A job by its public name.
    pub async fn job(&self, public: &str) -> Result<Option<JobRow>, StoreError> {
        let public = public.to_owned();
        self.query(|to| async move { jobs::by_public(&to.pool, &public).await }).await
    }

    /// The job of a tenant under an idempotency key.
    pub async fn by_key(&self, tenant: &str, key: &str) -> Result<Option<JobRow>, StoreError> {
        let (tenant, key) = (tenant.to_owned(), key.to_owned());
        self.query(|to| async move { jobs::by_key(&to.pool, &tenant, &key).await }).await
    }

    /// A tenant's jobs, newest first, after a cursor.
    pub async fn list(&self, tenant: &str, page: &Page) -> Result<Vec<JobRow>, StoreError> {
        let (tenant, page) = (tenant.to_owned(), page.clone());
        self.query(|to| async move { jobs::list(&to.pool, &tenant, &page).await }).await
    }

    /// The verified result of a job that is complete.
    pub async fn result(&self, public: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let public = public.to_owned();
        self.query(|to| async move { jobs::result(&to.pool, &public).await }).await
    }

    /// Jobs that ended and whose callback waits.
    pub async fn untold(&self) -> Result<Vec<JobRow>, StoreError> {
        self.query(|to| async move { jobs::untold(&to.pool).await }).await
    }

    /// Notes how a job's callback went.
    pub async fn set_callback(&self, public: &str, to: CallbackState) -> Result<(), StoreError> {
        let (public, state) = (public.to_owned(), to);
        self.query(move |to| async move { jobs::set_callback(&to.pool, &public, state).await })
            .await
    }

    /// A job's input, if it is still kept.
    pub async fn input(&self, row: &JobRow) -> Result<Option<athanor_engine::Input>, StoreError> {
        let row = row.clone();
        self.query(|to| async move {
            let bytes = to.input(&row).await?;
            Ok(bytes.map(|bytes| athanor_engine::Input::new(&row.input_kind, bytes.to_vec())))
        })
        .await
    }

    /// All accepted jobs of the run before, with their inputs, in the order of their numbers. Blocks. To be called
    /// before the engine accepts others.
    pub fn restorable(&self) -> Result<Vec<Restorable>, StoreError> {
        self.runtime.block_on(self.reader.all())
    }

    /// One of them, read again; none if it has ended.
    pub async fn restorable_one(&self, job: JobId) -> Result<Option<Restorable>, StoreError> {
        self.query(move |to| async move { to.one(job).await }).await
    }

    /// Forgets jobs that ended at least that long ago, and of those that ended all but the last `most`; the number
    /// that is gone. Hours of service count: time in which the store was open, not what the wall clock says.
    ///
    /// Works in small batches between which records are written. Dropping the future ends it after a batch.
    pub async fn forget(&self, older_than: Duration, most: u32) -> Result<u64, StoreError> {
        let before = self.reader.clock.now().saturating_sub(clock::millis(older_than));
        let ended = self.query(|to| async move { forget::ended(&to.pool).await }).await?;
        let excess = ended.saturating_sub(most.into());
        let mut gone = 0;
        loop {
            let batch = self.forget_batch(before, excess.saturating_sub(gone)).await?;
            gone += batch;
            if batch < forget::BATCH.into() {
                break;
            }
            self.pause().await?;
        }
        while gone > 0 && self.vacuum().await? {
            self.pause().await?;
        }
        Ok(gone)
    }

    async fn forget_batch(&self, before: i64, excess: u64) -> Result<u64, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.chore(Chore::Forget { before, excess, answer });
        self.query(|to| async move {
            let forgotten = answered.await.unwrap_or(Err(StoreError::Closed))?;
            for blob in forgotten.blobs {
                // It stays until the next start, which sweeps what no row names.
                if let Err(error) = to.blobs.delete(&blob).await {
                    tracing::warn!(%error, "the input of a forgotten job could not be deleted");
                }
            }
            Ok(forgotten.jobs)
        })
        .await
    }

    /// Between two batches, so that others get their turn.
    async fn pause(&self) -> Result<(), StoreError> {
        self.query(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        })
        .await
    }

    async fn vacuum(&self) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.chore(Chore::Vacuum { answer });
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Writes down where the service listens, for who finds the data directory locked.
    pub fn note_address(&self, address: SocketAddr) -> Result<(), StoreError> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).note_address(address)
    }

    /// Ends the writer after what it has, and closes the database.
    pub fn close(self) {
        let Store { runtime, reader, held, writer, .. } = self;
        writer.end();
        runtime.block_on(async {
            reader.pool.close().await;
            let _ = sqlx::Connection::close(held).await;
        });
    }
}

pub(crate) fn runtime(directory: &Path) -> Result<tokio::runtime::Runtime, StoreError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("store")
        .enable_all()
        .build()
        .map_err(|source| StoreError::Io { path: directory.to_owned(), source })
}

/// SQLite passes over a bad frame in its log, and over all that come after it. Both are kept for a person to see.
fn warn_of_wal_damage(journal: &Path) {
    let log = wal::path_of(journal);
    let Ok(Some(WalReport { damaged_frame: Some(frame), frames_behind, .. })) = wal::inspect(&log)
    else {
        return;
    };
    let copy = log.with_extension("db-wal.damaged");
    let kept = std::fs::copy(&log, &copy).is_ok();
    tracing::error!(
        log = %log.display(), frame, frames_behind, copy = %copy.display(), kept,
        "the journal's write-ahead log is damaged: what was written to it from that frame on is lost, which may \
         be accepted jobs; compare with a backup"
    );
}

impl Journal for Store {
    fn record(&self, record: Record, receipt: Receipt) {
        self.writer.write(record, receipt);
    }

    fn next_job(&self) -> JobId {
        JobId(self.next_job)
    }

    /// Those whose inputs can be read now; [`Store::restorable`] tells of the others too.
    fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        let found = self.restorable().map_err(|error| JournalError(error.to_string()))?;
        let ready = found.into_iter().filter_map(|job| match job {
            Restorable::Ready(unfinished) => Some(unfinished),
            Restorable::Unreadable { .. } | Restorable::Lost(_) => None,
        });
        Ok(ready.collect())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("next_job", &self.next_job).finish_non_exhaustive()
    }
}
