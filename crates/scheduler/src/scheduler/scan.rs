//! One scan over the free workers: who is still to be looked at, and what was concluded so far.
//!
//! The first step of every requirements stands in the queues' own line, which the scan reads as it goes;
//! only those behind a first one that could not start are held here.

use crate::budgets::ClosedPools;
use crate::ready::{Holding, MinWorker, Priority, ReadyQueues, Requirements};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The first step of a requirements that is still to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Before the priority; the same for all unless a bug is planted.
    pub(super) rank: (bool, u32),
    pub(super) priority: Priority,
    pub(super) requirements: Requirements,
    pub(super) holding: Holding,
}

/// See the module docs.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// How far the line was read.
    cursor: Option<(Priority, Requirements)>,
    /// The line is not read: `more` had all of it from the start.
    fixed_candidates: bool,
    /// Others to be looked at.
    others: BinaryHeap<Reverse<Candidate>>,
    pub(super) closed_pools: ClosedPools,
    /// Steps that wait for other jobs to end before their own may take its hold, and the pools
    /// they keep closed.
    pub(super) waiting_for_jobs: Vec<(Priority, u8)>,
    /// Kinds of busy workers whose first in line was looked at.
    seen: Vec<MinWorker>,
    /// Something was concluded about an elder, or keys were evicted: after the next start it may
    /// no longer be so.
    pub(super) concluded: bool,
}

impl Scan {
    /// A scan over these total and those offered later.
    pub(super) fn over(candidates: impl Iterator<Item = Candidate>) -> Scan {
        Scan {
            fixed_candidates: true,
            others: candidates.map(Reverse).collect(),
            ..Scan::default()
        }
    }

    /// The first in the priority of those not looked at yet.
    pub(super) fn next(&mut self, queues: &ReadyQueues) -> Option<Candidate> {
        let line = if self.fixed_candidates { None } else { queues.heads(self.cursor).next() };
        let Some((priority, requirements, holding)) = line else {
            return self.others.pop().map(|Reverse(candidate)| candidate);
        };
        let candidate = Candidate { rank: (false, 0), priority, requirements, holding };
        if self.others.peek().is_some_and(|Reverse(other)| *other < candidate) {
            return self.others.pop().map(|Reverse(candidate)| candidate);
        }
        self.cursor = Some((priority, requirements));
        Some(candidate)
    }

    /// Whether the line will come to that step by itself.
    pub(super) fn will_reach(
        &self,
        queues: &ReadyQueues,
        priority: Priority,
        requirements: Requirements,
    ) -> bool {
        !self.fixed_candidates
            && self.cursor < Some((priority, requirements))
            && queues.is_head(requirements, priority)
    }

    /// One more to be looked at.
    pub(super) fn add(&mut self, candidate: Candidate) {
        self.others.push(Reverse(candidate));
    }

    /// Whether this is the first look at that kind of worker.
    pub(super) fn first_look_at(&mut self, min_worker: MinWorker) -> bool {
        let first = !self.seen.contains(&min_worker);
        if first {
            self.seen.push(min_worker);
        }
        first
    }
}
