//! The end of a run: done, failed or stopped, and what follows for its partition and the partitions
//! after it.

use super::{Scheduler, Timer};
use crate::action::{Action, FailureReason, JournalEntry, Outcome};
use crate::event::Failure;
use crate::ids::{JobId, RunId, Span, TaskId, Time, WorkerId};
use crate::job::WorkerNeed;
use crate::memory::Memory;
use crate::planted::Bug;
use crate::state::{Job, PartitionState, Work, backoff};
use crate::trace::{Ignored, TraceEvent};

/// A run that has just ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndedRun {
    pub(super) run: RunId,
    pub(super) job: JobId,
    pub(super) partition: u32,
    pub(super) worker: WorkerId,
    pub(super) took: Span,
}

impl Scheduler {
    /// Removes an active run of a step. `None`, with a trace record, if there is no such run.
    fn end_run(&mut self, run: RunId) -> Option<EndedRun> {
        let Some(active) = self.active_runs.get(&run).copied() else {
            self.ignore(Ignored::Run(run));
            return None;
        };
        let Work::Task { job, partition, worker } = active.work else {
            self.ignore(Ignored::Run(run));
            return None;
        };
        self.active_runs.remove(&run);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.running -= 1;
        }
        Some(EndedRun { run, job, partition, worker, took: self.now - active.since })
    }

    pub(super) fn finished(&mut self, run: RunId, peak: Option<Memory>, again: bool) {
        let Some(ended) = self.end_run(run) else { return };
        self.release_worker(ended.worker);
        let Some(job) = self.jobs.get(&ended.job) else { return };
        if !job.open() {
            return self.stopped_after_end(ended);
        }
        let part = &job.partitions[ended.partition as usize];
        let (circuit, step) = (job.circuit, part.current().clone());
        let at = usize::from(part.step);
        let task = TaskId { job: ended.job, partition: ended.partition, step: part.step };
        let repeat = again && step.emits > 0;
        let last = at + 1 == part.profile.steps().len() && !repeat;
        let (holds, ahead) = (step.claim.keeps, part.profile.peak_from(at + 1));
        if let Some((budget_part, reservation)) = part.holding
            && !repeat
        {
            self.budgets.reservations_mut(budget_part).resize(reservation, holds, ahead);
        }
        self.costs.learn(circuit, step.stage, ended.took, peak);
        let exceeded = peak.filter(|peak| !peak.fits(step.claim.peak));
        let (stage, worker, took) = (step.stage, ended.worker, ended.took);
        self.push_trace(TraceEvent::Finished { run, task, stage, worker, took, holds, exceeded });
        if repeat {
            return self.make_ready(ended.job, ended.partition);
        }
        self.costs.closed(circuit, std::slice::from_ref(&step));
        if last {
            self.partition_done(ended.job, ended.partition);
        } else {
            self.partition(ended.job, ended.partition).step += 1;
            self.make_ready(ended.job, ended.partition);
        }
    }

    /// The last step of a partition is done.
    fn partition_done(&mut self, id: JobId, index: u32) {
        self.release_partition(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        part.state = PartitionState::Over;
        let next = std::mem::take(&mut part.successors);
        let grown = part.grown;
        job.unfinished -= 1;
        let complete = job.unfinished == 0;
        if grown {
            job.grown_unfinished -= 1;
        }
        self.push_trace(TraceEvent::PartitionDone { job: id, partition: index });
        self.persist(id, JournalEntry::PartitionDone { job: id, partition: index });
        if complete {
            return self.end(id, Outcome::Complete);
        }
        for index in next {
            let Some(job) = self.jobs.get_mut(&id).filter(|job| job.open()) else { return };
            if let PartitionState::WaitsForPartitions(waits) =
                &mut job.partitions[index as usize].state
            {
                *waits -= 1;
                if *waits == 0 {
                    self.make_ready(id, index);
                }
            }
        }
        if grown {
            self.wake_producers(id);
        }
    }

    /// An added partition is done: steps that wait to emit are tried again.
    fn wake_producers(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let waiting: Vec<u32> = (0..)
            .zip(&job.partitions)
            .filter(|(_, part)| part.state == PartitionState::WaitsForCredit)
            .map(|(index, _)| index)
            .collect();
        for index in waiting {
            if self.jobs.get(&id).is_some_and(Job::open) {
                self.make_ready(id, index);
            }
        }
    }

    pub(super) fn failed(&mut self, run: RunId, failure: Failure) {
        let Some(ended) = self.end_run(run) else { return };
        if failure == Failure::Device && self.is_device(ended.worker) {
            self.quarantine(ended.worker);
        } else {
            self.release_worker(ended.worker);
        }
        self.retry_or_fail(ended, failure);
    }

    /// A run failed: its step, or the whole partition, is tried again after a backoff, or the job
    /// fails.
    pub(super) fn retry_or_fail(&mut self, ended: EndedRun, failure: Failure) {
        let Some(job) = self.jobs.get_mut(&ended.job) else { return };
        if !job.open() {
            return self.stopped_after_end(ended);
        }
        let part = &mut job.partitions[ended.partition as usize];
        part.failures += 1;
        let device = matches!(part.current().worker, WorkerNeed::Device { .. });
        if failure == Failure::Device && device {
            part.avoid = Some(ended.worker);
        }
        let (step, attempt) = (part.current().clone(), part.failures);
        let task = TaskId { job: ended.job, partition: ended.partition, step: part.step };
        let emitter = part.profile.emits();
        let retry = self.config.retry;
        let why = match failure {
            Failure::Permanent => Some(FailureReason::Permanent),
            Failure::BadResult if emitter => Some(FailureReason::Permanent),
            _ if attempt >= retry.attempts => Some(FailureReason::TooOften(failure)),
            _ => None,
        };
        let wait = backoff(&retry, attempt, &mut self.jitter);
        let wait = Span(wait.0.saturating_add(self.planted.noise()));
        let again = why.is_none().then_some(self.now + wait);
        self.push_trace(TraceEvent::Failed {
            run: ended.run,
            task,
            stage: step.stage,
            worker: ended.worker,
            failure,
            attempt,
            again,
        });
        let Some(at) = again else {
            let why = why.unwrap_or(FailureReason::Permanent);
            // The run is over, so the partition is dropped like one that waits.
            self.partition(ended.job, ended.partition).state = PartitionState::Backoff(self.now);
            return self.fail(ended.job, ended.partition, why);
        };
        if failure == Failure::BadResult {
            self.restart_partition(ended.job, ended.partition);
        } else {
            self.keep_step_input(ended.job, ended.partition);
        }
        self.partition(ended.job, ended.partition).state = PartitionState::Backoff(at);
        if !self.planted.is(Bug::LoseRetry) {
            self.timers.insert((at, Timer::Retry(ended.job, ended.partition)));
        }
    }

    /// Reduces a partition's reservation to the input of its current step.
    fn keep_step_input(&mut self, id: JobId, index: u32) {
        let part = self.partition(id, index);
        let step = usize::from(part.step);
        let (input, ahead) = (part.profile.input_of(step), part.profile.peak_from(step));
        if let Some((budget_part, reservation)) = part.holding {
            self.budgets.reservations_mut(budget_part).resize(reservation, input, ahead);
        }
    }

    /// Puts a partition back to its first step, as if it had never started: frees its memory and
    /// its keys.
    fn restart_partition(&mut self, id: JobId, index: u32) {
        self.release_partition(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        let done = usize::from(std::mem::take(&mut part.step));
        self.costs.opened(job.circuit, &part.profile.steps()[..done]);
        self.push_action(Action::Discard { job: id, partition: index });
    }

    /// Frees a started partition's reservation and keys, and its place under the limit on
    /// partitions in flight.
    pub(super) fn release_partition(&mut self, id: JobId, index: u32) {
        let part = self.partition(id, index);
        if !std::mem::take(&mut part.started) {
            return;
        }
        let reservation = part.holding.take();
        let profile = part.profile.clone();
        if let Some((budget_part, reservation)) = reservation {
            self.budgets.reservations_mut(budget_part).close(reservation);
        }
        for key in profile.keys() {
            self.keys.remove_user(key);
        }
        if !profile.emits() {
            self.in_flight -= 1;
        }
    }

    pub(super) fn retry(&mut self, id: JobId, index: u32, at: Time) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.open()) else { return };
        if job.partitions[index as usize].state == PartitionState::Backoff(at) {
            self.make_ready(id, index);
        }
    }

    pub(super) fn stopped(&mut self, run: RunId) {
        let Some(ended) = self.end_run(run) else { return };
        self.release_worker(ended.worker);
        if self.jobs.get(&ended.job).is_some_and(Job::open) {
            // The scheduler did not ask for this stop: it counts as a transient failure.
            return self.retry_or_fail(ended, Failure::Transient);
        }
        self.stopped_after_end(ended);
    }
}
