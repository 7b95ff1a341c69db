//! Lookup of names before they are needed. While one group of transactions is executed, the names
//! of the next group are looked up together and their cells are prefetched, so that the memory
//! latencies overlap.

use std::ops::Range;

use super::{Env, Order};
use crate::Transaction;
use crate::state::arena::{Slot, Sought};
use crate::state::prefetch::prefetch;
use crate::transaction::{Access, Declaration};

/// Transactions per group: enough to overlap the cache misses of one core, and few enough that
/// prefetched lines are still cached when they are used.
pub(super) const DEPTH: u32 = 8;

/// Looks up the names of a stretch, group by group, in order.
pub(super) struct Ahead<'a, T> {
    env: &'a Env<'a, T>,
    order: Order<'a>,
    places: Range<u32>,
    now: Group<'a>,
    next: Group<'a>,
    /// Number of groups to skip after a group without names.
    gap: u32,
    /// Remaining groups to skip.
    skip: u32,
}

/// The names of a group.
#[derive(Default)]
struct Group<'a> {
    names: Vec<Sought<'a>>,
    slots: Vec<Slot>,
    /// End of each transaction's slots in `slots`.
    ends: Vec<u32>,
}

impl<'a, T: Transaction> Ahead<'a, T> {
    /// A lookup for the transactions at `places`. After a group without names, `gap` groups are
    /// skipped.
    pub(super) fn new(env: &'a Env<'a, T>, order: Order<'a>, places: Range<u32>, gap: u32) -> Self {
        let [now, next] = [Group::default(), Group::default()];
        let mut ahead = Self { env, order, places, now, next, gap, skip: 0 };
        ahead.look_up(ahead.places.start);
        ahead
    }

    /// Slots of the objects, declared writes and declared reads of the transaction at `position`.
    /// Empty if its group was skipped or has no names. Callers must ask for every place once, in
    /// ascending order.
    #[inline]
    pub(super) fn slots(&mut self, position: u32) -> &[Slot] {
        let place = (position - self.places.start) % DEPTH;
        if place == 0 {
            std::mem::swap(&mut self.now, &mut self.next);
            self.now.find(self.env);
            self.look_up(position.saturating_add(DEPTH));
        }
        self.now.slots(place as usize)
    }

    /// Starts the lookup of the group that begins at `first`.
    fn look_up(&mut self, first: u32) {
        self.next.clear();
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        for position in first..first.saturating_add(DEPTH).min(self.places.end) {
            let transactions = self.env.transactions;
            let transaction = &transactions[self.order.at(position) as usize];
            if position + DEPTH < self.places.end {
                prefetch(&transactions[self.order.at(position + DEPTH) as usize]);
            }
            self.next.note(self.env, transaction);
        }
        for name in &mut self.next.names {
            self.env.arena.approach(name);
        }
        if self.next.names.is_empty() {
            self.skip = self.gap;
        }
    }
}

impl<'a> Group<'a> {
    fn clear(&mut self) {
        self.names.clear();
        self.slots.clear();
        self.ends.clear();
    }

    #[inline]
    fn slots(&self, place: usize) -> &[Slot] {
        if self.slots.is_empty() {
            return &[];
        }
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.slots[begin as usize..self.ends[place] as usize]
    }

    #[inline]
    fn note<T: Transaction>(&mut self, env: &Env<'_, T>, transaction: &'a T) {
        let objects = transaction.objects();
        self.names.extend(objects.iter().map(|object| env.arena.seek(true, &object.id)));
        if let Access::Keys { kind: Declaration::Exact | Declaration::Superset, writes, reads } =
            transaction.access()
        {
            let keys = writes.iter().chain(reads);
            self.names.extend(keys.map(|key| env.arena.seek(false, key)));
        }
        self.ends.push(self.names.len() as u32);
    }

    fn find<T>(&mut self, env: &Env<'_, T>) {
        let names = self.names.iter();
        self.slots.extend(names.map(|&name| env.arena.slot(name, env.behind)));
    }
}
