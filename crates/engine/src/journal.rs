//! What must survive a crash, and who keeps it.

use crate::Submission;
use athanor_scheduler::{JobId, Outcome};
use std::sync::Arc;

/// One thing to write down.
#[derive(Debug, Clone)]
pub enum Record {
    /// A job is taken; all that is needed to run it again.
    Accepted {
        /// Its number.
        job: JobId,
        /// What was submitted.
        submission: Arc<Submission>,
    },
    /// A partition is done and verified.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
        /// What it left.
        left: Arc<[u8]>,
    },
    /// A job has ended.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
        /// Why, in a stable code and in words, if it failed.
        failure: Option<(&'static str, String)>,
        /// The verified result, if it is complete.
        result: Option<Arc<[u8]>>,
    },
}

/// A job that was accepted before a restart and has not ended.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its number.
    pub job: JobId,
    /// What was submitted.
    pub submission: Arc<Submission>,
    /// Partitions that were done, with what they left.
    pub finished: Vec<(u32, Arc<[u8]>)>,
}

/// Keeps records. A client is told that its job is accepted only after the record of it is kept.
pub trait Journal: Send + Sync + 'static {
    /// Begins to keep a record and returns; `receipt` is answered when the record is durable, or
    /// cannot be. Records of one job must become durable in the order of the calls.
    fn record(&self, record: Record, receipt: Receipt);

    /// The first job number that was never given out.
    fn next_job(&self) -> JobId {
        JobId(0)
    }

    /// Jobs accepted and not ended, in the order of their numbers.
    fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        Ok(Vec::new())
    }
}

/// The journal did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal: {0}")]
pub struct JournalError(pub String);

/// To be answered once; dropped unanswered, it says that the record is not kept.
pub struct Receipt(Option<Box<dyn FnOnce(bool) + Send>>);

impl Receipt {
    /// One that calls `answer` once, with whether the record is durable.
    pub fn new(answer: impl FnOnce(bool) + Send + 'static) -> Receipt {
        Receipt(Some(Box::new(answer)))
    }

    /// The record is durable.
    pub fn durable(mut self) {
        self.answer(true);
    }

    /// The record could not be kept.
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

/// Keeps nothing: for programs whose jobs need not survive them.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryJournal;

impl Journal for MemoryJournal {
    fn record(&self, _: Record, receipt: Receipt) {
        receipt.durable();
    }
}
