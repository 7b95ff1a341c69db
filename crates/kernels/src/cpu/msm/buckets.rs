//! Bucket accumulation and bucket reduction: from digits to the sum of each bucket, and from those
//! to the weighted sum of each bucket set.

use ark_ec::models::short_weierstrass::Affine;
use rayon::prelude::*;

use super::{
    DigitChunk,
    adder::{BatchAdder, stored_points, tile_rows},
    digits::Windows,
    layout::{Cursor, EMPTY_RUN, StackLayout},
    pairs::{Step, Tally},
    runs::{Sums, sum_layout, sum_runs},
    stored::{NEGATED, PrefetchQueue, StoredPoints},
    window::BucketSet,
};
use crate::{
    Group,
    memory::{set_len, wipe, wipe_all},
};

/// Working memory, reused between bucket sets.
pub(super) struct Scratch<P: Group, A: BatchAdder<P>> {
    /// Indices of points in the order of the [`StackLayout`]; the highest bit says that the point
    /// is negated.
    order: Vec<u32>,
    /// Sums of buckets in stored form.
    sums: Vec<u64>,
    /// Sums of buckets of the previous groups in stored form.
    before: Vec<u64>,
    buckets: Vec<A::Row>,
}

impl<P: Group, A: BatchAdder<P>> Default for Scratch<P, A> {
    fn default() -> Self {
        let (order, sums, before, buckets) = Default::default();
        Self { order, sums, before, buckets }
    }
}

impl<P: Group, A: BatchAdder<P>> Drop for Scratch<P, A> {
    fn drop(&mut self) {
        wipe_all(&mut self.order, 0);
        wipe_all(&mut self.sums, 0);
        wipe_all(&mut self.before, 0);
        wipe_all(&mut self.buckets, A::INFINITY);
    }
}

/// Orders points by their digits (counting sort).
///
/// Bucket `d - 1` of the first set is the first run; the buckets of the second set follow
/// `windows.buckets()` runs later. A run with an `earlier` sum begins with that sum, whose index
/// counts from `first_sum`.
fn sort_by_digit(
    windows: &Windows,
    sets: &[BucketSet],
    chunks: &[DigitChunk],
    (earlier, first_sum): (&[u32], usize),
    lanes: usize,
    order: &mut Vec<u32>,
) -> StackLayout {
    let buckets = windows.buckets();
    let mut lengths: Vec<u32> = earlier.iter().map(|&sum| u32::from(sum != EMPTY_RUN)).collect();
    for (set, lengths) in sets.iter().zip(lengths.chunks_exact_mut(buckets)) {
        for &(window, _) in &set.windows {
            for &digit in chunks.iter().flat_map(|chunk| chunk.digits(window)) {
                if digit != 0 {
                    lengths[usize::from(digit.unsigned_abs()) - 1] += 1;
                }
            }
        }
    }
    let (layout, mut cursors) = StackLayout::new(lengths, lanes);
    set_len(order, layout.slots(), 0);
    for (cursor, &sum) in cursors.iter_mut().zip(earlier).filter(|(_, sum)| **sum != EMPTY_RUN) {
        order[cursor.advance()] = first_sum as u32 + sum;
    }
    for (set, cursors) in sets.iter().zip(cursors.chunks_exact_mut(buckets)) {
        for &(window, first) in &set.windows {
            for chunk in chunks {
                for (&point, &digit) in chunk.points.iter().zip(chunk.digits(window)) {
                    if digit != 0 {
                        let at = cursors[usize::from(digit.unsigned_abs()) - 1].advance();
                        // Combines the digit's sign with the scalar's.
                        order[at] = (point + first) ^ (digit as u32 & NEGATED);
                    }
                }
            }
        }
    }
    wipe(&mut cursors, Cursor::default());
    layout.fill_idle(order);
    layout
}

