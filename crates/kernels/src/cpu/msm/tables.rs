//! Precomputed multiples of fixed points, with which windows share their buckets.
//!
//! A point times a digit of window `k` equals the point's multiple by `2^(k·width)` times that
//! digit in window 0. With all those multiples there is one set of buckets to reduce and nothing to
//! double, so windows can be wider: at `2^14` points a sum takes three tenths fewer additions, at
//! `2^18` a seventh. With less memory for multiples, windows share buckets in several sets.
//! (Brickell, Gordon, McCurley and Wilson, "Fast exponentiation with precomputation", Eurocrypt
//! 1992.)
//!
//! The alternative is an endomorphism of the curve (GLV). It halves the windows for twice the
//! points, so it saves only half of the bucket reduction, at most a tenth of a small sum, and costs
//! a product for each point.

use std::ops::Range;

use ark_ec::models::short_weierstrass::Affine;
use rayon::prelude::*;

use super::{
    MAX_POINTS,
    adder::{BatchAdder, stored_points},
    pairs::{Point, PortableAdder, Step, Tally},
    stored::{PrefetchQueue, StoredPoints},
    window::{BucketSet, SCALAR_BITS, additions, best_width_and_sets, best_width_without_tables},
};
use crate::{Group, Slab, SlabError, SlabMut};

/// Points whose multiples one task computes; they share an inversion at each doubling.
const DOUBLING_CHUNK: usize = 1 << 10;

/// Multiples of points by powers of two: copy `t` of all points is multiplied by
/// `2^(t·width·sets)`.
#[derive(Debug)]
pub(in crate::cpu) struct Tables {
    words: Slab,
    points: usize,
    width: usize,
    /// Bucket sets of a sum.
    sets: usize,
}

impl Tables {
    /// Computes multiples of stored points in at most `budget` bytes, in the caller's rayon pool;
    /// `None` if they would not save enough. Takes about as long as twenty sums of the points.
    pub(super) fn make<P: Group, A: BatchAdder<P>>(
        words: &[u64],
        encode: impl Fn(&Affine<P>, &mut [u64]) + Sync,
        budget: usize,
    ) -> Result<Option<Self>, SlabError> {
        let points = words.len() / P::POINT_WORDS;
        if points == 0 {
            return Ok(None);
        }
        let most = (budget / (8 * words.len())).min(MAX_POINTS / points);
        let Some((width, sets)) = best_width_and_sets(points, most) else { return Ok(None) };
        let copies = SCALAR_BITS.div_ceil(width).div_ceil(sets);
        let mut slab = SlabMut::zeroed(8 * words.len() * copies)?;
        let (first, mut rest) = slab.words().split_at_mut(words.len());
        first.copy_from_slice(words);
        let mut before: &[u64] = first;
        for _ in 1..copies {
            let (next, others) = rest.split_at_mut(words.len());
            let words_per_task = DOUBLING_CHUNK * P::POINT_WORDS;
            next.par_chunks_mut(words_per_task).zip(before.par_chunks(words_per_task)).for_each(
                |(next, before)| {
                    let multiples = doubled::<P, A>(before, width * sets);
                    for (point, into) in multiples.iter().zip(next.chunks_exact_mut(P::POINT_WORDS))
                    {
                        encode(point, into);
                    }
                },
            );
            (before, rest) = (next, others);
        }
        Ok(Some(Self { words: slab.freeze(), points, width, sets }))
    }

    /// Bytes of the tables.
    pub(in crate::cpu) fn bytes(&self) -> usize {
        self.words.len()
    }

    /// The points, followed by their multiples.
    pub(super) fn words(&self) -> &[u64] {
        self.words.words()
    }

    /// The window width of the tables, if with them a sum of `scalars` scalars other than 0 and 1
    /// takes fewer additions.
    pub(super) fn width_for(&self, scalars: usize) -> Option<usize> {
        let alone = best_width_without_tables(scalars);
        let alone = additions(scalars, alone, SCALAR_BITS.div_ceil(alone));
        (additions(scalars, self.width, self.sets) < alone).then_some(self.width)
    }

    /// Divides `windows` windows into sets that share buckets, at least `least` sets if there are
    /// that many windows. Several sets with one shift cost no more than one and run in parallel.
    pub(super) fn sets(&self, windows: usize, least: usize) -> Vec<BucketSet> {
        let parts = least.div_ceil(self.sets);
        let set = |shift: usize, range: Range<usize>| BucketSet {
            shift,
            windows: range.map(|at| (at * self.sets + shift, (at * self.points) as u32)).collect(),
        };
        (0..self.sets)
            .flat_map(|shift| {
                let all = (windows - shift).div_ceil(self.sets);
                let each = (all / parts).max(1);
                (0..all).step_by(each).map(move |start| set(shift, start..all.min(start + each)))
            })
            .collect()
    }
}

/// Stored points doubled `times` times.
fn doubled<P: Group, A: BatchAdder<P>>(words: &[u64], times: usize) -> Vec<Affine<P>> {
    let order: Vec<u32> = (0..(words.len() / P::POINT_WORDS) as u32).collect();
    let point = |point: Affine<P>| Point { x: point.x, y: point.y };
    let stored = stored_points::<P, A>(StoredPoints::new(words), &order);
    let mut points: Vec<_> = stored.into_iter().map(point).collect();
    let steps: Vec<Step> = order.iter().map(|&at| Step { into: at, from: at }).collect();
    let (mut finite, mut scratch, tally) = (false, Default::default(), Tally::default());
    for _ in 0..times {
        <PortableAdder as BatchAdder<P>>::add_rows(
            &mut points,
            &mut finite,
            &steps,
            &mut PrefetchQueue::empty(),
            &mut scratch,
            &tally,
        );
    }
    <PortableAdder as BatchAdder<P>>::affine(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_in_one_set_with_its_own_multiple() {
        for (sets, least) in [(1, 1), (1, 2), (1, 5), (3, 1), (3, 4), (3, 64), (16, 2)] {
            let tables =
                Tables { words: Slab::from_words(&[]).unwrap(), points: 10, width: 16, sets };
            let made = tables.sets(16, least);
            let mut seen: Vec<usize> = Vec::new();
            for set in &made {
                for &(window, first) in &set.windows {
                    assert_eq!(first as usize / 10 * sets + set.shift, window);
                    seen.push(window);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..16).collect::<Vec<_>>());
            assert!(made.len() >= least.min(16), "{sets} sets, at least {least}: {}", made.len());
        }
    }
}
