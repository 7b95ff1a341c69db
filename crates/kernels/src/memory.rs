//! Memory that fixed data lives in: aligned, shared, and cut into slabs without copying.

use std::{ops::Range, sync::Arc};

use bytemuck::{Pod, Zeroable, allocation::try_zeroed_vec};

/// One cache line, the unit in which slabs are allocated and aligned.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

const LINE_BYTES: usize = size_of::<Line>();

/// Why bytes cannot serve as a slab.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SlabError {
    /// The system refused the memory.
    #[error("out of memory: {bytes} bytes were refused")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
    /// A part outside the slab, or not on a cache line.
    #[error("bytes {start}..{end} are no aligned part of a slab of {len} bytes")]
    BadRange {
        /// First byte asked for.
        start: usize,
        /// One past the last byte asked for.
        end: usize,
        /// The slab's length.
        len: usize,
    },
}

/// A slab being filled; [`SlabMut::freeze`] makes it shareable.
pub struct SlabMut {
    lines: Vec<Line>,
    len: usize,
}

impl SlabMut {
    /// `len` zero bytes on a cache line. A refusal by the system is an error, not an abort; pages
    /// that are never written need not become resident.
    pub fn zeroed(len: usize) -> Result<Self, SlabError> {
        let mut lines = try_zeroed_vec(len.div_ceil(LINE_BYTES))
            .map_err(|()| SlabError::OutOfMemory { bytes: len })?;
        ask_for_huge_pages(&mut lines);
        Ok(Self { lines, len })
    }

    /// The bytes, to be filled.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }

    /// The whole words, to be filled.
    pub fn words(&mut self) -> &mut [u64] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len / 8]
    }

    /// The whole 32-bit words, to be filled.
    pub fn u32s(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len / 4]
    }

    /// Forgets all bytes from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Ends the filling.
    pub fn freeze(self) -> Slab {
        Slab { range: 0..self.len, lines: self.lines.into() }
    }
}

/// Asks the system to back a large slab with huge pages: a sum reads a key's points in an order that
/// misses the small ones' translations. A system that does not grant it changes nothing.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(lines: &mut [Line]) {
    use rustix::mm::{Advice, madvise};
    const HUGE: usize = 2 << 20;
    let start = lines.as_mut_ptr() as usize;
    let (first, end) = (start.next_multiple_of(HUGE), start + size_of_val(lines));
    let bytes = end.saturating_sub(first) / HUGE * HUGE;
    if bytes > 0 {
        let inside = lines.as_mut_ptr().wrapping_byte_add(first - start);
        // SAFETY: the range lies inside the slice, and this advice does not change its contents.
        let _ = unsafe { madvise(inside.cast(), bytes, Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: &mut [Line]) {}

/// Read-only bytes on a cache line, shared between clones.
///
/// A converted key is read into one slab and cut into its sections; each section keeps the whole
/// alive.
#[derive(Clone)]
pub struct Slab {
    lines: Arc<Vec<Line>>,
    range: Range<usize>,
}

impl Slab {
    /// A copy of the given words.
    pub fn from_words(words: &[u64]) -> Result<Self, SlabError> {
        let mut slab = SlabMut::zeroed(size_of_val(words))?;
        slab.words().copy_from_slice(words);
        Ok(slab.freeze())
    }

    /// A copy of the given 32-bit words.
    pub fn from_u32s(words: &[u32]) -> Result<Self, SlabError> {
        let mut slab = SlabMut::zeroed(size_of_val(words))?;
        slab.u32s().copy_from_slice(words);
        Ok(slab.freeze())
    }

    /// A part that starts on a cache line.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, SlabError> {
        let bad = SlabError::BadRange { start: range.start, end: range.end, len: self.len() };
        let aligned = range.start.is_multiple_of(LINE_BYTES);
        if !aligned || range.start > range.end || range.end > self.len() {
            return Err(bad);
        }
        let start = self.range.start + range.start;
        Ok(Self { lines: self.lines.clone(), range: start..start + range.len() })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[self.range.clone()]
    }

    /// The whole 64-bit words.
    pub fn words(&self) -> &[u64] {
        let start = self.range.start / 8;
        &bytemuck::cast_slice(&self.lines)[start..start + self.len() / 8]
    }

    /// The whole 32-bit words.
    pub fn u32s(&self) -> &[u32] {
        let start = self.range.start / 4;
        &bytemuck::cast_slice(&self.lines)[start..start + self.len() / 4]
    }
}

impl std::fmt::Debug for Slab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slab({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_memory_and_only_aligned_parts_exist() {
        let words: Vec<u64> = (0..20).collect();
        let slab = Slab::from_words(&words).unwrap();
        let part = slab.slice(64..160).unwrap();
        assert_eq!(part.words(), &words[8..]);
        assert_eq!(part.u32s()[2], 9);
        assert!(std::ptr::eq(part.words(), &slab.words()[8..]));
        for bad in [8..16, 64..161, Range { start: 128, end: 64 }] {
            assert!(slab.slice(bad).is_err());
        }
    }

    #[test]
    fn a_large_slab_is_zero_and_keeps_what_is_written() {
        let mut slab = SlabMut::zeroed((9 << 20) + 24).unwrap();
        assert!(slab.words().iter().all(|&word| word == 0));
        slab.words().iter_mut().zip(0..).for_each(|(word, value)| *word = value);
        let slab = slab.freeze();
        assert!(slab.words().iter().zip(0..).all(|(&word, value)| word == value));
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        assert!(matches!(SlabMut::zeroed(1 << 60), Err(SlabError::OutOfMemory { .. })));
    }
}
