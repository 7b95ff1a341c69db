//! Lanes and devices come, err and go; memory pressure rises and falls.

use super::progress::Ended;
use super::{Due, Scheduler};
use crate::action::{Action, Place};
use crate::event::Failure;
use crate::ids::{LaneId, Run};
use crate::job::LaneKind;
use crate::lanes::Doing;
use crate::memory::{Memory, Pool};
use crate::planted::Bug;
use crate::state::{Work, backoff};
use crate::trace::{Ignored, PressureStep, What};

impl Scheduler {
    pub(super) fn lane_joined(&mut self, lane: LaneId, kind: LaneKind) {
        if self.lanes.join(lane, kind) {
            self.note(What::LaneJoined { lane, kind });
        } else {
            self.ignore(Ignored::Lane(lane));
        }
    }

    pub(super) fn lane_draining(&mut self, lane: LaneId) {
        let Some(found) = self.lanes.get(lane) else { return self.ignore(Ignored::Lane(lane)) };
        let busy = matches!(found.doing, Doing::Busy(_));
        self.lanes.change(lane, |l| l.draining = true);
        if !busy {
            self.close_lane(lane);
        }
    }

    fn close_lane(&mut self, lane: LaneId) {
        self.lanes.leave(lane);
        self.note(What::LaneLeft { lane, lost: false });
        self.act(Action::Close { lane });
    }

    pub(super) fn lane_lost(&mut self, lane: LaneId) {
        let Some(lost) = self.lanes.leave(lane) else { return self.ignore(Ignored::Lane(lane)) };
        self.note(What::LaneLeft { lane, lost: true });
        let Doing::Busy(run) = lost.doing else { return };
        let Some(errand) = self.errands.remove(&run) else { return };
        match errand.what {
            Work::Task { job, partition, lane } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.running -= 1;
                }
                let took = self.now - errand.since;
                let ended = Ended { run, job, partition, lane, took };
                self.setback(ended, Failure::Transient);
            }
            Work::Load { key, job, partition, .. } => {
                let place = Place::Device(lane);
                self.note(What::LoadFailed { run, key, place, again: None });
                self.end_keying(job, partition, lane);
            }
            Work::Test { .. } => self.note(What::Probed { run, lane, passed: false }),
        }
    }

    pub(super) fn is_device(&self, lane: LaneId) -> bool {
        self.lanes.get(lane).is_some_and(|l| matches!(l.kind, LaneKind::Device { .. }))
    }

    /// A run begins on a lane.
    pub(super) fn occupy(&mut self, lane: LaneId, run: Run) {
        self.lanes.change(lane, |l| l.doing = Doing::Busy(run));
    }

    /// A run on a lane is over.
    pub(super) fn release_lane(&mut self, lane: LaneId) {
        self.lanes.change(lane, |l| l.doing = Doing::Free);
        if self.lanes.get(lane).is_some_and(|l| l.draining) {
            self.close_lane(lane);
        }
    }

    /// A device erred: it does nothing but answer a question whose answer is known.
    pub(super) fn quarantine(&mut self, lane: LaneId) {
        self.release_lane(lane);
        if self.lanes.get(lane).is_none() {
            return;
        }
        self.note(What::Quarantined { lane });
        if self.planted.is(Bug::SkipQuarantine) {
            return;
        }
        self.lanes.change(lane, |l| {
            l.suspect = true;
            l.failed_tests = 0;
            l.doing = Doing::Quarantine;
        });
        self.test(lane);
    }

    pub(super) fn test(&mut self, lane: LaneId) {
        if self.lanes.get(lane).is_none_or(|l| l.doing != Doing::Quarantine) {
            return;
        }
        let run = self.embark(Work::Test { lane });
        self.occupy(lane, run);
        self.note(What::Probing { run, lane });
        self.act(Action::Probe { run, lane });
    }

    pub(super) fn probed(&mut self, run: Run, passed: bool) {
        let Some(Work::Test { lane }) = self.errands.get(&run).map(|e| e.what) else {
            return self.ignore(Ignored::Run(run));
        };
        self.errands.remove(&run);
        self.note(What::Probed { run, lane, passed });
        let mut failures = 0;
        self.lanes.change(lane, |l| {
            l.suspect = !passed;
            l.doing = if passed { Doing::Free } else { Doing::Quarantine };
            l.failed_tests = if passed { 0 } else { l.failed_tests + 1 };
            failures = l.failed_tests;
        });
        if self.lanes.get(lane).is_some_and(|l| l.draining) {
            self.close_lane(lane);
        } else if !passed {
            let wait = backoff(&self.config.retry, failures, &mut self.jitter);
            self.due.insert((self.now + wait, Due::Test(lane)));
        }
    }

    /// Compares what is really resident with the budget and pools, or pools back, a step.
    pub(super) fn resident(&mut self, resident: Memory) {
        let full = self.fullness(resident);
        let limits = self.config.pressure;
        let from = self.pressure;
        let level =
            |bound: u32, on: bool| full >= bound.saturating_sub(if on { limits.slack } else { 0 });
        let bound = match from {
            // Still too much although no more than that are in flight: half again.
            PressureStep::Shrink(n) if full >= limits.shrink && self.in_flight <= n => n / 2,
            PressureStep::Shrink(n) => n,
            _ => self.in_flight / 2,
        };
        let to = if level(limits.shrink, matches!(from, PressureStep::Shrink(_))) {
            PressureStep::Shrink(bound.max(1))
        } else if level(limits.pause, from >= PressureStep::PauseBatch) {
            PressureStep::PauseBatch
        } else if level(limits.evict, from >= PressureStep::EvictIdle) {
            PressureStep::EvictIdle
        } else {
            PressureStep::None
        };
        if to != from {
            self.pressure = to;
            let reserved = self.reserved();
            self.note(What::Pressure { from, to, resident, reserved });
        }
    }

    /// Thousandths of the budget, of the fuller pool.
    fn fullness(&self, resident: Memory) -> u32 {
        let full = (0..Pool::SHARED.len())
            .filter(|&pool| self.config.budget[pool] > 0)
            .map(|pool| u128::from(resident[pool]) * 1000 / u128::from(self.config.budget[pool]));
        u32::try_from(full.max().unwrap_or(0)).unwrap_or(u32::MAX)
    }
}
