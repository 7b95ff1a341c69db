//! Acceptance of jobs: a job is refused with a reason, or accepted, recorded in the journal,
//! acknowledged and opened.

use super::{Scheduler, Timer};
use crate::action::{Action, FailureReason, JournalEntry, Outcome};
use crate::ids::{JobId, RecordId, Span, SubmitId, TenantId};
use crate::job::{JobSpec, Refusal};
use crate::memory::Memory;
use crate::planted::Bug;
use crate::state::{Job, JobState, Partition, PartitionState};
use crate::trace::{Ignored, TraceEvent};

impl Scheduler {
    pub(super) fn submit(&mut self, submit_id: SubmitId, spec: JobSpec) {
        let checked = self.validate(&spec).and_then(|(partitions, need)| {
            let steps: usize = partitions.iter().map(|p| p.profile.steps().len()).sum();
            self.check_queue_capacity(steps).map(|()| (partitions, need))
        });
        match checked {
            Ok((partitions, need)) => {
                let job = JobId(self.next_job);
                self.next_job += 1;
                self.insert_job(job, Some(submit_id), spec, partitions, need);
                self.persist(job, JournalEntry::Accepted { submit_id, job });
                if self.planted.is(Bug::AcknowledgeEarly) {
                    self.acknowledge(submit_id, job);
                }
            }
            Err(why) => self.refuse(submit_id, why),
        }
    }

    fn refuse(&mut self, submit_id: SubmitId, why: Refusal) {
        self.push_trace(TraceEvent::Refused { submit_id, why: why.clone() });
        self.push_action(Action::Refuse { submit_id, why });
    }

    /// Checks a job and builds its partitions; returns them with the job's need.
    fn validate(&self, spec: &JobSpec) -> Result<(Vec<Partition>, Memory), Refusal> {
        if spec.partitions.is_empty() {
            return Err(crate::job::SpecError::NoPartitions.into());
        }
        let partitions = self.build(spec.circuit, &spec.partitions, 0, &mut [])?;
        let need = self.check(spec, &partitions)?;
        if spec.deadline.is_some_and(|deadline| deadline <= self.now) {
            return Err(Refusal::DeadlinePassed);
        }
        Ok((partitions, need))
    }

    /// Whether the queue can take `steps` more. If not, the refusal says when to come back: after
    /// the mean time between two job ends, from the learned durations.
    fn check_queue_capacity(&self, steps: usize) -> Result<(), Refusal> {
        let open = self.costs.open_steps() as usize;
        if self.jobs.len() < self.config.max_jobs && open + steps <= self.config.max_tasks {
            return Ok(());
        }
        let drain = self.costs.drain_time(|class| self.workers.serving(class));
        let (shortest, longest) = self.config.busy;
        let each = Span(drain.0 / self.jobs.len().max(1) as u64);
        Err(Refusal::Busy { retry_after: each.clamp(shortest, longest.max(shortest)) })
    }