/// Reduces the buckets of each set to the terms of their weighted sum.
///
/// Returns, for each set, points to be multiplied by 1, 1, 2, 4, … `2^(width-2)` and added: the sum
/// of all its buckets, and for each bit the sum of the buckets whose index has that bit. (A
/// bucket's digit is its index plus one.) All of them come from one in-place reduction
/// ([`bit_sums`]) with two affine additions per bucket, which are independent within a round; the
/// usual running sum takes two dependent projective additions per bucket. Each lane reduces a
/// segment of a set's buckets, and [`combine_lanes`] adds the segments.
fn reduce_buckets<P: Group, A: BatchAdder<P>>(
    windows: &Windows,
    sums: &Sums,
    rows: &mut Vec<A::Row>,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let buckets = windows.buckets();
    let segment = buckets.div_ceil(A::LANES);
    set_len(rows, sums.indices.len() / buckets * segment, A::INFINITY);
    let (points, infinity) = sums.points::<P>();
    let mut numbers = Vec::with_capacity(rows.len() * A::LANES);
    for set in sums.indices.chunks_exact(buckets) {
        for row in 0..segment {
            let of_lane = |lane: usize| set.get(lane * segment + row).copied().unwrap_or(infinity);
            numbers.extend((0..A::LANES).map(of_lane).map(|index| index.min(infinity)));
        }
    }
    let finite = A::gather(points, &numbers, rows);
    wipe(&mut numbers, 0);
    // The first rounds stay within parts, which run in parallel; the last rounds span parts.
    let part = (tile_rows::<P, A>() / 2).next_power_of_two();
    let (inner, rounds) = (part.min(segment).ilog2(), segment.ilog2());
    rows.par_chunks_mut(part).for_each(|rows| bit_sums::<P, A>(rows, finite, 0..inner, tally));
    // The sum of a part may be infinity.
    bit_sums::<P, A>(rows, false, inner..rounds, tally);
    combine_lanes::<P, A>(rows, segment, buckets.ilog2(), tally)
}

