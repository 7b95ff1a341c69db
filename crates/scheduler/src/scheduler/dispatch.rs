//! What starts now: one pass over the free lanes in the one order.

use super::Scheduler;
use super::grant::Pass;
use crate::action::Action;
use crate::ids::{JobId, LaneId, Run, TaskId};
use crate::job::{Class, LaneKind, LaneNeed};
use crate::ledger::Reach;
use crate::memory::Memory;
use crate::order::{Grip, Order, Shape, Spot, beyond};
use crate::planted::Bug;
use crate::state::{Phase, Work};
use crate::trace::{PressureStep, Purse, What};
use std::collections::BTreeMap;

/// What became of the first in line.
pub(super) enum Tried {
    /// It started, or its key is on its way; and somebody's memory shrank.
    Went { freed: bool },
    /// It was filed under another shape.
    Moved,
    /// Not now; the next of its shape may.
    Not,
}

impl Scheduler {
    /// Starts everything that can start.
    pub(super) fn dispatch(&mut self) {
        let mut pass = Pass::default();
        let mut cursors: BTreeMap<Shape, Order> = BTreeMap::new();
        while let Some((shape, order, grip)) = self.first(&cursors, &pass) {
            match self.attempt(shape, order, grip, &mut pass) {
                Tried::Went { freed } if freed || pass.evicted => {
                    pass = Pass::default();
                    cursors.clear();
                }
                Tried::Went { .. } | Tried::Moved => {}
                Tried::Not if self.planted.is(Bug::HeadOfLine) => break,
                Tried::Not => {
                    cursors.insert(shape, order);
                }
            }
        }
        if self.pressure >= PressureStep::EvictIdle {
            self.evict_idle();
        }
    }

    /// The first step in the order that a free lane, or the loader, could take and that no blocked
    /// elder bars.
    fn first(&self, cursors: &BTreeMap<Shape, Order>, pass: &Pass) -> Option<(Shape, Order, Grip)> {
        let heads = self.queues.shapes().filter_map(|(shape, queue)| {
            if !self.spot_free(shape.spot) {
                return None;
            }
            let mut entries = beyond(queue, cursors.get(shape).copied());
            let (order, grip) = if self.planted.is(Bug::YoungestFirst) {
                entries.last()?
            } else if shape.fresh {
                entries.next().filter(|(order, _)| self.lets_in(*shape, order.class, pass))?
            } else {
                entries.find(|(_, grip)| !self.bars(*shape, **grip, pass))?
            };
            Some((*shape, *order, *grip))
        });
        if self.planted.is(Bug::OrderInFirstStageOnly) {
            return heads.min_by_key(|(shape, order, _)| (shape.fresh, order.partition, *order));
        }
        heads.min_by_key(|(_, order, _)| *order)
    }

    fn spot_free(&self, spot: Spot) -> bool {
        match spot {
            Spot::Cpu(least) => self.lanes.any_free(None, u64::from(least)),
            Spot::Device(class, least) => self.lanes.any_free(Some(class), least),
            Spot::Load(key) => self.can_load(key),
        }
    }

    /// Whether a fresh partition of that class may start: a credit, no pause, no elder in the way.
    fn lets_in(&self, shape: Shape, class: Class, pass: &Pass) -> bool {
        let credits = match self.pressure {
            PressureStep::Shrink(bound) => self.config.in_flight.min(bound),
            _ => self.config.in_flight,
        };
        let paused = self.pressure >= PressureStep::PauseBatch
            && class == Class::Batch
            && self.in_flight > 0;
        if self.in_flight >= credits || paused {
            return false;
        }
        let passes = |reach| reach == Reach::Admitted && !shape.joins;
        let purses = match shape.spot {
            Spot::Load(_) => &[Purse::General],
            _ => self.purses(class),
        };
        !purses.iter().all(|&purse| pass.closed.bars(purse, shape.takes, passes))
    }

    /// Whether a blocked elder bars a running partition.
    fn bars(&self, shape: Shape, grip: Grip, pass: &Pass) -> bool {
        grip.is_some_and(|(purse, seat)| {
            pass.closed.bars(purse, shape.takes, |reach| Reach::Seat(seat) <= reach)
        })
    }

