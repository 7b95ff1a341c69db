//! The modes of execution of a stretch of transactions. Each gives the result of the block's order.

mod ahead;
pub(crate) mod declared;
pub(crate) mod lane;
#[cfg(all(test, loom))]
mod moves;
pub(crate) mod optimistic;
pub(crate) mod ring;
pub(crate) mod route;
pub(crate) mod serial;
pub(crate) mod shards;

use crate::context::{Source, World};
use crate::exec::route::Refusals;
use crate::state::State;
use crate::state::arena::Arena;
use crate::state::cell::Stamp;

/// The parts of a block that every mode of execution needs.
pub(crate) struct Env<'a, T> {
    pub(crate) transactions: &'a [T],
    pub(crate) refusals: &'a Refusals,
    pub(crate) arena: &'a Arena,
    pub(crate) behind: &'a dyn State,
    /// Number of the block's first transaction, counted over all blocks.
    pub(crate) base: u64,
    pub(crate) step_limit: u64,
    pub(crate) log: bool,
}

impl<T> Env<'_, T> {
    pub(crate) fn world<'a>(&'a self, source: Source<'a>) -> World<'a> {
        World {
            arena: self.arena,
            behind: self.behind,
            source,
            resident: self.behind.is_resident(),
            since: self.since(),
            step_limit: self.step_limit,
        }
    }

    /// The oldest stamp of the block.
    pub(crate) fn since(&self) -> Stamp {
        Stamp::new(self.base, 0)
    }

    pub(crate) fn stamp(&self, index: u32, incarnation: u8) -> Stamp {
        Stamp::new(self.base + u64::from(index), incarnation)
    }
}

/// A stretch of the block: the indices of its transactions, in ascending order.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Order<'a> {
    /// All transactions from this index on.
    From(u32),
    /// The transactions at these indices.
    Some(&'a [u32]),
}

impl<'a> Order<'a> {
    #[inline]
    pub(crate) fn at(self, position: u32) -> u32 {
        match self {
            Self::From(first) => first + position,
            Self::Some(list) => list[position as usize],
        }
    }

    /// The stretch without its first `n` places.
    pub(crate) fn skip(self, n: u32) -> Self {
        match self {
            Self::From(first) => Self::From(first + n),
            Self::Some(list) => Self::Some(&list[n as usize..]),
        }
    }
}
