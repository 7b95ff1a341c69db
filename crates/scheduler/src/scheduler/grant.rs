//! May this step take its memory now: from which purse, and if not, whom does it wait for?

use super::Scheduler;
use crate::accounts::Closed;
use crate::action::{Action, Place};
use crate::ids::KeyId;
use crate::job::Class;
use crate::ledger::{Reach, Seat};
use crate::memory::Memory;
use crate::order::{Grip, Order};
use crate::planted::Bug;
use crate::state::{Job, Partition};
use crate::trace::{Purse, What};

/// What one pass over the free lanes has learned so far.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) closed: Closed,
    /// An elder waits for other jobs to end, so keys it wants protect themselves no longer.
    unprotected: bool,
    /// Keys were evicted: what was concluded about elders before may no longer hold.
    pub(super) evicted: bool,
}

/// A request for memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) order: Order,
    /// The pools that stay closed to younger work while it is blocked.
    pub(super) takes: u8,
    /// Taken now.
    pub(super) extra: Memory,
    /// Of a newcomer: all that must fit beside what is not counted on to come back.
    pub(super) alone: Memory,
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
    pub(super) fn ask(&self, job: &Job, part: &Partition, takes: u8, order: Order) -> Ask {
        let peak = part.current().claim.peak;
        if part.started {
            let extra = peak.saturating_sub(self.held_by(part));
            return Ask { order, takes, extra, alone: Memory::ZERO };
        }
        let joins = job.admitted.is_none();
        let holds = if joins { job.holds } else { Memory::ZERO };
        let alone = part.profile.peak().add_up(holds);
        Ask { order, takes, extra: peak.add_up(holds), alone }
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
            for &purse in self.purses(ask.order.class) {
                self.close(pass, purse, ask.takes, Reach::Admitted);
            }
            pass.unprotected = true;
            return None;
        }
        for &purse in self.purses(ask.order.class) {
            if self.open_to(ask, purse, pass, joins) && self.newcomer_fits(ask, purse) {
                return Some(purse);
            }
        }
        if self.open_to(ask, Purse::General, pass, joins) && self.evict_for(ask, None, pass) {
            return Some(Purse::General);
        }
        for &purse in self.purses(ask.order.class) {
            let reach = self.accounts.purse(purse).blocker(None, ask.extra);
            self.close(pass, purse, ask.takes, reach.unwrap_or(Reach::Running));
        }
        None
    }

    fn grant_growth(
        &mut self,
        ask: Ask,
        purse: Purse,
        seat: Seat,
        pass: &mut Pass,
    ) -> Option<Purse> {
        let Some(reach) = self.accounts.purse(purse).blocker(Some(seat), ask.extra) else {
            return Some(purse);
        };
        let free = self.accounts.purse(purse).free();
        if self.planted.is(Bug::UnsafeGrowth) && ask.extra.fits(free) {
            return Some(purse);
        }
        if purse == Purse::General && self.evict_for(ask, Some(seat), pass) {
            return Some(purse);
        }
        self.close(pass, purse, ask.takes, reach);
        None
    }

    fn close(&self, pass: &mut Pass, purse: Purse, takes: u8, reach: Reach) {
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
        let reach = if joins && !self.accounts.admits(job.holds, job.need) {
            pass.unprotected = true;
            Reach::Admitted
        } else if self.newcomer_fits(ask, Purse::General) || self.evict_for(ask, None, pass) {
            return true;
        } else {
            let reach = self.accounts.purse(Purse::General).blocker(None, ask.extra);
            reach.unwrap_or(Reach::Running)
        };
        self.close(pass, Purse::General, ask.takes, reach);
        false
    }

    /// Evicts just enough idle keys, unused for longest first, to make a grant from the general
    /// purse possible; none if all of them would not be enough.
    fn evict_for(&mut self, ask: Ask, seat: Option<Seat>, pass: &mut Pass) -> bool {
        let ledger = self.accounts.purse(Purse::General);
        let short = ledger.shortage(seat, ask.extra, ask.alone);
        let mut gone = Vec::new();
        let mut freed = Memory::ZERO;
        for (key, memory) in self.keys.evictable(Some(ask.order), pass.unprotected) {
            if short.fits(freed) {
                break;
            }
            let helps = (0..2).any(|pool| memory[pool] > 0 && freed[pool] < short[pool]);
            if helps {
                freed += memory;
                gone.push(key);
            }
        }
        if !short.fits(freed) {
            return false;
        }
        for key in gone {
            pass.evicted = true;
            self.evict(key);
        }
        true
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
