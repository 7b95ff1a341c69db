//! Memory for fixed data: aligned, shared, and divided into slabs without copying.

use std::{ops::Range, sync::Arc};

use bytemuck::{Pod, Zeroable, allocation::try_zeroed_vec};

/// One cache line, the unit of allocation and alignment of slabs.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

const LINE_BYTES: usize = size_of::<Line>();
const LINE_WORDS: usize = LINE_BYTES / 8;

/// Words of a huge page.
const HUGE_WORDS: usize = (2 << 20) / 8;

/// Why a slab cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SlabError {
    /// The system refused the memory.
    #[error("out of memory: the system refused {bytes} bytes")]
    OutOfMemory {
        /// The size of the request.
        bytes: usize,
    },
    /// The part is outside the slab, or does not begin on a cache line.
    #[error("bytes {start}..{end} are not an aligned part of a slab of {len} bytes")]
    BadRange {
        /// First byte of the part.
        start: usize,
        /// One past the last byte of the part.
        end: usize,
        /// The slab's length.
        len: usize,
    },
}

/// A slab being filled; [`SlabMut::freeze`] makes it shareable.
pub struct SlabMut {
    own: Own,
    len: usize,
}

impl SlabMut {
    /// Allocates `len` zero bytes, aligned to a cache line. A refusal by the system is an error,
    /// not an abort; pages that are never written need not become resident.
    pub fn zeroed(len: usize) -> Result<Self, SlabError> {
        let own = Own::zeroed(len.div_ceil(LINE_BYTES));
        Ok(Self { own: own.ok_or(SlabError::OutOfMemory { bytes: len })?, len })
    }

    /// The bytes, for writing.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(self.own.lines_mut())[..self.len]
    }

    /// The complete 64-bit words, for writing.
    pub fn words(&mut self) -> &mut [u64] {
        &mut bytemuck::cast_slice_mut(self.own.lines_mut())[..self.len / 8]
    }

    /// The complete 32-bit words, for writing.
    pub fn u32s(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(self.own.lines_mut())[..self.len / 4]
    }

    /// Drops all bytes from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes the slab read-only and shareable.
    pub fn freeze(self) -> Slab {
        Slab { range: 0..self.len, lines: Arc::new(Backing::Own(self.own)) }
    }
}

/// Lines inside an allocation of words. (An allocation with more alignment than words need is
/// zeroed at once, before the system can be asked for huge pages.)
struct Own {
    words: Vec<u64>,
    /// The first word of the first line.
    start: usize,
    lines: usize,
}

impl Own {
    fn zeroed(lines: usize) -> Option<Self> {
        let len = lines.checked_mul(LINE_WORDS)?;
        // A large slab starts on a huge page; the words before it are never touched.
        let align = if len < HUGE_WORDS { LINE_WORDS } else { HUGE_WORDS };
        let words = try_zeroed_vec::<u64>(len.checked_add(align)?).ok()?;
        let address = words.as_ptr() as usize / size_of::<u64>();
        let mut own = Self { words, start: address.next_multiple_of(align) - address, lines };
        ask_for_huge_pages(own.lines_mut());
        Some(own)
    }

    fn lines(&self) -> &[Line] {
        bytemuck::cast_slice(&self.words[self.start..][..self.lines * LINE_WORDS])
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        bytemuck::cast_slice_mut(&mut self.words[self.start..][..self.lines * LINE_WORDS])
    }
}

/// `len` copies of a value, in memory for which huge pages are requested before it is written. The
/// first access to each page is a page fault, and the large vectors of a proof have many pages.
pub(crate) fn repeated<T: Copy>(value: T, len: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    ask_for_huge_pages(values.spare_capacity_mut());
    values.resize(len, value);
    values
}

/// `len` zeros, in memory that the system zeroes and for which huge pages are requested. A large
/// vector whose values need no more alignment than words is not written yet.
pub(crate) fn zeroed<T: Zeroable>(len: usize) -> Vec<T> {
    let mut values = bytemuck::zeroed_vec(len);
    ask_for_huge_pages(&mut values);
    values
}

/// Resizes a vector. A reallocation leaves spare capacity, because the next request is usually
/// similar, and wipes the old memory.
pub(crate) fn set_len<T: Copy>(values: &mut Vec<T>, len: usize, blank: T) {
    if values.capacity() < len {
        let mut larger = Vec::with_capacity(len + len / 8);
        ask_for_huge_pages(larger.spare_capacity_mut());
        larger.extend_from_slice(values);
        wipe_all(values, blank);
        *values = larger;
    }
    values.resize(len, blank);
}

/// Overwrites secrets before their memory is freed.
pub(crate) fn wipe<T: Copy>(values: &mut [T], blank: T) {
    values.fill(blank);
    zeroize::optimization_barrier(values);
}

/// Overwrites a vector, including the capacity that it used when it was longer.
pub(crate) fn wipe_all<T: Copy>(values: &mut Vec<T>, blank: T) {
    values.clear();
    values.resize(values.capacity(), blank);
    zeroize::optimization_barrier(values.as_slice());
}

