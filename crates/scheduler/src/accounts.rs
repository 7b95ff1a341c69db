//! Both purses, and what jobs that hold memory may still need.

use crate::ledger::{Ledger, Reach};
use crate::memory::{Memory, Pool};
use crate::trace::Purse;
use std::collections::BTreeMap;

const POOLS: usize = Pool::SHARED.len();

/// See the module docs.
#[derive(Debug)]
pub(crate) struct Accounts {
    general: Ledger,
    reserve: Ledger,
    general_budget: Memory,
    /// Job holds paid by the general purse.
    job_holds: Memory,
    /// Per pool, how many admitted jobs need how much beside all job holds.
    needs: [BTreeMap<u64, u32>; POOLS],
    /// Shared copies of pinned keys, there or not.
    pub(crate) pinned: Memory,
}

impl Accounts {
    pub(crate) fn new(budget: Memory, reserve: Memory) -> Accounts {
        let general_budget = budget.saturating_sub(reserve);
        Accounts {
            general: Ledger::new(general_budget),
            reserve: Ledger::new(budget - general_budget),
            general_budget,
            job_holds: Memory::ZERO,
            needs: [BTreeMap::new(), BTreeMap::new()],
            pinned: Memory::ZERO,
        }
    }

    pub(crate) fn purse(&self, purse: Purse) -> &Ledger {
        match purse {
            Purse::General => &self.general,
            Purse::Reserve => &self.reserve,
        }
    }

    pub(crate) fn purse_mut(&mut self, purse: Purse) -> &mut Ledger {
        match purse {
            Purse::General => &mut self.general,
            Purse::Reserve => &mut self.reserve,
        }
    }

    pub(crate) fn reserved(&self) -> Memory {
        self.general.taken() + self.reserve.taken()
    }

    /// What a lone job may need in all, pins respected.
    pub(crate) fn room(&self, pinned: Memory) -> Memory {
        self.general_budget.saturating_sub(pinned)
    }

    /// The most that an admitted job needs beside all job holds.
    fn largest_need(&self) -> Memory {
        let most = |pool: usize| self.needs[pool].last_key_value().map_or(0, |(need, _)| *need);
        Memory { host: most(0), pinned: most(1) }
    }

    /// Whether, with this job's hold taken too, there is room beside all job holds for the largest
    /// need of any admitted job.
    pub(crate) fn admits(&self, holds: Memory, need: Memory) -> bool {
        self.admits_beside(holds, need, self.pinned)
    }

    /// The same, if so much were pinned.
    pub(crate) fn admits_beside(&self, holds: Memory, need: Memory, pinned: Memory) -> bool {
        let most = self.largest_need().max(need);
        let all = self.job_holds.checked_add(holds).and_then(|sum| sum.checked_add(most));
        all.is_some_and(|all| all.fits(self.room(pinned)))
    }

    pub(crate) fn admit(&mut self, purse: Purse, holds: Memory, need: Memory) {
        self.purse_mut(purse).take_outright(holds);
        if purse == Purse::General {
            self.job_holds += holds;
        }
        self.count(need);
    }

    /// An admitted job's need is another than before.
    pub(crate) fn rate(&mut self, before: Memory, need: Memory) {
        self.uncount(before);
        self.count(need);
    }

    fn count(&mut self, need: Memory) {
        for pool in 0..POOLS {
            *self.needs[pool].entry(need[pool]).or_default() += 1;
        }
    }

    pub(crate) fn dismiss(&mut self, purse: Purse, holds: Memory, need: Memory) {
        self.purse_mut(purse).return_outright(holds);
        if purse == Purse::General {
            self.job_holds -= holds;
        }
        self.uncount(need);
    }

    fn uncount(&mut self, need: Memory) {
        for pool in 0..POOLS {
            if let Some(count) = self.needs[pool].get_mut(&need[pool]) {
                *count -= 1;
                if *count == 0 {
                    self.needs[pool].remove(&need[pool]);
                }
            }
        }
    }
}

/// The pools that younger work may not take from during one pass over free lanes, and who may all
/// the same: those for whom a blocked elder waits.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    limits: [[Option<Reach>; POOLS]; 2],
}

impl Closed {
    /// An elder is blocked on these pools of a purse and waits for everyone up to `reach`.
    pub(crate) fn close(&mut self, purse: Purse, takes: u8, reach: Reach) {
        for pool in 0..POOLS {
            if takes & (1 << pool) != 0 {
                let limit = &mut self.limits[purse as usize][pool];
                *limit = Some(limit.map_or(reach, |old| old.min(reach)));
            }
        }
    }

    /// Whether someone who takes from these pools has to stay behind; `passes` says whom a limit
    /// lets through.
    pub(crate) fn bars(&self, purse: Purse, takes: u8, passes: impl Fn(Reach) -> bool) -> bool {
        let limits = self.limits[purse as usize].iter().enumerate();
        limits
            .filter(|(pool, _)| takes & (1 << pool) != 0)
            .any(|(_, limit)| limit.is_some_and(|reach| !passes(reach)))
    }
}

/// Bit per pool with anything in it.
pub(crate) fn pools_of(memory: Memory) -> u8 {
    (0..POOLS).filter(|&pool| memory[pool] > 0).map(|pool| 1 << pool).sum()
}
