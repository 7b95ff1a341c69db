//! Multiples of fixed points, kept so that windows share their buckets.
//!
//! A point times a digit of window `k` is the point's multiple by `2^(k·width)` times that digit as one
//! of window 0. With all those multiples at hand there is one set of buckets to weigh and nothing to
//! double, so windows can be wider: at `2^14` points a sum takes three tenths fewer additions, at `2^18` a
//! seventh. (Brickell, Gordon, McCurley and Wilson, "Fast exponentiation with precomputation", Eurocrypt
//! 1992.) With room for fewer multiples windows share buckets in as many sets as it takes.
//!
//! The road not taken is an endomorphism of the curve: it halves the windows for twice the points, which
//! saves nothing but half of the weighing, at most a tenth of a small sum, for a product with each point.

use std::ops::Range;

use ark_ec::models::short_weierstrass::Affine;
use rayon::prelude::*;

use super::{
    MOST_POINTS,
    adder::{Adder, stored_points},
    digits::WIDEST,
    pairs::{Plain, Point, Step, Tally},
    stored::{Next, Points},
};
use crate::{Group, Slab, SlabError, SlabMut};

/// Bits of a scalar's absolute value, and one that its digits may carry into.
const BITS: usize = 255;
/// Points whose multiples a thread makes at a time; they share an inversion at each doubling.
const SHARE: usize = 1 << 10;

/// Windows whose digits go to the same buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Windows by whose width the sum of the buckets is to be shifted.
    pub(super) shift: usize,
    /// Each window, and the index of the first of the multiples that go with it.
    pub(super) windows: Vec<(usize, u32)>,
}

/// Multiples of points by powers of two: the `t`-th copy of all points by `2^(t·width·sets)`.
#[derive(Debug)]
pub(in crate::cpu) struct Tables {
    words: Slab,
    points: usize,
    width: usize,
    /// Sets of buckets that a sum needs.
    sets: usize,
}

/// Additions that a sum takes: one for each point in each window, and two for each bucket.
fn additions(points: usize, width: usize, sets: usize) -> usize {
    BITS.div_ceil(width) * points + sets * (2 << (width - 1))
}

/// The width of windows with buckets of their own at which additions are fewest.
pub(super) fn width_alone(points: usize) -> usize {
    let cost = |&width: &usize| additions(points, width, BITS.div_ceil(width));
    (2..=WIDEST).min_by_key(cost).expect("there are widths")
}

/// Each window's buckets for itself.
pub(super) fn sets_alone(windows: usize) -> Vec<Set> {
    (0..windows).map(|window| Set { shift: window, windows: vec![(window, 0)] }).collect()
}

/// Width and sets at which additions are fewest, with room for so many copies; none if a tenth of them
/// cannot be saved.
fn shape(points: usize, copies: usize) -> Option<(usize, usize)> {
    let shapes = (2..=WIDEST).map(|width| (width, BITS.div_ceil(width).div_ceil(copies.max(1))));
    let (width, sets) = shapes.min_by_key(|&(width, sets)| additions(points, width, sets))?;
    let alone = width_alone(points);
    let alone = additions(points, alone, BITS.div_ceil(alone));
    (10 * additions(points, width, sets) <= 9 * alone).then_some((width, sets))
}

impl Tables {
    /// Multiples of stored points in at most `room` bytes; none if they would not pay. Takes as long as
    /// some twenty sums of the points, in the caller's rayon pool.
    pub(super) fn make<P: Group, A: Adder<P>>(
        words: &[u64],
        encode: impl Fn(&Affine<P>, &mut [u64]) + Sync,
        room: usize,
    ) -> Result<Option<Self>, SlabError> {
        let points = words.len() / P::POINT_WORDS;
        if points == 0 {
            return Ok(None);
        }
        let most = (room / (8 * words.len())).min(MOST_POINTS / points);
        let Some((width, sets)) = shape(points, most) else { return Ok(None) };
        let copies = BITS.div_ceil(width).div_ceil(sets);
        let mut slab = SlabMut::zeroed(8 * words.len() * copies)?;
        let (first, mut rest) = slab.words().split_at_mut(words.len());
        first.copy_from_slice(words);
        let mut before: &[u64] = first;
        for _ in 1..copies {
            let (next, others) = rest.split_at_mut(words.len());
            let share = SHARE * P::POINT_WORDS;
            next.par_chunks_mut(share).zip(before.par_chunks(share)).for_each(|(next, before)| {
                let multiples = doubled::<P, A>(before, width * sets);
                for (point, into) in multiples.iter().zip(next.chunks_exact_mut(P::POINT_WORDS)) {
                    encode(point, into);
                }
            });
            (before, rest) = (next, others);
        }
        Ok(Some(Self { words: slab.freeze(), points, width, sets }))
    }

    /// Bytes that they take.
    pub(in crate::cpu) fn bytes(&self) -> usize {
        self.words.len()
    }

    /// The points, and their multiples after them.
    pub(super) fn words(&self) -> &[u64] {
        self.words.words()
    }

    /// How wide their windows are, if a sum with so many scalars that are neither 0 nor 1 takes fewer
    /// additions with them.
    pub(super) fn width_for(&self, scalars: usize) -> Option<usize> {
        let alone = width_alone(scalars);
        let alone = additions(scalars, alone, BITS.div_ceil(alone));
        (additions(scalars, self.width, self.sets) < alone).then_some(self.width)
    }

    /// Which of so many windows share buckets, so that there are at least `least` sets if there are as many
    /// windows: sets with one shift are as good as one, and threads take one each.
    pub(super) fn sets(&self, windows: usize, least: usize) -> Vec<Set> {
        let parts = least.div_ceil(self.sets);
        let set = |shift: usize, range: Range<usize>| Set {
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

/// Some stored points, doubled so many times.
fn doubled<P: Group, A: Adder<P>>(words: &[u64], times: usize) -> Vec<Affine<P>> {
    let order: Vec<u32> = (0..(words.len() / P::POINT_WORDS) as u32).collect();
    let point = |point: Affine<P>| Point { x: point.x, y: point.y };
    let stored = stored_points::<P, A>(Points::new(words), &order);
    let mut points: Vec<_> = stored.into_iter().map(point).collect();
    let steps: Vec<Step> = order.iter().map(|&at| Step { into: at, from: at }).collect();
    let (mut finite, mut scratch, tally) = (false, Default::default(), Tally::default());
    for _ in 0..times {
        <Plain as Adder<P>>::add_rows(
            &mut points,
            &mut finite,
            &steps,
            &mut Next::nothing(),
            &mut scratch,
            &tally,
        );
    }
    <Plain as Adder<P>>::affine(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_room_the_fewer_additions_and_too_little_is_left_alone() {
        assert_eq!(shape(1 << 14, 1), None);
        let all = shape(1 << 14, 64).unwrap();
        assert_eq!(all.1, 1);
        let costs: Vec<usize> = (2..20)
            .filter_map(|copies| shape(1 << 14, copies))
            .map(|(width, sets)| additions(1 << 14, width, sets))
            .collect();
        assert!(costs.len() > 8 && costs.is_sorted_by(|more, less| more >= less), "{costs:?}");
        let saved = |points: usize| {
            let (alone, (width, sets)) = (width_alone(points), shape(points, 64).unwrap());
            let alone = additions(points, alone, BITS.div_ceil(alone));
            1.0 - additions(points, width, sets) as f64 / alone as f64
        };
        assert!(saved(1 << 14) > 0.25 && saved(1 << 18) > 0.14);
    }

    #[test]
    fn every_window_is_in_one_set_with_the_multiple_that_is_its_own() {
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
