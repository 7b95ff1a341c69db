//! From scalars to bucket sums, and from those to the sum of the windows.

use ark_ec::models::short_weierstrass::Affine;
use rayon::prelude::*;

use super::{
    Share,
    adder::{Adder, tile_rows, wipe_rows},
    digits::Windows,
    pairs::{Step, Tally},
    plan::{Cursor, Plan},
    runs::{Sums, sum_laid, sum_runs},
    stacks::Source,
    stored::{NEGATED, Next},
    tables::Set,
};
use crate::{
    Group,
    memory::{set_len, wipe, wipe_all},
};

/// Memory that sums of sets work in, reused from one to the next.
pub(super) struct Scratch<P: Group, A: Adder<P>> {
    /// Points laid by the buckets that take them: an index, and in the highest bit whether it is negated.
    order: Vec<u32>,
    sums: Vec<A::Row>,
    buckets: Vec<A::Row>,
}

impl<P: Group, A: Adder<P>> Default for Scratch<P, A> {
    fn default() -> Self {
        Self { order: Vec::new(), sums: Vec::new(), buckets: Vec::new() }
    }
}

impl<P: Group, A: Adder<P>> Drop for Scratch<P, A> {
    fn drop(&mut self) {
        wipe_all(&mut self.order, 0);
        wipe_all(&mut self.sums, A::INFINITY);
        wipe_all(&mut self.buckets, A::INFINITY);
    }
}

/// Lays points by their digits: bucket `d - 1` of the first set is the first run, and `windows.buckets()`
/// later comes that of the second.
fn sort(
    windows: &Windows,
    sets: &[Set],
    shares: &[Share],
    lanes: usize,
    order: &mut Vec<u32>,
) -> Plan {
    let buckets = windows.buckets();
    let mut lengths = vec![0u32; sets.len() * buckets];
    for (set, lengths) in sets.iter().zip(lengths.chunks_exact_mut(buckets)) {
        for &(window, _) in &set.windows {
            for &digit in shares.iter().flat_map(|share| share.digits(window)) {
                if digit != 0 {
                    lengths[usize::from(digit.unsigned_abs()) - 1] += 1;
                }
            }
        }
    }
    let (plan, mut cursors) = Plan::new(lengths, lanes);
    set_len(order, plan.slots(), 0);
    for (set, cursors) in sets.iter().zip(cursors.chunks_exact_mut(buckets)) {
        for &(window, first) in &set.windows {
            for share in shares {
                for (&point, &digit) in share.points.iter().zip(share.digits(window)) {
                    if digit != 0 {
                        let at = cursors[usize::from(digit.unsigned_abs()) - 1].advance();
                        // The digit's sign on top of the scalar's.
                        order[at] = (point + first) ^ (digit as u32 & NEGATED);
                    }
                }
            }
        }
    }
    wipe(&mut cursors, Cursor::default());
    plan.fill_idle(order);
    plan
}

/// Adds up the buckets of each set, weighted by their digits.
///
/// Returns, for each set, points to be multiplied by 1, 1, 2, 4, … `2^(width-2)` and added: the
/// sum of all its buckets, and for each bit the sum of those whose index has that bit. (A bucket's
/// digit is its index plus one.) They come from one fold in place: two additions a bucket, all of
/// them affine and independent within a round, where the usual running sum takes two projective ones
/// that wait for each other. Each lane folds a segment of a set's buckets; the lanes' sums are added as
/// runs are.
fn weigh<P: Group, A: Adder<P>>(
    windows: &Windows,
    count: usize,
    sums: &Sums<P, A>,
    rows: &mut Vec<A::Row>,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let buckets = windows.buckets();
    let segment = buckets.div_ceil(A::LANES);
    set_len(rows, count * segment, A::INFINITY);
    if buckets < A::LANES {
        rows.fill(A::INFINITY);
    }
    for run in 0..count * buckets {
        let (set, bucket) = (run / buckets, run % buckets);
        sums.copy(run, &mut rows[set * segment + bucket % segment], bucket / segment);
    }
    // The first rounds stay within parts, which threads share; the last ones span them.
    let part = (tile_rows::<P, A>() / 2).next_power_of_two();
    let (inner, rounds) = (part.min(segment).ilog2(), segment.ilog2());
    rows.par_chunks_mut(part).for_each(|rows| fold::<P, A>(rows, 0..inner, tally));
    fold::<P, A>(rows, inner..rounds, tally);
    across::<P, A>(rows, segment, buckets.ilog2(), tally)
}

