//! Asking for the vectors of the next stripe or block while one is worked on.

use crate::{lanes::ntt_field::ScalarVector, prefetch};

/// Runs of vectors, asked for a few at a time: a core waits for some sixteen lines at most, and what asks
/// for more stands still.
pub(super) struct VectorPrefetch {
    vector: *const ScalarVector,
    /// Vectors of this run still to come.
    here: usize,
    run: usize,
    /// From one run to the next.
    stride: usize,
    /// Runs still to come, this one too.
    runs: usize,
    /// Vectors that are asked for at a time.
    pace: usize,
}

impl VectorPrefetch {
    /// Nothing.
    pub(super) const NONE: Self =
        Self { vector: std::ptr::null(), here: 0, run: 0, stride: 0, runs: 0, pace: 0 };

    /// Runs of vectors side by side, the first of which starts here, all of them while as many vectors go
    /// through so many levels.
    pub(super) fn new(
        start: *const ScalarVector,
        [run, stride, runs]: [usize; 3],
        levels: u32,
    ) -> Self {
        // Four vectors go through two levels between one call and the next.
        Self { vector: start, here: run, run, stride, runs, pace: 8usize.div_ceil(levels as usize) }
    }

    /// Asks for the next few.
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
