//! Accepted jobs of the run before, with their inputs: why one cannot be read decides what becomes of it.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use athanor_engine::{Input, JobId, Submission, Unfinished};
use sqlx::SqlitePool;
use zeroize::Zeroizing;

use crate::blobs::Blobs;
use crate::clock::ServiceClock;
use crate::{JobRow, StoreError, jobs};

/// An accepted job of the run before.
#[derive(Debug)]
pub enum Restorable {
    /// It can go on.
    Ready(Unfinished),
    /// Its input cannot be read now (a file error, a missing permission, too many open files): it stays accepted,
    /// and [`Store::restorable_one`](crate::Store::restorable_one) tries again.
    Unreadable {
        /// The job.
        row: Box<JobRow>,
        /// Why.
        error: StoreError,
    },
    /// Its input is gone or damaged: it has ended as failed with the code `input-lost`.
    Lost(Box<JobRow>),
}

/// What is needed to read jobs.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) pool: SqlitePool,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) clock: ServiceClock,
}

impl Reader {
    /// All accepted jobs, in the order of their numbers.
    pub(crate) async fn all(&self) -> Result<Vec<Restorable>, StoreError> {
        let mut found = Vec::new();
        for row in jobs::accepted(&self.pool).await? {
            found.push(self.read(row).await?);
        }
        Ok(found)
    }

    /// One of them; none if it has ended.
    pub(crate) async fn one(&self, job: JobId) -> Result<Option<Restorable>, StoreError> {
        match jobs::accepted_one(&self.pool, job).await? {
            Some(row) => self.read(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read(&self, row: JobRow) -> Result<Restorable, StoreError> {
        let (public, job) = (&row.public, row.number);
        let why = match self.input(&row).await {
            Ok(Some(bytes)) => {
                let finished = jobs::partitions(&self.pool, job).await?;
                let submission = Arc::new(submission(row, &bytes));
                return Ok(Restorable::Ready(Unfinished { job, submission, finished }));
            }
            Ok(None) => "it is gone".to_owned(),
            Err(error @ StoreError::Damaged { .. }) => error.to_string(),
            Err(error) => return Ok(Restorable::Unreadable { row: Box::new(row), error }),
        };
        tracing::error!(job = %public, why, "the job's input is lost: the job has failed");
        jobs::lose(&self.pool, job, self.clock.now()).await?;
        Ok(Restorable::Lost(Box::new(row)))
    }

    /// A job's input; none if it is gone.
    pub(crate) async fn input(
        &self,
        row: &JobRow,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match &row.input_blob {
            Some(name) => self.blobs.get(name, row.input_seal.as_deref()).await,
            None => Ok(None),
        }
    }
}

fn submission(row: JobRow, bytes: &[u8]) -> Submission {
    let moment = |at: i64| UNIX_EPOCH + Duration::from_millis(at.max(0) as u64);
    Submission {
        input: Input::new(&row.input_kind, bytes.to_vec()),
        circuit: row.circuit,
        tenant: row.tenant,
        class: row.class,
        deadline: row.deadline.map(moment),
        share: false,
        reference: Some(row.public.into()),
        idempotency_key: row.idempotency_key.map(Into::into),
        callback: row.callback.map(|callback| callback.url.into()),
    }
}
