//! One entry of the state: a 64-byte line that any thread reads without a lock.
//!
//! A cell has at most one writer at a time (the transaction that commits, or the shard that owns
//! it) and any number of readers. The stamp names the write that made the value and is never used
//! twice, so it serves three ends: a reader that sees it unchanged around its loads has read one
//! value and not halves of two (H. Boehm, "Can seqlocks get along with programming language memory
//! models?", 2012); a transaction that finds it unchanged at its turn has read what the order
//! demands; and a cell whose stamp is older than the block was not written in it.
//!
//! The road not taken is a lock in each cell: two atomic read-modify-writes on every read would
//! pull the line into the reader's cache exclusively, and readers of one hot key would fight.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence, relax};
use crate::value::{INLINE_BYTES, INLINE_WORDS};

/// The stamp of a cell that is being written.
const LOCKED: u64 = u64::MAX;
/// `len` of an entry that does not exist.
const ABSENT: u32 = u32::MAX;
/// `len` of a value on the heap; the first word is its ticket there.
const HEAP: u32 = u32::MAX - 1;

/// The name of a write: the transaction's number over all blocks, and which of its incarnations.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Of an entry that was there before the first block.
    pub(crate) const GENESIS: Self = Self(0);

    #[inline]
    pub(crate) fn new(sequence: u64, incarnation: u8) -> Self {
        Self(sequence << 8 | u64::from(incarnation))
    }
}

/// What a cell holds, copied out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Absent,
    Inline { len: u8, words: [u64; INLINE_WORDS] },
    Heap { ticket: u64 },
}

/// See the module.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Cell {
    stamp: AtomicU64,
    len: AtomicU32,
    /// A hint: one more than the index of an uncommitted transaction that wrote or will write
    /// here, or zero. Wrong hints cost time, never correctness.
    pending: AtomicU32,
    words: [AtomicU64; INLINE_WORDS],
}

