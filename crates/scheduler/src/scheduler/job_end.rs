//! The end of a job: partitions that do not run are dropped at once, running ones are stopped, the
//! outcome is recorded in the journal and then told to the client.

use super::run_end::EndedRun;
use super::{Scheduler, Timer};
use crate::action::{Action, JournalEntry, Outcome};
use crate::ids::{JobId, TaskId};
use crate::planted::Bug;
use crate::state::{JobState, PartitionState, Work};
use crate::trace::{Ignored, TraceEvent};

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

    /// Decides how a job ends. Later calls for the same job have no effect.
    pub(super) fn end(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.state {
            JobState::Ended { .. } => return,
            JobState::Accepting => {
                job.pending_outcome.get_or_insert(outcome);
                return;
            }
            JobState::Open => {}
        }
        job.state = JobState::Ended { outcome: outcome.clone(), recorded: false };
        if let Some(deadline) = job.deadline {
            self.timers.remove(&(deadline, Timer::Deadline(id)));
        }
        if let Some(at) = job.age_timer {
            self.timers.remove(&(at, Timer::Age(id)));
        }
        let partitions = job.partitions.len() as u32;
        self.push_trace(TraceEvent::Ended { job: id, outcome: outcome.clone() });
        for index in 0..partitions {
            self.stop_or_drop(id, index);
        }
        if !(self.planted.is(Bug::SilentFailure) && matches!(outcome, Outcome::Failed { .. })) {
            self.persist(id, JournalEntry::Ended { job: id, outcome: outcome.clone() });
        }
        if self.planted.is(Bug::AnswerEarly) {
            self.answer_client(id, outcome);
        }
        self.release(id);
    }

    /// Stops a running partition; drops one that does not run.
    fn stop_or_drop(&mut self, id: JobId, index: u32) {
        let part = self.partition(id, index);
        let state = part.state;
        let started = part.started;
        match state {
            PartitionState::Over => return,
            PartitionState::Running(run) => {
                let task = TaskId { job: id, partition: index, step: part.step };
                if let Some(Work::Task { worker, .. }) =
                    self.active_runs.get(&run).map(|active| active.work)
                {
                    self.push_trace(TraceEvent::Stopping { run, task, worker });
                    self.push_action(Action::Stop { run, worker });
                }
                return;
            }
            PartitionState::Ready(_) if self.planted.is(Bug::StartCancelled) => return,
            PartitionState::Ready(_) => self.dequeue(id, index),
            _ => {}
        }
        if self.planted.is(Bug::LeakDropped) {
            self.partition(id, index).started = false;
        }
        self.drop_now(id, index, started);
    }

    /// Drops a partition that is not done and frees what it held.
    fn drop_now(&mut self, id: JobId, index: u32, started: bool) {
        self.release_partition(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        part.state = PartitionState::Over;
        self.costs.closed(job.circuit, part.remaining_steps());
        self.push_trace(TraceEvent::Dropped { job: id, partition: index });
        if started {
            self.push_action(Action::Discard { job: id, partition: index });
        }
    }

    /// A run of a job that has ended is over, whatever its result.
    pub(super) fn stopped_after_end(&mut self, ended: EndedRun) {
        let EndedRun { run, job: id, partition, worker, took } = ended;
        let Some(job) = self.jobs.get(&id) else { return };
        let part = &job.partitions[partition as usize];
        let task = TaskId { job: id, partition, step: part.step };
        let stage = part.current().stage;
        self.push_trace(TraceEvent::Stopped { run, task, stage, worker, took });
        if self.planted.is(Bug::KeepAfterStop) {
            return;
        }
        self.drop_now(id, partition, true);
        self.release(id);
    }

    /// Frees the own memory of an ended job of which nothing runs, and forgets the job if its
    /// outcome was recorded too.
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
        self.push_trace(TraceEvent::Released { job: id });
        let Some(job) = self.jobs.get(&id) else { return };
        if let JobState::Ended { recorded: true, outcome } = &job.state {
            let again = self.planted.is(Bug::AnswerTwice).then(|| outcome.clone());
            self.jobs.remove(&id);
            again.into_iter().for_each(|outcome| self.answer_client(id, outcome));
        }
    }

    /// The outcome is durable: the client is told.
    pub(super) fn end_recorded(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let running = job.running > 0;
        job.state = JobState::Ended { outcome: outcome.clone(), recorded: true };
        if !self.planted.is(Bug::AnswerEarly) {
            self.answer_client(id, outcome);
        }
        if !running {
            self.jobs.remove(&id);
        }
    }

    fn answer_client(&mut self, job: JobId, outcome: Outcome) {
        self.push_trace(TraceEvent::Answered { job, outcome: outcome.clone() });
        self.push_action(Action::Answer { job, outcome });
    }
}