/// Requests huge pages for large memory: a sum reads points in random order, which misses the
/// address translations of small pages. Nothing changes on a system that does not grant it.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages<T>(memory: &mut [T]) {
    use rustix::mm::{Advice, madvise};
    const HUGE: usize = 8 * HUGE_WORDS;
    let start = memory.as_mut_ptr() as usize;
    let (first, end) = (start.next_multiple_of(HUGE), start + size_of_val(memory));
    let bytes = end.saturating_sub(first) / HUGE * HUGE;
    if bytes > 0 {
        let inside = memory.as_mut_ptr().wrapping_byte_add(first - start);
        // SAFETY: the range lies inside the slice, and this advice does not change its contents.
        let _ = unsafe { madvise(inside.cast(), bytes, Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages<T>(_: &mut [T]) {}

/// Read-only bytes, aligned to a cache line and shared between clones.
///
/// A converted key is read into one slab and divided into sections; each section keeps the whole
/// slab alive.
#[derive(Clone)]
pub struct Slab {
    lines: Arc<Backing>,
    range: Range<usize>,
}

/// The memory of a slab.
enum Backing {
    Own(Own),
    #[cfg(target_os = "linux")]
    Mapped(mapped::Map),
}

impl std::ops::Deref for Backing {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Backing::Own(own) => own.lines(),
            #[cfg(target_os = "linux")]
            Backing::Mapped(map) => map.lines(),
        }
    }
}

impl Slab {
    /// Maps a file: pages are read when they are accessed, and shared with other processes that map
    /// it. On systems other than Linux the file is read into memory.
    ///
    /// The file must not be truncated while it is mapped, or the process is killed when it accesses
    /// the missing part. Map only files that are written under another name, renamed, and never
    /// modified afterwards.
    pub fn map(file: &std::fs::File) -> std::io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
        #[cfg(target_os = "linux")]
        if len > 0 {
            let map = mapped::Map::new(file, len)?;
            return Ok(Self { lines: Arc::new(Backing::Mapped(map)), range: 0..len });
        }
        let mut slab = SlabMut::zeroed(len).map_err(std::io::Error::other)?;
        std::io::Read::read_exact(&mut &*file, slab.bytes())?;
        Ok(slab.freeze())
    }

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

    /// A part that begins on a cache line.
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

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[self.range.clone()]
    }

    /// The complete 64-bit words.
    pub fn words(&self) -> &[u64] {
        let start = self.range.start / 8;
        &bytemuck::cast_slice(&self.lines)[start..start + self.len() / 8]
    }

    /// The complete 32-bit words.
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

#[cfg(target_os = "linux")]
mod mapped {
    use std::{ffi::c_void, fs::File, io, ptr};

    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    use super::{LINE_BYTES, Line};

    /// Read-only pages of a file.
    pub(super) struct Map {
        start: *mut c_void,
        lines: usize,
    }

    // SAFETY: the pages are mapped read-only, and a mapping is not tied to a thread.
    unsafe impl Send for Map {}
    // SAFETY: the pages are mapped read-only, so concurrent reads do not race.
    unsafe impl Sync for Map {}

    impl Map {
        pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
            // The system fills the last page with zeros, and pages consist of whole lines.
            let lines = len.div_ceil(LINE_BYTES);
            let (length, flags) = (lines * LINE_BYTES, MapFlags::PRIVATE);
            // SAFETY: a null address lets the system choose, so no existing mapping is replaced.
            let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, flags, file, 0)? };
            Ok(Self { start, lines })
        }

        pub(super) fn lines(&self) -> &[Line] {
            // SAFETY: the mapping is aligned to a page and `lines` lines long, every bit pattern is a
            // valid line, and `self` keeps the mapping alive.
            unsafe { std::slice::from_raw_parts(self.start.cast(), self.lines) }
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: `new` created this mapping with this length, and no reference outlives `self`.
            let _ = unsafe { munmap(self.start, self.lines * LINE_BYTES) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_back_unchanged() {
        let mut file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(std::env::temp_dir().join(format!("athanor-slab-{}", std::process::id())))
            .unwrap();
        let bytes: Vec<u8> = (0..10_000u32).map(|byte| byte as u8).collect();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let slab = Slab::map(&file).unwrap();
        assert_eq!(slab.bytes(), bytes);
        let part = slab.slice(6_400..9_999).unwrap();
        drop((slab, file));
        assert_eq!(part.bytes(), &bytes[6_400..9_999]);
        let _ = std::fs::remove_file(
            std::env::temp_dir().join(format!("athanor-slab-{}", std::process::id())),
        );
    }

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
        assert!((slab.words().as_ptr() as usize).is_multiple_of(2 << 20), "huge pages fill it");
        assert!(slab.words().iter().all(|&word| word == 0));
        slab.words().iter_mut().zip(0..).for_each(|(word, value)| *word = value);
        let slab = slab.freeze();
        assert!(slab.words().iter().zip(0..).all(|(&word, value)| word == value));
    }

    #[test]
    fn a_large_vector_is_the_value_throughout() {
        for len in [0, 3, (3 << 20) / 8 + 1] {
            assert!(repeated(7u64, len).into_iter().eq(std::iter::repeat_n(7, len)));
            assert!(zeroed::<u64>(len).into_iter().eq(std::iter::repeat_n(0, len)));
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        assert!(matches!(SlabMut::zeroed(1 << 60), Err(SlabError::OutOfMemory { .. })));
    }
}
