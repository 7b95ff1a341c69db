//! The reads and writes of one execution of a transaction, buffered apart from the state.

use std::collections::HashMap;

use ahash::RandomState;

use crate::object::Header;
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::transaction::Cause;
use crate::value::{Key, Value};

/// Maximum number of entries that are searched linearly. Above it an index is used, so that the
/// cost of a large transaction is proportional to its size.
pub(crate) const FEW: usize = 16;

/// A read of the state: the entry, and the stamp of the write that made the value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) slot: Slot,
    pub(crate) stamp: Stamp,
}

/// A transaction's change of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Sets a number of eight bytes. This is the most common value; it is moved and stored as one
    /// word.
    Word(u64),
    Put(Value),
    Delete,
    /// Adds to the number of the entry. Credits commute, so they impose no order.
    Credit(u64),
}

impl Edit {
    /// The value after an edit that sets one; `None` for a deletion or a credit.
    pub(crate) fn left(&self) -> Option<Value> {
        match self {
            Self::Word(word) => Some(Value::from_u64(*word)),
            Self::Put(value) => Some(value.clone()),
            Self::Delete | Self::Credit(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) slot: Slot,
    pub(crate) edit: Edit,
}

/// An object that the execution has opened.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Opened {
    /// Slot of the header. The data is in the next slot.
    pub(crate) slot: Slot,
    /// The version that was found, and the ownership after the transaction.
    pub(crate) header: Header,
    /// Whether the object was immutable when it was opened.
    pub(crate) frozen: bool,
    /// Whether the transaction increments its version.
    pub(crate) spent: bool,
    /// Whether the transaction changes its ownership.
    pub(crate) given: bool,
}

/// The buffers of one execution, reused for the next one.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: Vec<Write>,
    /// Index of each slot's write in `writes`, if there are more than [`FEW`] writes.
    places: HashMap<Slot, u32, RandomState>,
    /// Index of each declared key, writes first, if there are more than [`FEW`] declared keys.
    declared: HashMap<Key, u32, RandomState>,
    pub(crate) objects: Vec<Opened>,
    /// Header slots of objects of which only the version changes, with the next version.
    pub(crate) versions: Vec<(Slot, u64)>,
    pub(crate) fee: u64,
    /// Whether a declared object is shared or does not exist.
    pub(crate) shared: bool,
    /// Credits that are no longer in `writes` but must not have overflowed.
    pub(crate) bounds: Vec<(Slot, u64)>,
    /// If set, the execution fails with this cause, even if the transaction ignores the error.
    pub(crate) poison: Option<Cause>,
    /// The keys looked up last, with their slots. A key that is read is usually written next.
    pub(crate) recent: Recent,
    /// The values read, in order, if a log is kept.
    pub(crate) seen: Option<Vec<(Slot, Option<Value>)>>,
}

/// The last four keys that a transaction looked up.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: [(Key, Slot); 4],
    used: usize,
}

impl Recent {
    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<Slot> {
        let known = &self.entries[..self.used.min(self.entries.len())];
        known.iter().find(|(other, _)| other == key).map(|(_, slot)| *slot)
    }

    #[inline]
    pub(crate) fn put(&mut self, key: &Key, slot: Slot) {
        self.entries[self.used % self.entries.len()] = (*key, slot);
        self.used += 1;
    }
}

