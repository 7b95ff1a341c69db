//! A hint to the processor that something is wanted soon.

#![allow(unsafe_code)]

/// Most lines of one item that are asked for.
const LINES: usize = 8;

/// Starts to bring `item`, or its first eight cache lines, close, and does not wait for it. Does
/// nothing where the standard library knows no such instruction.
#[inline]
pub(crate) fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let first = std::ptr::from_ref(item).cast::<i8>();
        // What is no larger than its alignment, or than a line and aligned to one, crosses none.
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
    // SAFETY: the instruction changes nothing that a program can see and faults at no address; SSE,
    // which has it, is part of every x86-64 processor.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}
