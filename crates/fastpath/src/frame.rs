//! What one execution of a transaction has read and written so far, kept aside from the state.

use std::collections::HashMap;

use ahash::RandomState;

use crate::object::Header;
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::transaction::Cause;
use crate::value::{Key, Value};

/// Names of one transaction that are looked through one by one; more are looked up in an index, so
/// that a large transaction costs in proportion to its size.
pub(crate) const FEW: usize = 16;

/// A read of the state: which entry, and which write had made what was read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) slot: Slot,
    pub(crate) stamp: Stamp,
}

/// What a transaction does to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// A number of eight bytes, the most common value: moved and stored as one word.
    Word(u64),
    Put(Value),
    Delete,
    /// Adds to the number there, whatever it is: credits commute, so they order nothing.
    Credit(u64),
}

impl Edit {
    /// What is there after an edit that sets it; a credit alone does not.
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
    /// Of the header; the data is next to it.
    pub(crate) slot: Slot,
    /// With the version that was found and the ownership to come.
    pub(crate) header: Header,
    /// Whether it was immutable when it was found.
    pub(crate) frozen: bool,
    /// Whether its version moves on.
    pub(crate) spent: bool,
    /// Whether it was given away.
    pub(crate) given: bool,
}

/// Buffers of one execution, reused from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: Vec<Write>,
    /// Places of the writes, if they are more than a few.
    places: HashMap<Slot, u32, RandomState>,
    /// Places of the declared keys, writes first, if they are more than a few.
    declared: HashMap<Key, u32, RandomState>,
    pub(crate) objects: Vec<Opened>,
    /// Objects of which nothing but the version changes, and the next one.
    pub(crate) versions: Vec<(Slot, u64)>,
    pub(crate) fee: u64,
    /// Whether a declared object is shared or does not exist.
    pub(crate) shared: bool,
    /// Credits that no longer appear among the writes, but that must not have overflowed.
    pub(crate) bounds: Vec<(Slot, u64)>,
    /// Set when the execution must end whatever the transaction makes of the error.
    pub(crate) poison: Option<Cause>,
    /// Keys looked up last, with their slots: a key that is read is mostly written next.
    pub(crate) recent: Recent,
    /// Values read, in order, where a log is kept.
    pub(crate) seen: Option<Vec<(Slot, Option<Value>)>>,
}

/// The last few keys that a transaction looked up.
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

    /// Drops every effect; what was read stays, because it is what the outcome rests on.
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

    /// Adds a write to an entry that has none.
    #[inline]
    pub(crate) fn push(&mut self, write: Write) {
        self.writes.push(write);
        if self.writes.len() > FEW {
            self.index();
        }
    }

    #[cold]
    fn index(&mut self) {
        // The first time, what earlier transactions left goes and all writes go in; then the last.
        let known = if self.writes.len() == FEW + 1 { 0 } else { self.writes.len() - 1 };
        if known == 0 {
            self.places.clear();
        }
        for (place, write) in (known as u32..).zip(&self.writes[known..]) {
            self.places.insert(write.slot, place);
        }
    }

    /// Notes the declared keys, if they are more than a few.
    #[inline]
    pub(crate) fn declare(&mut self, writes: &[Key], reads: &[Key]) {
        if writes.len() + reads.len() > FEW {
            for (place, key) in (0..).zip(writes.iter().chain(reads)) {
                self.declared.entry(*key).or_insert(place);
            }
        }
    }

    /// The first place of a key among the declared writes and then reads.
    #[inline]
    pub(crate) fn declared(&self, key: &Key, writes: &[Key], reads: &[Key]) -> Option<usize> {
        if writes.len() + reads.len() > FEW {
            return self.declared.get(key).map(|&place| place as usize);
        }
        let place = |keys: &[Key]| keys.iter().position(|declared| declared == key);
        place(writes).or_else(|| Some(writes.len() + place(reads)?))
    }

    /// Always in line: what a number is made into where it comes from is never made then.
    #[inline(always)]
    pub(crate) fn put_value(&mut self, slot: Slot, value: Value) {
        match value.word() {
            Some(word) => self.put_word(slot, word),
            None => self.put(slot, Edit::Put(value)),
        }
    }

    /// Puts a number; apart from [`Frame::put`] so that no whole value is built and copied.
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

    /// Out of line, so that [`Frame::put_word`] is short enough to be in it.
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

    /// Whether the state still is what a speculative execution took it for.
    #[inline]
    pub(crate) fn is_valid(&self, arena: &Arena) -> bool {
        self.reads.iter().all(|read| arena.cell(read.slot).is_at(read.stamp))
            && self
                .bounds
                .iter()
                .all(|&(slot, amount)| credited(&arena.load(slot).0, amount).is_some())
    }

    /// Writes everything to the state, in the name of `stamp`, and notes the entries that the block
    /// had not written before. `false`, with nothing written, if a credit would overflow.
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

/// Pushes what `make` returns, made where it stays: a push puts it together on the stack, word by
/// word, and the processor waits to move it on in larger pieces.
#[inline]
pub(crate) fn push_with<T>(list: &mut Vec<T>, make: impl FnMut() -> T) {
    list.resize_with(list.len() + 1, make);
}

/// A value whose number has grown by `amount`; an entry that does not exist counts as zero.
#[inline]
pub(crate) fn credited(value: &Option<Value>, amount: u64) -> Option<Value> {
    match value {
        None => Some(Value::from_u64(amount)),
        Some(value) => value.as_u64().checked_add(amount).map(|sum| value.with_u64(sum)),
    }
}
