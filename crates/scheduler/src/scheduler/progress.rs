//! Runs end: done, failed, or stopped; what follows for the partition and for those after it.

use super::{Due, Scheduler};
use crate::action::{Action, Entry, Outcome, Reason};
use crate::event::Failure;
use crate::ids::{JobId, LaneId, Run, Span, TaskId, Time};
use crate::job::LaneNeed;
use crate::memory::Memory;
use crate::planted::Bug;
use crate::state::{Job, Phase, Work, backoff};
use crate::trace::{Ignored, What};

/// A run that has just ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) run: Run,
    pub(super) job: JobId,
    pub(super) partition: u32,
    pub(super) lane: LaneId,
    pub(super) took: Span,
}

impl Scheduler {
    /// Takes a run off the books; `None` (and a note) if there is no such run.
    fn end_run(&mut self, run: Run) -> Option<Ended> {
        let Some(errand) = self.errands.get(&run).copied() else {
            self.ignore(Ignored::Run(run));
            return None;
        };
        let Work::Task { job, partition, lane } = errand.what else {
            self.ignore(Ignored::Run(run));
            return None;
        };
        self.errands.remove(&run);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.running -= 1;
        }
        Some(Ended { run, job, partition, lane, took: self.now - errand.since })
    }

    pub(super) fn finished(&mut self, run: Run, peak: Option<Memory>, again: bool) {
        let Some(ended) = self.end_run(run) else { return };
        self.release_lane(ended.lane);
        let Some(job) = self.jobs.get(&ended.job) else { return };
        if !job.open() {
            return self.stopped_late(ended);
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
        let (stage, lane, took) = (step.stage, ended.lane, ended.took);
        self.note(What::Finished { run, task, stage, lane, took, holds, exceeded });
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

    fn partition_done(&mut self, id: JobId, index: u32) {
        self.vacate(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        part.phase = Phase::Over;
        let next = std::mem::take(&mut part.before);
        let grown = part.grown;
        job.left -= 1;
        let complete = job.left == 0;
        if grown {
            job.grown_left -= 1;
        }
        self.note(What::PartitionDone { job: id, partition: index });
        self.persist(id, Entry::PartitionDone { job: id, partition: index });
        if complete {
            return self.end(id, Outcome::Complete);
        }
        for index in next {
            let Some(job) = self.jobs.get_mut(&id).filter(|job| job.open()) else { return };
            if let Phase::After(waits) = &mut job.partitions[index as usize].phase {
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

    /// A grown partition is done: producers that wait for a credit look again.
    fn wake_producers(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let waiting: Vec<u32> = (0..)
            .zip(&job.partitions)
            .filter(|(_, part)| part.phase == Phase::Credit)
            .map(|(index, _)| index)
            .collect();
        for index in waiting {
            if self.jobs.get(&id).is_some_and(Job::open) {
                self.make_ready(id, index);
            }
        }
    }

    pub(super) fn failed(&mut self, run: Run, failure: Failure) {
        let Some(ended) = self.end_run(run) else { return };
        if failure == Failure::Device && self.is_device(ended.lane) {
            self.quarantine(ended.lane);
        } else {
            self.release_lane(ended.lane);
        }
        self.setback(ended, failure);
    }

    /// A partition could not finish a step: it tries again, total, or its job fails.
    pub(super) fn setback(&mut self, ended: Ended, failure: Failure) {
        let Some(job) = self.jobs.get_mut(&ended.job) else { return };
        if !job.open() {
            return self.stopped_late(ended);
        }
        let part = &mut job.partitions[ended.partition as usize];
        part.failures += 1;
        let device = matches!(part.current().lane, LaneNeed::Device { .. });
        if failure == Failure::Device && device {
            part.avoid = Some(ended.lane);
        }
        let (step, attempt) = (part.current().clone(), part.failures);
        let task = TaskId { job: ended.job, partition: ended.partition, step: part.step };
        let emitter = part.profile.emits();
        let retry = self.config.retry;
        let why = match failure {
            Failure::Permanent => Some(Reason::Permanent),
            Failure::BadResult if emitter => Some(Reason::Permanent),
            _ if attempt >= retry.attempts => Some(Reason::TooOften(failure)),
            _ => None,
        };
        let wait = backoff(&retry, attempt, &mut self.jitter);
        let wait = Span(wait.0.saturating_add(self.planted.noise()));
        let again = why.is_none().then_some(self.now + wait);
        self.note(What::Failed {
            run: ended.run,
            task,
            stage: step.stage,
            lane: ended.lane,
            failure,
            attempt,
            again,
        });
        let Some(at) = again else {
            let why = why.unwrap_or(Reason::Permanent);
            // The run is over: the partition is dropped with the others.
            self.partition(ended.job, ended.partition).phase = Phase::Backoff(self.now);
            return self.fail(ended.job, ended.partition, why);
        };
        if failure == Failure::BadResult {
            self.start_over(ended.job, ended.partition);
        } else {
            self.step_back(ended.job, ended.partition);
        }
        self.partition(ended.job, ended.partition).phase = Phase::Backoff(at);
        if !self.planted.is(Bug::LoseRetry) {
            self.due.insert((at, Due::Retry(ended.job, ended.partition)));
        }
    }

    /// The partition holds its step's input again and nothing more.
    fn step_back(&mut self, id: JobId, index: u32) {
        let part = self.partition(id, index);
        let step = usize::from(part.step);
        let (input, ahead) = (part.profile.input_of(step), part.profile.peak_from(step));
        if let Some((budget_part, reservation)) = part.holding {
            self.budgets.reservations_mut(budget_part).resize(reservation, input, ahead);
        }
    }

    /// The partition is as if it had never started: its memory and its keys are free.
    fn start_over(&mut self, id: JobId, index: u32) {
        self.vacate(id, index);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let part = &mut job.partitions[index as usize];
        let done = usize::from(std::mem::take(&mut part.step));
        self.costs.opened(job.circuit, &part.profile.steps()[..done]);
        self.act(Action::Discard { job: id, partition: index });
    }

    /// A started partition gives up its reservation, its keys and its credit.
    pub(super) fn vacate(&mut self, id: JobId, index: u32) {
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
            self.keys.give_back(key);
        }
        if !profile.emits() {
            self.in_flight -= 1;
        }
    }

    pub(super) fn retry(&mut self, id: JobId, index: u32, at: Time) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.open()) else { return };
        if job.partitions[index as usize].phase == Phase::Backoff(at) {
            self.make_ready(id, index);
        }
    }

    pub(super) fn stopped(&mut self, run: Run) {
        let Some(ended) = self.end_run(run) else { return };
        self.release_lane(ended.lane);
        if self.jobs.get(&ended.job).is_some_and(Job::open) {
            // Nobody asked it to stop: it is attempt again like any other failure.
            return self.setback(ended, Failure::Transient);
        }
        self.stopped_late(ended);
    }
}
