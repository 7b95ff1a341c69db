//! Ordered optimistic execution, after Block-STM (Gelashvili et al., PPoPP 2023).
//!
//! Workers claim transactions in block order, a chunk at a time, and execute them against the
//! values that lower transactions have written so far. The frontier is the first position that is
//! not committed. Only the worker that claimed that position commits it. The commit compares every
//! stamp that the execution read with the committed stamp. If one differs, the worker executes the
//! transaction once more; everything below is committed then, so this execution needs no
//! validation. Commits happen in block order, and each transaction is validated at most once. A
//! worker stores the frontier once after it has committed its consecutive positions.
//!
//! A read of an estimate (a write that a lower transaction has yet to make) suspends the execution.
//! The worker continues with other transactions and repeats the suspended one when the estimate is
//! resolved. No cycle of waiting transactions can form: the transaction at the frontier waits for
//! no other transaction, and its owner executes it next.
//!
//! A repeated execution invalidates the executions that have read the writes of the first one, and
//! those invalidate the readers of their own writes. With long queues, one conflict can propagate
//! without end. Where conflicts are frequent, a worker therefore claims nothing until all its
//! claimed transactions are committed.
//!
//! Block-STM validates a transaction after every change below it, which is several times per
//! execution. Here an executed transaction stays in the queue of its worker until the frontier
//! reaches it, and its reads are validated on the core that made them.

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

/// Commits before the conflict rate is used.
const WARM_UP: u32 = 64;
/// Commits per conflict below which conflicts are frequent and each worker holds one chunk at a
/// time.
const FREQUENT: u32 = 5;
/// Iterations of the waiting loop between two calls of `yield_now`.
const SPINS: u32 = 4096;

/// How a stretch is executed.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) threads: usize,
    /// Transactions per claim.
    pub(crate) chunk: u32,
    /// Whether higher transactions can read uncommitted writes.
    pub(crate) share: bool,
    /// Conflicts per commit above which the stretch ends early.
    pub(crate) most_conflicts: f64,
}

/// A value on cache lines of its own, so that a store to it does not evict its neighbours from the
/// caches of other cores.
#[repr(align(128))]
struct Line<T>(T);

struct Shared {
    /// The first position that is not committed. Only the worker that claimed this position stores
    /// it.
    frontier: Line<AtomicU32>,
    next: Line<AtomicU32>,
    /// Nonzero: workers claim no more positions.
    stop: Line<AtomicU32>,
    conflicts: Line<AtomicU32>,
}

struct Job {
    position: u32,
    attempts: u32,
    /// Whether the ring holds a record of this job.
    published: bool,
    state: Progress,
}

/// The state of a claimed transaction. "At the frontier" means that the frontier has reached its
/// position. A refused transaction is committed without an execution.
///
/// ```text
///             claim
///               |
///               v         success
/// +--------> Waiting ------------------> Done
/// |          |  |  |                      |
/// +----------+  |  | at the frontier,     | validate at the frontier
/// suspended by  |  | refused, or          |
/// an estimate   |  | store failed         +--- valid -----------+
///               |  v                      |                     |
///               | AtTurn                  | conflict            |
///               |  |                      v                     v
///               +--+- at the frontier -> execute on the ---> committed
///                                        committed state
/// ```
enum Progress {
    /// Not executed, or suspended until the transaction at position `on` has published its writes.
    Waiting {
        on: Option<u32>,
    },
    /// The commit executes the transaction, without validation.
    AtTurn,
    Done {
        execution: Box<Execution>,
        stamp: Stamp,
    },
}

/// Executes up to `count` places of a stretch. Returns the number of executed places, which is less
/// than `count` if the conflict rate exceeded `tuning.most_conflicts`.
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
    /// Claimed positions that are not committed, in block order.
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

    /// Claims the next chunk. Returns `false` if the window or the queue of this worker is full, or
    /// if no position is left.
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

    /// Publishes the guessed writes of a transaction as estimates, so that higher transactions wait
    /// for them.
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

    /// Commits the positions of this worker that follow each other from the frontier on, then
    /// stores the new frontier. Returns whether it committed any.
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

    /// Counts a conflict and stops the stretch if the conflict rate is above the limit.
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

    /// Executes the first transaction of this worker's queue that can run. Returns `false` if there
    /// is none.
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
            // The transaction is refused, or everything below it is committed.
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