/// Rounds of the reduction. After round `t`, in each block of `2^(t+1)` rows, the first row is the
/// sum of the block, and for each `k ≤ t` the row at offset `2^k` is the sum of the rows whose
/// index has bit `k`.
fn bit_sums<P: Group, A: BatchAdder<P>>(
    rows: &mut [A::Row],
    mut finite: bool,
    rounds: std::ops::Range<u32>,
    tally: &Tally,
) {
    let (mut steps, mut scratch) = (Vec::new(), A::Scratch::default());
    for round in rounds {
        let half = 1 << round;
        for block in (0..rows.len()).step_by(2 * half) {
            for offset in std::iter::once(0).chain((0..round).map(|bit| 1 << bit)) {
                let (into, from) = (block + offset, block + offset + half);
                // With few points most buckets are empty; they need no addition.
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
            A::add_rows(rows, &mut finite, batch, &mut PrefetchQueue::empty(), &mut scratch, tally);
        }
        steps.clear();
    }
}

/// Combines the lanes of each set's reduced rows. For a bit of the index within a lane's segment,
/// it adds the sums of all lanes; for a higher bit, it adds the totals of the lanes whose number
/// has that bit.
fn combine_lanes<P: Group, A: BatchAdder<P>>(
    rows: &[A::Row],
    segment: usize,
    bits: u32,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let (within, lanes) = (segment.ilog2(), A::LANES as u32);
    // For each set: the sums of its segments, and those of each bit within a segment.
    let picked: Vec<u32> = (0..rows.len() as u32)
        .step_by(segment)
        .flat_map(|start| (0..=within).map(move |sum| start + (1 << sum >> 1)))
        .collect();
    let mut folded = vec![0; picked.len() * A::LANES * P::POINT_WORDS];
    A::store(rows, &picked, &mut folded);
    let (mut lengths, mut numbers) = (Vec::new(), Vec::new());
    for set in 0..(rows.len() / segment) as u32 {
        for sum in 0..=bits {
            let row = if (1..=within).contains(&sum) { sum } else { 0 };
            let first = (set * (1 + within) + row) * lanes;
            let bit = sum.checked_sub(1 + within);
            let in_sum = |lane: &u32| bit.is_none_or(|bit| lane >> bit & 1 == 1);
            let before = numbers.len();
            numbers.extend((0..lanes).filter(in_sum).map(|lane| first + lane));
            lengths.push((numbers.len() - before) as u32);
        }
    }
    let sums = sum_runs::<P, A>(lengths, StoredPoints::new(&folded), &numbers, tally);
    wipe(&mut folded, 0);
    let points = stored_points::<P, A>(sums.points::<P>().0, &sums.indices);
    points.chunks_exact(1 + bits as usize).map(<[_]>::to_vec).collect()
}

/// Accumulates and reduces the buckets of some sets. Points are taken group by group, and the
/// bucket sums of one group are inputs of the next. Returns what [`reduce_buckets`] returns.
pub(super) fn accumulate_and_reduce<P: Group, A: BatchAdder<P>>(
    windows: &Windows,
    sets: &[BucketSet],
    groups: &[&[DigitChunk]],
    points: StoredPoints<'_, P>,
    scratch: &mut Scratch<P, A>,
    tally: &Tally,
) -> Vec<Vec<Affine<P>>> {
    let Scratch { order, sums: words, before, buckets } = scratch;
    let mut sums = Sums::empty(sets.len() * windows.buckets(), std::mem::take(before));
    for group in groups {
        let earlier = (sums.indices.as_slice(), points.count());
        let layout = sort_by_digit(windows, sets, group, earlier, A::LANES, order);
        let points = points.with_extra(sums.words());
        let more = sum_layout::<P, A>(&layout, points, order, std::mem::take(words), tally);
        *words = std::mem::replace(&mut sums, more).into_words();
    }
    let bit_sums = reduce_buckets::<P, A>(windows, &sums, buckets, tally);
    *before = sums.into_words();
    bit_sums
}

/// Bytes of points in a group. Points are read in random order, and the access time grows with the
/// range: a sum of `2^22` points of 64 bytes takes a quarter more time with all of them in one
/// group. With smaller groups, the additions between groups cost more than is saved.
const GROUP_BYTES: usize = 32 << 20;

/// Splits chunks into groups of about [`GROUP_BYTES`] of points, counting a point once for each
/// window of a set.
pub(super) fn group_chunks<'a, P: Group>(
    sets: &[BucketSet],
    chunks: &'a [DigitChunk],
) -> Vec<&'a [DigitChunk]> {
    let windows = sets.iter().map(|set| set.windows.len()).max().unwrap_or(1);
    let points = chunks.iter().map(|chunk| chunk.points.len()).sum::<usize>();
    let groups = (8 * P::POINT_WORDS * points * windows / GROUP_BYTES).max(1);
    chunks.chunks(chunks.len().div_ceil(groups)).collect()
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Fr, g1::Config};
    use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, models::short_weierstrass::Projective};
    use ark_ff::{PrimeField, UniformRand};
    use ark_std::test_rng;

    use super::*;
    use crate::cpu::msm::{pairs::PortableAdder, window::one_set_per_window};

    /// Points and their opposites in other groups; buckets filled by one group or by none; runs
    /// that are long in one group and short in the next.
    fn groups_equal_all<A: BatchAdder<Config>>(encode: fn(&Affine<Config>, &mut [u64])) {
        let rng = &mut test_rng();
        let mut words = vec![0; 600 * Config::POINT_WORDS];
        for (i, words) in (0u64..).zip(words.chunks_exact_mut(Config::POINT_WORDS)) {
            let point = Projective::<Config>::generator() * Fr::from(1 + i % 200);
            encode(&if i > 400 { -point } else { point }.into_affine(), words);
        }
        let scalars: Vec<_> = (0..600u64)
            .map(|i| match i / 200 {
                0 => Fr::from(1 + i % 3).into_bigint().0,
                1 => Fr::rand(rng).into_bigint().0,
                _ => Fr::from(i % 7).into_bigint().0,
            })
            .collect();
        let windows = Windows::new::<Fr>(4);
        let (numbers, sets) = ((0..600).collect::<Vec<u32>>(), one_set_per_window(windows.count()));
        let chunk = |numbers: &[u32]| DigitChunk::new(&windows, numbers, |i| &scalars[i]);
        let chunks: Vec<DigitChunk> = numbers.chunks(100).map(chunk).collect();
        let mut scratch = Scratch::<_, A>::default();
        let mut sums = |groups: &[&[DigitChunk]]| {
            let (points, tally) = (StoredPoints::new(&words), Tally::default());
            accumulate_and_reduce::<_, A>(&windows, &sets, groups, points, &mut scratch, &tally)
        };
        let all = sums(&[&chunks]);
        assert!(all[0].iter().any(|point| !point.is_zero()));
        for size in [1, 2, 4] {
            assert!(sums(&chunks.chunks(size).collect::<Vec<_>>()) == all, "{size} a group");
        }
    }

    #[test]
    fn sums_do_not_depend_on_groups() {
        groups_equal_all::<PortableAdder>(Config::write_point);
        #[cfg(target_arch = "x86_64")]
        {
            use crate::{
                Path,
                cpu::msm::{encode_limbs, vector::VectorAdder},
                lanes::{fma::Fma, ifma::Ifma},
            };
            if Path::Avx512.available() {
                groups_equal_all::<VectorAdder<Fma>>(encode_limbs::<Config>);
            }
            if Path::Ifma.available() {
                groups_equal_all::<VectorAdder<Ifma>>(encode_limbs::<Config>);
            }
        }
    }
}
