//! The fast path: transactions over owned objects, executed by shards with a single writer each.
//!
//! Every transaction over owned objects belongs to one shard, which the scan derives from the names
//! of its objects or from their group. One worker executes all transactions of a shard in block
//! order, directly against the state. No other worker writes the shard's objects, so no validation
//! is needed.
//!
//! Each scanning worker has one mailbox per shard and puts the transactions of its part of the
//! block into them. After the scan, workers drain whole shards: first their own, then those that no
//! worker has claimed. A mailbox entry is the index of a transaction and the slot of its first
//! object, which the scan has looked up.

use std::sync::Mutex;

use super::Env;
use super::ahead::DEPTH;
use super::lane::{Execution, Lane, refusal};
use super::serial::commit;
use crate::Transaction;
use crate::context::{Interrupted, Source, attempt};
use crate::object::Kind;
use crate::pool::Pool;
use crate::receipt::{Failure, Path, Status};
use crate::state::arena::Slot;
use crate::state::prefetch::prefetch;
use crate::sync::{AtomicU32, Ordering};

/// An entry of a mailbox: the index of a transaction and the slot of its first object.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) index: u32,
    pub(crate) slot: Slot,
}

/// The mailboxes of one scanning worker, one per shard.
pub(crate) type Outbox = Vec<Vec<Letter>>;

/// Drains all mailboxes. The outboxes are in the order of their parts of the block, so the entries
/// of each shard are in block order.
pub(crate) fn run<T: Transaction>(
    env: &Env<'_, T>,
    outboxes: &[Outbox],
    shards: usize,
    threads: usize,
    stride: u32,
    pool: &Pool,
    lanes: &[Mutex<Lane>],
) {
    let claims = Claims::new(shards);
    pool.run(threads, &|worker| {
        let mut lane = crate::sync_lock(&lanes[worker]);
        lane.start(stride);
        for shard in claims.from(worker, threads) {
            drain(env, outboxes, shard, &mut lane);
        }
    });
}

/// For each shard, whether a worker has claimed it.
pub(crate) struct Claims(Vec<AtomicU32>);

impl Claims {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| AtomicU32::new(0)).collect())
    }

    /// Claims shards one after the other for `worker` of `threads`: its own shards first, then the
    /// unclaimed ones of other workers.
    pub(crate) fn from(&self, worker: usize, threads: usize) -> impl Iterator<Item = usize> {
        let homes = (0..threads).map(move |turn| (worker + turn) % threads);
        let all = homes.flat_map(move |home| (home..self.0.len()).step_by(threads));
        all.filter(|&shard| self.0[shard].swap(1, Ordering::Relaxed) == 0)
    }
}

fn drain<T: Transaction>(env: &Env<'_, T>, outboxes: &[Outbox], shard: usize, lane: &mut Lane) {
    let mut execution = lane.execution(env.log);
    let mut slots = Vec::new();
    for letters in outboxes.iter().filter_map(|outbox| outbox.get(shard)) {
        for (place, letter) in letters.iter().enumerate() {
            if let Some(soon) = letters.get(place + DEPTH as usize) {
                env.arena.touch_all(soon.slot, true);
                prefetch(&env.transactions[soon.index as usize]);
            }
            slots.clear();
            slots.push(letter.slot);
            if deliver(env, letter.index, &mut slots, &mut execution, lane).is_err() {
                // The store behind the executor failed: the block is discarded.
                return;
            }
        }
    }
    lane.spare.push(execution);
}

/// Executes a transaction. `slots` holds the slot of its first object.
#[inline]
fn deliver<T: Transaction>(
    env: &Env<'_, T>,
    index: u32,
    slots: &mut Vec<Slot>,
    Execution { frame, receipt }: &mut Execution,
    lane: &mut Lane,
) -> Result<(), Interrupted> {
    let transaction = &env.transactions[index as usize];
    lane.cost.sharded += 1;
    if let Some(failure) = env.refusals.get(index) {
        lane.receipts.push((index, refusal(transaction, failure)));
        return Ok(());
    }
    for object in transaction.objects().iter().skip(1) {
        slots.push(env.arena.object(&object.id, env.behind));
    }
    lane.cost.executions += 1;
    receipt.attempts = 1;
    match lock_versions(env, transaction, index, slots) {
        Ok(()) => attempt(transaction, &env.world(Source::Committed), slots, frame, receipt)?,
        Err(failure) => {
            frame.clear();
            receipt.path = Path::Fast;
            receipt.status = Status::from(failure);
        }
    }
    commit(env, index, frame, lane);
    for &slot in slots.iter() {
        env.arena.cell(slot).retract(index);
    }
    lane.take_receipt(index, receipt);
    Ok(())
}

/// Locks the present version of each object of the transaction. Because a shard has a single
/// writer, the lock is always free; if two writers did conflict, one transaction would fail here
/// and not corrupt the state. A failed lock of an object that is not owned is ignored.
fn lock_versions<T: Transaction>(
    env: &Env<'_, T>,
    transaction: &T,
    index: u32,
    slots: &[Slot],
) -> Result<(), Failure> {
    for (object, &slot) in transaction.objects().iter().zip(slots) {
        let cell = env.arena.cell(slot);
        if cell.lock_version(index) || cell.pending() == Some(index) {
            continue;
        }
        let header = env.arena.header(slot);
        if header.is_some_and(|header| header.kind == Kind::Owned) {
            return Err(Failure::Equivocation { id: object.id, version: object.version });
        }
    }
    Ok(())
}
