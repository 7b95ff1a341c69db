//! One scan over the ready steps: which are still to be looked at, and what was found out so far.
//!
//! The scan reads the queue heads from [`ReadyQueues::heads`] as it goes. It stores only the steps
//! behind a head that could not start.

use crate::budgets::ClosedPools;
use crate::ready::{Holding, MinWorker, Priority, ReadyQueues, Requirements};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A ready step that is still to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Compared before the priority; the same for all candidates unless a bug is planted.
    pub(super) rank: (bool, u32),
    pub(super) priority: Priority,
    pub(super) requirements: Requirements,
    pub(super) holding: Holding,
}

/// The state of one scan.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The last queue head that was read.
    cursor: Option<(Priority, Requirements)>,
    /// The queue heads are not read: `others` had all candidates from the start.
    fixed_candidates: bool,
    /// Candidates beside the queue heads.
    others: BinaryHeap<Reverse<Candidate>>,
    pub(super) closed_pools: ClosedPools,
    /// Steps that wait for other jobs to end before their own job may take its memory, each with a
    /// bit mask of the pools that it closes.
    pub(super) waiting_for_jobs: Vec<(Priority, u8)>,
    /// The kinds of busy workers whose first step in line was looked at.
    seen: Vec<MinWorker>,
    /// A candidate was found to be blocked, or keys were evicted. After the next start that may no
    /// longer hold, so the scan begins again.
    pub(super) rescan_after_start: bool,
}

impl Scan {
    /// A scan over these candidates and those added later.
    pub(super) fn over(candidates: impl Iterator<Item = Candidate>) -> Scan {
        Scan {
            fixed_candidates: true,
            others: candidates.map(Reverse).collect(),
            ..Scan::default()
        }
    }

    /// The first candidate in priority order that was not looked at yet.
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

    /// Whether the scan will reach that step as a queue head.
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

    /// Adds a candidate.
    pub(super) fn add(&mut self, candidate: Candidate) {
        self.others.push(Reverse(candidate));
    }

    /// Whether this is the first look at a step for that kind of worker.
    pub(super) fn first_look_at(&mut self, min_worker: MinWorker) -> bool {
        let first = !self.seen.contains(&min_worker);
        if first {
            self.seen.push(min_worker);
        }
        first
    }
}
