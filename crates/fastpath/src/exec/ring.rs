//! Multi-version memory: the writes of transactions that are executed but not committed.
//!
//! A cell of the state holds the committed value and, as a hint, the position of one uncommitted
//! writer. Each uncommitted write records the hint that it replaced. A reader follows this chain to
//! the nearest writer below itself. A read of an entry without an uncommitted writer costs one
//! load.
//!
//! Correctness does not depend on this memory. A reader records the stamp of the value that it
//! read, and the commit compares it with the committed stamp. Hints may therefore be overwritten in
//! any order; a stale hint costs at most a repeated execution. The alternative is the map of
//! version trees of Block-STM (Gelashvili et al., PPoPP 2023); its locks and allocations cost more
//! than a cheap transaction does.

use crate::frame::{Edit, FEW, Write, push_with};
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::sync::{Mutex, lock};
use crate::value::Value;

/// Maximum number of hints that a reader follows.
const LONGEST_CHAIN: usize = 16;

/// The uncommitted state of an entry below a reader.
#[derive(Debug)]
pub(crate) enum Pending {
    /// No uncommitted value is known: the reader uses the committed value.
    Nothing,
    /// The value that the nearest lower transaction wrote, and the stamp that its commit will
    /// store.
    Value(Option<Value>, Stamp),
    /// The transaction at this position is expected to write the entry, and the value is not known
    /// yet (an estimate).
    Soon(u32),
}

/// The records of the transactions in the window, by position modulo the length of the ring. The
/// length is a power of two.
#[derive(Debug)]
pub(crate) struct Ring {
    records: Vec<Mutex<Record>>,
}

#[derive(Debug)]
struct Record {
    index: u32,
    /// Whether the entries are estimates: announced before the execution, or left by an execution
    /// that failed its validation.
    estimate: bool,
    stamp: Stamp,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    /// The edit; never a credit. [`Edit::Delete`] as a placeholder in an estimate that was only
    /// announced.
    edit: Edit,
    previous: Option<u32>,
}

impl Record {
    /// Sorts the entries by slot if there are more than [`FEW`], for the binary search in
    /// [`Record::entry`].
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

    /// Clears every record. Positions of a new stretch begin at zero again.
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

    /// The uncommitted state of `slot` for `reader`. The search begins at the hint `writer`.
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

    /// Announces that the transaction at position `index` will write `slots`.
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

    /// Makes the writes of an execution visible to higher transactions. Credits are not published:
    /// a reader of a credited entry reads the committed number, and its commit detects whether that
    /// was correct.
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

    /// Marks the published writes as estimates: the execution failed its validation and will be
    /// repeated.
    pub(crate) fn reopen(&self, index: u32) {
        let mut record = lock(self.record(index));
        if record.index == index {
            record.estimate = true;
        }
    }

    /// Removes the record of `index` and its hints. Its writes are in the state.
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

    /// Whether the record of `index` consists of estimates.
    pub(crate) fn is_estimate(&self, index: u32) -> bool {
        let record = lock(self.record(index));
        record.index == index && record.estimate
    }
}
