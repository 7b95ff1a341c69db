//! Prefetching memory into caches.

/// Hint for the first-level cache (`_MM_HINT_T0`).
const L1_HINT: i32 = 3;
/// Hint for the second-level cache (`_MM_HINT_T1`).
const L2_HINT: i32 = 2;

/// Prefetches memory that is used next into the first-level cache.
#[inline(always)]
pub(crate) fn to_l1<T>(memory: &[T]) {
    prefetch::<L1_HINT>(memory.as_ptr().cast(), size_of_val(memory));
}

/// Prefetches memory that is used later into the second-level cache.
#[inline(always)]
pub(crate) fn to_l2<T>(memory: &[T]) {
    prefetch::<L2_HINT>(memory.as_ptr().cast(), size_of_val(memory));
}

/// Prefetches a value into the second-level cache. The pointer may be invalid: nothing is read.
#[inline(always)]
pub(crate) fn ptr_to_l2<T>(value: *const T) {
    prefetch::<L2_HINT>(value.cast(), size_of::<T>());
}

/// Prefetches each cache line, if the memory begins on one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch<const HINT: i32>(start: *const i8, bytes: usize) {
    for offset in (0..bytes).step_by(64) {
        // SAFETY: every x86-64 processor has the instruction. It accesses no memory that the program
        // can observe and does not fault, whatever the address.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(start.wrapping_add(offset)) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch<const HINT: i32>(_: *const i8, _: usize) {}
