//! Execution of transactions that promise their access sets. The dependency graph is built first.
//! Each transaction then runs once, when all its dependencies are done.
//!
//! The transactions run directly against the state: no other transaction can change the entries
//! that they access during the execution. An access outside the promise fails the transaction.
//!
//! The worker that completes the last dependency of a transaction executes it next, while the
//! shared entries are in its cache. The users of a hot key, which cannot run in parallel, therefore
//! follow each other on one core, and the other workers execute the rest. If a completion makes
//! several transactions ready, the worker shares all but the first with idle workers. A transaction
//! that is not ready is assigned to no worker, so it never waits for a busy worker.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lane::{Execution, Lane, refusal};
use super::serial::commit;
use super::{Env, Order};
use crate::Transaction;
use crate::context::{Source, attempt};
use crate::pool::Pool;
use crate::sync::{self, AtomicU32, Ordering, relax};

mod graph;

pub(crate) use graph::Graph;

/// Iterations of the waiting loop between two searches for work ([`TURNS`]) and between two calls
/// of `yield_now` ([`SPINS`]).
const TURNS: u32 = if cfg!(loom) { 1 } else { 16 };
const SPINS: u32 = 4096;

/// Executes the first `count` places of a stretch. Workers claim `chunk` roots of the graph at a
/// time.
#[expect(clippy::too_many_arguments, reason = "the parts of an executor, borrowed one by one")]
pub(crate) fn run<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    threads: usize,
    chunk: u32,
    graph: &mut Graph,
    pool: &Pool,
    lanes: &[Mutex<Lane>],
) {
    graph.draw(env, order, count, threads, pool);
    let graph = &*graph;
    let shared = Shared::new(count, threads);
    pool.run(threads, &|id| {
        let mut lane = crate::sync_lock(&lanes[id]);
        Worker { env, order, graph, shared: &shared, id, chunk, lane: &mut lane }.work();
    });
}

/// State shared by the workers of a stretch.
struct Shared {
    /// Number of claimed roots.
    claimed: AtomicU32,
    /// Transactions that no worker has reported as done.
    left: AtomicU32,
    /// The ready transactions that each worker shares.
    spare: Vec<Spare>,
}

impl Shared {
    fn new(count: u32, threads: usize) -> Self {
        Self {
            claimed: AtomicU32::new(0),
            left: AtomicU32::new(count),
            spare: (0..threads).map(|_| Spare::default()).collect(),
        }
    }
}

/// Ready transactions that one worker shares. Any worker may take them.
#[derive(Default)]
#[repr(align(128))]
struct Spare {
    /// Length of `positions`, for a check without the lock.
    len: AtomicU32,
    positions: sync::Mutex<VecDeque<u32>>,
}

impl Spare {
    fn add(&self, more: impl Iterator<Item = u32>) {
        let mut positions = sync::lock(&self.positions);
        positions.extend(more);
        self.len.store(positions.len() as u32, Ordering::Relaxed);
    }

    /// Takes the first position, if there is one. The worker that added a position never misses it.
    fn take(&self) -> Option<u32> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut positions = sync::lock(&self.positions);
        let first = positions.pop_front();
        self.len.store(positions.len() as u32, Ordering::Relaxed);
        first
    }
}

struct Worker<'a, T> {
    env: &'a Env<'a, T>,
    order: Order<'a>,
    graph: &'a Graph,
    shared: &'a Shared,
    id: usize,
    chunk: u32,
    lane: &'a mut Lane,
}

impl<T: Transaction> Worker<'_, T> {
    fn work(&mut self) {
        let (mut done, mut idle) = (0, 0);
        loop {
            if let Some(first) = self.find() {
                idle = 0;
                let mut next = Some(first);
                while let Some(position) = next {
                    self.execute(position);
                    done += 1;
                    next = self.release(position);
                    self.lane.cost.followed += u64::from(next.is_some());
                }
                continue;
            }
            if done > 0 {
                self.shared.left.fetch_sub(done, Ordering::Relaxed);
                done = 0;
            }
            if self.shared.left.load(Ordering::Relaxed) == 0 {
                return;
            }
            idle += 1;
            if idle % (SPINS / TURNS) == 0 {
                std::thread::yield_now();
            }
            (0..TURNS).for_each(|_| relax());
        }
    }

    /// A ready position: shared by this worker, else a root, else shared by another worker.
    fn find(&self) -> Option<u32> {
        let spare = &self.shared.spare;
        let others = (1..spare.len()).map(|n| &spare[(self.id + n) % spare.len()]);
        spare[self.id]
            .take()
            .or_else(|| self.claim())
            .or_else(|| others.into_iter().find_map(Spare::take))
    }

    /// Claims up to `chunk` roots. Returns the first and shares the rest.
    fn claim(&self) -> Option<u32> {
        let roots = self.graph.roots();
        let claimed = &self.shared.claimed;
        if claimed.load(Ordering::Relaxed) as usize >= roots.len() {
            return None;
        }
        let start = claimed.fetch_add(self.chunk, Ordering::Relaxed) as usize;
        let end = (start + self.chunk as usize).min(roots.len());
        let (&first, rest) = roots.get(start..end)?.split_first()?;
        if !rest.is_empty() {
            self.shared.spare[self.id].add(rest.iter().copied());
        }
        Some(first)
    }

    /// Reports to the dependents of `position` that it is done. Returns the first one that becomes
    /// ready and shares the others.
    fn release(&self, position: u32) -> Option<u32> {
        let mut ready =
            self.graph.successors(position).iter().copied().filter(|&p| self.graph.is_last_for(p));
        let next = ready.next();
        if let Some(second) = ready.next() {
            self.shared.spare[self.id].add(std::iter::once(second).chain(ready));
        }
        next
    }

    fn execute(&mut self, position: u32) {
        let env = self.env;
        let index = self.order.at(position);
        let transaction = &env.transactions[index as usize];
        self.lane.cost.declared += 1;
        if let Some(failure) = env.refusals.get(index) {
            self.lane.receipts.push((index, refusal(transaction, failure)));
            return;
        }
        let mut execution = self.lane.execution(env.log);
        let Execution { frame, receipt } = &mut *execution;
        let slots = self.graph.slots(position);
        self.lane.cost.executions += 1;
        let world = env.world(Source::Committed);
        receipt.attempts = 1;
        if attempt(transaction, &world, slots, frame, receipt).is_ok() {
            commit(env, index, frame, self.lane);
            self.lane.take_receipt(index, receipt);
        }
        self.lane.spare.push(execution);
    }
}

#[cfg(all(test, loom))]
mod model;
