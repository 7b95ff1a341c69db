//! Open jobs: submits, joins, restores, cancels and answers them.

use super::flights::{FlightKey, Joined};
use super::{Core, Restored};
use crate::backend::{Payload, Plan, TaskError};
use crate::circuits::Loaded;
use crate::job::{Finished, JobError, JobState, Status, Submission};
use crate::journal::{Record, Unfinished};
use crate::message::Planned;
use crate::sync::Arc as Shared;
use athanor_scheduler::{Event, JobId, JobSpec, Outcome, Refusal, SubmitId, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// One job, from its submission to its answer.
pub(super) struct Job {
    pub(super) submission: Arc<Submission>,
    pub(super) circuit: Arc<Loaded>,
    pub(super) input: Payload,
    pub(super) partitions: Vec<Partition>,
    /// Whether the journal stores the job.
    pub(super) journaled: bool,
    /// The ticket of the job's first submission.
    ticket: SubmitId,
    /// States of the clients that share the job. A cancelling client is removed, except the last one,
    /// which receives the job's end.
    clients: Vec<Shared<JobState>>,
    flight: Option<FlightKey>,
    /// Code and message of the last failure of any run of the job.
    pub(super) failure: Option<(&'static str, String)>,
    pub(super) marks: Vec<(String, Duration)>,
}

/// The engine's data of one partition.
///
/// ```text
///             step finished              check finished
///  initial ───────────────────► proving ────────────────► complete
///     ▲                          │   ▲ │
///     └────── Action::Discard ───┘   └─┘ step finished
///
///            initial   proving   complete
///  payload   None      Some      None
///  left      None      None      Some
/// ```
#[derive(Default)]
pub(super) struct Partition {
    pub(super) shape: usize,
    pub(super) after: Vec<u32>,
    /// Output of the last finished step.
    pub(super) payload: Option<Payload>,
    /// Verified bytes of the complete partition.
    pub(super) left: Option<Arc<[u8]>>,
    /// Number of failures with `Failure::BadResult`.
    pub(super) again: u32,
}

#[derive(Default)]
pub(super) struct Jobs {
    /// Jobs that are submitted and have no number yet.
    entering: HashMap<SubmitId, Job>,
    open: HashMap<JobId, Job>,
    /// Job numbers by the tickets of all clients of open jobs.
    by_ticket: HashMap<SubmitId, JobId>,
    tenants: BTreeMap<String, TenantId>,
}

impl Job {
    fn new(planned: Planned, flight: Option<FlightKey>) -> Job {
        let Planned { submission, circuit, plan, state, journaled } = planned;
        let Plan { input, partitions, .. } = plan;
        let partition = |part: crate::PlannedPartition| Partition {
            shape: part.shape,
            after: part.after,
            ..Partition::default()
        };
        Job {
            submission,
            circuit,
            input,
            partitions: partitions.into_iter().map(partition).collect(),
            journaled,
            ticket: state.ticket,
            clients: vec![state],
            flight,
            failure: None,
            marks: Vec::new(),
        }
    }

    fn tell(&self, status: &Status) {
        self.clients.iter().for_each(|client| client.set(status.clone()));
    }

    /// Sets the clients' status to the job's progress.
    pub(super) fn tell_progress(&self, job: JobId, stage: Option<Arc<str>>) {
        let done = self.partitions.iter().filter(|part| part.left.is_some()).count() as u32;
        let partitions = self.partitions.len() as u32;
        self.tell(&Status::Accepted { job, done, partitions, stage });
    }

    fn result(&self) -> Option<Arc<[u8]>> {
        self.partitions.last()?.left.clone()
    }

    fn end(&self, outcome: &Outcome) -> Result<Arc<Finished>, JobError> {
        match (outcome, self.result()) {
            (Outcome::Complete, Some(bytes)) => {
                Ok(Arc::new(Finished { bytes, marks: self.marks.clone(), cached: false }))
            }
            _ => Err(JobError::of(outcome, self.failure.clone())),
        }
    }

    /// The journal record of the job's end.
    pub(super) fn ended(&self, job: JobId, outcome: Outcome) -> Record {
        let complete = outcome == Outcome::Complete;
        let failure = self.failure.clone().filter(|_| matches!(outcome, Outcome::Failed { .. }));
        let result = if complete { self.result() } else { None };
        Record::Ended { job, outcome, failure, result }
    }
}

impl Jobs {
    pub(super) fn get(&self, job: JobId) -> Option<&Job> {
        self.open.get(&job)
    }

    pub(super) fn get_mut(&mut self, job: JobId) -> Option<&mut Job> {
        self.open.get_mut(&job)
    }

    /// Moves a submitted job to the open jobs under its number.
    pub(super) fn number(&mut self, ticket: SubmitId, id: JobId) -> Option<&Job> {
        let job = self.entering.remove(&ticket)?;
        self.by_ticket.insert(ticket, id);
        for client in &job.clients {
            self.by_ticket.insert(client.ticket, id);
        }
        Some(self.open.entry(id).or_insert(job))
    }

    fn take(&mut self, id: JobId) -> Option<Job> {
        let job = self.open.remove(&id)?;
        self.by_ticket.remove(&job.ticket);
        for client in &job.clients {
            self.by_ticket.remove(&client.ticket);
        }
        Some(job)
    }

    /// The job of a client's ticket. A job without a number is found only by its first ticket.
    fn of(&mut self, ticket: SubmitId) -> (Option<JobId>, Option<&mut Job>) {
        match self.by_ticket.get(&ticket) {
            Some(&id) => (Some(id), self.open.get_mut(&id)),
            None => (None, self.entering.get_mut(&ticket)),
        }
    }

    /// Whether a submitted or open job uses the circuit.
    pub(super) fn any_of(&self, circuit: &Loaded) -> bool {
        let mut all = self.open.values().chain(self.entering.values());
        all.any(|job| job.circuit.id == circuit.id)
    }

    /// Ends all jobs for their clients as `JobError::Stopping`.
    pub(super) fn abandon(self) {
        for job in self.open.into_values().chain(self.entering.into_values()) {
            job.tell(&Status::Ended(Err(JobError::Stopping)));
        }
    }

    fn tenant(&mut self, name: &str) -> TenantId {
        if let Some(&known) = self.tenants.get(name) {
            return known;
        }
        let id = TenantId(self.tenants.len() as u32);
        self.tenants.insert(name.to_owned(), id);
        id
    }
}

impl Core {
    /// Submits a planned job to the scheduler, joins it to an equal job, or answers it at once.
    pub(super) fn submit(&mut self, planned: Planned) {
        let state = planned.state.clone();
        let refused = if self.draining {
            Some(JobError::Stopping)
        } else if planned.circuit.is_closed() {
            Some(JobError::UnknownCircuit(planned.submission.circuit.clone()))
        } else {
            self.admit(planned).err()
        };
        if let Some(error) = refused {
            state.set(Status::Ended(Err(error)));
        }
    }

    fn admit(&mut self, planned: Planned) -> Result<(), JobError> {
        let submission = planned.submission.clone();
        let flight = submission.share.then(|| FlightKey::of(&submission, &planned.circuit));
        match flight.as_ref().and_then(|flight| self.flights.find(flight, &submission)) {
            Some(Joined::Cached(finished)) => {
                self.counters.cache_hits += 1;
                planned.state.set(Status::Ended(Ok(finished)));
                return Ok(());
            }
            Some(Joined::Flight(leader)) => return self.join_flight(leader, planned.state),
            None => {}
        }
        let spec = self.spec(&planned)?;
        let ticket = planned.state.ticket;
        if let Some(flight) = &flight {
            self.flights.begin(flight.clone(), ticket, &submission);
        }
        self.jobs.entering.insert(ticket, Job::new(planned, flight));
        self.tell(Event::Submit { submit_id: ticket, spec });
        Ok(())
    }

    /// Adds a client to a running job.
    fn join_flight(&mut self, leader: SubmitId, state: Shared<JobState>) -> Result<(), JobError> {
        let most = self.scheduler.config().max_jobs;
        let (id, job) = self.jobs.of(leader);
        let Some(job) = job else {
            return Err(JobError::internal("a job under way that is not here"));
        };
        if job.clients.len() >= most {
            let retry_after = self.scheduler.config().busy.0;
            return Err(JobError::Refused(Refusal::Busy { retry_after }));
        }
        let ticket = state.ticket;
        job.clients.push(state);
        if let Some(id) = id {
            job.tell_progress(id, None);
            self.jobs.by_ticket.insert(ticket, id);
        }
        self.counters.joined += 1;
        Ok(())
    }

    /// Resumes a job that was accepted before a restart.
    pub(crate) fn restore(&mut self, unfinished: Unfinished, planned: Planned) {
        let spec = match self.spec(&planned) {
            Ok(spec) => spec,
            Err(error) => {
                let restored = Restored { unfinished, state: planned.state };
                return self.fail_restored(restored, error);
            }
        };
        let (id, ticket) = (unfinished.job, planned.state.ticket);
        let mut job = Job::new(planned, None);
        let mut finished = Vec::new();
        for (index, left) in unfinished.finished {
            if let Some(partition) = job.partitions.get_mut(index as usize) {
                partition.left = Some(left);
                finished.push(index);
            }
        }
        job.tell_progress(id, None);
        self.jobs.by_ticket.insert(ticket, id);
        self.jobs.open.insert(id, job);
        self.tell(Event::Restore { job: id, spec, finished });
    }

    /// The scheduler's specification of a planned submission.
    fn spec(&mut self, planned: &Planned) -> Result<JobSpec, JobError> {
        let submission = &planned.submission;
        let tenant = self.jobs.tenant(&submission.tenant);
        let deadline = submission.deadline.map(|moment| self.time_of(moment));
        let spec = planned.circuit.spec(&planned.plan, tenant, submission.class, deadline);
        spec.ok_or_else(|| JobError::internal("the plan names a shape the circuit does not have"))
    }

    /// Removes a client from its job, or cancels the job if it has no other client.
    pub(super) fn cancel(&mut self, ticket: SubmitId) {
        if let Some(waiting) = self.waiting.of(ticket) {
            return self.cancel_waiting(waiting);
        }
        let (id, Some(job)) = self.jobs.of(ticket) else { return };
        let Some(at) = job.clients.iter().position(|client| client.ticket == ticket) else {
            return;
        };
        if job.clients.len() > 1 {
            job.clients.remove(at).set(Status::Ended(Err(JobError::Cancelled)));
            if ticket != job.ticket {
                self.jobs.by_ticket.remove(&ticket);
            }
        } else if let Some(job) = id {
            self.tell(Event::Cancel { job });
        }
    }

    /// Ends a job that the scheduler refuses.
    pub(super) fn refuse(&mut self, ticket: SubmitId, why: Refusal) {
        let job = match self.jobs.by_ticket.get(&ticket) {
            Some(&id) => self.jobs.take(id),
            None => self.jobs.entering.remove(&ticket),
        };
        if let Some(job) = job {
            job.tell(&Status::Ended(Err(JobError::Refused(why))));
            self.leave(&job, None);
        }
    }

    /// Answers the clients of a job whose end is recorded.
    pub(super) fn answer(&mut self, id: JobId, outcome: &Outcome) {
        let Some(job) = self.jobs.take(id) else { return };
        let end = job.end(outcome);
        job.tell(&Status::Ended(end.clone()));
        self.leave(&job, end.ok());
    }

    fn leave(&mut self, job: &Job, finished: Option<Arc<Finished>>) {
        if let Some(flight) = &job.flight {
            self.flights.end(flight, job.ticket, finished);
        }
        if job.circuit.is_closed() {
            self.withdraw_if_unused(&job.circuit.clone());
        }
    }

    /// Stores the last failure of any run of the job.
    pub(super) fn note_failure(&mut self, job: JobId, error: &TaskError) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.failure = Some((error.code, error.message.clone()));
        }
    }
}
