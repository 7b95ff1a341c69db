//! The executor: a state, worker threads, and costs learned from earlier blocks.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::Transaction;
use crate::access_log;
use crate::adaptive::Tuner;
use crate::adaptive::sample::Sample;
use crate::block::{Block, Change, Outcome, Space};
use crate::config::Config;
use crate::exec::declared::Graph;
use crate::exec::lane::Lane;
use crate::exec::ring::Ring;
use crate::exec::route::Refusals;
use crate::exec::{Env, Order, serial};
use crate::frame::credited;
use crate::hot_keys::SpaceSaving;
use crate::object::{Header, Object, ObjectId};
use crate::pool::Pool;
use crate::private::{Verifier, verify_all};
use crate::receipt::{Failure, Receipt};
use crate::schedule::Schedule;
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::state::root::{Root, Tree};
use crate::state::{MemoryState, State, StateError};
use crate::stats::{FastPathStats, Ledger};
use crate::transaction::Access;
use crate::value::{Key, Value};

/// Maximum number of transactions in a block.
pub const MAX_BLOCK: usize = 1 << 28;
/// Maximum number of names in one read from the store.
const PREFETCH: usize = 4096;

/// Why a block was not executed. The state is the one before the block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The store behind the executor failed. The block can be submitted again.
    #[error(transparent)]
    State(#[from] StateError),
    /// The block has more than [`MAX_BLOCK`] transactions.
    #[error("a block of {len} transactions is too long: cut it into blocks of {MAX_BLOCK}")]
    BlockTooLong {
        /// Number of transactions in the block.
        len: usize,
    },
    /// The worker threads could not be started.
    #[error("the threads could not be started: {0}")]
    Threads(std::io::Error),
}

/// Executes blocks against a state, in parallel. The result equals that of executing the
/// transactions one after the other in block order.
pub struct FastPathExecutor<S: State = MemoryState> {
    state: S,
    config: Config,
    verifier: Option<Arc<dyn Verifier>>,
    arena: Arena,
    tree: Tree,
    pool: Pool,
    lanes: Vec<Mutex<Lane>>,
    ring: Ring,
    graph: Graph,
    tuner: Tuner,
    sample: Sample,
    /// Number of the next transaction, counted over all blocks.
    sequence: u64,
    ledger: Ledger,
    hot: SpaceSaving<Key>,
}

impl FastPathExecutor<MemoryState> {
    /// Creates an executor over an empty state in memory.
    ///
    /// # Errors
    /// [`ExecutorError::Threads`] if the system cannot start the threads.
    pub fn in_memory(config: Config) -> Result<Self, ExecutorError> {
        Self::new(MemoryState, config)
    }
}

impl<S: State> FastPathExecutor<S> {
    /// Creates an executor over `state`. If [`Config::root`] is on, reads every entry once to build
    /// the root.
    ///
    /// # Errors
    /// [`ExecutorError::Threads`] if the system cannot start the threads; [`ExecutorError::State`]
    /// if the state cannot be read.
    pub fn new(state: S, config: Config) -> Result<Self, ExecutorError> {
        let threads = config.threads.max(1);
        let pool = Pool::new(threads, config.pin).map_err(ExecutorError::Threads)?;
        let largest_claim = 16 * threads;
        let mut executor = Self {
            state,
            verifier: None,
            arena: Arena::new(),
            tree: Tree::default(),
            pool,
            lanes: (0..threads).map(|_| Mutex::default()).collect(),
            ring: Ring::new(config.window.max(8 * largest_claim)),
            graph: Graph::default(),
            tuner: Tuner::new(threads, config.partitions.max(1)),
            sample: Sample::default(),
            sequence: 1,
            ledger: Ledger::default(),
            hot: SpaceSaving::default(),
            config,
        };
        executor.rebuild_root()?;
        Ok(executor)
    }

    /// Sets the verifier of proofs. Without one, every private transaction is refused.
    #[must_use]
    pub fn with_verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sets the value of a key, outside any block.
    ///
    /// # Errors
    /// [`ExecutorError::State`] if the store behind the executor fails.
    pub fn insert(&mut self, key: Key, value: impl Into<Value>) -> Result<(), ExecutorError> {
        self.put([(Space::Plain, key, value.into())])
    }

