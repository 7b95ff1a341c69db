//! Sums of runs: points that share a label are laid out in stacks ([`super::layout`]), and stacks
//! are halved until one row is left ([`super::stacks`]).

use super::{
    adder::BatchAdder,
    layout::{EMPTY_RUN, StackLayout, layout_runs},
    pairs::Tally,
    stacks::sum_stacks,
    stored::StoredPoints,
};
use crate::{
    Group,
    memory::{set_len, wipe, wipe_all},
};

/// The sum of each run, in stored form.
///
/// Partial sums of an MSM reveal its scalars, so they are wiped.
pub(super) struct Sums {
    words: Vec<u64>,
    /// The index of each run's sum, or [`EMPTY_RUN`].
    pub(super) indices: Vec<u32>,
}

impl Sums {
    /// Sums of `runs` runs without points. `words` is memory to reuse.
    pub(super) fn empty(runs: usize, words: Vec<u64>) -> Self {
        Self { words, indices: vec![EMPTY_RUN; runs] }
    }

    /// The memory, to be reused.
    pub(super) fn into_words(mut self) -> Vec<u64> {
        std::mem::take(&mut self.words)
    }

    /// The words of all sums.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The sums followed by infinity, and the index of infinity, to which [`EMPTY_RUN`]
    /// corresponds.
    pub(super) fn points<P: Group>(&self) -> (StoredPoints<'_, P>, u32) {
        StoredPoints::new(&self.words).with_infinity()
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        wipe_all(&mut self.words, 0);
        wipe(&mut self.indices, 0);
    }
}

/// Sums each run of points. `numbers` holds the indices of the points, run by run.
pub(super) fn sum_runs<P: Group, A: BatchAdder<P>>(
    lengths: Vec<u32>,
    points: StoredPoints<'_, P>,
    numbers: &[u32],
    tally: &Tally,
) -> Sums {
    let (layout, mut order) = layout_runs(lengths, numbers, A::LANES);
    let sums = sum_layout::<P, A>(&layout, points, &order, Vec::new(), tally);
    wipe(&mut order, 0);
    sums
}

/// Sums each run of points in the given layout and order. `words` is memory for the sums.
pub(super) fn sum_layout<P: Group, A: BatchAdder<P>>(
    layout: &StackLayout,
    points: StoredPoints<'_, P>,
    order: &[u32],
    mut words: Vec<u64>,
    tally: &Tally,
) -> Sums {
    sum_stacks::<P, A>(&layout.heights, points, order, &mut words, tally);
    let indices = layout.pieces().map(|(index, _)| index).collect();
    let mut sums = Sums { words, indices };
    // The sums of the pieces of a long run form a run again.
    let (mut long, mut lengths, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for (run, (index, count)) in layout.pieces().enumerate() {
        if count > 1 {
            long.push(run);
            lengths.push(count as u32);
            pieces.extend(index..index + count as u32);
        }
    }
    if !long.is_empty() {
        let points = StoredPoints::new(&sums.words);
        let (whole, before) = (sum_runs::<P, A>(lengths, points, &pieces, tally), points.count());
        for (run, index) in long.into_iter().zip(&whole.indices) {
            sums.indices[run] = before as u32 + index;
        }
        let end = sums.words.len();
        set_len(&mut sums.words, end + whole.words.len(), 0);
        sums.words[end..].copy_from_slice(&whole.words);
    }
    sums
}
