//! What starts now: one pass over the free lanes in the one order.

use super::Scheduler;
use super::grant::{Ask, Pass};
use crate::action::Action;
use crate::ids::{JobId, KeyId, LaneId, Run, TaskId};
use crate::job::{Class, LaneKind, LaneNeed};
use crate::ledger::Reach;
use crate::memory::Memory;
use crate::order::{Grip, Order, Shape, Spot, beyond};
use crate::planted::Bug;
use crate::state::{Phase, Work};
use crate::trace::{PressureStep, Purse, What};

/// The first in line of a shape.
struct Head {
    shape: Shape,
    /// The key to be loaded before it can start.
    missing: Option<KeyId>,
    order: Order,
    grip: Grip,
    /// No lane is free for it; it is looked at because it may lack memory as well.
    laneless: bool,
}

/// What became of the first in line.
pub(super) enum Tried {
    /// It started, or its key is on its way.
    Went,
    /// Not now; the next of its shape may.
    Not,
}

impl Scheduler {
    /// Starts everything that can start.
    pub(super) fn dispatch(&mut self) {
        let mut pass = Pass::default();
        while let Some(head) = self.first(&pass) {
            if head.laneless {
                pass.seen.push(head.shape.spot);
                self.look_ahead(&head, &mut pass);
                continue;
            }
            let tried = match head.missing {
                Some(key) => self.attempt_load(key, head.shape, head.order, &mut pass),
                None => self.attempt(head.shape, head.order, head.grip, &mut pass),
            };
            match tried {
                // What was concluded about elders may no longer hold.
                Tried::Went => pass = Pass::default(),
                Tried::Not if self.planted.is(Bug::HeadOfLine) => break,
                Tried::Not => pass.pass_over(head.shape, head.order),
            }
        }
        if self.pressure >= PressureStep::EvictIdle {
            self.evict_idle();
        }
    }

    /// The first step in the order that a free lane, or the loader, could take and that no blocked
    /// elder bars; or, before it, one that is first in line for lanes that are all busy.
    fn first(&self, pass: &Pass) -> Option<Head> {
        let heads = self.queues.shapes().filter_map(|(&shape, queue)| {
            let missing = self.missing(shape.keys);
            if !self.spot_free(shape.spot, missing) {
                return None;
            }
            let mut entries = beyond(queue, pass.cursor(shape));
            let (order, grip) = if self.planted.is(Bug::YoungestFirst) {
                entries.last()?
            } else if shape.fresh {
                let lets_in =
                    |class| self.has_credit(class) && !self.bars_fresh(shape, missing, class, pass);
                entries.next().filter(|(order, _)| lets_in(order.class))?
            } else {
                entries.find(|&(_, &grip)| !self.bars(shape, grip, pass))?
            };
            Some(Head { shape, missing, order: *order, grip: *grip, laneless: false })
        });
        if self.planted.is(Bug::OrderInFirstStageOnly) {
            return heads.min_by_key(|h| (h.shape.fresh, h.order.partition, h.order));
        }
        let first = heads.min_by_key(|head| head.order)?;
        self.first_in_line(pass).filter(|line| line.order < first.order).or(Some(first))
    }

    /// The first step in the order among those that are first in line for busy lanes and were not
    /// yet looked at.
    fn first_in_line(&self, pass: &Pass) -> Option<Head> {
        let heads = self.queues.shapes().filter_map(|(&shape, queue)| {
            let missing = self.missing(shape.keys);
            let seen = pass.seen.contains(&shape.spot);
            if missing.is_some() || seen || self.spot_free(shape.spot, None) {
                return None;
            }
            let (order, grip) = queue.first_key_value()?;
            let waits = !shape.fresh || self.has_credit(order.class);
            let head = Head { shape, missing, order: *order, grip: *grip, laneless: true };
            waits.then_some(head)
        });
        heads.min_by_key(|head| head.order)
    }

    /// If a step that is first in line for a busy lane lacks memory as well, younger work must not
    /// take it.
    fn look_ahead(&mut self, head: &Head, pass: &mut Pass) {
        let Head { shape, order, grip, .. } = *head;
        let barred = if shape.fresh {
            self.bars_fresh(shape, None, order.class, pass)
        } else {
            self.bars(shape, grip, pass)
        };
        let Some(job) = self.jobs.get(&order.job).filter(|_| !barred) else { return };
        let part = &job.partitions[order.partition as usize];
        let ask = Ask { real: false, ..self.ask(job, part, shape.takes, order) };
        self.grant(ask, grip, shape.joins, pass);
    }

    /// Whether the loader is free for a missing key, or a lane for the step.
    fn spot_free(&self, spot: Spot, missing: Option<KeyId>) -> bool {
        match (missing, spot) {
            (Some(key), _) => self.can_load(key),
            (None, Spot::Cpu(least)) => self.lanes.any_free(None, u64::from(least)),
            (None, Spot::Device(class, least)) => self.lanes.any_free(Some(class), least),
        }
    }

    /// Whether a fresh partition of that class may start: there is a credit and no pause.
    fn has_credit(&self, class: Class) -> bool {
        let credits = match self.pressure {
            PressureStep::Shrink(bound) => self.config.in_flight.min(bound),
            _ => self.config.in_flight,
        };
        let paused = self.pressure >= PressureStep::PauseBatch
            && class == Class::Batch
            && self.in_flight > 0;
        self.in_flight < credits && !paused
    }

    /// Whether blocked elders bar a fresh partition of that class.
    fn bars_fresh(&self, shape: Shape, missing: Option<KeyId>, class: Class, pass: &Pass) -> bool {
        let passes = |reach| reach == Reach::Admitted && !shape.joins;
        let purses = match missing {
            Some(_) => &[Purse::General],
            None => self.purses(class),
        };
        purses.iter().all(|&purse| pass.closed.bars(purse, shape.takes, passes))
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
        } else {
            self.start(id, index, lane, purse);
        }
        Tried::Went
    }

    /// Starts a step.
    fn start(&mut self, id: JobId, index: u32, lane: LaneId, purse: Purse) {
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
        if let Some((purse, seat)) = part.seat {
            self.accounts.purse_mut(purse).change(seat, peak, part.profile.peak_from(step));
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
