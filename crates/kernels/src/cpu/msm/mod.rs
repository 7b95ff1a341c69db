//! Multi-scalar multiplication: Pippenger's bucket method with batched affine additions.
//!
//! Points with scalar 0 are left out and points with scalar 1 are summed separately; those are most
//! scalars of a circuit over bits. The other scalars are recoded into signed digits. Each window
//! sorts its points by digit, sums the points of every bucket as a tree ([`runs`], [`stacks`]), and
//! reduces the buckets ([`buckets`]). A large key is processed in groups of points that lie close
//! together in memory; a bucket's sum is the first input of that bucket in the next group.
//!
//! Everything is a list of independent affine additions, in rows of as many points as are added at
//! once ([`adder`]). Windows run in parallel, and so do the tiles and segments within a window, so
//! few windows still occupy many threads. Small sums process several windows at a time to keep
//! batches large, because an inversion costs as much as a hundred additions.

mod adder;
mod buckets;
mod digits;
mod layout;
mod pairs;
mod runs;
mod stacks;
mod stored;
mod tables;
mod vector;
mod window;

use ark_ec::models::short_weierstrass::{Affine, Projective};
use ark_ff::{AdditiveGroup, BigInt, PrimeField, Zero};
use rayon::prelude::*;

pub(crate) use self::pairs::Tally;
use self::{
    adder::{BatchAdder, stored_points, tile_rows},
    buckets::{Scratch, accumulate_and_reduce, group_chunks},
    digits::{Recoded, Windows},
    pairs::PortableAdder,
    runs::sum_runs,
    stored::StoredPoints,
    vector::VectorAdder,
    window::{BucketSet, best_width_without_tables, one_set_per_window},
};
pub(super) use self::{tables::Tables, vector::encode as encode_limbs};
#[cfg(target_arch = "x86_64")]
use crate::lanes::{fma::Fma, ifma::Ifma};
use crate::{
    Bases, Group, Path, SCALAR_WORDS, Scalar, ScalarsOf, SlabError,
    memory::{wipe, zeroed},
};

/// The most points of a sum: an index and a sign share 32 bits, and the indices above are for
/// bucket sums.
pub(super) const MAX_POINTS: usize = (1 << 31) - (1 << 20);

/// The largest number of full-size scalars for which double-and-add is used: batches of fewer
/// points do not repay their inversions.
const DOUBLE_AND_ADD_MAX: usize = 24;

/// Scalars that are recoded together, window by window, so that they stay in the cache.
const RECODE_CHUNK: usize = 256;

/// Scalars that one task classifies.
const CLASSIFY_CHUNK: usize = 1 << 14;

/// Points whose scalars are neither 0 nor 1, with the digits of those scalars.
struct DigitChunk {
    /// Their indices, with [`NEGATED`](stored::NEGATED) where the digits represent the negative of
    /// the scalar.
    points: Vec<u32>,
    /// The digits of the first window, then those of the second, and so on.
    digits: Vec<i16>,
}

impl DigitChunk {
    fn new<'a>(windows: &Windows, points: &[u32], scalar_of: impl Fn(usize) -> &'a Scalar) -> Self {
        let count = points.len();
        let mut digits = zeroed(windows.count() * count);
        let mut signed = Vec::with_capacity(count);
        let mut recoded = [Recoded::default(); RECODE_CHUNK];
        for (start, indices) in (0..count).step_by(RECODE_CHUNK).zip(points.chunks(RECODE_CHUNK)) {
            let recoded = &mut recoded[..indices.len()];
            for (recoded, &index) in recoded.iter_mut().zip(indices) {
                *recoded = windows.recode(scalar_of(index as usize));
                signed.push(if recoded.is_negative() { index | stored::NEGATED } else { index });
            }
            for (window, digits) in digits.chunks_exact_mut(count.max(1)).enumerate() {
                windows.digits(recoded, window, &mut digits[start..start + indices.len()]);
            }
        }
        wipe(&mut recoded, Recoded::default());
        Self { points: signed, digits }
    }

    fn digits(&self, window: usize) -> &[i16] {
        let count = self.points.len();
        &self.digits[window * count..(window + 1) * count]
    }
}

