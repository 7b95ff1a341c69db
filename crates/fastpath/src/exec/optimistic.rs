//! Ordered optimistic execution, after Block-STM (Gelashvili et al., PPoPP 2023).
//!
//! Workers claim transactions in order, a chunk at a time, and run them ahead against what lower
//! transactions have left so far. The frontier is the first transaction that is not committed; the
//! worker that claimed it, and nobody else, commits it: it checks that every stamp it read is still
//! the committed one, and if not, executes once more, now with everything below committed, which
//! cannot fail. So commits roll in block order, each transaction is validated exactly once, and the
//! token passes with one store per chunk.
//!
//! A read that meets an estimate (a write that a lower transaction owes) suspends the execution; the
//! worker goes on with other work and returns when the estimate is resolved. There is no waiting
//! cycle: the transaction at the frontier depends on nobody, and its owner executes it next.
//!
//! An execution that is repeated makes those worthless that have read what the first one left, and those
//! what they left in turn: with deep queues one conflict goes on for ever. So where conflicts are
//! frequent, a worker claims nothing before what it holds is committed.
//!
//! Block-STM validates a transaction whenever something below it changed, which is several times per
//! execution. Here a transaction waits in its worker's queue until its turn; what it read is checked
//! in the cache where it was read.

use std::collections::VecDeque;

use super::lane::{Execution, Lane, refusal};
use super::ring::Ring;
use super::{Env, Order};
use crate::Transaction;
use crate::context::{Interrupted, Source, attempt};
use crate::pool::Pool;
use crate::state::cell::Stamp;
use crate::sync::{AtomicU32, Ordering, relax};
use crate::transaction::{Access, Declaration};

/// Commits before the conflict rate is believed.
const WARM_UP: u32 = 64;
/// Commits for each conflict, below which nobody runs far ahead.
const FREQUENT: u32 = 5;
/// Turns of the waiting loop before the core is offered to others.
const SPINS: u32 = 4096;

/// How to run a stretch.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) threads: usize,
    /// Transactions claimed at once.
    pub(crate) chunk: u32,
    /// Whether uncommitted writes are shown to higher transactions.
    pub(crate) share: bool,
    /// Conflicts per commit past which the stretch is given up.
    pub(crate) most_conflicts: f64,
}

/// A line of its own, so that what one worker stores does not take its neighbour from another.
#[repr(align(128))]
struct Line<T>(T);

struct Shared {
    /// The first position that is not committed. Only its owner moves it.
    frontier: Line<AtomicU32>,
    next: Line<AtomicU32>,
    /// Set when no more should be claimed.
    stop: Line<AtomicU32>,
    conflicts: Line<AtomicU32>,
}

struct Job {
    position: u32,
    attempts: u32,
    /// Whether the ring holds anything of it.
    published: bool,
    state: Progress,
}

enum Progress {
    /// Not executed, or given up until `on` has delivered.
    Waiting {
        on: Option<u32>,
    },
    /// The commit does everything.
    AtTurn,
    Done {
        execution: Box<Execution>,
        stamp: Stamp,
    },
}

/// Executes up to `count` places of a stretch and returns how many: fewer if there were too many
/// conflicts.
pub(crate) fn run<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    tuning: Tuning,
    ring: &mut Ring,
    pool: &Pool,
    lanes: &[std::sync::Mutex<Lane>],
) -> u32 {
    ring.reset();
    let line = |n| Line(AtomicU32::new(n));
    let shared = Shared { frontier: line(0), next: line(0), stop: line(0), conflicts: line(0) };
    let ring = &*ring;
    pool.run(tuning.threads, &|worker| {
        let mut lane = crate::sync_lock(&lanes[worker]);
        let mut worker = Worker {
            env,
            order,
            count,
            tuning,
            ring,
            shared: &shared,
            lane: &mut lane,
            queue: VecDeque::new(),
            longest: (ring.len() / tuning.threads / 2).max(1),
        };
        worker.work();
    });
    shared.next.0.load(Ordering::Relaxed).min(count)
}

struct Worker<'a, T> {
    env: &'a Env<'a, T>,
    order: Order<'a>,
    count: u32,
    tuning: Tuning,
    ring: &'a Ring,
    shared: &'a Shared,
    lane: &'a mut Lane,
    /// Claimed and not committed, in order.
    queue: VecDeque<Job>,
    longest: usize,
}