impl Frame {
    pub(crate) fn new(log: bool) -> Self {
        Self { seen: log.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn clear(&mut self) {
        self.reads.clear();
        self.recent.used = 0;
        self.declared.clear();
        self.writes.clear();
        self.objects.clear();
        self.versions.clear();
        self.fee = 0;
        self.bounds.clear();
        self.shared = false;
        self.poison = None;
        if let Some(seen) = &mut self.seen {
            seen.clear();
        }
    }

    /// Discards every effect. The reads are kept, because the failure depends on them.
    pub(crate) fn discard(&mut self) {
        for write in self.writes.drain(..) {
            if let Edit::Credit(amount) = write.edit {
                self.bounds.push((write.slot, amount));
            }
        }
        self.objects.clear();
        self.versions.clear();
        self.fee = 0;
    }

    #[inline]
    pub(crate) fn written(&mut self, slot: Slot) -> Option<&mut Edit> {
        let place = if self.writes.len() <= FEW {
            self.writes.iter().position(|write| write.slot == slot)
        } else {
            self.places.get(&slot).map(|&place| place as usize)
        };
        place.map(|place| &mut self.writes[place].edit)
    }

    /// Appends a write of an entry that has none yet.
    #[inline]
    pub(crate) fn push(&mut self, write: Write) {
        self.writes.push(write);
        if self.writes.len() > FEW {
            self.index();
        }
    }

    #[cold]
    fn index(&mut self) {
        // The first call replaces the index by all writes; later calls add the last write.
        let known = if self.writes.len() == FEW + 1 { 0 } else { self.writes.len() - 1 };
        if known == 0 {
            self.places.clear();
        }
        for (place, write) in (known as u32..).zip(&self.writes[known..]) {
            self.places.insert(write.slot, place);
        }
    }

    /// Indexes the declared keys, if there are more than [`FEW`].
    #[inline]
    pub(crate) fn declare(&mut self, writes: &[Key], reads: &[Key]) {
        if writes.len() + reads.len() > FEW {
            for (place, key) in (0..).zip(writes.iter().chain(reads)) {
                self.declared.entry(*key).or_insert(place);
            }
        }
    }

    /// First index of a key in the declared writes followed by the declared reads.
    #[inline]
    pub(crate) fn declared(&self, key: &Key, writes: &[Key], reads: &[Key]) -> Option<usize> {
        if writes.len() + reads.len() > FEW {
            return self.declared.get(key).map(|&place| place as usize);
        }
        let place = |keys: &[Key]| keys.iter().position(|declared| declared == key);
        place(writes).or_else(|| Some(writes.len() + place(reads)?))
    }

    /// Always inlined: a number then does not become a [`Value`] at the call site.
    #[inline(always)]
    pub(crate) fn put_value(&mut self, slot: Slot, value: Value) {
        match value.word() {
            Some(word) => self.put_word(slot, word),
            None => self.put(slot, Edit::Put(value)),
        }
    }

    /// Writes a number. Separate from [`Frame::put`] so that no [`Value`] is built and copied.
    #[inline]
    pub(crate) fn put_word(&mut self, slot: Slot, word: u64) {
        match self.written(slot) {
            None => {
                push_with(&mut self.writes, || Write { slot, edit: Edit::Word(word) });
                if self.writes.len() > FEW {
                    self.index();
                }
            }
            Some(Edit::Word(written)) => *written = word,
            Some(_) => self.put(slot, Edit::Word(word)),
        }
    }

    /// Not inlined, so that [`Frame::put_word`] is short enough to be inlined.
    #[inline(never)]
    pub(crate) fn put(&mut self, slot: Slot, edit: Edit) {
        match self.written(slot) {
            None => self.push(Write { slot, edit }),
            Some(written) => {
                let before = std::mem::replace(written, edit);
                if let (Edit::Credit(amount), Some(Edit::Word(_) | Edit::Put(_) | Edit::Delete)) =
                    (before, self.written(slot))
                {
                    self.bounds.push((slot, amount));
                }
            }
        }
    }

    /// Whether the committed state still matches the reads of a speculative execution.
    #[inline]
    pub(crate) fn is_valid(&self, arena: &Arena) -> bool {
        self.reads.iter().all(|read| arena.cell(read.slot).is_at(read.stamp))
            && self
                .bounds
                .iter()
                .all(|&(slot, amount)| credited(&arena.load(slot).0, amount).is_some())
    }

    /// Writes all effects to the state with the stamp `stamp`, and appends the slots that the block
    /// had not written before to `dirty`. Returns `false`, and writes nothing, if a credit would
    /// overflow.
    #[inline]
    pub(crate) fn apply(
        &self,
        arena: &Arena,
        stamp: Stamp,
        since: Stamp,
        dirty: &mut Vec<Slot>,
    ) -> bool {
        if self.writes.iter().any(|write| match write.edit {
            Edit::Credit(amount) => credited(&arena.load(write.slot).0, amount).is_none(),
            _ => false,
        }) {
            return false;
        }
        for write in &self.writes {
            let first = match &write.edit {
                Edit::Word(word) => arena.store_word(write.slot, *word, stamp, since),
                Edit::Put(value) => arena.store(write.slot, Some(value), stamp, since),
                Edit::Delete => arena.store(write.slot, None, stamp, since),
                Edit::Credit(amount) => {
                    let value = credited(&arena.load(write.slot).0, *amount);
                    arena.store(write.slot, value.as_ref(), stamp, since)
                }
            };
            if first {
                dirty.push(write.slot);
            }
        }
        for &(slot, version) in &self.versions {
            if arena.store_version(slot, version, stamp, since) {
                dirty.push(slot);
            }
        }
        true
    }
}

/// Pushes the result of `make`, built in place. `Vec::push` builds the element on the stack with
/// stores of one word and then copies it with wider loads, which stall until the stores complete.
#[inline]
pub(crate) fn push_with<T>(list: &mut Vec<T>, make: impl FnMut() -> T) {
    list.resize_with(list.len() + 1, make);
}

/// The value after a credit of `amount`; `None` on overflow. A missing entry counts as zero.
#[inline]
pub(crate) fn credited(value: &Option<Value>, amount: u64) -> Option<Value> {
    match value {
        None => Some(Value::from_u64(amount)),
        Some(value) => value.as_u64().checked_add(amount).map(|sum| value.with_u64(sum)),
    }
}
