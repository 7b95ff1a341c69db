//! The resident entries: names mapped to dense slots, and values in an array of cells.
//!
//! During a block the table of names does not change, so every thread looks up names without a
//! lock. Names that are not in the table go to a sharded overlay, and [`Arena::absorb`] moves them
//! into the table after the block. The hash is keyed with a random key of the process, so that
//! chosen names cannot produce collisions.

use std::collections::HashMap;
use std::sync::{Mutex, Once, OnceLock};

use ahash::RandomState;

use super::cell::{Cell, Content, Stamp};
use super::heap::Heap;
use super::index::Index;
use super::prefetch::prefetch;
use super::{State, StateError};
use crate::block::Space;
use crate::object::{Header, VERSION_WORD};
use crate::sync::{AtomicU32, Ordering};
use crate::value::{Key, Value};

/// Index of a resident entry: in the array, or in the overlay if the top bit is set.
pub(crate) type Slot = u32;
const OVERLAY: Slot = 1 << 31;
const SHARDS: usize = 64;
/// Cells of the overlay's first segment. Each further segment has twice as many.
const SEGMENT: usize = 1024;
const SEGMENTS: usize = 20;

/// Overlay index of each name. The flag is `true` for objects.
type FreshTable = HashMap<(bool, Key), Slot, RandomState>;

/// A name with its path in the root. It fills a cache line.
#[repr(align(64))]
#[derive(Copy, Clone, Debug)]
pub(crate) struct Name {
    pub(crate) key: Key,
    pub(crate) path: [u8; 32],
}

impl Name {
    fn new(space: Space, key: Key) -> Self {
        Self { key, path: super::root::path(space, &key) }
    }
}

/// A name with its hash, during a lookup.
#[derive(Copy, Clone)]
pub(crate) struct Sought<'a> {
    key: &'a Key,
    object: bool,
    hash: u64,
    /// The slot with the same hash bits, if the index has been searched.
    guess: Option<Slot>,
}

/// All resident entries.
pub(crate) struct Arena {
    hasher: RandomState,
    plain: Index,
    objects: Index,
    cells: Vec<Cell>,
    names: Vec<Name>,
    spaces: Vec<Space>,
    heap: Heap,
    overlay: Overlay,
    lost: Mutex<Option<StateError>>,
}

struct Overlay {
    tables: Vec<Mutex<FreshTable>>,
    next: AtomicU32,
    segments: Vec<OnceLock<Box<[Fresh]>>>,
}

/// A cell of the overlay.
struct Fresh {
    cell: Cell,
    loaded: Once,
    name: OnceLock<(Space, Name)>,
}

impl Fresh {
    fn name(&self) -> &(Space, Name) {
        self.name.get().expect("named when it was made")
    }

    fn set_name(&self, space: Space, key: Key) {
        let _ = self.name.set((space, Name::new(space, key)));
    }
}

