//! Asking for memory before it is needed.

/// Into the first-level cache, as the processor names it (`_MM_HINT_T0`).
const FIRST: i32 = 3;
/// Into the second-level cache (`_MM_HINT_T1`).
const SECOND: i32 = 2;

/// Asks for what is used next: it comes into the first-level cache.
#[inline(always)]
pub(crate) fn soon<T>(memory: &[T]) {
    ask::<FIRST>(memory.as_ptr().cast(), size_of_val(memory));
}

/// Asks for what is used later: it comes into the second-level cache.
#[inline(always)]
pub(crate) fn later<T>(memory: &[T]) {
    ask::<SECOND>(memory.as_ptr().cast(), size_of_val(memory));
}

/// The same of a value that may be somebody else's by now, or nobody's: it is not read.
#[inline(always)]
pub(crate) fn later_at<T>(value: *const T) {
    ask::<SECOND>(value.cast(), size_of::<T>());
}

/// For each cache line, if the memory begins on one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask<const HINT: i32>(start: *const i8, bytes: usize) {
    for offset in (0..bytes).step_by(64) {
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(start.wrapping_add(offset)) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn ask<const HINT: i32>(_: *const i8, _: usize) {}
