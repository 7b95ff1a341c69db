//! Transactions that promise their access sets: the graph of who waits for whom is drawn first, and each
//! runs, once, when all that it waits for are done.
//!
//! Such a transaction runs straight against the state: nothing it touches can change under it, and
//! access outside the promise ends it.
//!
//! Whoever ends the last one that a transaction waits for runs it next, with what both touch still in
//! its own cache: the users of a hot key, which can only run one after the other, follow each other on one
//! core while the others do the rest. More than one that becomes ready goes where idle workers look; a
//! transaction that is not ready belongs to nobody, so nobody waits for a worker that is busy.

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

/// Turns of the waiting loop between two looks at other workers' lines, and before the core is offered to
/// others.
const TURNS: u32 = if cfg!(loom) { 1 } else { 16 };
const SPINS: u32 = 4096;

/// Executes `count` places of a stretch; roots of the graph are claimed `chunk` at a time.
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

/// What the workers of a stretch share.
struct Shared {
    /// Roots that were claimed.
    claimed: AtomicU32,
    /// Transactions that nobody has reported as done.
    left: AtomicU32,
    /// What each worker has to spare.
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

/// Transactions that are ready, of one worker, for whoever comes first.
#[derive(Default)]
#[repr(align(128))]
struct Spare {
    /// How many there are, to be asked without the lock.
    len: AtomicU32,
    positions: sync::Mutex<VecDeque<u32>>,
}

impl Spare {
    fn add(&self, more: impl Iterator<Item = u32>) {
        let mut positions = sync::lock(&self.positions);
        positions.extend(more);
        self.len.store(positions.len() as u32, Ordering::Relaxed);
    }

    /// The first, if there is one. None is missed by the worker who added it.
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

    /// Something that is ready: of one's own, a root, or of another worker.
    fn find(&self) -> Option<u32> {
        let spare = &self.shared.spare;
        let others = (1..spare.len()).map(|n| &spare[(self.id + n) % spare.len()]);
        spare[self.id]
            .take()
            .or_else(|| self.claim())
            .or_else(|| others.into_iter().find_map(Spare::take))
    }

    /// Claims some roots: one to run and the rest to spare.
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

    /// Tells those that wait for `position` that it is done: the first that becomes ready is the
    /// caller's, the others are to spare.
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
