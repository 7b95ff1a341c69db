//! The fast path: transactions over owned objects, in shards with a single writer each.
//!
//! An object's name decides its shard; everything that touches the object is executed by whoever
//! holds the shard, in block order, straight against the state. Nobody else writes there, so there
//! is nothing to validate. The worker that scans a part of the block leaves each transaction in the
//! mailbox between itself and the shard; when all parts are scanned, workers drain whole shards,
//! their own first and then whichever is left. The scan has found the object's slot already, so a
//! letter is two indices.

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

/// A transaction in a mailbox: its index and the slot of its first object.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) index: u32,
    pub(crate) slot: Slot,
}

/// The mailboxes of one sender, one for each shard.
pub(crate) type Outbox = Vec<Vec<Letter>>;

/// Drains all mailboxes. Senders in order hold letters in block order.
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

/// Which shards have somebody who drains them.
pub(crate) struct Claims(Vec<AtomicU32>);

impl Claims {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| AtomicU32::new(0)).collect())
    }

    /// Claims shard after shard for a worker of `threads`: its own, then, to steal, the others'.
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
                // The store behind failed: the block is void.
                return;
            }
        }
    }
    lane.spare.push(execution);
}

/// Executes a transaction; `slots` holds that of its first object.
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

/// Takes one lock for each version that the transaction would spend. With one writer to a shard it
/// is always free; should two ever meet, one of them ends here and not in the state.
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
