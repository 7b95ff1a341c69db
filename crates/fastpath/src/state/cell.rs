//! An entry of the state: a 64-byte cell that every thread reads without a lock.
//!
//! A cell has at most one writer at a time (the worker at the commit frontier, or the owner of the
//! shard) and any number of readers. The stamp identifies the write that made the value; a block
//! never uses a stamp twice. It has three uses:
//!
//! - A reader that loads the same stamp before and after the value has read one value and not parts
//!   of two (H. Boehm, "Can seqlocks get along with programming language memory models?", 2012).
//! - A transaction is valid if the stamps of its reads are unchanged at its commit.
//! - A cell whose stamp is older than the block was not written in it.
//!
//! The alternative is a lock in each cell. It would cost two atomic read-modify-writes per read,
//! each of which moves the cache line into the reader's cache exclusively, so readers of a hot key
//! would contend.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence, relax};
use crate::value::{INLINE_BYTES, INLINE_WORDS};

/// The stamp of a cell during a write.
const LOCKED: u64 = u64::MAX;
/// Value of `len` if the entry does not exist.
const ABSENT: u32 = u32::MAX;
/// Value of `len` for a value on the heap. The first word is its ticket.
const HEAP: u32 = u32::MAX - 1;

/// Identifies a write: the transaction's number over all blocks, and the incarnation of its
/// execution.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// The stamp of an entry that was not written by a block.
    pub(crate) const GENESIS: Self = Self(0);

    #[inline]
    pub(crate) fn new(sequence: u64, incarnation: u8) -> Self {
        Self(sequence << 8 | u64::from(incarnation))
    }
}

/// A copy of the content of a cell.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Absent,
    Inline { len: u8, words: [u64; INLINE_WORDS] },
    Heap { ticket: u64 },
}

/// A cell: a seqlock whose sequence number is the stamp.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Cell {
    stamp: AtomicU64,
    len: AtomicU32,
    /// A hint: one more than the position of an uncommitted transaction that wrote or is expected
    /// to write this entry; zero if there is none. In a shard, the lock of the object's version.
    /// Wrong hints cost time and do not change the result.
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

    /// The content, and the stamp of the write that made it.
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

    /// The first word of the content, zero if the entry does not exist, and the stamp of the write
    /// that made it. `None` if the value is on the heap.
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
            // A torn read can load any length. The second load of the stamp detects it.
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

    /// Whether `stamp` is the stamp of the last write.
    #[inline]
    pub(crate) fn is_at(&self, stamp: Stamp) -> bool {
        self.stamp.load(Ordering::Acquire) == stamp.0
    }

    /// The stamp of the last write. Only the thread that can write the cell may call this.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.stamp.load(Ordering::Relaxed))
    }

    /// Replaces the content. A cell must have one writer at a time.
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

    /// The position of an uncommitted writer, if the hint is set.
    #[inline]
    pub(crate) fn pending(&self) -> Option<u32> {
        self.pending.load(Ordering::Acquire).checked_sub(1)
    }

    /// Sets the hint: the transaction at position `index` writes this entry.
    #[inline]
    pub(crate) fn announce(&self, index: u32) {
        self.pending.store(index + 1, Ordering::Release);
    }

    /// Clears the hint if it is that of `index`.
    #[inline]
    pub(crate) fn retract(&self, index: u32) {
        if self.pending.load(Ordering::Relaxed) == index + 1 {
            self.pending.store(0, Ordering::Release);
        }
    }

    /// Locks the present version of an object for transaction `index`. Returns `false` if it is
    /// locked already.
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

    /// Fails without the second load of the stamp, or if the first load is relaxed.
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
