//! Names looked up a few transactions before they are needed: what a transaction says in advance is
//! found, and brought close, beside what its neighbours say, so that one waits for memory with the
//! others and not after them.

use super::{Env, Order};
use crate::Transaction;
use crate::state::arena::Slot;
use crate::transaction::{Access, Declaration};

/// Transactions looked up together: enough to keep a core's reads in flight, few enough that what
/// they brought close is still there when it is used.
pub(super) const DEPTH: u32 = 8;

/// The slots of the transactions at hand.
#[derive(Default)]
pub(super) struct Ahead {
    slots: Vec<Slot>,
    /// Where each transaction's slots end.
    ends: Vec<u32>,
}

impl Ahead {
    /// Looks up what the transactions at `places` name.
    pub(super) fn look_up<T: Transaction>(
        &mut self,
        env: &Env<'_, T>,
        order: Order<'_>,
        places: std::ops::Range<u32>,
    ) {
        self.slots.clear();
        self.ends.clear();
        for position in places {
            self.note(env, &env.transactions[order.at(position) as usize]);
            self.ends.push(self.slots.len() as u32);
        }
    }

    /// Whether nobody said anything in advance.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slots of objects, declared writes and declared reads of the transaction at this place
    /// among those looked up; none if it says nothing in advance.
    #[inline]
    pub(super) fn slots(&self, place: u32) -> &[Slot] {
        if self.slots.is_empty() {
            return &[];
        }
        let place = place as usize;
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.slots[begin as usize..self.ends[place] as usize]
    }

    #[inline]
    fn note<T: Transaction>(&mut self, env: &Env<'_, T>, transaction: &T) {
        for object in transaction.objects() {
            let slot = env.arena.object(&object.id, env.behind);
            env.arena.touch_object(slot);
            self.slots.push(slot);
        }
        if let Access::Keys { kind: Declaration::Exact | Declaration::Superset, writes, reads } =
            transaction.access()
        {
            for key in writes.iter().chain(reads) {
                let slot = env.arena.plain(key, env.behind);
                env.arena.touch(slot);
                self.slots.push(slot);
            }
        }
    }
}
