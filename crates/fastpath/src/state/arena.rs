//! The resident entries: names interned once to dense slots, values in an array of cells.
//!
//! During a block the table of names is frozen, so every thread looks names up without a lock.
//! Names that the table lacks go to a sharded overlay and are absorbed when the block is done.
//! The hash is keyed with a secret of the process, so that chosen keys cannot pile up in it.

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

/// A resident entry: an index of the array, or of the overlay if the top bit is set.
pub(crate) type Slot = u32;
const OVERLAY: Slot = 1 << 31;
const SHARDS: usize = 64;
/// Cells of the overlay's first segment; each further one doubles.
const SEGMENT: usize = 1024;
const SEGMENTS: usize = 20;

/// By whether the name is an object's, and the name.
type FreshTable = HashMap<(bool, Key), Slot, RandomState>;

/// A name with its place in the root: a cache line.
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

/// A name with the hash that it is found by.
#[derive(Copy, Clone)]
pub(crate) struct Sought<'a> {
    key: &'a Key,
    object: bool,
    hash: u64,
    /// Where it probably is.
    guess: Option<Slot>,
}

/// See the module.
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

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Resident entries.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Approximate bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
            + self.names.capacity() * size_of::<Name>()
            + self.spaces.capacity() * size_of::<Space>()
            + self.plain.bytes()
            + self.objects.bytes()
    }

    /// A number that spreads keys evenly and that nobody outside can predict.
    #[inline]
    pub(crate) fn spread(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The slot of a plain key.
    #[inline]
    pub(crate) fn plain(&self, key: &Key, behind: &dyn State) -> Slot {
        self.slot(self.seek(false, key), behind)
    }

    /// The slot of an object's header; its data is in the next slot.
    #[inline]
    pub(crate) fn object(&self, key: &Key, behind: &dyn State) -> Slot {
        self.slot(self.seek(true, key), behind)
    }

    /// A name to look up with others: what [`Arena::slot`] begins with is brought close.
    #[inline]
    pub(crate) fn seek<'a>(&self, object: bool, key: &'a Key) -> Sought<'a> {
        let hash = self.spread(key);
        self.index(object).touch(hash);
        Sought { key, object, hash, guess: None }
    }

    /// Brings what [`Arena::slot`] compares, and the cells, close.
    #[inline]
    pub(crate) fn approach(&self, name: &mut Sought<'_>) {
        name.guess = self.index(name.object).find(name.hash, |_| true);
        if let Some(slot) = name.guess {
            prefetch(&self.names[slot as usize]);
            self.touch_all(slot, name.object);
        }
    }

    /// The slot of a name, whose cells are brought close.
    #[inline]
    pub(crate) fn slot(&self, name: Sought<'_>, behind: &dyn State) -> Slot {
        self.find(name).unwrap_or_else(|| self.fresh(name.object, name.key, behind))
    }

    /// Whether the name is in the frozen table.
    pub(crate) fn knows(&self, object: bool, key: &Key) -> bool {
        self.find(self.seek(object, key)).is_some()
    }

    #[inline]
    fn index(&self, object: bool) -> &Index {
        if object { &self.objects } else { &self.plain }
    }

    /// The slot of a name in the frozen table.
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
                // Two neighbours for everything: an object needs them, and a plain key's second
                // cell is gone with the block.
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
            // Outside the table's lock: a slow store must not stop other names.
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

    /// Whether the store behind failed since the last call of [`Arena::take_error`].
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
                    // The ticket may have been given to other bytes since; then the stamp moved.
                    if let Some(bytes) = bytes
                        && cell.is_at(stamp)
                    {
                        return (Some(Value::from_shared(bytes)), stamp);
                    }
                }
            }
        }
    }

    /// Brings a cell close, for a use that follows soon.
    #[inline]
    pub(crate) fn touch(&self, slot: Slot) {
        prefetch(self.cell(slot));
    }

    /// As [`Arena::touch`], for both cells of an object if it is one.
    #[inline]
    pub(crate) fn touch_all(&self, slot: Slot, object: bool) {
        self.touch(slot);
        if object {
            self.touch(slot + 1);
        }
    }

    /// As [`Arena::touch`], for a cell and its name.
    #[inline]
    pub(crate) fn touch_named(&self, slot: Slot) {
        self.touch(slot);
        prefetch(self.name(slot));
    }

    /// The committed header of an object.
    #[inline]
    pub(crate) fn header(&self, slot: Slot) -> Option<Header> {
        self.cell(slot).read_full().as_ref().and_then(Header::from_words)
    }

    /// Replaces a value; returns whether this is the first write of the block that began at
    /// `since`. One writer at a time.
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
            // What is there may be a long value, which must be freed.
            return self.store(slot, Some(&Value::from_u64(word)), stamp, since);
        }
        let cell = self.cell(slot);
        let before = cell.stamp();
        cell.write_word(word, stamp);
        before < since
    }

    /// Moves an object on to another version; the rest of its header stays. As [`Arena::store`].
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

    /// Adds or replaces an entry outside a block.
    pub(crate) fn insert(&mut self, space: Space, key: Key, value: Option<&Value>) -> Slot {
        let slot = match space {
            Space::Plain => self.intern(false, key),
            Space::ObjectHeader => self.intern(true, key),
            Space::ObjectData => self.intern(true, key) + 1,
        };
        self.store(slot, value, Stamp::GENESIS, Stamp::GENESIS);
        slot
    }

    /// The slot of a name in the frozen table, made if it is new. The cells of a new name are
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

    /// Takes the overlay's existing entries into the table. Names that were only asked for and
    /// never existed are forgotten, so asking cannot fill the memory.
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
