//! A hint to the processor that something is wanted soon.

#![allow(unsafe_code)]

/// Starts to bring `item`, of up to two cache lines, close, and does not wait for it. Does nothing
/// where the standard library knows no such instruction.
#[inline]
pub(super) fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let first = std::ptr::from_ref(item).cast::<i8>();
        line(first);
        if align_of::<T>() < 64 {
            line(first.wrapping_add(size_of::<T>().saturating_sub(1)));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction changes nothing that a program can see and faults at no address; SSE,
    // which has it, is part of every x86-64 processor.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}
