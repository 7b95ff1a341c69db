//! Durable jobs: the engine's journal in SQLite, and inputs as files named by their digests.
//!
//! [`Store`] implements [`athanor_engine::Journal`] and answers queries. It has one row per job, one per
//! finished partition and one per result. Inputs are in a directory of blobs. [`JobState`] shows the life
//! of a job; [`Restorable`] is an accepted job after a restart.
//!
//! One thread writes. It writes all waiting records in one transaction and acknowledges them together
//! (group commit), because a disk limits the number of syncs. SQLite runs in WAL mode with
//! `synchronous = FULL`: a receipt follows the sync.
//!
//! A key-value store would need less code and no C code. The journal is relational, however: idempotency
//! keys are unique, and lists are ordered by tenant and time. Operators can open it while the service
//! runs, and the schema is portable to PostgreSQL.

mod blobs;
mod check;
mod clock;
mod error;
mod jobs;
mod lock;
mod meta;
mod restore;
mod retention;
mod row;
mod schema;
mod seal_check;
mod seal_key;
mod throttle;
mod wal;
mod write_probe;
mod writer;

pub use check::{BlobFault, Report, check};
pub use error::StoreError;
pub use restore::Restorable;
pub use row::{Callback, CallbackState, JobRow, JobState, Page};
pub use seal_key::SealKey;
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
use restore::Reader;
use write_probe::WriteProbe;
use writer::{Maintenance, Writer, WriterState};

/// The journal's file in the data directory.
const JOURNAL: &str = "journal.db";

/// The journal and the blobs of a data directory.
///
/// Queries run on the store's own runtime. A caller may drop a future at any time: the query still runs to its end,
/// and its connection stays usable.
pub struct Store {
    // Fields drop in this order: the writer writes the waiting records when it drops, and needs the others for that.
    writer: Writer,
    reader: Reader,
    /// See [`schema::open`].
    held: sqlx::SqliteConnection,
    runtime: tokio::runtime::Runtime,
    next_job: u64,
    probe: Arc<WriteProbe>,
    lock: Mutex<Lock>,
}

/// Options of [`Store::open`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The key that encrypts inputs at rest; `None` stores them in plain form.
    pub seal_key: Option<SealKey>,
    /// Whether inputs of complete jobs are kept. Inputs of other jobs are always kept.
    pub keep_inputs: bool,
}

