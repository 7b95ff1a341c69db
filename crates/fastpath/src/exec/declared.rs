//! Transactions that promise their access sets, ordered by tickets instead of by validation.
//!
//! Every entry counts the accesses that are done. In block order, the k-th access to an entry may
//! proceed when the count has reached k if it writes, and when it has passed the last write before
//! it if it reads; so readers between two writes run side by side. A transaction whose tickets are
//! all due runs straight against the state: nothing it touches can change under it, and access
//! outside the promise ends it. Nothing is executed twice.
//!
//! An entry that more than its share of the stretch uses is the critical path: those transactions
//! can only run one after the other. They go to one lane, which one worker runs back to back with the
//! entry's line in its own cache, while the others do the rest. Which worker that is shows when the
//! first one begins, so nobody waits for one that is not scheduled.
//!
//! The count lives in the entry's own cache line, so that asking whether a transaction may run
//! brings in what it will read.

use std::sync::Mutex;

use super::lane::{Lane, refusal};
use super::serial::commit;
use super::{Env, Order};
use crate::Transaction;
use crate::context::{Source, attempt};
use crate::object::{Header, Ownership};
use crate::pool::Pool;
use crate::state::arena::Slot;
use crate::sync::{AtomicU32, Ordering, relax};
use crate::transaction::Access;

/// A ticket that asks for the count to be exactly this: a write.
const EXACTLY: u32 = 1 << 31;
/// In place of a ticket: the transaction has one for this entry already.
const HAS_ONE: u32 = u32::MAX;
/// Transactions that a worker holds back beyond the chunk that it claimed.
const HELD: usize = 8;
/// Turns of the waiting loop before the core is offered to others.
const SPINS: u32 = 4096;

/// Tickets of a stretch, and the memory that handing them out needs.
#[derive(Default)]
pub(crate) struct Tickets {
    slots: Vec<Slot>,
    due: Vec<u32>,
    /// Where each transaction's tickets begin; one more at the end.
    first: Vec<u32>,
    /// By slot.
    counts: Vec<Count>,
    overlay: std::collections::HashMap<Slot, Count, ahash::RandomState>,
    stretch: u32,
    distinct: Vec<Slot>,
    /// Positions that use a dominant entry, in order; none if no entry is dominant.
    lane: Vec<u32>,
    /// The other positions, in order, where there is a lane.
    others: Vec<u32>,
}

/// How an entry has been used in a stretch so far.
#[derive(Copy, Clone, Default)]
struct Count {
    /// The stretch that the rest is about.
    stretch: u32,
    accesses: u32,
    /// Accesses up to the last write.
    written: u32,
    /// The last position that used it.
    last: u32,
}

/// Executes `count` places of a stretch.
#[expect(clippy::too_many_arguments, reason = "the parts of an executor, borrowed one by one")]
pub(crate) fn run<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    threads: usize,
    chunk: u32,
    tickets: &mut Tickets,
    pool: &Pool,
    lanes: &[Mutex<Lane>],
) {
    tickets.find_slots(env, order, count, threads, pool);
    tickets.hand_out(env, order, count);
    tickets.find_lane(count, threads);
    let tickets = &*tickets;
    let claims = Claims::default();
    pool.run(threads, &|worker| {
        let mut lane = crate::sync_lock(&lanes[worker]);
        Worker { env, order, count, chunk, tickets, claims: &claims, lane: &mut lane }.work();
    });
    pool.run(threads, &|worker| {
        let per = tickets.distinct.len().div_ceil(threads).max(1);
        for &slot in tickets.distinct.iter().skip(per * worker).take(per) {
            env.arena.cell(slot).set_count(0);
        }
    });
}

