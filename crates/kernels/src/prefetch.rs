//! Asking for memory before it is needed.

/// Into the first-level cache, as the processor names it (`_MM_HINT_T0`).
const FIRST: i32 = 3;
/// Into the second-level cache (`_MM_HINT_T1`).
const SECOND: i32 = 2;

/// Asks for what is used next: it comes into the first-level cache.
#[inline(always)]
pub(crate) fn soon<T>(memory: &[T]) {
    ask::<FIRST, T>(memory);
}

/// Asks for what is used later: it comes into the second-level cache.
#[inline(always)]
pub(crate) fn later<T>(memory: &[T]) {
    ask::<SECOND, T>(memory);
}

/// For each cache line, if the memory begins on one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask<const HINT: i32, T>(memory: &[T]) {
    for offset in (0..size_of_val(memory)).step_by(64) {
        let line = memory.as_ptr().cast::<i8>().wrapping_add(offset);
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(line) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn ask<const HINT: i32, T>(_: &[T]) {}
