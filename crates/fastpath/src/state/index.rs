//! A hash table from names to slots that stores no names. A cache line holds eight entries.
//!
//! The names are stored next to the cells. A lookup reads one line of the table and then, in
//! parallel, the lines of the name and the cell. A table that stores 32-byte names is at least four
//! times as large, and its lines are read one after the other.

use super::arena::Slot;
use super::prefetch::prefetch;

/// An open-addressing hash table with linear probing. Entries are never removed.
#[derive(Default)]
pub(crate) struct Index {
    /// Upper half: the upper 32 bits of the name's hash. Lower half: one more than the slot. Zero
    /// marks an empty place. The length is a power of two or zero.
    entries: Vec<u64>,
    used: usize,
}

impl Index {
    /// Size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }

    /// The first slot of a name with this hash for which `is` returns `true`.
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

    /// Prefetches the line at which a search for this hash begins.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        self.entries.get(self.place(hash)).inspect(|entry| prefetch(*entry));
    }

    /// Adds a slot for a name that is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot) {
        // At least a quarter of the places is empty, which bounds the length of searches.
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

    /// The place at which a search for the hash begins: its upper 32 bits, scaled to the length of
    /// the table.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Compares with a table of the standard library, for hashes that are evenly distributed and
    /// hashes that are not.
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