    fn attempt(&mut self, shape: Shape, order: Order, grip: Grip, pass: &mut Pass) -> Tried {
        let (id, index) = (order.job, order.partition);
        let Some(job) = self.jobs.get(&id) else { return Tried::Not };
        let part = &job.partitions[index as usize];
        let missing = self.missing_key(part);
        match (shape.spot, missing) {
            (Spot::Load(key), _) => return self.attempt_load(key, shape, order, pass),
            (_, Some(_)) => {
                // The key was evicted for an elder since this step was filed.
                self.dequeue(id, index);
                self.enqueue(id, index);
                return Tried::Moved;
            }
            _ => {}
        }
        let step = part.current();
        let key = step.key.filter(|&key| self.keys.get(key).is_some_and(|k| k.spec.device > 0));
        let (device, avoid) = (step.claim.device, part.avoid);
        let (lane, keyed) = match (step.lane, shape.spot) {
            (LaneNeed::Cpu { least, most }, _) => match self.lanes.pick_cpu(least, most) {
                Some(lane) => (lane, true),
                None => return Tried::Not,
            },
            (LaneNeed::Device { class }, Spot::Device(_, least)) => {
                match self.lanes.pick_device(class, least, key, avoid) {
                    Some(pick) => (pick.lane, pick.keyed),
                    None => return Tried::Not,
                }
            }
            _ => return Tried::Not,
        };
        let ask = self.ask(job, part, shape.takes, order);
        let Some(purse) = self.grant(ask, grip, shape.joins, pass) else { return Tried::Not };
        let absent = key.filter(|_| !keyed);
        let copy = absent.and_then(|key| self.keys.get(key)).map_or(0, |k| k.spec.device);
        self.make_room(lane, key, device + copy);
        if let Some(key) = absent {
            self.bring_key(key, lane, id, index);
            return Tried::Went { freed: false };
        }
        Tried::Went { freed: self.start(id, index, lane, purse) }
    }

    /// Starts a step; whether its partition holds less than before in some pool.
    fn start(&mut self, id: JobId, index: u32, lane: LaneId, purse: Purse) -> bool {
        self.dequeue(id, index);
        let job_holds = self.admit(id, purse);
        let job = self.jobs.get_mut(&id).expect("it was in the queues");
        let part = &mut job.partitions[index as usize];
        let step = usize::from(part.step);
        if !part.started {
            part.started = true;
            // A producer that waits for its consumers must not hold the credit they need.
            if !part.profile.emits() {
                self.in_flight += 1;
            }
            for key in part.profile.keys() {
                self.keys.take(key);
            }
            if !part.profile.peak().is_zero() {
                let seat = self.accounts.purse_mut(purse).sit(part.profile.peak());
                part.seat = Some((purse, seat));
            }
        }
        let peak = part.current().claim.peak;
        let mut freed = false;
        if let Some((purse, seat)) = part.seat {
            let ledger = self.accounts.purse_mut(purse);
            let before = ledger.holds(seat);
            ledger.change(seat, peak, part.profile.peak_from(step));
            freed = !before.fits(peak);
        }
        let purse = part.seat.map_or(purse, |seat| seat.0);
        let run = Run(self.next_run);
        part.phase = Phase::Running(run);
        part.emitted = 0;
        job.running += 1;
        self.shares_now = self.shares_now.max(job.tag);
        let (need, stage) = (part.current().lane, part.current().stage);
        let threads = match (need, self.lanes.get(lane).map(|l| l.kind)) {
            (LaneNeed::Cpu { most, .. }, Some(LaneKind::Cpu { threads })) => most.min(threads),
            _ => 0,
        };
        let task = TaskId { job: id, partition: index, step: step as u16 };
        self.embark(Work::Task { job: id, partition: index, lane });
        self.occupy(lane, run);
        self.note(What::Started { run, task, stage, lane, threads, purse, holds: peak, job_holds });
        self.act(Action::Start { run, task, lane, threads });
        freed
    }

    /// A job's first start takes the job's own hold.
    fn admit(&mut self, id: JobId, purse: Purse) -> Memory {
        let Some(job) = self.jobs.get(&id) else { return Memory::ZERO };
        if job.admitted.is_some() {
            return Memory::ZERO;
        }
        let holds = job.holds;
        self.accounts.admit(purse, holds, job.need);
        self.refile(id, |job| job.admitted = Some(purse));
        holds
    }
}