/// Rounds of the fold. After round `t`, in each block of `2^(t+1)` rows, the first is the block's
/// sum, and that at offset `2^k` the sum of those whose index has bit `k`, for each `k` up to `t`.
fn fold<P: Group, A: Adder<P>>(rows: &mut [A::Row], rounds: std::ops::Range<u32>, tally: &Tally) {
    let (mut steps, mut scratch) = (Vec::new(), A::Scratch::default());
    for round in rounds {
        let half = 1 << round;
        for block in (0..rows.len()).step_by(2 * half) {
            for offset in std::iter::once(0).chain((0..round).map(|bit| 1 << bit)) {
                let (into, from) = (block + offset, block + offset + half);
                // Few points leave most buckets empty; those cost nothing.
                if A::is_infinity(&rows[from]) {
                    continue;
                }
                if A::is_infinity(&rows[into]) {
                    rows[into] = rows[from];
                } else {
                    steps.push(Step { into: into as u32, from: from as u32 });
                }
            }
        }
        for batch in steps.chunks(tile_rows::<P, A>()) {
            A::add_rows(rows, batch, &mut Next::nothing(), &mut scratch, tally);
        }
        steps.clear();
    }
}

/// The sums over lanes of each set's folded rows: of each bit within a lane's segment that of all lanes,
/// and of each bit above that of the lanes that have it.
fn across<P: Group, A: Adder<P>>(
    rows: &[A::Row],
    segment: usize,
    bits: u32,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let (within, lanes) = (segment.ilog2(), A::LANES as u32);
    let (mut lengths, mut places) = (Vec::new(), Vec::new());
    for start in (0..rows.len()).step_by(segment) {
        for sum in 0..=bits {
            let row = if (1..=within).contains(&sum) { 1 << (sum - 1) } else { 0 };
            let first = (start + row) as u32 * lanes;
            let bit = sum.checked_sub(1 + within);
            let in_sum = |lane: &u32| bit.is_none_or(|bit| lane >> bit & 1 == 1);
            let before = places.len();
            places.extend((0..lanes).filter(in_sum).map(|lane| first + lane));
            lengths.push((places.len() - before) as u32);
        }
    }
    let count = lengths.len();
    let sums = sum_runs::<P, A>(lengths, Source::Rows(rows), &places, tally);
    let mut packed = vec![A::INFINITY; count.div_ceil(A::LANES)];
    for run in 0..count {
        sums.copy(run, &mut packed[run / A::LANES], run % A::LANES);
    }
    let points = A::affine(&packed);
    wipe_rows::<P, A>(&mut packed);
    points[..count].chunks_exact(1 + bits as usize).map(<[_]>::to_vec).collect()
}

/// The sums of some sets' buckets, weighted.
pub(super) fn sums_of_sets<P: Group, A: Adder<P>>(
    windows: &Windows,
    sets: &[Set],
    shares: &[Share],
    words: &[u64],
    scratch: &mut Scratch<P, A>,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let Scratch { order, sums: rows, buckets } = scratch;
    let plan = sort(windows, sets, shares, A::LANES, order);
    let rows_of_sums = std::mem::take(rows);
    let sums = sum_laid::<P, A>(&plan, Source::Stored(words), order, rows_of_sums, tally);
    let weighed = weigh::<P, A>(windows, sets.len(), &sums, buckets, tally);
    *rows = sums.into_rows();
    weighed
}
