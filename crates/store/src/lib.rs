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
mod error;
mod jobs;
mod probe;
mod row;
mod schema;
mod seal;
mod writer;

pub use error::StoreError;
pub use row::{Callback, CallbackState, JobRow, JobState, Page};
pub use seal::SealKey;

use std::path::Path;
use std::sync::Arc;

use athanor_engine::{JobId, Journal, JournalError, Receipt, Record, Unfinished};

use blobs::Blobs;
use probe::Probe;
use writer::Writer;

/// The journal, and what can be asked of it.
pub struct Store {
    // Dropped in this order: the writer writes what it still has, and needs the others for that.
    writer: Writer,
    pool: sqlx::SqlitePool,
    /// See [`schema::open`].
    held: sqlx::SqliteConnection,
    blobs: Arc<Blobs>,
    runtime: tokio::runtime::Runtime,
    next_job: u64,
    probe: Arc<Probe>,
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
    pub fn open(directory: &Path, keeping: Keeping) -> Result<Store, StoreError> {
        blobs::make_private(directory)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Io { path: directory.to_owned(), source })?;
        let (pool, held) = runtime.block_on(schema::open(&directory.join("journal.db")))?;
        let blobs = Arc::new(Blobs::open(&directory.join("blobs"), keeping.seal.clone())?);
        let next_job = runtime.block_on(jobs::next_number(&pool))?;
        runtime.block_on(async { blobs.sweep(&jobs::named_blobs(&pool).await?).await })?;
        let probe = Arc::new(Probe::default());
        let writer = Writer::start(
            runtime.handle().clone(),
            pool.clone(),
            blobs.clone(),
            keeping.inputs,
            probe.clone(),
        )?;
        Ok(Store { writer, pool, held, blobs, runtime, next_job, probe })
    }

    /// A job by its public name.
    pub async fn job(&self, public: &str) -> Result<Option<JobRow>, StoreError> {
        jobs::by_public(&self.pool, public).await
    }

    /// The job of a tenant under an idempotency key.
    pub async fn by_key(&self, tenant: &str, key: &str) -> Result<Option<JobRow>, StoreError> {
        jobs::by_key(&self.pool, tenant, key).await
    }

    /// A tenant's jobs, newest first, after a cursor.
    pub async fn list(&self, tenant: &str, page: &Page) -> Result<Vec<JobRow>, StoreError> {
        jobs::list(&self.pool, tenant, page).await
    }

    /// The verified result of a job that is complete.
    pub async fn result(&self, public: &str) -> Result<Option<Vec<u8>>, StoreError> {
        jobs::result(&self.pool, public).await
    }

    /// Jobs that ended and whose callback waits.
    pub async fn untold(&self) -> Result<Vec<JobRow>, StoreError> {
        jobs::untold(&self.pool).await
    }

    /// Notes how a job's callback went.
    pub async fn set_callback(&self, public: &str, to: CallbackState) -> Result<(), StoreError> {
        jobs::set_callback(&self.pool, public, to).await
    }

    /// A job's input, if it is still kept.
    pub async fn input(&self, row: &JobRow) -> Result<Option<athanor_engine::Input>, StoreError> {
        match &row.input_blob {
            Some(blob) => Ok(self
                .blobs
                .get(blob)
                .await?
                .map(|bytes| athanor_engine::Input::new(&row.input_kind, bytes.to_vec()))),
            None => Ok(None),
        }
    }

    /// Forgets jobs that ended before that moment (milliseconds since 1970), and those beyond so
    /// many; the number that is gone.
    pub async fn forget(&self, before: i64, most: u32) -> Result<u64, StoreError> {
        let (gone, blobs) = jobs::forget(&self.pool, before, most).await?;
        for blob in blobs {
            self.blobs.delete(&blob).await?;
        }
        Ok(gone)
    }

    /// Ends the writer after what it has, and closes the database.
    pub fn close(self) {
        let Store { runtime, pool, held, writer, .. } = self;
        writer.end();
        runtime.block_on(async {
            pool.close().await;
            let _ = sqlx::Connection::close(held).await;
        });
    }
}

impl Journal for Store {
    fn record(&self, record: Record, receipt: Receipt) {
        self.writer.write(record, receipt);
    }

    fn next_job(&self) -> JobId {
        JobId(self.next_job)
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        let found = self.runtime.block_on(jobs::unfinished(&self.pool, &self.blobs));
        found.map_err(|error| JournalError(error.to_string()))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("next_job", &self.next_job).finish_non_exhaustive()
    }
}
