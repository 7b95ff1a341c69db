//! A job ends: everything of it that does not run is dropped at once, what runs is told to stop,
//! the outcome is written down and then told.

use super::progress::Ended;
use super::{Due, Scheduler};
use crate::action::{Action, Entry, Outcome};
use crate::ids::{JobId, TaskId};
use crate::planted::Bug;
use crate::state::{Life, Phase, Work};
use crate::trace::{Ignored, What};

impl Scheduler {
    pub(super) fn cancel(&mut self, id: JobId) {
        match self.jobs.get(&id) {
            Some(_) => self.end(id, Outcome::Cancelled),
            None => self.ignore(Ignored::Job(id)),
        }
    }

    pub(super) fn deadline(&mut self, id: JobId) {
        self.end(id, Outcome::DeadlineMissed);
    }

    /// Decides how a job ends, once.
    pub(super) fn end(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.life {
            Life::Ended { .. } => return,
            Life::Entering => {
                job.early_end.get_or_insert(outcome);
                return;
            }
            Life::Open => {}
        }
        job.life = Life::Ended { outcome: outcome.clone(), recorded: false };
        if let Some(deadline) = job.deadline {
            self.due.remove(&(deadline, Due::Deadline(id)));
        }
        if let Some(at) = job.age_timer {
            self.due.remove(&(at, Due::Age(id)));
        }
        let partitions = job.partitions.len() as u32;
        self.note(What::Ended { job: id, outcome: outcome.clone() });
        for index in 0..partitions {
            self.drop_partition(id, index);
        }
        if !(self.planted.is(Bug::SilentFailure) && matches!(outcome, Outcome::Failed { .. })) {
            self.persist(id, Entry::Ended { job: id, outcome: outcome.clone() });
        }
        if self.planted.is(Bug::AnswerEarly) {
            self.tell(id, outcome);
        }
        self.release(id);
    }

    fn drop_partition(&mut self, id: JobId, index: u32) {
        let part = self.partition(id, index);
        let phase = part.phase;
        let started = part.started;
        match phase {
            Phase::Over => return,
            Phase::Running(run) => {
                let task = TaskId { job: id, partition: index, step: part.step };
                if let Some(Work::Task { lane, .. }) = self.errands.get(&run).map(|e| e.what) {
                    self.note(What::Stopping { run, task, lane });
                    self.act(Action::Stop { run, lane });
                }
                return;
            }
            Phase::Ready(_) if self.planted.is(Bug::StartCancelled) => return,
            Phase::Ready(_) => self.dequeue(id, index),
            _ => {}
        }
        if self.planted.is(Bug::LeakDropped) {
            self.partition(id, index).started = false;
        }
        self.let_go(id, index, started);
    }

    /// A partition is over without being done.
    fn let_go(&mut self, id: JobId, index: u32, started: bool) {
        self.vacate(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        part.phase = Phase::Over;
        self.costs.closed(job.circuit, part.rest());
        self.note(What::Dropped { job: id, partition: index });
        if started {
            self.act(Action::Discard { job: id, partition: index });
        }
    }

    /// A run of a job that has ended is over, however it ended.
    pub(super) fn stopped_late(&mut self, ended: Ended) {
        let Ended { run, job: id, partition, lane, took } = ended;
        let Some(job) = self.jobs.get(&id) else { return };
        let part = &job.partitions[partition as usize];
        let task = TaskId { job: id, partition, step: part.step };
        let stage = part.current().stage;
        self.note(What::Stopped { run, task, stage, lane, took });
        if self.planted.is(Bug::KeepAfterStop) {
            return;
        }
        self.let_go(id, partition, true);
        self.release(id);
    }

    /// Once nothing of an ended job runs, its own hold is free; once it is also told, it is gone.
    fn release(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.running > 0 {
            return;
        }
        let admitted = job.admitted.take();
        let (holds, need) = (job.holds, job.need);
        if let Some(budget_part) = admitted {
            self.budgets.release_job(budget_part, holds, need);
        }
        self.note(What::Released { job: id });
        let Some(job) = self.jobs.get(&id) else { return };
        if let Life::Ended { recorded: true, outcome } = &job.life {
            let again = self.planted.is(Bug::AnswerTwice).then(|| outcome.clone());
            self.jobs.remove(&id);
            again.into_iter().for_each(|outcome| self.tell(id, outcome));
        }
    }

    /// The end is durable.
    pub(super) fn answer(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let running = job.running > 0;
        job.life = Life::Ended { outcome: outcome.clone(), recorded: true };
        if !self.planted.is(Bug::AnswerEarly) {
            self.tell(id, outcome);
        }
        if !running {
            self.jobs.remove(&id);
        }
    }

    fn tell(&mut self, job: JobId, outcome: Outcome) {
        self.note(What::Answered { job, outcome: outcome.clone() });
        self.act(Action::Answer { job, outcome });
    }
}
