//! Prefetching the vectors of the next stripe or block while one is processed.

use crate::{lanes::ntt_field::ScalarVector, prefetch};

/// Runs of vectors, prefetched a few at a time: a core can wait for about sixteen cache lines, and
/// stalls when it requests more.
pub(super) struct VectorPrefetch {
    vector: *const ScalarVector,
    /// Vectors left in this run.
    here: usize,
    run: usize,
    /// Vectors from the start of one run to the start of the next.
    stride: usize,
    /// Runs left, including this one.
    runs: usize,
    /// Vectors prefetched in one call.
    pace: usize,
}

impl VectorPrefetch {
    /// Prefetches nothing.
    pub(super) const NONE: Self =
        Self { vector: std::ptr::null(), here: 0, run: 0, stride: 0, runs: 0, pace: 0 };

    /// `runs` runs of `run` vectors each, `stride` vectors apart, the first at `start`. They are
    /// prefetched at the pace at which as many vectors pass through `levels` levels.
    pub(super) fn new(
        start: *const ScalarVector,
        [run, stride, runs]: [usize; 3],
        levels: u32,
    ) -> Self {
        // Four vectors pass through two levels between two calls.
        Self { vector: start, here: run, run, stride, runs, pace: 8usize.div_ceil(levels as usize) }
    }

    /// Prefetches the next few vectors.
    #[inline(always)]
    pub(super) fn prefetch(&mut self) {
        for _ in 0..self.pace {
            if self.runs == 0 {
                return;
            }
            prefetch::ptr_to_l2(self.vector);
            (self.vector, self.here) = (self.vector.wrapping_add(1), self.here - 1);
            if self.here == 0 {
                self.vector = self.vector.wrapping_add(self.stride - self.run);
                (self.here, self.runs) = (self.run, self.runs - 1);
            }
        }
    }
}
