//! Jobs that were accepted before a restart and whose circuit is not ready.
//!
//! ```text
//!            restore                 circuit ready
//!  journal ──────────► waiting ─────────────────────► scheduler
//!                         │ cancelled, deadline passed, input no longer planned
//!                         ▼
//!                      ending ──► recorded ──► answered
//! ```
//!
//! The scheduler does not know these jobs. They reserve no memory and no worker, and delay no other job.

use super::Core;
use super::timers::Due;
use crate::job::{JobError, JobState, Status};
use crate::journal::{Receipt, Record, Unfinished};
use crate::message::Message;
use crate::sync::Arc as Shared;
use athanor_scheduler::{FailureReason, JobId, Outcome, SubmitId};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

/// Time between two attempts to record the end of a job after the journal failed.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// A restored job and the state that its client watches.
pub(crate) struct Restored {
    pub(crate) unfinished: Unfinished,
    pub(crate) state: Shared<JobState>,
}

struct WaitingJob {
    restored: Restored,
    /// The outcome of the job, once it is decided.
    ending: Option<(Outcome, JobError)>,
    /// Time at which the deadline passes.
    deadline: Option<Instant>,
}

/// Waiting restored jobs by number.
#[derive(Default)]
pub(super) struct Waiting {
    jobs: BTreeMap<JobId, WaitingJob>,
    by_ticket: HashMap<SubmitId, JobId>,
}

impl Waiting {
    fn insert(&mut self, restored: Restored, deadline: Option<Instant>) -> JobId {
        let id = restored.unfinished.job;
        self.by_ticket.insert(restored.state.ticket, id);
        self.jobs.insert(id, WaitingJob { restored, ending: None, deadline });
        id
    }

    fn remove(&mut self, id: JobId) -> Option<WaitingJob> {
        let job = self.jobs.remove(&id)?;
        self.by_ticket.remove(&job.restored.state.ticket);
        Some(job)
    }

    pub(super) fn of(&self, ticket: SubmitId) -> Option<JobId> {
        self.by_ticket.get(&ticket).copied()
    }

    /// Ends all jobs for their clients as `JobError::Stopping`.
    pub(super) fn abandon(self) {
        for job in self.jobs.into_values() {
            job.restored.state.set(Status::Ended(Err(JobError::Stopping)));
        }
    }
}

impl Core {
    /// Stores a restored job until its circuit is ready. Returns the job if the circuit is ready now.
    pub(crate) fn wait_for_circuit(&mut self, restored: Restored) -> Option<Restored> {
        let circuit = self.registry.get(&restored.unfinished.submission.circuit);
        if circuit.is_some_and(|circuit| circuit.is_ready()) {
            return Some(restored);
        }
        self.keep_waiting(restored);
        None
    }

    fn keep_waiting(&mut self, restored: Restored) -> JobId {
        let job = restored.unfinished.job;
        restored.state.set(Status::Waiting { job });
        let left = restored
            .unfinished
            .submission
            .deadline
            .map(|moment| moment.duration_since(SystemTime::now()).unwrap_or_default());
        let deadline = left.and_then(|left| Instant::now().checked_add(left));
        if let Some(at) = deadline {
            self.timers.set(at, Due::Deadline(job));
        }
        self.waiting.insert(restored, deadline)
    }

    /// Removes and returns the waiting jobs of a circuit in the order of their numbers. Jobs whose end is
    /// decided stay.
    pub(crate) fn take_waiting(&mut self, circuit: &str) -> Vec<Restored> {
        let of_circuit = |(id, job): (&JobId, &WaitingJob)| {
            let wanted = job.restored.unfinished.submission.circuit == circuit;
            (wanted && job.ending.is_none()).then_some(*id)
        };
        let ids: Vec<JobId> = self.waiting.jobs.iter().filter_map(of_circuit).collect();
        let mut taken = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(job) = self.waiting.remove(id) else { continue };
            if let Some(at) = job.deadline {
                self.timers.unset(at, Due::Deadline(id));
            }
            taken.push(job.restored);
        }
        taken
    }

    /// Ends a restored job that cannot be planned.
    pub(crate) fn fail_restored(&mut self, restored: Restored, error: JobError) {
        let outcome = Outcome::Failed { partition: 0, step: 0, why: FailureReason::Permanent };
        let id = self.keep_waiting(restored);
        self.end_waiting(id, outcome, error);
    }

    pub(super) fn cancel_waiting(&mut self, id: JobId) {
        self.end_waiting(id, Outcome::Cancelled, JobError::Cancelled);
    }

    pub(super) fn miss_deadline(&mut self, id: JobId) {
        self.end_waiting(id, Outcome::DeadlineMissed, JobError::DeadlineMissed);
    }

    /// Decides the outcome of a waiting job. Only the first decision counts. The client is answered after
    /// the outcome is recorded.
    fn end_waiting(&mut self, id: JobId, outcome: Outcome, error: JobError) {
        let Some(job) = self.waiting.jobs.get_mut(&id) else { return };
        if job.ending.is_none() {
            job.ending = Some((outcome, error));
            self.record_end(id);
        }
    }

    /// Records the decided outcome of a waiting job.
    pub(super) fn record_end(&mut self, id: JobId) {
        let Some(job) = self.waiting.jobs.get(&id) else { return };
        let Some((outcome, error)) = &job.ending else { return };
        let failure = match error {
            JobError::Cancelled | JobError::DeadlineMissed => None,
            error => Some((error.code(), error.to_string())),
        };
        let outcome = outcome.clone();
        let own = self.own.clone();
        let receipt = Receipt::new(move |durable| {
            let done = move |core: &mut Core| core.end_recorded(id, durable);
            let _ = own.send(Message::Do(Box::new(done)));
        });
        self.journal.record(Record::Ended { job: id, outcome, failure, result: None }, receipt);
    }

    fn end_recorded(&mut self, id: JobId, durable: bool) {
        if !durable {
            return self.timers.set(Instant::now() + RECORD_AGAIN, Due::RecordEnd(id));
        }
        let Some(job) = self.waiting.remove(id) else { return };
        if let Some(at) = job.deadline {
            self.timers.unset(at, Due::Deadline(id));
        }
        if let Some((_, error)) = job.ending {
            job.restored.state.set(Status::Ended(Err(error)));
        }
    }
}