impl Drop for DigitChunk {
    fn drop(&mut self) {
        wipe(&mut self.points, 0);
        wipe(&mut self.digits, 0);
    }
}

/// The points of a sum by the size of their scalars.
#[derive(Default)]
struct ScalarClasses {
    /// Points with scalar 1.
    ones: Vec<u32>,
    /// Points with any scalar but 0 and 1.
    rest: Vec<u32>,
}

impl Drop for ScalarClasses {
    fn drop(&mut self) {
        wipe(&mut self.ones, 0);
        wipe(&mut self.rest, 0);
    }
}

/// `Σ scalar(i) · point(i)`. The caller has checked that every scalar exists.
pub(super) fn msm<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>(
    path: Path,
    bases: &Bases,
    tables: Option<&Tables>,
    scalars: &[Scalar],
    count: usize,
    tally: &Tally,
) -> Projective<P> {
    match path {
        Path::Portable => msm_by::<P, PortableAdder>(bases, tables, scalars, count, tally),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => msm_by::<P, VectorAdder<Fma>>(bases, tables, scalars, count, tally),
        #[cfg(target_arch = "x86_64")]
        Path::Ifma => msm_by::<P, VectorAdder<Ifma>>(bases, tables, scalars, count, tally),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("a path that the processor lacks is never chosen"),
    }
}

fn msm_by<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>, A: BatchAdder<P>>(
    bases: &Bases,
    tables: Option<&Tables>,
    scalars: &[Scalar],
    count: usize,
    tally: &Tally,
) -> Projective<P> {
    debug_assert!(count <= MAX_POINTS);
    let points = StoredPoints::new(bases.points.words());
    let scalar_of = |i: usize| match &bases.scalars {
        ScalarsOf::From(offset) => &scalars[offset + i],
        ScalarsOf::Listed(list) => &scalars[list.u32s()[i] as usize],
    };
    let classes: Vec<ScalarClasses> = (0..count.div_ceil(CLASSIFY_CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut classes = ScalarClasses::default();
            for i in chunk * CLASSIFY_CHUNK..count.min((chunk + 1) * CLASSIFY_CHUNK) {
                match scalar_of(i) {
                    [0, 0, 0, 0] => {}
                    [1, 0, 0, 0] => classes.ones.push(i as u32),
                    _ => classes.rest.push(i as u32),
                }
            }
            classes
        })
        .collect();
    let (ones, total) = rayon::join(
        || sum_of_ones::<P, A>(&classes, points, tally),
        || {
            let rest = classes.iter().map(|class| class.rest.len()).sum::<usize>();
            if rest == 0 {
                return Projective::zero();
            }
            if rest <= DOUBLE_AND_ADD_MAX {
                return double_and_add::<P, A>(&classes, scalar_of, points);
            }
            let tables = tables.and_then(|tables| Some((tables, tables.width_for(rest)?)));
            let width = tables.map_or_else(|| best_width_without_tables(rest), |(_, width)| width);
            let windows = Windows::new::<P::ScalarField>(width);
            let (sets, points) = match tables {
                None => (one_set_per_window(windows.count()), points),
                Some((tables, _)) => {
                    let sets = tables.sets(windows.count(), rayon::current_num_threads());
                    (sets, StoredPoints::new(tables.words()))
                }
            };
            let chunks: Vec<DigitChunk> = classes
                .par_iter()
                .map(|classes| DigitChunk::new(&windows, &classes.rest, scalar_of))
                .collect();
            pippenger::<P, A>(&windows, &sets, &chunks, points, tally)
        },
    );
    total + ones
}