    /// Sets the values of many keys, outside any block. One call is faster than many calls of
    /// [`FastPathExecutor::insert`].
    ///
    /// # Errors
    /// As [`FastPathExecutor::insert`].
    pub fn insert_all(
        &mut self,
        entries: impl IntoIterator<Item = (Key, Value)>,
    ) -> Result<(), ExecutorError> {
        self.put(entries.into_iter().map(|(key, value)| (Space::Plain, key, value)))
    }

    /// Creates or replaces many objects, outside any block.
    ///
    /// # Errors
    /// As [`FastPathExecutor::insert`].
    pub fn insert_all_objects(
        &mut self,
        objects: impl IntoIterator<Item = Object>,
    ) -> Result<(), ExecutorError> {
        self.put(objects.into_iter().flat_map(|object| {
            let header = Header::new(object.ownership, object.version);
            [
                (Space::ObjectHeader, object.id, header.encode()),
                (Space::ObjectData, object.id, object.data),
            ]
        }))
    }

    /// Creates or replaces an object at `object.version`, outside any block.
    ///
    /// # Errors
    /// As [`FastPathExecutor::insert`].
    pub fn insert_object(&mut self, object: Object) -> Result<(), ExecutorError> {
        self.insert_all_objects([object])
    }

    fn put(
        &mut self,
        entries: impl IntoIterator<Item = (Space, Key, Value)>,
    ) -> Result<(), ExecutorError> {
        let changes: Vec<Change> = entries
            .into_iter()
            .map(|(space, key, value)| Change { space, key, value: Some(value) })
            .collect();
        if !self.state.is_resident() {
            self.state.commit(&changes)?;
        }
        let insert =
            |change: &Change| self.arena.insert(change.space, change.key, change.value.as_ref());
        let mut slots: Vec<Slot> = changes.iter().map(insert).collect();
        slots.sort_unstable();
        slots.dedup();
        self.tree.update(&self.arena, &[slots], self.config.root, &self.pool, 1);
        Ok(())
    }

    /// Returns the value of a key after the last block; `None` if the entry does not exist.
    ///
    /// # Errors
    /// [`ExecutorError::State`] if the store behind the executor fails.
    pub fn get(&self, key: &Key) -> Result<Option<Value>, ExecutorError> {
        if self.arena.knows(false, key) {
            return Ok(self.arena.load(self.arena.plain(key, &self.state)).0);
        }
        Ok(self.state.get(Space::Plain, key)?)
    }

    /// Returns an object after the last block; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ExecutorError::State`] if the store behind the executor fails.
    pub fn object(&self, id: &ObjectId) -> Result<Option<Object>, ExecutorError> {
        let (header, data) = if self.arena.knows(true, id) {
            let slot = self.arena.object(id, &self.state);
            (self.arena.load(slot).0, self.arena.load(slot + 1).0)
        } else {
            (self.state.get(Space::ObjectHeader, id)?, self.state.get(Space::ObjectData, id)?)
        };
        Ok(header.as_ref().and_then(Header::decode).map(|header| Object {
            id: *id,
            version: header.version,
            ownership: header.ownership(),
            data: data.unwrap_or_else(|| Value::from_bytes(&[])),
        }))
    }

    /// Root of the state after the last block; zero if [`Config::root`] is off or the state is
    /// empty.
    pub fn root(&self) -> Root {
        self.tree.root()
    }

    /// Approximate size of the resident entries in bytes, without the bytes of values longer than
    /// [`crate::INLINE_BYTES`].
    pub fn resident_bytes(&self) -> usize {
        self.arena.bytes()
    }

    /// Counters and latencies since the executor was created.
    pub fn stats(&self) -> FastPathStats {
        self.ledger.stats()
    }

    /// The metrics in the Prometheus text format.
    pub fn export_prometheus(&self) -> String {
        self.ledger.export_prometheus(self.resident_bytes())
    }

    /// The `k` keys that were written most often, with approximate counts, most frequent first. At
    /// most 64 keys are tracked.
    pub fn get_hot_keys(&self, k: usize) -> Vec<(Key, u64)> {
        self.hot.top(k)
    }

    /// Clears the counts of hot keys.
    pub fn reset_hot_keys(&mut self) {
        self.hot.clear();
    }

    /// Executes a block on all threads.
    ///
    /// # Errors
    /// See [`ExecutorError`]. The failure of a transaction is not an error: its receipt holds it.
    pub fn execute_block<T: Transaction>(
        &mut self,
        block: &Block<T>,
    ) -> Result<Outcome, ExecutorError> {
        self.execute(block, false)
    }

