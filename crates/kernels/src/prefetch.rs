//! Asking for memory before it is needed.

/// Into the first-level cache, as the processor names it (`_MM_HINT_T0`).
const L1_HINT: i32 = 3;
/// Into the second-level cache (`_MM_HINT_T1`).
const L2_HINT: i32 = 2;

/// Asks for what is used next: it comes into the first-level cache.
#[inline(always)]
pub(crate) fn to_l1<T>(memory: &[T]) {
    prefetch::<L1_HINT>(memory.as_ptr().cast(), size_of_val(memory));
}

/// Asks for what is used later: it comes into the second-level cache.
#[inline(always)]
pub(crate) fn to_l2<T>(memory: &[T]) {
    prefetch::<L2_HINT>(memory.as_ptr().cast(), size_of_val(memory));
}

/// The same of a value that may be somebody else's by now, or nobody's: it is not read.
#[inline(always)]
pub(crate) fn ptr_to_l2<T>(value: *const T) {
    prefetch::<L2_HINT>(value.cast(), size_of::<T>());
}

/// For each cache line, if the memory begins on one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch<const HINT: i32>(start: *const i8, bytes: usize) {
    for offset in (0..bytes).step_by(64) {
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(start.wrapping_add(offset)) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch<const HINT: i32>(_: *const i8, _: usize) {}