impl Tickets {
    /// Looks up every declared name, on all threads.
    fn find_slots<T: Transaction>(
        &mut self,
        env: &Env<'_, T>,
        order: Order<'_>,
        count: u32,
        threads: usize,
        pool: &Pool,
    ) {
        let parts: Vec<Mutex<(Vec<Slot>, Vec<u32>)>> =
            (0..threads).map(|_| Mutex::default()).collect();
        pool.run(threads, &|worker| {
            let per = count.div_ceil(threads as u32);
            let start = per * worker as u32;
            let mut slots = Vec::with_capacity(per as usize * 4);
            let mut lens = Vec::with_capacity(per as usize);
            for position in start..(start + per).min(count) {
                let before = slots.len();
                let transaction = &env.transactions[order.at(position) as usize];
                for object in transaction.objects() {
                    slots.push(env.arena.object(&object.id, env.behind));
                }
                if let Access::Keys { reads, writes, .. } = transaction.access() {
                    for key in writes.iter().chain(reads) {
                        slots.push(env.arena.plain(key, env.behind));
                    }
                }
                lens.push((slots.len() - before) as u32);
            }
            *crate::sync_lock(&parts[worker]) = (slots, lens);
        });
        self.slots.clear();
        self.first.clear();
        self.first.push(0);
        let mut end = 0;
        for part in parts {
            let (slots, lens) =
                part.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.slots.extend(slots);
            self.first.extend(lens.into_iter().map(|len| {
                end += len;
                end
            }));
        }
    }

    fn hand_out<T: Transaction>(&mut self, env: &Env<'_, T>, order: Order<'_>, count: u32) {
        self.stretch = self.stretch.wrapping_add(1);
        if self.stretch == 0 {
            self.counts.clear();
            self.stretch = 1;
        }
        self.counts.resize(env.arena.len(), Count::default());
        self.overlay.clear();
        self.distinct.clear();
        self.due.clear();
        self.due.resize(self.slots.len(), 0);
        for position in 0..count {
            let transaction = &env.transactions[order.at(position) as usize];
            let objects = transaction.objects().len();
            let writes = match transaction.access() {
                Access::Keys { writes, .. } => writes.len(),
                _ => 0,
            };
            let range = self.range(position);
            for (place, at) in range.enumerate() {
                let slot = self.slots[at];
                let exclusive = if place < objects {
                    !is_immutable(env, slot)
                } else {
                    place < objects + writes
                };
                let stretch = self.stretch;
                let entry = match self.counts.get_mut(slot as usize) {
                    Some(entry) => entry,
                    None => self.overlay.entry(slot).or_default(),
                };
                if entry.stretch != stretch {
                    *entry = Count { stretch, ..Count::default() };
                    self.distinct.push(slot);
                } else if entry.last == position {
                    // The same entry twice in one transaction takes one ticket.
                    self.due[at] = HAS_ONE;
                    continue;
                }
                entry.last = position;
                if exclusive {
                    self.due[at] = entry.accesses | EXACTLY;
                    entry.written = entry.accesses + 1;
                } else {
                    self.due[at] = entry.written;
                }
                entry.accesses += 1;
            }
        }
    }

    /// Sets the lane: the transactions that use an entry which more than one in `threads` uses.
    fn find_lane(&mut self, count: u32, threads: usize) {
        self.lane.clear();
        self.others.clear();
        let is_dominant = |slot: &Slot| {
            let entry = self.counts.get(*slot as usize).or_else(|| self.overlay.get(slot));
            // Readers of an entry that nobody writes need no order.
            threads > 1
                && entry.is_some_and(|entry| {
                    entry.written > 0 && entry.accesses as usize * threads > count as usize
                })
        };
        let mut dominant: Vec<Slot> = self.distinct.iter().copied().filter(is_dominant).collect();
        dominant.sort_unstable();
        if dominant.is_empty() {
            return;
        }
        for position in 0..count {
            let mut slots = self.slots[self.range(position)].iter();
            let uses = slots.any(|slot| dominant.binary_search(slot).is_ok());
            if uses { &mut self.lane } else { &mut self.others }.push(position);
        }
    }