    /// Executes a block one transaction after the other on the calling thread: the reference for
    /// the results and the time of [`FastPathExecutor::execute_block`].
    ///
    /// # Errors
    /// As [`FastPathExecutor::execute_block`].
    pub fn execute_sequential<T: Transaction>(
        &mut self,
        block: &Block<T>,
    ) -> Result<Outcome, ExecutorError> {
        self.execute(block, true)
    }

    fn execute<T: Transaction>(
        &mut self,
        block: &Block<T>,
        sequential: bool,
    ) -> Result<Outcome, ExecutorError> {
        let transactions = &block.transactions[..];
        if transactions.len() > MAX_BLOCK {
            return Err(ExecutorError::BlockTooLong { len: transactions.len() });
        }
        let threads = if sequential { 1 } else { self.config.threads.max(1) };
        let mut outcome = Outcome::default();
        let started = Instant::now();
        let mut refusals = Refusals::default();
        for (index, transaction) in transactions.iter().enumerate() {
            if let Some(deadline) = transaction.deadline()
                && deadline < block.time
            {
                let failure = Failure::Expired { deadline, time: block.time };
                refusals.insert(index as u32, failure);
            }
        }
        let verifier = self.verifier.as_deref();
        let batch = self.config.verify_batch;
        verify_all(transactions, verifier, batch, threads, &self.pool, &mut refusals);
        outcome.cost.verify_ns = nanos_since(started);

        let started = Instant::now();
        if !sequential {
            self.prefetch(transactions)?;
        }
        outcome.receipts.resize_with(transactions.len(), Receipt::default);
        let before = if self.config.log { self.tree.roots() } else { Vec::new() };
        let env = Env {
            transactions,
            refusals: &refusals,
            arena: &self.arena,
            behind: &self.state,
            base: self.sequence,
            step_limit: self.config.step_limit,
            log: self.config.log,
        };
        if sequential {
            let mut lane = crate::sync_lock(&self.lanes[0]);
            lane.start(16);
            let count = transactions.len() as u32;
            serial::run(&env, Order::From(0), count, &mut lane, &mut outcome.receipts);
        } else {
            outcome.decisions = Schedule {
                env: &env,
                config: &self.config,
                pool: &self.pool,
                lanes: &self.lanes,
                ring: &mut self.ring,
                graph: &mut self.graph,
                tuner: &mut self.tuner,
                sample: &mut self.sample,
                partitions: &mut outcome.partitions,
            }
            .run(&mut outcome.receipts);
        }
        if let Some(error) = self.arena.take_error() {
            self.recover()?;
            return Err(error.into());
        }
        let mut dirty = self.collect(&mut outcome);
        outcome.cost.execute_ns = nanos_since(started);

        let started = Instant::now();
        let fees: u64 = self
            .lanes
            .iter_mut()
            .fold(0, |sum, lane| sum.saturating_add(std::mem::take(&mut lane_mut(lane).fees)));
        let end = Stamp::new(self.sequence + transactions.len() as u64, 0);
        let fees = block.fee_account.filter(|_| fees > 0).map(|account| (account, fees));
        if let Some((account, fees)) = fees {
            let slot = self.arena.plain(&account, &self.state);
            let value = self.arena.load(slot).0;
            let value = credited(&value, fees).or(value.map(|value| value.with_u64(u64::MAX)));
            let since = Stamp::new(self.sequence, 0);
            if self.arena.store(slot, value.as_ref(), end, since) {
                dirty.push(vec![slot]);
            }
        }
        let root = self.config.root;
        outcome.delta.changes = self.tree.update(&self.arena, &dirty, root, &self.pool, threads);
        if root {
            outcome.root = self.tree.root();
        }
        if self.config.log {
            let after = self.tree.roots();
            let mut logs = Vec::new();
            for lane in &mut self.lanes {
                logs.append(&mut lane_mut(lane).logs);
            }
            outcome.log = Some(access_log::assemble(&self.arena, logs, fees, (&before, &after)));
        }
        if !self.state.is_resident()
            && let Err(error) = self.state.commit(&outcome.delta.changes)
        {
            self.recover()?;
            return Err(error.into());
        }
        for (lane, list) in self.lanes.iter_mut().zip(dirty) {
            let lane = lane_mut(lane);
            lane.dirty = list;
            lane.dirty.clear();
        }
        self.arena.absorb();
        if !self.state.is_resident() && self.arena.len() > self.config.resident {
            self.arena.clear();
        }
        self.sequence += transactions.len() as u64 + 1;
        outcome.cost.root_ns = nanos_since(started);
        self.ledger.note(&outcome);
        Ok(outcome)
    }