impl<T: Transaction> Worker<'_, T> {
    fn work(&mut self) {
        let mut idle = 0;
        loop {
            let frontier = self.shared.frontier.0.load(Ordering::Acquire);
            let committed = self.commit_from(frontier);
            if self.advance() || self.claim(frontier) || committed {
                idle = 0;
                continue;
            }
            if self.queue.is_empty() && self.is_over() {
                return;
            }
            idle += 1;
            if idle % SPINS == 0 {
                std::thread::yield_now();
            }
            relax();
        }
    }

    fn is_over(&self) -> bool {
        self.shared.stop.0.load(Ordering::Relaxed) != 0
            || self.shared.next.0.load(Ordering::Relaxed) >= self.count
    }

    /// Claims the next chunk, if the window and this worker's queue have room for it.
    fn claim(&mut self, frontier: u32) -> bool {
        let next = self.shared.next.0.load(Ordering::Relaxed);
        let chunk = self.tuning.chunk;
        let reach = frontier as usize + self.ring.len() - chunk as usize * self.tuning.threads;
        let conflicts = self.shared.conflicts.0.load(Ordering::Relaxed);
        let frequent = conflicts.saturating_mul(FREQUENT) > frontier.max(WARM_UP);
        let longest = if frequent { 1 } else { self.longest };
        if self.is_over() || self.queue.len() >= longest || next as usize >= reach {
            return false;
        }
        let first = self.shared.next.0.fetch_add(chunk, Ordering::Relaxed);
        for position in first..(first.saturating_add(chunk)).min(self.count) {
            let mut job = Job {
                position,
                attempts: 0,
                published: false,
                state: Progress::Waiting { on: None },
            };
            self.announce(&mut job);
            self.queue.push_back(job);
        }
        first < self.count
    }

    /// Shows the writes that a transaction guesses, so that higher ones wait for them.
    fn announce(&mut self, job: &mut Job) {
        let transaction = &self.env.transactions[self.order.at(job.position) as usize];
        if !self.tuning.share {
            return;
        }
        if let Access::Keys { kind: Declaration::Guess, writes, .. } = transaction.access()
            && !writes.is_empty()
        {
            let Env { arena, behind, .. } = *self.env;
            let slots = writes.iter().map(|key| arena.plain(key, behind));
            self.ring.expect(arena, job.position, slots);
            job.published = true;
        }
    }

    /// Commits this worker's transactions from the frontier on, then passes the frontier.
    fn commit_from(&mut self, frontier: u32) -> bool {
        let mut next = frontier;
        while self.queue.front().is_some_and(|job| job.position == next) {
            let job = self.queue.pop_front().expect("looked at above");
            self.commit(job);
            next += 1;
        }
        if next != frontier {
            self.shared.frontier.0.store(next, Ordering::Release);
        }
        next != frontier
    }

    fn commit(&mut self, mut job: Job) {
        let env = self.env;
        let index = self.order.at(job.position);
        let transaction = &env.transactions[index as usize];
        let held = match job.state {
            Progress::Waiting { .. } | Progress::AtTurn => None,
            Progress::Done { execution, stamp } => {
                self.lane.cost.validations += 1;
                let frame = &execution.frame;
                let holds = frame.is_valid(env.arena)
                    && frame.apply(env.arena, stamp, env.since(), &mut self.lane.dirty);
                if holds {
                    Some(execution)
                } else {
                    self.lane.spare.push(execution);
                    self.conflict(&job.position);
                    if job.published {
                        self.ring.reopen(job.position);
                    }
                    None
                }
            }
        };
        let is_due = held.is_none();
        let mut execution = held.unwrap_or_else(|| self.lane.execution(env.log));
        if let Some(failure) = env.refusals.get(index) {
            execution.receipt = refusal(transaction, failure);
        } else if is_due {
            job.attempts += 1;
            self.lane.cost.executions += 1;
            let world = env.world(Source::Committed);
            let Execution { frame, receipt } = &mut *execution;
            receipt.attempts = job.attempts;
            if let Err(interrupted) = attempt(transaction, &world, &[], frame, receipt) {
                debug_assert_eq!(interrupted, Interrupted::StateLost);
            }
            let stamp = env.stamp(index, 1);
            let applied = frame.apply(env.arena, stamp, env.since(), &mut self.lane.dirty);
            debug_assert!(applied, "credits were checked as they were made");
        }
        if job.published {
            self.ring.retire(env.arena, job.position);
        }
        let attempts = execution.receipt.attempts;
        self.lane.take_receipt(index, &mut execution.receipt);
        if attempts > 0 {
            self.lane.settle(index, &mut execution.frame);
        }
        self.lane.cost.optimistic += 1;
        self.lane.spare.push(execution);
        self.lane.tick(index, attempts);
    }

    /// Counts a conflict, and stops the stretch if they are too many.
    #[cold]
    fn conflict(&mut self, position: &u32) {
        self.lane.cost.conflicts += 1;
        let conflicts = self.shared.conflicts.0.fetch_add(1, Ordering::Relaxed) + 1;
        let commits = position + 1;
        if commits >= WARM_UP
            && f64::from(conflicts) > self.tuning.most_conflicts * f64::from(commits)
        {
            self.shared.stop.0.store(1, Ordering::Relaxed);
        }
    }

    /// Runs the first of this worker's transactions that can run. `false` if there is none.
    fn advance(&mut self) -> bool {
        let ring = self.ring;
        let ready = self.queue.iter_mut().find(|job| match job.state {
            Progress::Waiting { on: None } => true,
            Progress::Waiting { on: Some(on) } => !ring.is_estimate(on),
            Progress::AtTurn | Progress::Done { .. } => false,
        });
        let Some(job) = ready else { return false };
        let env = self.env;
        let index = self.order.at(job.position);
        if env.refusals.get(index).is_some()
            || self.shared.frontier.0.load(Ordering::Acquire) == job.position
        {
            // Nothing to run, or everything below is committed.
            job.state = Progress::AtTurn;
            return true;
        }
        let transaction = &env.transactions[index as usize];
        job.attempts += 1;
        self.lane.cost.executions += 1;
        let mut execution = self.lane.execution(env.log);
        let Execution { frame, receipt } = &mut *execution;
        let world = env.world(Source::Ahead { ring, index: job.position });
        receipt.attempts = job.attempts;
        match attempt(transaction, &world, &[], frame, receipt) {
            Ok(()) => {
                let stamp = env.stamp(index, 0);
                let turn = self.shared.frontier.0.load(Ordering::Acquire) == job.position;
                if job.published || (self.tuning.share && !turn && !frame.writes.is_empty()) {
                    ring.publish(env.arena, job.position, stamp, &frame.writes);
                    job.published = true;
                }
                job.state = Progress::Done { execution, stamp };
            }
            Err(interrupted) => {
                self.lane.cost.suspensions += 1;
                self.lane.spare.push(execution);
                job.state = match interrupted {
                    Interrupted::Suspended { on } => Progress::Waiting { on: Some(on) },
                    Interrupted::StateLost => Progress::AtTurn,
                };
            }
        }
        true
    }
}

#[cfg(all(test, loom))]
mod model;
