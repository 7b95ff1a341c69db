//! Prefetch hints for the processor.

#![allow(unsafe_code)]

/// Maximum number of cache lines that are prefetched for one item.
const LINES: usize = 8;

/// Starts to load the first eight cache lines of `item` into the caches, without waiting. Does
/// nothing on architectures other than x86-64.
#[inline]
pub(crate) fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let first = std::ptr::from_ref(item).cast::<i8>();
        // An item with an alignment of at least its size, or of at least 64 bytes, does not extend
        // into one more line.
        let lines = size_of::<T>().div_ceil(64).min(LINES);
        for i in 0..lines {
            line(first.wrapping_add(64 * i));
        }
        if lines < LINES && align_of::<T>() < size_of::<T>().min(64) {
            line(first.wrapping_add(size_of::<T>() - 1));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (item, LINES);
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: `prefetcht0` is a hint. It does not change memory or registers and does not fault at
    // an invalid address. It belongs to SSE, which every x86-64 processor has.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}
