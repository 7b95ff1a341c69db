//! Where a name stands: a hash table of slots alone, eight of them to a cache line.
//!
//! The names are beside the cells already, so the table keeps no copy of them, and a name that is
//! looked for costs one line of the table and then, side by side, its own and its cell's. A table of
//! whole names is four times as large, and its lines come one after the other.

use super::arena::Slot;
use super::prefetch::prefetch;

/// Open addressing in steps of one. Nothing is ever taken out.
#[derive(Default)]
pub(crate) struct Index {
    /// The upper half of the name's hash, whose first bits are the place, and one more than the
    /// slot; zero where there is none. As many as a power of two, or none.
    entries: Vec<u64>,
    used: usize,
}

impl Index {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }

    /// The slot that a name of this hash has, if there is one for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let mask = self.entries.len().wrapping_sub(1);
        let mut place = self.place(hash);
        loop {
            let entry = *self.entries.get(place & mask)?;
            let slot = (entry as Slot).checked_sub(1)?;
            if (entry ^ hash) >> 32 == 0 && is(slot) {
                return Some(slot);
            }
            place += 1;
        }
    }

    /// Brings the line close where a name of this hash is looked for.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        self.entries.get(self.place(hash)).inspect(|entry| prefetch(*entry));
    }

    /// Adds a slot for a name that has none.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot) {
        // A quarter stays empty, so that a search ends soon.
        if 4 * (self.used + 1) > 3 * self.entries.len() {
            let larger = vec![0; (2 * self.entries.len()).max(16)];
            for entry in std::mem::replace(&mut self.entries, larger) {
                if entry != 0 {
                    self.put(entry);
                }
            }
        }
        self.put(hash >> 32 << 32 | u64::from(slot + 1));
        self.used += 1;
    }

    fn put(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut place = self.place(entry);
        while self.entries[place & mask] != 0 {
            place += 1;
        }
        self.entries[place & mask] = entry;
    }

    /// Where the search for a hash begins: its first bits, as many as the table has places.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Beside a table of the standard library, over hashes that spread and hashes that do not.
    #[test]
    fn every_slot_is_found_and_no_other() {
        for spread in [0x9e37_79b9_7f4a_7c15, 1 << 40, 1, 0] {
            let hash = |n: u32| u64::from(n).wrapping_mul(spread);
            let mut index = Index::default();
            let mut reference = HashMap::new();
            assert_eq!(index.find(0, |_| true), None);
            for n in 0..1000 {
                let name = n * 7 % 1024;
                index.insert(hash(name), n);
                reference.insert(name, n);
                assert!(index.used < index.entries.len());
            }
            for name in 0..1024 {
                let found = index.find(hash(name), |slot| slot * 7 % 1024 == name);
                assert_eq!(found, reference.get(&name).copied());
            }
        }
    }
}