impl Arena {
    pub(crate) fn new() -> Self {
        let hasher = RandomState::new();
        Self {
            plain: Index::default(),
            objects: Index::default(),
            cells: Vec::new(),
            names: Vec::new(),
            spaces: Vec::new(),
            heap: Heap::default(),
            overlay: Overlay {
                tables: (0..SHARDS)
                    .map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())))
                    .collect(),
                next: AtomicU32::new(0),
                segments: (0..SEGMENTS).map(|_| OnceLock::new()).collect(),
            },
            lost: Mutex::new(None),
            hasher,
        }
    }

    /// Removes all entries.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Number of resident cells; an object has two.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Approximate size in bytes of cells, names and indexes. Long values and the overlay are not
    /// counted.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
            + self.names.capacity() * size_of::<Name>()
            + self.spaces.capacity() * size_of::<Space>()
            + self.plain.bytes()
            + self.objects.bytes()
    }

    /// A hash of the key that is evenly distributed and cannot be predicted outside the process.
    #[inline]
    pub(crate) fn spread(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The slot of a plain key.
    #[inline]
    pub(crate) fn plain(&self, key: &Key, behind: &dyn State) -> Slot {
        self.slot(self.seek(false, key), behind)
    }

    /// The slot of an object's header. Its data is in the next slot.
    #[inline]
    pub(crate) fn object(&self, key: &Key, behind: &dyn State) -> Slot {
        self.slot(self.seek(true, key), behind)
    }

    /// Starts a lookup: hashes the name and prefetches the line of the index that [`Arena::slot`]
    /// reads first.
    #[inline]
    pub(crate) fn seek<'a>(&self, object: bool, key: &'a Key) -> Sought<'a> {
        let hash = self.spread(key);
        self.index(object).touch(hash);
        Sought { key, object, hash, guess: None }
    }

    /// Continues a lookup: searches the index by hash, and prefetches the name and the cells that
    /// it finds.
    #[inline]
    pub(crate) fn approach(&self, name: &mut Sought<'_>) {
        name.guess = self.index(name.object).find(name.hash, |_| true);
        if let Some(slot) = name.guess {
            prefetch(&self.names[slot as usize]);
            self.touch_all(slot, name.object);
        }
    }

    /// Ends a lookup: the slot of the name, which is created in the overlay if it is new.
    #[inline]
    pub(crate) fn slot(&self, name: Sought<'_>, behind: &dyn State) -> Slot {
        self.find(name).unwrap_or_else(|| self.fresh(name.object, name.key, behind))
    }

    /// Whether the name is in the table.
    pub(crate) fn knows(&self, object: bool, key: &Key) -> bool {
        self.find(self.seek(object, key)).is_some()
    }

    #[inline]
    fn index(&self, object: bool) -> &Index {
        if object { &self.objects } else { &self.plain }
    }

    /// The slot of a name in the table. Prefetches the cells of each slot that it compares.
    #[inline]
    fn find(&self, name: Sought<'_>) -> Option<Slot> {
        let is_it = |slot: Slot| self.names[slot as usize].key == *name.key;
        if name.guess.is_some_and(is_it) {
            return name.guess;
        }
        self.index(name.object).find(name.hash, |slot| {
            self.touch_all(slot, name.object);
            is_it(slot)
        })
    }

    #[cold]
    fn fresh(&self, object: bool, key: &Key, behind: &dyn State) -> Slot {
        let shard = self.spread(key) as usize % SHARDS;
        let slot = {
            let mut table = crate::sync_lock(&self.overlay.tables[shard]);
            *table.entry((object, *key)).or_insert_with(|| {
                // Every name gets two adjacent cells. An object needs both; the second cell of a
                // plain key is dropped after the block.
                let index = self.overlay.next.fetch_add(2, Ordering::Relaxed);
                let first = if object { Space::ObjectHeader } else { Space::Plain };
                self.overlay.at(index).set_name(first, *key);
                if object {
                    self.overlay.at(index + 1).set_name(Space::ObjectData, *key);
                }
                index | OVERLAY
            })
        };
        if !behind.is_resident() {
            // Outside the table's lock, so that a slow store does not block lookups of other names.
            let index = slot & !OVERLAY;
            self.overlay.at(index).loaded.call_once(|| {
                let count = if object { 2 } else { 1 };
                for index in index..index + count {
                    let fresh = self.overlay.at(index);
                    let (space, name) = fresh.name();
                    match behind.get(*space, &name.key) {
                        Ok(value) => {
                            fresh.cell.write(self.heap.put(value.as_ref()), Stamp::GENESIS);
                        }
                        Err(error) => {
                            crate::sync_lock(&self.lost).get_or_insert(error);
                        }
                    }
                }
            });
        }
        slot
    }

    /// Whether the store behind the executor failed since the last call of [`Arena::take_error`].
    pub(crate) fn is_lost(&self) -> bool {
        crate::sync_lock(&self.lost).is_some()
    }

    pub(crate) fn take_error(&self) -> Option<StateError> {
        crate::sync_lock(&self.lost).take()
    }

    #[inline]
    pub(crate) fn cell(&self, slot: Slot) -> &Cell {
        match self.cells.get(slot as usize) {
            Some(cell) => cell,
            None => &self.overlay.at(slot & !OVERLAY).cell,
        }
    }

    pub(crate) fn name(&self, slot: Slot) -> &Name {
        match self.names.get(slot as usize) {
            Some(name) => name,
            None => &self.overlay.at(slot & !OVERLAY).name().1,
        }
    }

    pub(crate) fn space(&self, slot: Slot) -> Space {
        match self.spaces.get(slot as usize) {
            Some(space) => *space,
            None => self.overlay.at(slot & !OVERLAY).name().0,
        }
    }

    /// The committed value and its stamp.
    #[inline]
    pub(crate) fn load(&self, slot: Slot) -> (Option<Value>, Stamp) {
        let cell = self.cell(slot);
        loop {
            let (content, stamp) = cell.read();
            match content {
                Content::Absent => return (None, stamp),
                Content::Inline { len, words } => {
                    return (Some(Value::from_words(len, words)), stamp);
                }
                Content::Heap { ticket } => {
                    let bytes = self.heap.get(ticket);
                    // The ticket may have been reused for another value since the read. Then the
                    // stamp has changed.
                    if let Some(bytes) = bytes
                        && cell.is_at(stamp)
                    {
                        return (Some(Value::from_shared(bytes)), stamp);
                    }
                }
            }
        }
    }

    /// Prefetches a cell.
    #[inline]
    pub(crate) fn touch(&self, slot: Slot) {
        prefetch(self.cell(slot));
    }

    /// Prefetches the cell of an entry, or both cells of an object.
    #[inline]
    pub(crate) fn touch_all(&self, slot: Slot, object: bool) {
        self.touch(slot);
        if object {
            self.touch(slot + 1);
        }
    }

    /// Prefetches a cell and its name.
    #[inline]
    pub(crate) fn touch_named(&self, slot: Slot) {
        self.touch(slot);
        prefetch(self.name(slot));
    }

    /// The committed header of an object; `None` if the object does not exist.
    #[inline]
    pub(crate) fn header(&self, slot: Slot) -> Option<Header> {
        self.cell(slot).read_full().as_ref().and_then(Header::from_words)
    }

    /// Replaces a value. Returns whether this is the first write of the block whose first stamp is
    /// `since`. A cell must have one writer at a time.
    #[inline]
    pub(crate) fn store(
        &self,
        slot: Slot,
        value: Option<&Value>,
        stamp: Stamp,
        since: Stamp,
    ) -> bool {
        let cell = self.cell(slot);
        let before = cell.stamp();
        let (old, _) = if self.heap.is_empty() { (Content::Absent, before) } else { cell.read() };
        cell.write(self.heap.put(value), stamp);
        if let Content::Heap { ticket } = old {
            self.heap.remove(ticket);
        }
        before < since
    }

    /// As [`Arena::store`], for a number of eight bytes.
    #[inline]
    pub(crate) fn store_word(&self, slot: Slot, word: u64, stamp: Stamp, since: Stamp) -> bool {
        if !self.heap.is_empty() {
            // The present value may be a long one, which must be freed.
            return self.store(slot, Some(&Value::from_u64(word)), stamp, since);
        }
        let cell = self.cell(slot);
        let before = cell.stamp();
        cell.write_word(word, stamp);
        before < since
    }

    /// Sets the version of an object and keeps the rest of its header. As [`Arena::store`].
    #[inline]
    pub(crate) fn store_version(
        &self,
        slot: Slot,
        version: u64,
        stamp: Stamp,
        since: Stamp,
    ) -> bool {
        let cell = self.cell(slot);
        let before = cell.stamp();
        cell.write_part(VERSION_WORD, version, stamp);
        before < since
    }

    /// Adds or replaces an entry while no transaction runs.
    pub(crate) fn insert(&mut self, space: Space, key: Key, value: Option<&Value>) -> Slot {
        let slot = match space {
            Space::Plain => self.intern(false, key),
            Space::ObjectHeader => self.intern(true, key),
            Space::ObjectData => self.intern(true, key) + 1,
        };
        self.store(slot, value, Stamp::GENESIS, Stamp::GENESIS);
        slot
    }

    /// The slot of a name in the table, which is added if it is new. The cells of a new name are
    /// absent.
    pub(crate) fn intern(&mut self, object: bool, key: Key) -> Slot {
        let next = self.cells.len() as Slot;
        assert!(next < OVERLAY - 2, "more than two thousand million resident entries");
        let sought = self.seek(object, &key);
        if let Some(slot) = self.find(sought) {
            return slot;
        }
        let hash = sought.hash;
        if object { &mut self.objects } else { &mut self.plain }.insert(hash, next);
        let spaces: &[Space] =
            if object { &[Space::ObjectHeader, Space::ObjectData] } else { &[Space::Plain] };
        for space in spaces {
            self.cells.push(Cell::absent());
            self.names.push(Name::new(*space, key));
            self.spaces.push(*space);
        }
        next
    }

    /// Moves the overlay's existing entries into the table. Names that were looked up and never
    /// written are dropped, so lookups cannot exhaust the memory.
    pub(crate) fn absorb(&mut self) {
        if self.overlay.next.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut fresh = Vec::new();
        for table in &mut self.overlay.tables {
            let table = table.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            fresh.extend(table.drain());
        }
        for ((object, key), slot) in fresh {
            let count = if object { 2 } else { 1 };
            let contents: Vec<_> =
                (0..count).map(|i| self.overlay.at((slot & !OVERLAY) + i).cell.read()).collect();
            if contents.iter().all(|(content, _)| *content == Content::Absent) {
                continue;
            }
            let slot = self.intern(object, key);
            for (i, (content, stamp)) in contents.into_iter().enumerate() {
                self.cells[slot as usize + i].write(content, stamp);
            }
        }
        self.overlay.next.store(0, Ordering::Relaxed);
        for segment in &mut self.overlay.segments {
            segment.take();
        }
    }
}