impl Cell {
    pub(crate) fn absent() -> Self {
        Self {
            stamp: AtomicU64::new(Stamp::GENESIS.0),
            len: AtomicU32::new(ABSENT),
            pending: AtomicU32::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The content and the stamp of the write that made it.
    #[inline]
    pub(crate) fn read(&self) -> (Content, Stamp) {
        loop {
            let before = self.stamp.load(Ordering::Acquire);
            if before != LOCKED {
                let content = self.load();
                fence(Ordering::Acquire);
                if self.stamp.load(Ordering::Relaxed) == before {
                    return (content, Stamp(before));
                }
            }
            relax();
        }
    }

    /// The content's first word, zero if there is no entry, and the stamp of the write that made it;
    /// `None` if it is on the heap.
    #[inline]
    pub(crate) fn read_u64(&self) -> Option<(u64, Stamp)> {
        loop {
            let before = self.stamp.load(Ordering::Acquire);
            if before != LOCKED {
                let len = self.len.load(Ordering::Relaxed);
                let word = self.words[0].load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                if self.stamp.load(Ordering::Relaxed) == before {
                    return match len {
                        ABSENT | 0 => Some((0, Stamp(before))),
                        HEAP => None,
                        _ => Some((word, Stamp(before))),
                    };
                }
            }
            relax();
        }
    }

    /// The content, if it fills the cell.
    #[inline]
    pub(crate) fn read_full(&self) -> Option<[u64; INLINE_WORDS]> {
        loop {
            let before = self.stamp.load(Ordering::Acquire);
            if before != LOCKED {
                let len = self.len.load(Ordering::Relaxed);
                let words = std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                if self.stamp.load(Ordering::Relaxed) == before {
                    return (len == INLINE_BYTES as u32).then_some(words);
                }
            }
            relax();
        }
    }

    #[inline]
    fn load(&self) -> Content {
        let len = self.len.load(Ordering::Relaxed);
        match len {
            ABSENT => Content::Absent,
            HEAP => Content::Heap { ticket: self.words[0].load(Ordering::Relaxed) },
            // A torn read may see any length; the stamp's second look throws it away.
            len => {
                let len = (len as usize).min(INLINE_BYTES);
                let mut words = [0; INLINE_WORDS];
                for (word, cell) in words.iter_mut().zip(&self.words).take(len.div_ceil(8)) {
                    *word = cell.load(Ordering::Relaxed);
                }
                Content::Inline { len: len as u8, words }
            }
        }
    }

    /// Whether the last write is still the one that `stamp` names.
    #[inline]
    pub(crate) fn is_at(&self, stamp: Stamp) -> bool {
        self.stamp.load(Ordering::Acquire) == stamp.0
    }

    /// The stamp of the last write; for the one thread that may write.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.stamp.load(Ordering::Relaxed))
    }

    /// Replaces the content. Only one thread may write a cell at a time.
    #[inline]
    pub(crate) fn write(&self, content: Content, stamp: Stamp) {
        self.write_with(stamp, || match content {
            Content::Absent => self.len.store(ABSENT, Ordering::Relaxed),
            Content::Heap { ticket } => {
                self.len.store(HEAP, Ordering::Relaxed);
                self.words[0].store(ticket, Ordering::Relaxed);
            }
            Content::Inline { len, words } => {
                self.len.store(u32::from(len), Ordering::Relaxed);
                for (cell, word) in self.words.iter().zip(words).take(usize::from(len).div_ceil(8))
                {
                    cell.store(word, Ordering::Relaxed);
                }
            }
        });
    }

    /// As [`Cell::write`], for a number of eight bytes.
    #[inline]
    pub(crate) fn write_word(&self, word: u64, stamp: Stamp) {
        self.write_with(stamp, || {
            self.len.store(8, Ordering::Relaxed);
            self.words[0].store(word, Ordering::Relaxed);
        });
    }

    /// Replaces one word of a value that fills the cell.
    #[inline]
    pub(crate) fn write_part(&self, place: usize, word: u64, stamp: Stamp) {
        self.write_with(stamp, || self.words[place].store(word, Ordering::Relaxed));
    }

    #[inline]
    fn write_with(&self, stamp: Stamp, store: impl FnOnce()) {
        debug_assert_ne!(self.stamp.load(Ordering::Relaxed), LOCKED, "two writers of one cell");
        self.stamp.store(LOCKED, Ordering::Relaxed);
        fence(Ordering::Release);
        store();
        self.stamp.store(stamp.0, Ordering::Release);
    }

    /// The hint: an uncommitted writer's index.
    #[inline]
    pub(crate) fn pending(&self) -> Option<u32> {
        self.pending.load(Ordering::Acquire).checked_sub(1)
    }

    /// Leaves the hint that transaction `index` writes here.
    #[inline]
    pub(crate) fn announce(&self, index: u32) {
        self.pending.store(index + 1, Ordering::Release);
    }

    /// Takes the hint back if it is still there.
    #[inline]
    pub(crate) fn retract(&self, index: u32) {
        if self.pending.load(Ordering::Relaxed) == index + 1 {
            self.pending.store(0, Ordering::Release);
        }
    }

    /// Takes the lock of an object's present version for transaction `index`; `false` if another
    /// transaction holds it.
    #[inline]
    pub(crate) fn lock_version(&self, index: u32) -> bool {
        self.pending.compare_exchange(0, index + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cache_line() {
        assert_eq!(size_of::<Cell>(), 64);
        assert_eq!(align_of::<Cell>(), 64);
    }

    #[test]
    fn a_version_is_locked_once() {
        let cell = Cell::absent();
        assert!(cell.lock_version(3));
        assert!(!cell.lock_version(4));
        cell.retract(3);
        assert!(cell.lock_version(4));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    /// Without the second look at the stamp, or with a relaxed one before the loads, this fails.
    #[test]
    fn a_reader_never_sees_halves_of_two_values() {
        loom::model(|| {
            let cell = Arc::new(Cell::absent());
            let pair = |n: u64| Content::Inline { len: 16, words: [n, n, 0, 0, 0, 0] };
            cell.write(pair(1), Stamp::new(1, 0));
            let writer = {
                let cell = Arc::clone(&cell);
                loom::thread::spawn(move || cell.write(pair(2), Stamp::new(2, 0)))
            };
            let (content, stamp) = cell.read();
            let expected = if stamp == Stamp::new(1, 0) { pair(1) } else { pair(2) };
            assert_eq!(content, expected);
            writer.join().unwrap();
            assert_eq!(cell.read(), (pair(2), Stamp::new(2, 0)));
        });
    }
}
