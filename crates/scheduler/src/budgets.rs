//! The two parts of the memory budget, and the rule by which a job may take its own memory.
//!
//! [`Budgets`] keeps the [`Reservations`] of each part and, for every admitted job, what it may
//! still need beside its own memory. [`ClosedPools`] says which pools later steps may not take from
//! while an earlier step is blocked.

use crate::memory::{Memory, Pool};
use crate::reservations::{BlockedOn, Reservations};
use crate::trace::BudgetPart;
use std::collections::BTreeMap;

const POOLS: usize = Pool::SHARED.len();

/// The memory accounts of the scheduler.
#[derive(Debug)]
pub(crate) struct Budgets {
    general: Reservations,
    reserve: Reservations,
    general_budget: Memory,
    /// Own memory of the admitted jobs that took it from the general part.
    job_holds: Memory,
    /// By pool: the needs of the admitted jobs (bytes), each with the number of jobs that have it.
    needs: [BTreeMap<u64, u32>; POOLS],
    /// Bytes of the shared copies of all pinned keys, resident or not.
    pub(crate) pinned: Memory,
}

impl Budgets {
    pub(crate) fn new(budget: Memory, reserve: Memory) -> Budgets {
        let general_budget = budget.saturating_sub(reserve);
        Budgets {
            general: Reservations::new(general_budget),
            reserve: Reservations::new(budget - general_budget),
            general_budget,
            job_holds: Memory::ZERO,
            needs: [BTreeMap::new(), BTreeMap::new()],
            pinned: Memory::ZERO,
        }
    }

    pub(crate) fn reservations(&self, budget_part: BudgetPart) -> &Reservations {
        match budget_part {
            BudgetPart::General => &self.general,
            BudgetPart::Reserve => &self.reserve,
        }
    }

    pub(crate) fn reservations_mut(&mut self, budget_part: BudgetPart) -> &mut Reservations {
        match budget_part {
            BudgetPart::General => &mut self.general,
            BudgetPart::Reserve => &mut self.reserve,
        }
    }

    /// All bytes taken, in both parts.
    pub(crate) fn reserved(&self) -> Memory {
        self.general.taken() + self.reserve.taken()
    }

    /// The most that one job alone may need in all, if `pinned` bytes of keys are pinned.
    pub(crate) fn capacity(&self, pinned: Memory) -> Memory {
        self.general_budget.saturating_sub(pinned)
    }

    /// The largest need of any admitted job, pool by pool.
    fn largest_need(&self) -> Memory {
        let most = |pool: usize| self.needs[pool].last_key_value().map_or(0, |(need, _)| *need);
        Memory { host: most(0), pinned: most(1) }
    }

    /// Whether a job may take its own memory `holds`: the own memory of all admitted jobs, this one
    /// included, and the largest `need` of any of them fit in the general part together.
    pub(crate) fn admits(&self, holds: Memory, need: Memory) -> bool {
        self.admits_with_pins(holds, need, self.pinned)
    }

    /// The same rule if `pinned` bytes of keys were pinned.
    pub(crate) fn admits_with_pins(&self, holds: Memory, need: Memory, pinned: Memory) -> bool {
        let most = self.largest_need().max(need);
        let all = self.job_holds.checked_add(holds).and_then(|sum| sum.checked_add(most));
        all.is_some_and(|all| all.fits(self.capacity(pinned)))
    }

    /// Takes a job's own memory and counts its need.
    pub(crate) fn admit_job(&mut self, budget_part: BudgetPart, holds: Memory, need: Memory) {
        self.reservations_mut(budget_part).take_fixed(holds);
        if budget_part == BudgetPart::General {
            self.job_holds += holds;
        }
        self.add_need(need);
    }

    /// Changes the need of an admitted job.
    pub(crate) fn replace_need(&mut self, before: Memory, need: Memory) {
        self.remove_need(before);
        self.add_need(need);
    }

    fn add_need(&mut self, need: Memory) {
        for pool in 0..POOLS {
            *self.needs[pool].entry(need[pool]).or_default() += 1;
        }
    }

    /// Undoes [`Budgets::admit_job`].
    pub(crate) fn release_job(&mut self, budget_part: BudgetPart, holds: Memory, need: Memory) {
        self.reservations_mut(budget_part).return_fixed(holds);
        if budget_part == BudgetPart::General {
            self.job_holds -= holds;
        }
        self.remove_need(need);
    }

    fn remove_need(&mut self, need: Memory) {
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

/// The pools that later steps may not take memory from during one scan, because an earlier step is
/// blocked on memory (a blocked head). Each closed pool names the partitions that may still take
/// from it: those that the blocked head waits for.
#[derive(Debug, Default)]
pub(crate) struct ClosedPools {
    limits: [[Option<BlockedOn>; POOLS]; 2],
}

impl ClosedPools {
    /// Closes pools (bit mask) of a budget part for a blocked head that waits for `blocked_on`. A
    /// pool that is closed already keeps the smaller set of exceptions.
    pub(crate) fn close(&mut self, budget_part: BudgetPart, pools: u8, blocked_on: BlockedOn) {
        for pool in 0..POOLS {
            if pools & (1 << pool) != 0 {
                let limit = &mut self.limits[budget_part as usize][pool];
                *limit = Some(limit.map_or(blocked_on, |old| old.min(blocked_on)));
            }
        }
    }

    /// Whether a step that takes from these pools (bit mask) must wait; `passes` says whether the
    /// step is an exception to a closed pool.
    pub(crate) fn closed_to(
        &self,
        budget_part: BudgetPart,
        pools: u8,
        passes: impl Fn(BlockedOn) -> bool,
    ) -> bool {
        let limits = self.limits[budget_part as usize].iter().enumerate();
        limits
            .filter(|(pool, _)| pools & (1 << pool) != 0)
            .any(|(_, limit)| limit.is_some_and(|blocked_on| !passes(blocked_on)))
    }
}

/// Bit mask of the pools in which `memory` is not zero.
pub(crate) fn pools_of(memory: Memory) -> u8 {
    (0..POOLS).filter(|&pool| memory[pool] > 0).map(|pool| 1 << pool).sum()
}