impl Store {
    /// Opens the journal in a directory. A missing directory is created with mode 0700.
    ///
    /// # Errors
    ///
    /// If another process has locked the directory, the journal is damaged or has a newer version, or the seal key
    /// does not fit the inputs of accepted jobs. No job or input is changed in these cases.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        blobs::make_private(directory)?;
        let lock = Mutex::new(Lock::acquire(directory)?);
        let runtime = runtime(directory)?;
        let journal = directory.join(JOURNAL);
        warn_of_wal_damage(&journal);
        let opened = runtime.block_on(schema::open(&journal));
        let (pool, mut held) = opened.map_err(|error| error.classify_damage(&journal))?;
        let blobs = Arc::new(Blobs::open(&directory.join("blobs"), options.seal_key)?);
        let prepared = runtime.block_on(async {
            seal_check::check(&pool, &mut held, &blobs).await?;
            blobs.sweep(&jobs::named_blobs(&pool).await?).await;
            Ok((jobs::next_number(&pool).await?, meta::service_time(&mut held).await?))
        });
        let (next_job, service_time) =
            prepared.map_err(|error: StoreError| error.classify_damage(&journal))?;
        let clock = ServiceClock::starting_at(service_time);
        let probe = Arc::new(WriteProbe::default());
        let writer = Writer::start(WriterState {
            runtime: runtime.handle().clone(),
            pool: pool.clone(),
            blobs: blobs.clone(),
            keep_inputs: options.keep_inputs,
            clock,
            probe: probe.clone(),
        })?;
        let reader = Reader { pool, blobs, clock };
        Ok(Store { writer, reader, held, runtime, next_job, probe, lock })
    }

    /// Runs a query to its end on the store's runtime, even if the returned future is dropped.
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

    /// The job with the id that clients see.
    pub async fn job(&self, public: &str) -> Result<Option<JobRow>, StoreError> {
        let public = public.to_owned();
        self.query(|reader| async move { jobs::by_public(&reader.pool, &public).await }).await
    }

    /// The job of a tenant with an idempotency key.
    pub async fn by_key(&self, tenant: &str, key: &str) -> Result<Option<JobRow>, StoreError> {
        let (tenant, key) = (tenant.to_owned(), key.to_owned());
        self.query(|reader| async move { jobs::by_key(&reader.pool, &tenant, &key).await }).await
    }

    /// A tenant's jobs, newest first, after a cursor.
    pub async fn list(&self, tenant: &str, page: &Page) -> Result<Vec<JobRow>, StoreError> {
        let (tenant, page) = (tenant.to_owned(), page.clone());
        self.query(|reader| async move { jobs::list(&reader.pool, &tenant, &page).await }).await
    }

    /// The verified result of a job that is complete.
    pub async fn result(&self, public: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let public = public.to_owned();
        self.query(|reader| async move { jobs::result(&reader.pool, &public).await }).await
    }

    /// Ended jobs whose callback is pending.
    pub async fn pending_callbacks(&self) -> Result<Vec<JobRow>, StoreError> {
        self.query(|reader| async move { jobs::pending_callbacks(&reader.pool).await }).await
    }

    /// Records the state of a job's callback.
    pub async fn set_callback(&self, public: &str, state: CallbackState) -> Result<(), StoreError> {
        let public = public.to_owned();
        self.query(
            move |reader| async move { jobs::set_callback(&reader.pool, &public, state).await },
        )
        .await
    }

    /// A job's input, if it is still kept.
    pub async fn input(&self, row: &JobRow) -> Result<Option<athanor_engine::Input>, StoreError> {
        let row = row.clone();
        self.query(|reader| async move {
            let bytes = reader.input(&row).await?;
            Ok(bytes.map(|bytes| athanor_engine::Input::new(&row.input_kind, bytes.to_vec())))
        })
        .await
    }

    /// All accepted jobs of earlier runs, with their inputs, in order of their numbers.
    ///
    /// Blocks. Must be called before the engine accepts new jobs, and outside of an async runtime.
    pub fn restorable(&self) -> Result<Vec<Restorable>, StoreError> {
        self.runtime.block_on(self.reader.restore_all())
    }

    /// Reads one accepted job again; `None` if it has ended.
    pub async fn restorable_one(&self, job: JobId) -> Result<Option<Restorable>, StoreError> {
        self.query(move |reader| async move { reader.restore_job(job).await }).await
    }

    /// Deletes jobs that ended at least `older_than` ago, and all ended jobs except the last `keep`. Returns the number
    /// of deleted jobs. Ages are in service time: the time in which the store was open, not the wall clock.
    ///
    /// Works in small batches, between which records are written. A dropped future stops after the current batch.
    pub async fn delete_ended(&self, older_than: Duration, keep: u32) -> Result<u64, StoreError> {
        let before = self.reader.clock.now().saturating_sub(clock::millis(older_than));
        let count = |reader: Reader| async move { retention::count_ended(&reader.pool).await };
        let excess = self.query(count).await?.saturating_sub(keep.into());
        let mut deleted = 0;
        loop {
            let batch = self.delete_batch(before, excess.saturating_sub(deleted)).await?;
            deleted += batch;
            if batch < retention::BATCH.into() {
                break;
            }
            self.pause().await?;
        }
        while deleted > 0 && self.vacuum().await? {
            self.pause().await?;
        }
        Ok(deleted)
    }

    async fn delete_batch(&self, before: i64, excess: u64) -> Result<u64, StoreError> {
        let (reply, replied) = oneshot::channel();
        self.writer.schedule(Maintenance::Delete { before, excess, reply });
        self.query(|reader| async move {
            let deleted = replied.await.unwrap_or(Err(StoreError::Closed))?;
            for blob in deleted.blobs {
                // A blob that cannot be deleted stays until the next start, which deletes unreferenced blobs.
                if let Err(error) = reader.blobs.delete(&blob).await {
                    tracing::warn!(%error, "the input of a deleted job could not be deleted");
                }
            }
            Ok(deleted.jobs)
        })
        .await
    }

    /// Pauses between two batches, so that other queries and writes run.
    async fn pause(&self) -> Result<(), StoreError> {
        self.query(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        })
        .await
    }

    async fn vacuum(&self) -> Result<bool, StoreError> {
        let (reply, replied) = oneshot::channel();
        self.writer.schedule(Maintenance::Vacuum { reply });
        replied.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Records in the lock file the address at which the service listens, for the error [`StoreError::Locked`].
    pub fn record_address(&self, address: SocketAddr) -> Result<(), StoreError> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).record_address(address)
    }

    /// Writes the waiting records, ends the writer and closes the database.
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

/// Logs damage in the write-ahead log and keeps a copy of it. SQLite ignores a bad frame and all frames after it
/// without an error.
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
        "the journal's write-ahead log is damaged: records from that frame on are lost, possibly accepted jobs; \
         compare with a backup"
    );
}

impl Journal for Store {
    fn record(&self, record: Record, receipt: Receipt) {
        self.writer.write(record, receipt);
    }

    fn next_job(&self) -> JobId {
        JobId(self.next_job)
    }

    /// The accepted jobs whose inputs can be read now. [`Store::restorable`] returns the others too.
    fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        let jobs = self.restorable().map_err(|error| JournalError(error.to_string()))?;
        let ready = jobs.into_iter().filter_map(|job| match job {
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
