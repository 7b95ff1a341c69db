//! Timers that the scheduler does not have: limits of runs, and deadlines of waiting jobs.

use super::Core;
use athanor_scheduler::{JobId, RunId};
use std::collections::BTreeSet;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The run reaches the time limit of its step.
    Limit(RunId),
    /// The grace period after the run's stop flag was set has passed.
    Grace(RunId),
    /// The deadline of a job that waits for its circuit has passed.
    Deadline(JobId),
    /// The engine retries to record the end of such a job.
    RecordEnd(JobId),
}

#[derive(Default)]
pub(super) struct Timers(BTreeSet<(Instant, Due)>);

impl Timers {
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn set(&mut self, at: Instant, due: Due) {
        self.0.insert((at, due));
    }

    pub(super) fn unset(&mut self, at: Instant, due: Due) {
        self.0.remove(&(at, due));
    }

    fn take(&mut self, now: Instant) -> Option<Due> {
        let (at, _) = self.0.first()?;
        if *at > now { None } else { self.0.pop_first().map(|(_, due)| due) }
    }
}

impl Core {
    /// Handles all timers that are due.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        while let Some(due) = self.timers.take(now) {
            match due {
                Due::Limit(run) => self.over_limit(run),
                Due::Grace(run) => self.hung(run),
                Due::Deadline(job) => self.miss_deadline(job),
                Due::RecordEnd(job) => self.record_end(job),
            }
        }
    }
}
