//! One pass over the free lanes: who is still to be looked at, and what was concluded so far.
//!
//! The first step of every shape stands in the queues' own line, which the pass reads as it goes;
//! only those behind a first one that could not start are held here.

use crate::accounts::Closed;
use crate::order::{Grip, Order, Queues, Shape, Spot};
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
    /// How far the line was read.
    cursor: Option<(Order, Shape)>,
    /// The line is not read: `more` had all of it from the start.
    closed_line: bool,
    /// Others to be looked at.
    more: BinaryHeap<Reverse<Head>>,
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
    /// A pass over these alone and those offered later.
    pub(super) fn over(heads: impl Iterator<Item = Head>) -> Pass {
        Pass { closed_line: true, more: heads.map(Reverse).collect(), ..Pass::default() }
    }

    /// The first in the order of those not looked at yet.
    pub(super) fn next(&mut self, queues: &Queues) -> Option<Head> {
        let line = if self.closed_line { None } else { queues.line(self.cursor).next() };
        let Some((order, shape, grip)) = line else {
            return self.more.pop().map(|Reverse(head)| head);
        };
        let head = Head { rank: (false, 0), order, shape, grip };
        if self.more.peek().is_some_and(|Reverse(other)| *other < head) {
            return self.more.pop().map(|Reverse(head)| head);
        }
        self.cursor = Some((order, shape));
        Some(head)
    }

    /// Whether the line will come to that step by itself.
    pub(super) fn comes_to(&self, queues: &Queues, order: Order, shape: Shape) -> bool {
        !self.closed_line && self.cursor < Some((order, shape)) && queues.leads(shape, order)
    }

    /// One more to be looked at.
    pub(super) fn offer(&mut self, head: Head) {
        self.more.push(Reverse(head));
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
