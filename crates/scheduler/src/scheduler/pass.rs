//! One pass over the free lanes: who is still to be looked at, and what was concluded so far.

use crate::accounts::Closed;
use crate::order::{Grip, Order, Shape, Spot};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The first step of a shape that is still to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    /// Before the order; the same for all unless a bug is planted.
    pub(super) rank: (bool, u32),
    pub(super) order: Order,
    pub(super) shape: Shape,
    pub(super) grip: Grip,
}

/// See the module docs.
#[derive(Debug, Default)]
pub(super) struct Pass {
    heads: BinaryHeap<Reverse<Head>>,
    pub(super) closed: Closed,
    /// Steps that wait for other jobs to end before their own may take its hold, and the pools
    /// they keep closed.
    pub(super) for_jobs: Vec<(Order, u8)>,
    /// Kinds of busy lanes whose first in line was looked at.
    seen: Vec<Spot>,
    /// Something was concluded about an elder, or keys were evicted: after the next start it may
    /// no longer be so.
    pub(super) concluded: bool,
}

impl Pass {
    pub(super) fn new(heads: impl Iterator<Item = Head>) -> Pass {
        Pass { heads: heads.map(Reverse).collect(), ..Pass::default() }
    }

    /// The first in the order.
    pub(super) fn next(&mut self) -> Option<Head> {
        self.heads.pop().map(|Reverse(head)| head)
    }

    /// One more to be looked at.
    pub(super) fn offer(&mut self, head: Option<Head>) {
        self.heads.extend(head.map(Reverse));
    }

    /// Whether this is the first look at that kind of lane.
    pub(super) fn first_seen(&mut self, spot: Spot) -> bool {
        let first = !self.seen.contains(&spot);
        if first {
            self.seen.push(spot);
        }
        first
    }
}
