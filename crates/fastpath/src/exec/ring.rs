//! Multi-version memory: what transactions that are executed but not committed have written.
//!
//! A cell of the state holds the committed value and, as a hint, the index of one uncommitted
//! writer; each uncommitted write remembers the hint that it displaced. A reader follows that chain
//! down to the nearest writer below itself, so every version of the window is within reach and an
//! entry that nobody is writing costs one load.
//!
//! Nothing here is needed for correctness: a reader notes the stamp of what it got, and only the
//! comparison with the committed stamp at its turn decides. So the hints may be overwritten in any
//! order and a stale one costs a repeated execution at worst. The road not taken is the map of
//! version trees of Block-STM (Gelashvili et al., PPoPP 2023), whose locks and allocations cost more
//! than a cheap transaction does.

use crate::frame::{Edit, FEW, Write, push_with};
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::sync::{Mutex, lock};
use crate::value::Value;

/// Longest chain of hints that a reader follows.
const LONGEST_CHAIN: usize = 16;

/// What the memory knows about an entry below a reader.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Nothing: the committed value is the best guess.
    Nothing,
    /// The value that the nearest lower transaction left, and the stamp that it will have.
    Value(Option<Value>, Stamp),
    /// That transaction will write here, but what is not known yet (an estimate).
    Soon(u32),
}

/// The records of the transactions in the window, by position modulo its length.
#[derive(Debug)]
pub(crate) struct Ring {
    records: Vec<Mutex<Record>>,
}

#[derive(Debug)]
struct Record {
    index: u32,
    /// Whether the entries are only expected: announced beforehand, or left by an execution that
    /// did not hold.
    estimate: bool,
    stamp: Stamp,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    /// What was written, credits aside; a deletion where it is not known yet.
    edit: Edit,
    previous: Option<u32>,
}

impl Record {
    /// More than a few entries are kept in order, so that they can be found.
    fn sort(&mut self) {
        if self.entries.len() > FEW {
            self.entries.sort_unstable_by_key(|entry| entry.slot);
        }
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        if self.entries.len() <= FEW {
            return self.entries.iter().find(|entry| entry.slot == slot);
        }
        let place = self.entries.binary_search_by_key(&slot, |entry| entry.slot).ok()?;
        Some(&self.entries[place])
    }
}

impl Ring {
    pub(crate) fn new(len: usize) -> Self {
        let empty = || Record {
            index: u32::MAX,
            estimate: false,
            stamp: Stamp::GENESIS,
            entries: Vec::new(),
        };
        Self { records: (0..len.next_power_of_two()).map(|_| Mutex::new(empty())).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Forgets every record; indices of a new stretch start over.
    pub(crate) fn reset(&mut self) {
        for record in &mut self.records {
            #[cfg(not(loom))]
            let record = record.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            #[cfg(loom)]
            let record = record.get_mut().expect("not poisoned");
            record.index = u32::MAX;
            record.entries.clear();
        }
    }

    fn record(&self, index: u32) -> &Mutex<Record> {
        &self.records[index as usize & (self.records.len() - 1)]
    }

    /// What `reader` finds at `slot`, starting from the hint `writer`.
    pub(crate) fn find(&self, mut writer: u32, slot: Slot, reader: u32) -> Pending {
        for _ in 0..LONGEST_CHAIN {
            let record = lock(self.record(writer));
            if record.index != writer {
                return Pending::Nothing;
            }
            let Some(entry) = record.entry(slot) else { return Pending::Nothing };
            if writer < reader {
                return if record.estimate {
                    Pending::Soon(writer)
                } else {
                    Pending::Value(entry.edit.left(), record.stamp)
                };
            }
            match entry.previous {
                Some(previous) => writer = previous,
                None => return Pending::Nothing,
            }
        }
        Pending::Nothing
    }

    /// Announces that transaction `index` will write `slots`.
    pub(crate) fn expect(&self, arena: &Arena, index: u32, slots: impl Iterator<Item = Slot>) {
        let mut record = lock(self.record(index));
        record.index = index;
        record.estimate = true;
        record.entries.clear();
        for slot in slots {
            let previous = arena.cell(slot).pending();
            record.entries.push(Entry { slot, edit: Edit::Delete, previous });
        }
        record.sort();
        for entry in &record.entries {
            arena.cell(entry.slot).announce(index);
        }
    }

    /// Makes the writes of an execution visible to higher transactions. Credits are not shown: who
    /// reads the entry reads the committed number and finds at its turn whether it held.
    pub(crate) fn publish(&self, arena: &Arena, index: u32, stamp: Stamp, writes: &[Write]) {
        let mut record = lock(self.record(index));
        let expected =
            if record.index == index { std::mem::take(&mut record.entries) } else { Vec::new() };
        record.index = index;
        record.estimate = false;
        record.stamp = stamp;
        record.entries.clear();
        for write in writes {
            let Write { slot, edit } = write;
            if matches!(edit, Edit::Credit(_)) {
                continue;
            }
            let previous = arena.cell(*slot).pending().filter(|&hint| hint != index);
            push_with(&mut record.entries, || Entry { slot: *slot, edit: edit.clone(), previous });
        }
        record.sort();
        for entry in &record.entries {
            arena.cell(entry.slot).announce(index);
        }
        for entry in &expected {
            if record.entry(entry.slot).is_none() {
                arena.cell(entry.slot).retract(index);
            }
        }
    }

    /// The execution that was published did not hold; another one follows.
    pub(crate) fn reopen(&self, index: u32) {
        let mut record = lock(self.record(index));
        if record.index == index {
            record.estimate = true;
        }
    }

    /// Transaction `index` is committed: its writes are in the state.
    pub(crate) fn retire(&self, arena: &Arena, index: u32) {
        let mut record = lock(self.record(index));
        if record.index == index {
            for entry in &record.entries {
                arena.cell(entry.slot).retract(index);
            }
            record.index = u32::MAX;
            record.entries.clear();
        }
    }

    /// Whether `index` still owes its writes.
    pub(crate) fn is_estimate(&self, index: u32) -> bool {
        let record = lock(self.record(index));
        record.index == index && record.estimate
    }
}