impl Overlay {
    fn at(&self, index: u32) -> &Fresh {
        let scaled = index as usize / SEGMENT + 1;
        let segment = scaled.ilog2() as usize;
        let first = ((1 << segment) - 1) * SEGMENT;
        let cells = self.segments[segment].get_or_init(|| {
            (0..SEGMENT << segment)
                .map(|_| Fresh { cell: Cell::absent(), loaded: Once::new(), name: OnceLock::new() })
                .collect()
        });
        &cells[index as usize - first]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::MemoryState;
    use super::*;

    #[test]
    fn long_values_are_kept_replaced_and_freed() {
        let mut arena = Arena::new();
        let key = Key::from_u64(1);
        let long = Value::from_bytes(&[7; 100]);
        let slot = arena.insert(Space::Plain, key, Some(&long));
        assert_eq!(arena.load(slot).0, Some(long));
        let longer = Value::from_bytes(&[8; 1000]);
        arena.insert(Space::Plain, key, Some(&longer));
        assert_eq!(arena.load(slot).0, Some(longer));
        arena.insert(Space::Plain, key, Some(&Value::from_u64(3)));
        assert_eq!(arena.load(slot).0, Some(Value::from_u64(3)));
        assert!(arena.heap.is_empty());
    }

    #[test]
    fn new_names_survive_the_block_only_if_they_came_to_exist() {
        let mut arena = Arena::new();
        let since = Stamp::new(1, 0);
        for n in 0..5000 {
            let slot = arena.plain(&Key::from_u64(n), &MemoryState);
            assert_eq!(slot, arena.plain(&Key::from_u64(n), &MemoryState));
            assert_eq!(arena.load(slot).0, None);
            if n % 2 == 0 {
                assert!(arena.store(slot, Some(&Value::from_u64(n)), since, since));
                assert!(!arena.store(slot, Some(&Value::from_u64(n)), since, since));
            }
        }
        arena.absorb();
        assert_eq!(arena.len(), 2500);
        for n in 0..5000 {
            let expected = (n % 2 == 0).then(|| Value::from_u64(n));
            assert_eq!(arena.load(arena.plain(&Key::from_u64(n), &MemoryState)).0, expected);
        }
    }
}
