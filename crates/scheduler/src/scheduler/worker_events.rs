//! Workers join, leave and are lost; devices that failed are quarantined and tested.

use super::run_end::EndedRun;
use super::{Scheduler, Timer};
use crate::action::{Action, KeyLocation};
use crate::event::Failure;
use crate::ids::{RunId, WorkerId};
use crate::job::WorkerKind;
use crate::planted::Bug;
use crate::state::{Work, backoff};
use crate::trace::{Ignored, TraceEvent};
use crate::workers::WorkerState;

impl Scheduler {
    pub(super) fn worker_joined(&mut self, worker: WorkerId, kind: WorkerKind) {
        if self.workers.join(worker, kind) {
            self.push_trace(TraceEvent::WorkerJoined { worker, kind });
        } else {
            self.ignore(Ignored::Worker(worker));
        }
    }

    /// A worker gets nothing new and is closed once it is free. Used by a driver that removes
    /// workers while the machine runs.
    pub(super) fn worker_draining(&mut self, worker: WorkerId) {
        let Some(found) = self.workers.get(worker) else {
            return self.ignore(Ignored::Worker(worker));
        };
        let busy = matches!(found.state, WorkerState::Busy(_));
        self.workers.change(worker, |l| l.draining = true);
        if !busy {
            self.close_worker(worker);
        }
    }

    fn close_worker(&mut self, worker: WorkerId) {
        self.workers.leave(worker);
        self.push_trace(TraceEvent::WorkerLeft { worker, lost: false });
        self.push_action(Action::Close { worker });
    }

    pub(super) fn worker_lost(&mut self, worker: WorkerId) {
        let Some(lost) = self.workers.leave(worker) else {
            return self.ignore(Ignored::Worker(worker));
        };
        self.push_trace(TraceEvent::WorkerLeft { worker, lost: true });
        let WorkerState::Busy(run) = lost.state else { return };
        let Some(active) = self.active_runs.remove(&run) else { return };
        match active.work {
            Work::Task { job, partition, worker } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.running -= 1;
                }
                let took = self.now - active.since;
                let ended = EndedRun { run, job, partition, worker, took };
                self.retry_or_fail(ended, Failure::Transient);
            }
            Work::Load { key, job, partition, .. } => {
                let location = KeyLocation::Device(worker);
                self.push_trace(TraceEvent::LoadFailed { run, key, location, again: None });
                self.device_load_ended(job, partition, worker);
            }
            Work::Test { .. } => self.push_trace(TraceEvent::Probed { run, worker, passed: false }),
        }
    }

    pub(super) fn is_device(&self, worker: WorkerId) -> bool {
        self.workers.get(worker).is_some_and(|l| matches!(l.kind, WorkerKind::Device { .. }))
    }

    /// A run begins on a worker.
    pub(super) fn mark_busy(&mut self, worker: WorkerId, run: RunId) {
        self.workers.change(worker, |l| l.state = WorkerState::Busy(run));
    }

    /// The run on a worker is over.
    pub(super) fn release_worker(&mut self, worker: WorkerId) {
        self.workers.change(worker, |l| l.state = WorkerState::Free);
        if self.workers.get(worker).is_some_and(|l| l.draining) {
            self.close_worker(worker);
        }
    }

    /// A device failed: it gets no steps until a known-answer test passes.
    pub(super) fn quarantine(&mut self, worker: WorkerId) {
        self.release_worker(worker);
        if self.workers.get(worker).is_none() {
            return;
        }
        self.push_trace(TraceEvent::Quarantined { worker });
        if self.planted.is(Bug::SkipQuarantine) {
            return;
        }
        self.workers.change(worker, |l| {
            l.suspect = true;
            l.failed_tests = 0;
            l.state = WorkerState::Quarantine;
        });
        self.test(worker);
    }

    /// Begins the known-answer test of a quarantined device.
    pub(super) fn test(&mut self, worker: WorkerId) {
        if self.workers.get(worker).is_none_or(|l| l.state != WorkerState::Quarantine) {
            return;
        }
        let run = self.begin_run(Work::Test { worker });
        self.mark_busy(worker, run);
        self.push_trace(TraceEvent::Probing { run, worker });
        self.push_action(Action::Probe { run, worker });
    }

    /// A known-answer test ended.
    pub(super) fn probed(&mut self, run: RunId, passed: bool) {
        let Some(Work::Test { worker }) = self.active_runs.get(&run).map(|active| active.work)
        else {
            return self.ignore(Ignored::Run(run));
        };
        self.active_runs.remove(&run);
        self.push_trace(TraceEvent::Probed { run, worker, passed });
        let mut failures = 0;
        self.workers.change(worker, |l| {
            l.suspect = !passed;
            l.state = if passed { WorkerState::Free } else { WorkerState::Quarantine };
            l.failed_tests = if passed { 0 } else { l.failed_tests + 1 };
            failures = l.failed_tests;
        });
        if self.workers.get(worker).is_some_and(|l| l.draining) {
            self.close_worker(worker);
        } else if !passed {
            let wait = backoff(&self.config.retry, failures, &mut self.jitter);
            self.timers.insert((self.now + wait, Timer::Test(worker)));
        }
    }
}
