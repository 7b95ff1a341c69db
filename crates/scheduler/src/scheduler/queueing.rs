//! Into and out of the ready queues, and what a ready step requires.

use super::Scheduler;
use crate::action::{FailureReason, Outcome};
use crate::budgets::pools_of;
use crate::ids::{JobId, KeyId, TaskId};
use crate::job::{Class, WorkerNeed};
use crate::memory::Memory;
use crate::planted::Bug;
use crate::ready::{KeySetId, MinWorker, Requirements};
use crate::state::{Job, Partition, PartitionState};
use crate::trace::TraceEvent;

impl Scheduler {
    /// A partition's current step waits for no partition any more: it becomes ready, or waits until
    /// it may emit.
    pub(super) fn make_ready(&mut self, id: JobId, index: u32) {
        let Some(job) = self.jobs.get(&id) else { return };
        let part = &job.partitions[index as usize];
        let task = TaskId { job: id, partition: index, step: part.step };
        let stage = part.current().stage;
        let emits = part.current().emits;
        let live = job.growth.as_ref().map_or(0, |g| g.live);
        let credit = job.grown_unfinished.saturating_add(emits) <= live;
        if emits > 0 && !credit && !self.planted.is(Bug::EmitFreely) {
            self.partition(id, index).state = PartitionState::WaitsForCredit;
            return;
        }
        self.push_trace(TraceEvent::Ready { task, stage });
        self.enqueue(id, index);
    }

    /// Puts a partition's current step into its queue. Fails the job if the step needs a key that
    /// was withdrawn.
    pub(super) fn enqueue(&mut self, id: JobId, index: u32) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.open()) else { return };
        let part = &job.partitions[index as usize];
        let gone = |key: &KeyId| self.keys.get(*key).is_none_or(|k| k.withdrawn);
        let lost = if part.started { None } else { part.profile.keys().find(gone) };
        if let Some(key) = lost {
            return self.fail(id, index, FailureReason::Key(key));
        }
        let (priority, holding) = (job.priority(index), part.holding);
        let mut set = KeySetId::NONE;
        if !part.started {
            set = self.queues.key_set_id(part.profile.keys());
        }
        let requirements = self.requirements(job, part, set);
        self.queues.insert(requirements, priority, holding);
        self.partition(id, index).state = PartitionState::Ready(requirements);
    }

    /// Takes a partition's current step out of its queue, if it is in one.
    pub(super) fn dequeue(&mut self, id: JobId, index: u32) {
        let Some(job) = self.jobs.get(&id) else { return };
        let part = &job.partitions[index as usize];
        let PartitionState::Ready(requirements) = part.state else { return };
        let priority = job.priority(index);
        self.queues.remove(requirements, &priority);
        self.partition(id, index).state = PartitionState::WaitsForPartitions(0);
    }

    fn requirements(&self, job: &Job, part: &Partition, keys: KeySetId) -> Requirements {
        let step = part.current();
        let fresh = !part.started;
        let first_of_job = job.admitted.is_none();
        let pools = if fresh {
            let holds = if first_of_job { job.holds } else { Memory::ZERO };
            let copy = |key| self.keys.get(key).map_or(0, |k| pools_of(k.spec.shared));
            let keys = part.profile.keys().fold(0, |pools, key| pools | copy(key));
            pools_of(part.profile.peak()) | pools_of(holds) | keys
        } else {
            pools_of(step.claim.peak.saturating_sub(self.held_by(part)))
        };
        let min_worker = match step.worker {
            WorkerNeed::Cpu { least, .. } => MinWorker::Cpu(least),
            WorkerNeed::Device { class } => {
                let key = step.key.and_then(|key| self.keys.get(key)).map_or(0, |k| k.spec.device);
                MinWorker::Device(class, step.claim.device.saturating_add(key))
            }
        };
        Requirements { min_worker, keys, fresh, first_of_job, pools }
    }

    /// The first key of a set that is not resident in shared memory.
    pub(super) fn missing_key(&self, set: KeySetId) -> Option<KeyId> {
        let missing = |key: &KeyId| self.keys.get(*key).is_none_or(|k| k.missing());
        self.queues.keys(set).iter().copied().find(missing)
    }

    /// Bytes that a partition has reserved.
    pub(super) fn held_by(&self, part: &Partition) -> Memory {
        part.holding.map_or(Memory::ZERO, |(budget_part, reservation)| {
            self.budgets.reservations(budget_part).holds(reservation)
        })
    }

    /// A partition of a known job.
    pub(super) fn partition(&mut self, id: JobId, index: u32) -> &mut Partition {
        let job = self.jobs.get_mut(&id).expect("the caller has just seen this job");
        &mut job.partitions[index as usize]
    }

    /// Changes a job and puts its ready steps into the queues anew, because their priority or their
    /// requirements change.
    pub(super) fn requeue_ready_steps(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        let Some(job) = self.jobs.get(&id) else { return };
        let waiting: Vec<u32> = (0..)
            .zip(&job.partitions)
            .filter(|(_, part)| matches!(part.state, PartitionState::Ready(_)))
            .map(|(index, _)| index)
            .collect();
        for &index in &waiting {
            self.dequeue(id, index);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            change(job);
        }
        for &index in &waiting {
            self.enqueue(id, index);
        }
    }

    /// The age timer of a job expired: the job rises one class.
    pub(super) fn promote(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.age_timer = None;
        let class = match job.class {
            Class::Batch => Class::Normal,
            Class::Normal => Class::High,
            Class::High | Class::Critical => return,
        };
        self.push_trace(TraceEvent::Promoted { job: id, class });
        self.requeue_ready_steps(id, |job| job.class = class);
        if !self.planted.is(Bug::RiseOnce) {
            self.start_age_timer(id);
        }
    }

    /// Starts the timer after which a job rises one class, if the configuration has one.
    pub(super) fn start_age_timer(&mut self, id: JobId) {
        let Some(span) = self.config.ageing else { return };
        let at = self.now + span;
        if let Some(job) = self.jobs.get_mut(&id)
            && matches!(job.class, Class::Normal | Class::Batch)
            && job.open()
        {
            job.age_timer = Some(at);
            self.timers.insert((at, super::Timer::Age(id)));
        }
    }

    /// Ends a job because of one of its partitions.
    pub(super) fn fail(&mut self, id: JobId, index: u32, why: FailureReason) {
        let step = self.partition(id, index).step;
        self.end(id, Outcome::Failed { partition: index, step, why });
    }
}
