//! Asking for memory before it is needed.

/// Asks for what is used next: it comes into the first-level cache.
#[inline(always)]
pub(crate) fn soon<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    each_line(memory, |line| {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
    });
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

/// Asks for what is used later: it comes into the second-level cache.
#[inline(always)]
pub(crate) fn later<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    each_line(memory, |line| {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line) }
    });
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

/// An address in each cache line, if the memory begins on one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn each_line<T>(memory: &[T], mut ask: impl FnMut(*const i8)) {
    for offset in (0..size_of_val(memory)).step_by(64) {
        ask(memory.as_ptr().cast::<i8>().wrapping_add(offset));
    }
}