    /// Takes in a job from before a restart, without the partitions that were done.
    pub(super) fn restore(&mut self, id: JobId, spec: JobSpec, finished: &[u32]) {
        if self.jobs.contains_key(&id) {
            return self.ignore(Ignored::Job(id));
        }
        self.next_job = self.next_job.max(id.0.saturating_add(1));
        let (mut partitions, need, broken) = match self.validate(&spec) {
            Ok((partitions, need)) => (partitions, need, None),
            Err(Refusal::DeadlinePassed) => {
                (Vec::new(), Memory::ZERO, Some(Outcome::DeadlineMissed))
            }
            Err(why) => {
                let reason = match why {
                    Refusal::NeverFits { pool, .. } => FailureReason::NoLongerFits(pool),
                    Refusal::UnknownKey { key } => FailureReason::Key(key),
                    _ => FailureReason::Permanent,
                };
                let lost = Outcome::Failed { partition: 0, step: 0, why: reason };
                (Vec::new(), Memory::ZERO, Some(lost))
            }
        };
        let mut unfinished = partitions.len() as u32;
        for &done in finished {
            let Some(part) = partitions.get_mut(done as usize) else { continue };
            if part.state == PartitionState::Over {
                continue;
            }
            part.state = PartitionState::Over;
            unfinished -= 1;
            for next in std::mem::take(&mut part.successors) {
                if let PartitionState::WaitsForPartitions(waits) =
                    &mut partitions[next as usize].state
                {
                    *waits -= 1;
                }
            }
        }
        self.insert_job(id, None, spec, partitions, need);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.unfinished = unfinished;
            job.state = JobState::Open;
        }
        match broken {
            Some(outcome) => self.end(id, outcome),
            None if unfinished == 0 => self.end(id, Outcome::Complete),
            None => self.open_job(id),
        }
    }

    /// Stores an accepted job.
    fn insert_job(
        &mut self,
        id: JobId,
        submit_id: Option<SubmitId>,
        spec: JobSpec,
        partitions: Vec<Partition>,
        need: Memory,
    ) {
        for part in partitions.iter().filter(|p| p.state != PartitionState::Over) {
            self.costs.opened(spec.circuit, part.profile.steps());
        }
        let tag = self.tag(spec.tenant, self.work_of(spec.circuit, &partitions));
        self.push_trace(TraceEvent::Accepted {
            submit_id,
            job: id,
            circuit: spec.circuit,
            tenant: spec.tenant,
            class: spec.class,
            deadline: spec.deadline,
            tag,
            partitions: partitions.len() as u32,
        });
        if let Some(deadline) = spec.deadline {
            self.timers.insert((deadline, Timer::Deadline(id)));
        }
        let job = Job {
            id,
            circuit: spec.circuit,
            class: spec.class,
            deadline: spec.deadline,
            tag,
            holds: spec.holds,
            growth: spec.growth,
            unfinished: partitions.len() as u32,
            partitions,
            state: JobState::Accepting,
            admitted: None,
            need,
            running: 0,
            grown: 0,
            grown_unfinished: 0,
            pending_outcome: None,
            age_timer: None,
        };
        self.jobs.insert(id, job);
    }

    /// A job's start tag in virtual time; the tenant's next job starts its work, divided by the
    /// tenant's weight, later.
    fn tag(&mut self, tenant: TenantId, work: Span) -> u64 {
        let Some(shares) = &self.config.shares else { return 0 };
        let known = shares.weights.iter().find(|(t, _)| *t == tenant);
        let weight = known.filter(|_| !self.planted.is(Bug::IgnoreWeights)).map_or(1, |(_, w)| *w);
        let now = self.shares_now;
        self.shares_next.retain(|_, next| *next > now);
        let start = self.shares_next.get(&tenant).copied().unwrap_or(0).max(now);
        let next = start.saturating_add((work.0 / u64::from(weight.max(1))).max(1));
        self.shares_next.insert(tenant, next);
        start
    }

    fn acknowledge(&mut self, submit_id: SubmitId, job: JobId) {
        self.push_trace(TraceEvent::Acknowledged { submit_id, job });
        self.push_action(Action::Acknowledge { submit_id, job });
    }

    /// The journal answered about a record.
    pub(super) fn recorded(&mut self, record: RecordId, durable: bool) {
        let Some(entry) = self.records.get(&record) else {
            return self.ignore(Ignored::Record(record));
        };
        let id = match *entry {
            JournalEntry::Accepted { job, .. }
            | JournalEntry::PartitionDone { job, .. }
            | JournalEntry::Ended { job, .. } => job,
        };
        self.push_trace(TraceEvent::Recorded { record, job: id, durable });
        match self.records.remove(&record) {
            Some(JournalEntry::Accepted { submit_id, .. }) if durable => {
                self.acceptance_recorded(id, submit_id)
            }
            Some(JournalEntry::Accepted { submit_id, .. }) => {
                self.acceptance_not_recorded(id, submit_id)
            }
            Some(JournalEntry::Ended { outcome, .. }) if durable => self.end_recorded(id, outcome),
            Some(entry) if !durable => {
                self.records.insert(record, entry);
                let wait = crate::state::backoff(&self.config.retry, 1, &mut self.jitter);
                self.timers
                    .insert((self.now + wait.max(self.config.retry.base), Timer::Record(record)));
            }
            _ => {}
        }
    }

    /// Gives a record to the journal again after a backoff.
    pub(super) fn persist_again(&mut self, record: RecordId) {
        if let Some(entry) = self.records.get(&record).cloned() {
            self.push_action(Action::Persist { record, entry });
        }
    }

    /// The acceptance is durable: the client is told, and the job opens or ends.
    fn acceptance_recorded(&mut self, id: JobId, submit_id: SubmitId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.state = JobState::Open;
        let early = job.pending_outcome.take();
        if !self.planted.is(Bug::AcknowledgeEarly) {
            self.acknowledge(submit_id, id);
        }
        match early {
            Some(outcome) => self.end(id, outcome),
            None => self.open_job(id),
        }
    }

    /// The acceptance could not be made durable: the job is refused and forgotten.
    fn acceptance_not_recorded(&mut self, id: JobId, submit_id: SubmitId) {
        if let Some(job) = self.jobs.remove(&id) {
            for part in &job.partitions {
                self.costs.closed(job.circuit, part.remaining_steps());
            }
            if let Some(deadline) = job.deadline {
                self.timers.remove(&(deadline, Timer::Deadline(id)));
            }
            self.refuse(submit_id, Refusal::NotRecorded);
        }
    }

    /// Makes a job's first partitions ready.
    fn open_job(&mut self, id: JobId) {
        self.start_age_timer(id);
        self.ready_from(id, 0);
    }

    /// Makes every partition from index `from` on ready that waits for no other partition.
    pub(super) fn ready_from(&mut self, id: JobId, from: u32) {
        let Some(job) = self.jobs.get(&id) else { return };
        let free: Vec<u32> = (from..)
            .zip(&job.partitions[from as usize..])
            .filter(|(_, part)| part.state == PartitionState::WaitsForPartitions(0))
            .map(|(index, _)| index)
            .collect();
        for index in free {
            if self.jobs.get(&id).is_some_and(Job::open) {
                self.make_ready(id, index);
            }
        }
    }
}