    /// How many positions are not in the lane.
    fn free(&self, count: u32) -> u32 {
        count - self.lane.len() as u32
    }

    /// The `n`-th position that is not in the lane.
    fn other(&self, n: u32) -> u32 {
        if self.lane.is_empty() { n } else { self.others[n as usize] }
    }

    fn range(&self, position: u32) -> std::ops::Range<usize> {
        self.first[position as usize] as usize..self.first[position as usize + 1] as usize
    }

    fn is_due<T>(&self, env: &Env<'_, T>, position: u32) -> bool {
        let range = self.range(position);
        self.slots[range.clone()].iter().zip(&self.due[range]).all(|(&slot, &due)| {
            let count = env.arena.cell(slot).count();
            if due == HAS_ONE {
                return true;
            }
            if due & EXACTLY == 0 { count >= due } else { count == due & !EXACTLY }
        })
    }

    fn pass<T>(&self, env: &Env<'_, T>, position: u32) {
        let range = self.range(position);
        for at in range {
            if self.due[at] != HAS_ONE {
                env.arena.cell(self.slots[at]).add_count();
            }
        }
    }
}

fn is_immutable<T>(env: &Env<'_, T>, slot: Slot) -> bool {
    let header = env.arena.load(slot).0.as_ref().and_then(Header::decode);
    header.is_some_and(|header| header.ownership == Ownership::Immutable)
}

/// What workers have claimed.
#[derive(Default)]
struct Claims {
    /// Of the positions outside the lane.
    next: AtomicU32,
    /// Whether somebody runs the lane.
    lane: AtomicU32,
}

struct Worker<'a, T> {
    env: &'a Env<'a, T>,
    order: Order<'a>,
    count: u32,
    chunk: u32,
    tickets: &'a Tickets,
    claims: &'a Claims,
    lane: &'a mut Lane,
}

impl<T: Transaction> Worker<'_, T> {
    fn work(&mut self) {
        let mut held: Vec<u32> = Vec::new();
        let mut idle = 0;
        // Whoever begins first runs the lane.
        let runs_lane = self.claims.lane.swap(1, Ordering::Relaxed) == 0;
        let mut lane = self.tickets.lane.iter().copied().filter(|_| runs_lane).peekable();
        let free = self.tickets.free(self.count);
        loop {
            let due = held.iter().position(|&position| self.tickets.is_due(self.env, position));
            if let Some(place) = due {
                let position = held.remove(place);
                self.execute(position);
                self.tickets.pass(self.env, position);
                idle = 0;
                continue;
            }
            if let Some(position) = lane.next_if(|&next| self.tickets.is_due(self.env, next)) {
                self.execute(position);
                self.tickets.pass(self.env, position);
                self.lane.cost.hot_lane += 1;
                idle = 0;
                continue;
            }
            let claimed = self.claims.next.load(Ordering::Relaxed) >= free;
            if !claimed && held.len() < HELD {
                // Who runs the lane must soon be back at it.
                let chunk = if lane.peek().is_some() { 1 } else { self.chunk };
                let first = self.claims.next.fetch_add(chunk, Ordering::Relaxed);
                let claim = first..first.saturating_add(chunk).min(free);
                held.extend(claim.map(|n| self.tickets.other(n)));
                continue;
            }
            if claimed && held.is_empty() && lane.peek().is_none() {
                return;
            }
            idle += 1;
            if idle % SPINS == 0 {
                std::thread::yield_now();
            }
            relax();
        }
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
        let mut frame = self.lane.frame(env.log);
        let slots = &self.tickets.slots[self.tickets.range(position)];
        self.lane.cost.executions += 1;
        if let Ok(result) = attempt(transaction, env.world(Source::Committed), slots, &mut frame) {
            commit(env, index, &mut frame, self.lane);
            self.lane.receipts.push((index, result.receipt(transaction, 1)));
        }
        self.lane.frames.push(frame);
    }
}

#[cfg(all(test, loom))]
mod model;
