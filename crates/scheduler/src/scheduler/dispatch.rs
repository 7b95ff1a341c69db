//! What starts now: one pass over the free lanes in the one order.

use super::Scheduler;
use super::grant::Ask;
use super::pass::{Head, Pass};
use crate::action::Action;
use crate::ids::{JobId, KeyId, LaneId, Run, TaskId};
use crate::job::{Class, LaneKind, LaneNeed};
use crate::ledger::Reach;
use crate::memory::Memory;
use crate::order::{Grip, Order, Shape, Spot};
use crate::planted::Bug;
use crate::state::{Phase, Work};
use crate::trace::{PressureStep, Purse, What};

/// What became of the first in line.
pub(super) enum Tried {
    /// It started, or its key is on its way.
    Went,
    /// Not now; the next of its shape may.
    Not,
}

impl Scheduler {
    /// Starts everything that can start: the heads of all shapes are looked at in the one order,
    /// and again from the first one when a start may have changed what was concluded before it.
    pub(super) fn dispatch(&mut self) {
        self.evict_withdrawn();
        let mut pass = self.line_up();
        while self.lanes.any_free_at_all() || self.keys.loading < self.config.loads {
            let Some(head) = pass.next(&self.queues) else { break };
            let Head { shape, order, grip, .. } = head;
            let missing = self.missing(shape.keys);
            if shape.fresh && !self.has_credit(order.class) {
                continue;
            }
            let barred = match shape.fresh {
                true => self.bars_fresh(shape, missing, order.class, &pass),
                false => self.bars(shape, grip, &pass),
            };
            match missing {
                Some(key) if !self.can_load(key) => {
                    if !barred && self.queues.leads(shape, order) {
                        self.await_jobs(&head, &mut pass);
                    }
                    continue;
                }
                None if !self.spot_free(shape.spot) => {
                    if pass.first_seen(shape.spot) && !barred {
                        self.look_ahead(&head, &mut pass);
                    }
                    continue;
                }
                _ => {}
            }
            let tried = match missing {
                _ if barred => Tried::Not,
                Some(key) => self.attempt_load(key, shape, order, &mut pass),
                None => self.attempt(shape, order, grip, &mut pass),
            };
            pass.concluded |= matches!(tried, Tried::Not);
            match tried {
                Tried::Went if pass.concluded || shape.joins => pass = self.line_up(),
                Tried::Not if self.planted.is(Bug::HeadOfLine) => break,
                // Behind a barred newcomer stand only younger ones of the same shape.
                Tried::Not if barred && shape.fresh => {}
                Tried::Went | Tried::Not => self.offer_behind(shape, order, &mut pass),
            }
        }
        if self.pressure >= PressureStep::EvictIdle {
            self.evict_idle();
        }
    }

    fn line_up(&self) -> Pass {
        let (youngest, unranked) =
            (self.planted.is(Bug::YoungestFirst), self.planted.is(Bug::OrderInFirstStageOnly));
        if !youngest && !unranked {
            return Pass::default();
        }
        Pass::over(self.queues.line(None).filter_map(|(order, shape, grip)| {
            let first = Some((order, grip));
            let (order, grip) = if youngest { self.queues.last(shape) } else { first }?;
            Some(self.head(order, shape, grip))
        }))
    }

    /// Of the steps of a shape behind that one, the first that no blocked elder bars is looked at
    /// too; of fresh ones simply the first, for an elder that bars it bars all behind it.
    fn offer_behind(&self, shape: Shape, order: Order, pass: &mut Pass) {
        let mut behind = self.queues.beyond(shape, order);
        let next = match shape.fresh {
            true => behind.next(),
            false => behind.find(|&(_, &grip)| !self.bars(shape, grip, pass)),
        };
        if let Some((&order, &grip)) = next
            && !pass.comes_to(&self.queues, order, shape)
        {
            pass.offer(self.head(order, shape, grip));
        }
    }

    fn head(&self, order: Order, shape: Shape, grip: Grip) -> Head {
        let rank = match self.planted.is(Bug::OrderInFirstStageOnly) {
            true => (shape.fresh, order.partition),
            false => (false, 0),
        };
        Head { rank, order, shape, grip }
    }

    /// If a step that is first in line for a busy lane lacks memory as well, younger work must not
    /// take it.
    fn look_ahead(&mut self, head: &Head, pass: &mut Pass) {
        let Head { shape, order, grip, .. } = *head;
        let Some(job) = self.jobs.get(&order.job) else { return };
        let part = &job.partitions[order.partition as usize];
        let ask = Ask { real: false, ..self.ask(job, part, shape, order) };
        self.grant(ask, grip, shape.joins, pass);
        pass.concluded = true;
    }

    /// The first in line for a key that is not here yet waits for other jobs to end all the same,
    /// if its own may not take its hold before.
    fn await_jobs(&self, head: &Head, pass: &mut Pass) {
        let Head { shape, order, .. } = *head;
        let Some(job) = self.jobs.get(&order.job) else { return };
        if shape.joins && !self.accounts.admits(job.holds, job.need) {
            self.wait_for_jobs(order, shape.takes, pass);
        }
    }

    fn spot_free(&self, spot: Spot) -> bool {
        match spot {
            Spot::Cpu(least) => self.lanes.any_free(None, u64::from(least)),
            Spot::Device(class, least) => self.lanes.any_free(Some(class), least),
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
                let forgets = self.planted.is(Bug::ForgetHolders);
                let sought = if forgets { key.map(|_| KeyId(u64::MAX)) } else { key };
                match self.lanes.pick_device(class, least, sought, avoid) {
                    Some(pick) => (pick.lane, pick.keyed),
                    None => return Tried::Not,
                }
            }
            _ => return Tried::Not,
        };
        let ask = self.ask(job, part, shape, order);
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
