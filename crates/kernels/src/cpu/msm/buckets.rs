//! From scalars to bucket sums, and from those to the sum of the windows.

use rayon::prelude::*;

use super::{
    Share,
    adder::Adder,
    digits::Windows,
    pairs::{Step, Tally},
    runs::{Runs, Sums, sum_runs, tile_len},
    stored::{NEGATED, Next},
    tables::Set,
};
use crate::{Group, memory::repeated};

/// Points sorted by the bucket that takes them.
pub(super) struct Sorted {
    /// Index of a point, and in the highest bit whether it is negated.
    pub(super) order: Vec<u32>,
    pub(super) runs: Runs,
}

/// Sorts points by their digits. Bucket `d - 1` of the first set comes first, and `windows.buckets()`
/// later that of the second.
pub(super) fn sort(windows: &Windows, sets: &[Set], shares: &[Share]) -> Sorted {
    let buckets = windows.buckets();
    let mut ends = vec![0u32; sets.len() * buckets];
    for (set, ends) in sets.iter().zip(ends.chunks_exact_mut(buckets)) {
        for &(window, _) in &set.windows {
            for &digit in shares.iter().flat_map(|share| share.digits(window)) {
                if digit != 0 {
                    ends[usize::from(digit.unsigned_abs()) - 1] += 1;
                }
            }
        }
    }
    let mut total = 0;
    for end in &mut ends {
        // Each bucket's first place, which moves on to its end as places are taken.
        total += std::mem::replace(end, total);
    }
    let mut order = repeated(0u32, total as usize);
    for (set, ends) in sets.iter().zip(ends.chunks_exact_mut(buckets)) {
        for &(window, first) in &set.windows {
            for share in shares {
                for (&point, &digit) in share.points.iter().zip(share.digits(window)) {
                    if digit != 0 {
                        let place = &mut ends[usize::from(digit.unsigned_abs()) - 1];
                        // The digit's sign on top of the scalar's.
                        order[*place as usize] = (point + first) ^ (digit as u32 & NEGATED);
                        *place += 1;
                    }
                }
            }
        }
    }
    let mut runs = Runs::default();
    let mut start = 0;
    for (label, &end) in ends.iter().enumerate() {
        if end > start {
            runs.labels.push(label as u32);
            runs.ends.push(end);
        }
        start = end;
    }
    Sorted { order, runs }
}

/// Adds up the buckets of each set, weighted by their digits.
///
/// Returns, for each set, points to be multiplied by 1, 1, 2, 4, … `2^(width-2)` and added: the
/// sum of all its buckets, and for each bit the sum of those whose index has that bit. (A bucket's
/// digit is its index plus one.) They come from one fold in place: two additions a bucket, all of
/// them affine and independent within a round, where the usual running sum takes two projective ones
/// that wait for each other.
pub(super) fn weigh<P: Group, A: Adder<P>>(
    windows: &Windows,
    count: usize,
    sums: &Sums<P, A>,
    tally: &Tally,
) -> Vec<Vec<A::Point>> {
    let buckets = windows.buckets();
    let mut points = vec![A::INFINITY; count * buckets];
    for (&label, point) in sums.runs.labels.iter().zip(&sums.points) {
        points[label as usize] = *point;
    }
    // The first rounds stay within segments, which threads share; the last ones span them.
    let segment = (tile_len::<P, A>() / 2).next_power_of_two();
    let (inner, rounds) = (segment.min(buckets).ilog2(), buckets.ilog2());
    points.par_chunks_mut(segment).for_each(|points| fold::<P, A>(points, 0..inner, tally));
    fold::<P, A>(&mut points, inner..rounds, tally);
    let weighed = points
        .chunks_exact(buckets)
        .map(|window| {
            let bits = (0..rounds).map(|bit| window[1 << bit]);
            std::iter::once(window[0]).chain(bits).collect()
        })
        .collect();
    A::wipe(&mut points);
    weighed
}

/// Rounds of the fold. After round `t`, in each block of `2^(t+1)` points, the first is the block's
/// sum, and that at offset `2^k` the sum of those whose index has bit `k`, for each `k` up to `t`.
fn fold<P: Group, A: Adder<P>>(
    points: &mut [A::Point],
    rounds: std::ops::Range<u32>,
    tally: &Tally,
) {
    let (mut steps, mut scratch) = (Vec::new(), A::Scratch::default());
    for round in rounds {
        let half = 1 << round;
        for block in (0..points.len()).step_by(2 * half) {
            for offset in std::iter::once(0).chain((0..round).map(|bit| 1 << bit)) {
                let (into, from) = (block + offset, block + offset + half);
                // Few points leave most buckets empty; those cost nothing.
                if A::is_infinity(&points[from]) {
                    continue;
                }
                if A::is_infinity(&points[into]) {
                    points[into] = points[from];
                } else {
                    steps.push(Step { into: into as u32, from: from as u32 });
                }
            }
        }
        for batch in steps.chunks(tile_len::<P, A>()) {
            A::add_pairs(points, batch, &mut Next::nothing(), &mut scratch, tally);
        }
        steps.clear();
    }
}

/// The sums of some sets' buckets, weighted.
pub(super) fn sums_of_sets<P: Group, A: Adder<P>>(
    windows: &Windows,
    sets: &[Set],
    shares: &[Share],
    words: &[u64],
    tally: &Tally,
) -> Vec<Vec<A::Point>> {
    let Sorted { mut order, runs } = sort(windows, sets, shares);
    let sums = sum_runs::<P, A>(runs, words, &order, tally);
    zeroize::Zeroize::zeroize(&mut order);
    weigh::<P, A>(windows, sets.len(), &sums, tally)
}
