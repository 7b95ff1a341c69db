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
use super::lane::{Lane, refusal};
use super::serial::commit;
use crate::Transaction;
use crate::context::{Attempt, Source, attempt};
use crate::object::{Header, Ownership};
use crate::pool::Pool;
use crate::receipt::{Failure, Status};
use crate::state::arena::Slot;
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
    let world = env.world(Source::Committed);
    let mut frame = lane.frame(env.log);
    let mut slots = Vec::new();
    for letter in outboxes.iter().filter_map(|outbox| outbox.get(shard)).flatten() {
        let index = letter.index;
        let transaction = &env.transactions[index as usize];
        lane.cost.sharded += 1;
        if let Some(failure) = env.refusals.get(index) {
            lane.receipts.push((index, refusal(transaction, failure)));
            continue;
        }
        slots.clear();
        slots.push(letter.slot);
        for object in transaction.objects().iter().skip(1) {
            slots.push(env.arena.object(&object.id, env.behind));
        }
        let locked = lock_versions(env, transaction, index, &slots);
        lane.cost.executions += 1;
        let result = match &locked {
            Ok(()) => match attempt(transaction, world, &slots, &mut frame) {
                Ok(result) => result,
                // The store behind failed: the block is void.
                Err(_) => break,
            },
            Err(failure) => {
                frame.clear();
                Attempt { status: Status::from(failure.clone()), owned: true, ..Attempt::default() }
            }
        };
        commit(env, index, &mut frame, lane);
        for &slot in &slots {
            env.arena.cell(slot).retract(index);
        }
        lane.receipts.push((index, result.receipt(transaction, 1)));
    }
    lane.frames.push(frame);
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
        let header = env.arena.load(slot).0.as_ref().and_then(Header::decode);
        if header.is_some_and(|header| matches!(header.ownership, Ownership::Owned(_))) {
            return Err(Failure::Equivocation { id: object.id, version: object.version });
        }
    }
    Ok(())
}
