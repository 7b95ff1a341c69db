//! May this step take its memory now: from which purse, and if not, whom does it wait for?

use super::Scheduler;
use super::pass::Pass;
use crate::action::{Action, Place};
use crate::ids::KeyId;
use crate::job::Class;
use crate::ledger::{Reach, Seat};
use crate::memory::Memory;
use crate::order::{Grip, KeySet, Order, Shape};
use crate::planted::Bug;
use crate::state::{Job, Partition};
use crate::trace::{Purse, What};

/// A request for memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) order: Order,
    /// The keys it needs and that are not its partition's yet.
    pub(super) keys: KeySet,
    /// The pools that stay closed to younger work while it is blocked.
    pub(super) takes: u8,
    /// Taken now.
    pub(super) extra: Memory,
    /// Of a newcomer: all that must fit beside what is not counted on to come back.
    pub(super) alone: Memory,
    /// Idle keys may be evicted for it; otherwise it is only a question.
    pub(super) real: bool,
}

impl Scheduler {
    /// The purses that a newcomer of that class may use, in the order in which it tries them.
    pub(super) fn purses(&self, class: Class) -> &'static [Purse] {
        if class == Class::Critical || self.planted.is(Bug::ReserveForAll) {
            &[Purse::Reserve, Purse::General]
        } else {
            &[Purse::General]
        }
    }

    /// What starting a partition's current step asks for.
    pub(super) fn ask(&self, job: &Job, part: &Partition, shape: Shape, order: Order) -> Ask {
        let Shape { keys, takes, .. } = shape;
        let peak = part.current().claim.peak;
        if part.started {
            let extra = peak.saturating_sub(self.held_by(part));
            return Ask { order, keys, takes, extra, alone: Memory::ZERO, real: true };
        }
        let joins = job.admitted.is_none();
        let holds = if joins { job.holds } else { Memory::ZERO };
        let alone = part.profile.peak().add_up(holds);
        Ask { order, keys, takes, extra: peak.add_up(holds), alone, real: true }
    }

    /// Whether the memory can be had now, from which purse; idle keys are evicted for it if that is
    /// what it takes. If not, the elder's pools are closed for the rest of the pass.
    pub(super) fn grant(
        &mut self,
        ask: Ask,
        grip: Grip,
        joins: bool,
        pass: &mut Pass,
    ) -> Option<Purse> {
        if let Some((purse, seat)) = grip {
            return self.grant_growth(ask, purse, seat, pass);
        }
        let job = self.jobs.get(&ask.order.job)?;
        if joins && !self.accounts.admits(job.holds, job.need) {
            self.wait_for_jobs(ask.order, ask.takes, pass);
            return None;
        }
        for &purse in self.purses(ask.order.class) {
            if self.open_to(ask, purse, pass, joins) && self.newcomer_fits(ask, purse) {
                return Some(purse);
            }
        }
        let mut spare = Memory::ZERO;
        if self.open_to(ask, Purse::General, pass, joins) {
            match self.evict_for(ask, None, pass) {
                Ok(()) => return Some(Purse::General),
                Err(evictable) => spare = evictable,
            }
        }
        for &purse in self.purses(ask.order.class) {
            // Where an elder bars it, that elder's own wait is the one to protect.
            if self.open_to(ask, purse, pass, joins) {
                let spare = if purse == Purse::General { spare } else { Memory::ZERO };
                self.close(pass, purse, ask.takes, self.newcomer_reach(ask, purse, spare));
            }
        }
        None
    }

    /// For whom a newcomer waits that does not fit even when `spare` is evicted.
    fn newcomer_reach(&self, ask: Ask, purse: Purse, spare: Memory) -> Reach {
        let ledger = self.accounts.purse(purse);
        match ledger.blocker(None, ask.extra.saturating_sub(spare)) {
            Some(reach) if ledger.alone(ask.alone.saturating_sub(spare)) => reach,
            _ => Reach::Running,
        }
    }

    fn grant_growth(
        &mut self,
        ask: Ask,
        purse: Purse,
        seat: Seat,
        pass: &mut Pass,
    ) -> Option<Purse> {
        let ledger = self.accounts.purse(purse);
        if ledger.blocker(Some(seat), ask.extra).is_none()
            || self.planted.is(Bug::UnsafeGrowth) && ask.extra.fits(ledger.free())
        {
            return Some(purse);
        }
        let spare = match purse {
            Purse::General => match self.evict_for(ask, Some(seat), pass) {
                Ok(()) => return Some(purse),
                Err(evictable) => evictable,
            },
            Purse::Reserve => Memory::ZERO,
        };
        let lacking = ask.extra.saturating_sub(spare);
        let reach = self.accounts.purse(purse).blocker(Some(seat), lacking);
        self.close(pass, purse, ask.takes, reach.unwrap_or(Reach::Running));
        None
    }

    fn close(&self, pass: &mut Pass, purse: Purse, takes: u8, reach: Reach) {
        pass.concluded = true;
        if !self.planted.is(Bug::PassFreely) {
            pass.closed.close(purse, takes, reach);
        }
    }

    /// No elder of this pass keeps that purse closed to a newcomer.
    fn open_to(&self, ask: Ask, purse: Purse, pass: &Pass, joins: bool) -> bool {
        !pass.closed.bars(purse, ask.takes, |reach| reach == Reach::Admitted && !joins)
    }

    fn newcomer_fits(&self, ask: Ask, purse: Purse) -> bool {
        let ledger = self.accounts.purse(purse);
        ledger.alone(ask.alone) && ledger.blocker(None, ask.extra).is_none()
    }

    /// Whether a key's shared copy may be brought in now for a fresh partition.
    pub(super) fn grant_load(&mut self, ask: Ask, joins: bool, pass: &mut Pass) -> bool {
        let Some(job) = self.jobs.get(&ask.order.job) else { return false };
        if joins && !self.accounts.admits(job.holds, job.need) {
            self.wait_for_jobs(ask.order, ask.takes, pass);
            return false;
        }
        if self.newcomer_fits(ask, Purse::General) {
            return true;
        }
        let Err(spare) = self.evict_for(ask, None, pass) else { return true };
        let reach = self.newcomer_reach(ask, Purse::General, spare);
        self.close(pass, Purse::General, ask.takes, reach);
        false
    }

    /// A step whose job may not take its hold yet waits for whole jobs to end, whatever else it
    /// lacks: a key that it wants may go meanwhile, and it waits all the same.
    pub(super) fn wait_for_jobs(&self, order: Order, takes: u8, pass: &mut Pass) {
        for &purse in self.purses(order.class) {
            self.close(pass, purse, takes, Reach::Admitted);
        }
        pass.for_jobs.push((order, takes));
    }

    /// Evicts just enough idle keys, unused for longest first, to make a grant from the general
    /// purse possible; if all of them would not be enough, none, and how much they would be.
    fn evict_for(&mut self, ask: Ask, seat: Option<Seat>, pass: &mut Pass) -> Result<(), Memory> {
        let ledger = self.accounts.purse(Purse::General);
        let short = ledger.shortage(seat, ask.extra, ask.alone);
        let (mut enough, mut freed, mut all) = (Vec::new(), Memory::ZERO, Memory::ZERO);
        for (key, memory) in self.keys.idle() {
            if self.spares(key, ask, pass) {
                continue;
            }
            all += memory;
            if (0..2).any(|pool| memory[pool] > 0 && freed[pool] < short[pool]) {
                freed += memory;
                enough.push(key);
            }
        }
        if !short.fits(freed) {
            return Err(all);
        }
        for key in enough.into_iter().filter(|_| ask.real) {
            pass.concluded = true;
            self.evict(key);
        }
        Ok(())
    }

    /// Whether a key is wanted by the step that asks for memory, or by one before it in the order
    /// that does not itself wait for other jobs to end: those jobs may need the memory. The first
    /// of each shape speaks for all: whoever follows one that waits for jobs waits for them too.
    fn spares(&self, key: KeyId, ask: Ask, pass: &Pass) -> bool {
        let waits_for_jobs = |order: Order, shape: Shape| {
            let mut blocked = pass.for_jobs.iter();
            shape.joins
                && blocked.any(|&(first, closed)| first <= order && closed & shape.takes != 0)
        };
        self.queues.keys(ask.keys).contains(&key)
            || self
                .queues
                .wanting(key)
                .any(|(order, shape)| order < ask.order && !waits_for_jobs(order, shape))
    }

    /// Gives an idle key's shared memory back.
    pub(super) fn evict(&mut self, key: KeyId) {
        let freed = self.keys.change(key, |k| {
            k.copy = crate::keys::Copy::Absent;
            k.spec.shared
        });
        let place = Place::Shared;
        self.accounts.purse_mut(Purse::General).return_outright(freed.unwrap_or_default());
        self.note(What::Evicted { key, place });
        self.act(Action::Evict { key, place });
    }
}
