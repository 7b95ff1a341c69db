//! Names looked up before they are needed: while a group of transactions is executed, the next has
//! been looked up, one beside the other, and what it named is on its way, so that nobody waits for
//! memory after memory.

use std::ops::Range;

use super::{Env, Order};
use crate::Transaction;
use crate::state::arena::{Slot, Sought};
use crate::state::prefetch::prefetch;
use crate::transaction::{Access, Declaration};

/// Transactions of a group: enough to keep a core's reads in flight, few enough that what they
/// brought close is still there when it is used.
pub(super) const DEPTH: u32 = 8;

/// Goes through a stretch in order.
pub(super) struct Ahead<'a, T> {
    env: &'a Env<'a, T>,
    order: Order<'a>,
    places: Range<u32>,
    now: Group<'a>,
    next: Group<'a>,
    /// Groups to go by without a look where one had nothing to see.
    gap: u32,
    /// How many of them are left.
    skip: u32,
}

/// What a group named.
#[derive(Default)]
struct Group<'a> {
    names: Vec<Sought<'a>>,
    slots: Vec<Slot>,
    /// Where each transaction's slots end.
    ends: Vec<u32>,
}

impl<'a, T: Transaction> Ahead<'a, T> {
    /// For the transactions at `places`. Where a group had nothing to see, `gap` groups go by
    /// without a look.
    pub(super) fn new(env: &'a Env<'a, T>, order: Order<'a>, places: Range<u32>, gap: u32) -> Self {
        let [now, next] = [Group::default(), Group::default()];
        let mut ahead = Self { env, order, places, now, next, gap, skip: 0 };
        ahead.look_up(ahead.places.start);
        ahead
    }

    /// The slots of objects, declared writes and declared reads of the transaction at `position`;
    /// none if it says nothing in advance, or went by without a look. Every place is asked for once, in turn.
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

    /// Looks up the group that begins at `first`.
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