/// The sum by double-and-add, all points at once.
fn double_and_add<'a, P: Group, A: BatchAdder<P>>(
    classes: &[ScalarClasses],
    scalar_of: impl Fn(usize) -> &'a Scalar,
    points: StoredPoints<'_, P>,
) -> Projective<P> {
    let indices: Vec<u32> = classes.iter().flat_map(|class| class.rest.iter().copied()).collect();
    let scalars = indices.iter().map(|&i| scalar_of(i as usize));
    let terms: Vec<(Affine<P>, &Scalar)> =
        stored_points::<P, A>(points, &indices).into_iter().zip(scalars).collect();
    let mut total = Projective::zero();
    for bit in (0..P::ScalarField::MODULUS_BIT_SIZE as usize).rev() {
        total.double_in_place();
        for (point, scalar) in &terms {
            if scalar[bit / 64] >> (bit % 64) & 1 == 1 {
                total += point;
            }
        }
    }
    total
}

fn sum_of_ones<P: Group, A: BatchAdder<P>>(
    classes: &[ScalarClasses],
    points: StoredPoints<'_, P>,
    tally: &Tally,
) -> Affine<P> {
    let mut ones: Vec<u32> = Vec::with_capacity(classes.iter().map(|class| class.ones.len()).sum());
    classes.iter().for_each(|classes| ones.extend_from_slice(&classes.ones));
    if ones.is_empty() {
        return Affine::identity();
    }
    let length = ones.len() as u32;
    let sums = sum_runs::<P, A>(vec![length], points, &ones, tally);
    wipe(&mut ones, 0);
    stored_points::<P, A>(sums.points::<P>().0, &sums.indices)[0]
}

fn pippenger<P: Group, A: BatchAdder<P>>(
    windows: &Windows,
    sets: &[BucketSet],
    chunks: &[DigitChunk],
    points: StoredPoints<'_, P>,
    tally: &Tally,
) -> Projective<P> {
    let count = chunks.iter().map(|chunk| chunk.points.len()).sum::<usize>();
    let additions_per_set = count * sets.iter().map(|set| set.windows.len()).max().unwrap_or(1);
    let sets_per_task = (4 * tile_rows::<P, A>() * A::LANES).div_ceil(additions_per_set);
    let sets_per_task = sets_per_task.min(sets.len().div_ceil(rayon::current_num_threads()));
    let groups = group_chunks::<P>(sets, chunks);
    let bit_sums: Vec<Vec<Vec<Affine<P>>>> = sets
        .par_chunks(sets_per_task)
        .map_init(Scratch::<P, A>::default, |scratch, sets| {
            accumulate_and_reduce::<P, A>(windows, sets, &groups, points, scratch, tally)
        })
        .collect();
    let bit_sums: Vec<Vec<Affine<P>>> = bit_sums.into_iter().flatten().collect();
    let mut total = Projective::<P>::zero();
    for shift in (0..=sets.iter().map(|set| set.shift).max().unwrap_or(0)).rev() {
        let of_shift = || sets.iter().zip(&bit_sums).filter(|(set, _)| set.shift == shift);
        // One point for the factor 1, and one for each bit of a bucket index.
        total.double_in_place();
        for bit in (1..windows.width()).rev() {
            total.double_in_place();
            of_shift().for_each(|(_, points)| total += points[bit]);
        }
        of_shift().for_each(|(_, points)| total += points[0]);
    }
    total
}

/// The tables that a sum of stored points can use, in at most `budget` bytes; `None` if they would
/// not save enough.
pub(super) fn tables<P: Group>(
    path: Path,
    words: &[u64],
    budget: usize,
) -> Result<Option<Tables>, SlabError> {
    match path {
        Path::Portable => Tables::make::<P, PortableAdder>(words, P::write_point, budget),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => Tables::make::<P, VectorAdder<Fma>>(words, encode_limbs, budget),
        #[cfg(target_arch = "x86_64")]
        Path::Ifma => Tables::make::<P, VectorAdder<Ifma>>(words, encode_limbs, budget),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("a path that the processor lacks is never chosen"),
    }
}
