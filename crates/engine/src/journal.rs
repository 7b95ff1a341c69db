//! [`Journal`]: the durable record of jobs.

use crate::Submission;
use athanor_scheduler::{JobId, Outcome};
use std::sync::Arc;

/// One entry of the journal.
#[derive(Debug, Clone)]
pub enum Record {
    /// A job is accepted. The entry holds all data that a later run of the job needs.
    Accepted {
        /// The job's number.
        job: JobId,
        /// The submission.
        submission: Arc<Submission>,
    },
    /// A partition is complete and verified.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
        /// The verified bytes of the partition.
        left: Arc<[u8]>,
    },
    /// A job has ended.
    Ended {
        /// The job.
        job: JobId,
        /// The outcome.
        outcome: Outcome,
        /// Stable code and message of the failure, if the job failed.
        failure: Option<(&'static str, String)>,
        /// The verified result, if the job is complete.
        result: Option<Arc<[u8]>>,
    },
}

/// A job that was accepted before a restart and has not ended.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The job's number.
    pub job: JobId,
    /// The submission.
    pub submission: Arc<Submission>,
    /// Completed partitions and their verified bytes.
    pub finished: Vec<(u32, Arc<[u8]>)>,
}

/// Stores records. The engine acknowledges a job to its client only after the record of the job is
/// durable.
pub trait Journal: Send + Sync + 'static {
    /// Starts to store a record and returns. The implementation answers `receipt` when the record is
    /// durable or cannot become durable. Records of one job must become durable in the order of the calls.
    fn record(&self, record: Record, receipt: Receipt);

    /// The lowest job number that was never assigned.
    fn next_job(&self) -> JobId {
        JobId(0)
    }

    /// Jobs that are accepted and not ended, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the journal cannot be read.
    fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        Ok(Vec::new())
    }
}

/// A failure of the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal: {0}")]
pub struct JournalError(pub String);

/// The callback of one record. It is answered once. A receipt that is dropped without an answer
/// reports that the record is not durable.
pub struct Receipt(Option<Box<dyn FnOnce(bool) + Send>>);

impl Receipt {
    /// A receipt that calls `answer` once. The argument is whether the record is durable.
    pub fn new(answer: impl FnOnce(bool) + Send + 'static) -> Receipt {
        Receipt(Some(Box::new(answer)))
    }

    /// Reports that the record is durable.
    pub fn durable(mut self) {
        self.answer(true);
    }

    /// Reports that the record could not be stored.
    pub fn failed(mut self) {
        self.answer(false);
    }

    fn answer(&mut self, durable: bool) {
        if let Some(answer) = self.0.take() {
            answer(durable);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.answer(false);
    }
}

/// A journal that stores nothing, for programs whose jobs need not survive a restart.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryJournal;

impl Journal for MemoryJournal {
    fn record(&self, _: Record, receipt: Receipt) {
        receipt.durable();
    }
}
