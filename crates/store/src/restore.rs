//! Reads the accepted jobs of an earlier run, with their inputs.
//!
//! The outcome of reading the input decides what happens to the job:
//!
//! ```text
//!               ┌─ digest matches ────────────► Ready: the job resumes
//! read input ───┼─ other error, wrong key ────► Unreadable: the job stays accepted and is read again
//!               └─ missing, digest differs ───► Lost: the job ends as failed, code input-lost
//! ```

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use athanor_engine::{Input, JobId, Submission, Unfinished};
use sqlx::SqlitePool;
use zeroize::Zeroizing;

use crate::blobs::Blobs;
use crate::clock::ServiceClock;
use crate::{JobRow, StoreError, jobs};

/// An accepted job of an earlier run.
#[derive(Debug)]
pub enum Restorable {
    /// The job can resume.
    Ready(Unfinished),
    /// The input cannot be read now (a file error, a missing permission, too many open files). The job stays
    /// accepted; [`Store::restorable_one`](crate::Store::restorable_one) reads it again.
    Unreadable {
        /// The job.
        row: Box<JobRow>,
        /// Why the input cannot be read.
        error: StoreError,
    },
    /// The input is missing or damaged. The job has ended as failed with the code `input-lost`.
    Lost(Box<JobRow>),
}

/// Reads jobs and inputs. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) pool: SqlitePool,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) clock: ServiceClock,
}

impl Reader {
    /// All accepted jobs, in order of their numbers.
    pub(crate) async fn restore_all(&self) -> Result<Vec<Restorable>, StoreError> {
        let mut jobs = Vec::new();
        for row in jobs::accepted(&self.pool).await? {
            jobs.push(self.restore(row).await?);
        }
        Ok(jobs)
    }

    /// One accepted job; `None` if it has ended.
    pub(crate) async fn restore_job(&self, job: JobId) -> Result<Option<Restorable>, StoreError> {
        match jobs::accepted_job(&self.pool, job).await? {
            Some(row) => self.restore(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn restore(&self, row: JobRow) -> Result<Restorable, StoreError> {
        let (public, job) = (&row.public, row.number);
        let why = match self.input(&row).await {
            Ok(Some(bytes)) => {
                let finished = jobs::partitions(&self.pool, job).await?;
                let submission = Arc::new(submission(row, &bytes));
                return Ok(Restorable::Ready(Unfinished { job, submission, finished }));
            }
            Ok(None) => "the input is missing".to_owned(),
            Err(error @ StoreError::Damaged { .. }) => error.to_string(),
            Err(error) => return Ok(Restorable::Unreadable { row: Box::new(row), error }),
        };
        tracing::error!(job = %public, why, "the job's input is lost: the job has failed");
        jobs::end_input_lost(&self.pool, job, self.clock.now()).await?;
        Ok(Restorable::Lost(Box::new(row)))
    }

    /// A job's input; `None` if it does not exist.
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