    /// Moves the results of the workers into the outcome. Returns the slots that each worker wrote.
    fn collect(&mut self, outcome: &mut Outcome) -> Vec<Vec<Slot>> {
        let mut receipts: Vec<Vec<(u32, Receipt)>> = Vec::new();
        let mut dirty = Vec::new();
        let mut hot = SpaceSaving::default();
        let mut slow = Vec::new();
        for lane in &mut self.lanes {
            let lane = lane_mut(lane);
            dirty.push(std::mem::take(&mut lane.dirty));
            receipts.push(std::mem::take(&mut lane.receipts));
            outcome.cost.add(&std::mem::take(&mut lane.cost));
            self.ledger.latency.merge(&lane.latency);
            slow.extend(lane.slow.drain(..).filter(|slow| slow.nanos >= self.config.slow_nanos));
            lane.latency.clear();
            hot.merge(&lane.hot);
            lane.hot.clear();
        }
        self.hot.merge(&hot.map(|slot| self.arena.name(slot).key));
        scatter(&receipts, &mut outcome.receipts, &self.pool);
        for slow in slow {
            self.ledger.note_slow(slow, self.sequence, outcome);
        }
        for (lane, mut list) in self.lanes.iter_mut().zip(receipts) {
            list.clear();
            lane_mut(lane).receipts = list;
        }
        dirty
    }

    /// Reads all declared entries that are not resident, in batches of [`PREFETCH`].
    fn prefetch<T: Transaction>(&mut self, transactions: &[T]) -> Result<(), ExecutorError> {
        if self.state.is_resident() {
            return Ok(());
        }
        let mut names = std::collections::HashSet::new();
        for transaction in transactions {
            if let Access::Keys { reads, writes, .. } = transaction.access() {
                let new = reads.iter().chain(writes).filter(|key| !self.arena.knows(false, key));
                names.extend(new.map(|key| (Space::Plain, *key)));
            }
            for object in transaction.objects() {
                if !self.arena.knows(true, &object.id) {
                    names.insert((Space::ObjectHeader, object.id));
                    names.insert((Space::ObjectData, object.id));
                }
            }
        }
        let names: Vec<_> = names.into_iter().collect();
        for names in names.chunks(PREFETCH) {
            let values = self.state.get_many(names)?;
            for ((space, key), value) in names.iter().zip(values) {
                self.arena.insert(*space, *key, value.as_ref());
            }
        }
        Ok(())
    }

    /// Restores the state from the store after a failure.
    fn recover(&mut self) -> Result<(), ExecutorError> {
        self.arena.clear();
        for lane in &mut self.lanes {
            *lane_mut(lane) = Lane::default();
        }
        self.rebuild_root()
    }

    fn rebuild_root(&mut self) -> Result<(), ExecutorError> {
        self.tree = Tree::default();
        if self.config.root {
            let tree = &mut self.tree;
            self.state.scan(&mut |space, key, value| {
                tree.insert(crate::state::root::path(space, &key), &value);
            })?;
        }
        Ok(())
    }
}

fn lane_mut(lane: &mut Mutex<Lane>) -> &mut Lane {
    lane.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn nanos_since(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

/// Moves every worker's receipts to their indices. Each thread fills a contiguous part of the
/// block.
fn scatter(lanes: &[Vec<(u32, Receipt)>], receipts: &mut [Receipt], pool: &Pool) {
    let total: usize = lanes.iter().map(Vec::len).sum();
    if total == 0 {
        return;
    }
    let threads = if total < 4096 { 1 } else { pool.threads() };
    let per = receipts.len().div_ceil(threads);
    let parts: Vec<Mutex<&mut [Receipt]>> = receipts.chunks_mut(per).map(Mutex::new).collect();
    pool.run(threads, &|worker| {
        let Some(part) = parts.get(worker) else { return };
        let mut part = crate::sync_lock(part);
        let first = (per * worker) as u32;
        for (index, receipt) in lanes.iter().flatten() {
            let place = index.wrapping_sub(first) as usize;
            if let Some(place) = part.get_mut(place) {
                place.clone_from(receipt);
            }
        }
    });
}
