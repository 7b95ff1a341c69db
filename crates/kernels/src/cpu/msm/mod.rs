//! Multi-scalar multiplication: buckets (Pippenger) filled and emptied by batches of affine
//! additions.
//!
//! Zeros are left out and ones summed apart, which is most of a circuit over bits. The other scalars
//! are cut into signed digits; each window sorts its points by digit, sums every bucket's points as
//! a tree ([`runs`], [`stacks`]), and weighs the buckets ([`buckets`]). A large key is gone through in
//! groups of points that are not too far from each other, and a bucket's sum is the first of its points in
//! the next group. All of it reduces to lists of independent affine additions, in rows of as many as are
//! added at once ([`adder`]). Windows run in parallel, and so do the tiles and segments inside one, so that
//! many threads find work in few windows. Small sums take several windows at a time, because a batch should
//! be large: an inversion costs as much as a hundred additions.

mod adder;
mod buckets;
mod digits;
mod pairs;
mod plan;
mod runs;
mod stacks;
mod stored;
mod tables;
mod wide;

use ark_ec::models::short_weierstrass::{Affine, Projective};
use ark_ff::{AdditiveGroup, BigInt, PrimeField, Zero};
use rayon::prelude::*;

pub(crate) use self::pairs::Tally;
use self::{
    adder::{Adder, stored_points, tile_rows},
    buckets::{Scratch, groups, sums_of_sets},
    digits::{Recoded, Windows},
    pairs::Plain,
    runs::sum_runs,
    stored::Points,
    tables::{Set, sets_alone, width_alone},
    wide::Wide,
};
pub(super) use self::{tables::Tables, wide::encode as encode_wide};
#[cfg(target_arch = "x86_64")]
use crate::lanes::{fma::Fma, ifma::Ifma};
use crate::{
    Bases, Group, Path, SCALAR_WORDS, Scalar, ScalarsOf, SlabError,
    memory::{wipe, zeroed},
};

/// The most points of one sum: a number and a sign share 32 bits, and numbers after the points' are for sums
/// of buckets.
pub(super) const MOST_POINTS: usize = (1 << 31) - (1 << 20);

/// Up to so many full-size scalars, batches are too small to pay for their inversions.
const FEW: usize = 24;

/// Scalars that are cut into digits together, near the core, one window after the other.
const TOGETHER: usize = 256;

/// Scalars that a thread sorts out at a time.
const SHARE: usize = 1 << 14;

/// Points to be multiplied by neither 0 nor 1, and their scalars' digits.
struct Share {
    /// Their indices; with [`NEGATED`](stored::NEGATED) where the digits give the negative of the scalar.
    points: Vec<u32>,
    /// The digits of the first window, of the second, …
    digits: Vec<i16>,
}

impl Share {
    fn new<'a>(windows: &Windows, points: &[u32], scalar_of: impl Fn(usize) -> &'a Scalar) -> Self {
        let count = points.len();
        let mut digits = zeroed(windows.count() * count);
        let mut signed = Vec::with_capacity(count);
        let mut recoded = [Recoded::default(); TOGETHER];
        for (start, indices) in (0..count).step_by(TOGETHER).zip(points.chunks(TOGETHER)) {
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

impl Drop for Share {
    fn drop(&mut self) {
        wipe(&mut self.points, 0);
        wipe(&mut self.digits, 0);
    }
}

/// The parts of a sum.
#[derive(Default)]
struct Parts {
    /// Points multiplied by 1.
    ones: Vec<u32>,
    /// Points multiplied by neither 0 nor 1.
    rest: Vec<u32>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        wipe(&mut self.ones, 0);
        wipe(&mut self.rest, 0);
    }
}

/// `Σ scalar(i) · point(i)`; the caller has checked that every scalar exists.
pub(super) fn msm<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>(
    path: Path,
    bases: &Bases,
    tables: Option<&Tables>,
    scalars: &[Scalar],
    count: usize,
    tally: &Tally,
) -> Projective<P> {
    match path {
        Path::Portable => msm_by::<P, Plain>(bases, tables, scalars, count, tally),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => msm_by::<P, Wide<Fma>>(bases, tables, scalars, count, tally),
        #[cfg(target_arch = "x86_64")]
        Path::Ifma => msm_by::<P, Wide<Ifma>>(bases, tables, scalars, count, tally),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("a path that the processor lacks is never chosen"),
    }
}

fn msm_by<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>, A: Adder<P>>(
    bases: &Bases,
    tables: Option<&Tables>,
    scalars: &[Scalar],
    count: usize,
    tally: &Tally,
) -> Projective<P> {
    debug_assert!(count <= MOST_POINTS);
    let points = Points::new(bases.points.words());
    let scalar_of = |i: usize| match &bases.scalars {
        ScalarsOf::From(offset) => &scalars[offset + i],
        ScalarsOf::Listed(list) => &scalars[list.u32s()[i] as usize],
    };
    let parts: Vec<Parts> = (0..count.div_ceil(SHARE))
        .into_par_iter()
        .map(|share| {
            let mut parts = Parts::default();
            for i in share * SHARE..count.min((share + 1) * SHARE) {
                match scalar_of(i) {
                    [0, 0, 0, 0] => {}
                    [1, 0, 0, 0] => parts.ones.push(i as u32),
                    _ => parts.rest.push(i as u32),
                }
            }
            parts
        })
        .collect();
    let (ones, total) = rayon::join(
        || sum_of_ones::<P, A>(&parts, points, tally),
        || {
            let rest = parts.iter().map(|parts| parts.rest.len()).sum::<usize>();
            if rest == 0 {
                return Projective::zero();
            }
            if rest <= FEW {
                return sum_of_few::<P, A>(&parts, scalar_of, points);
            }
            let tables = tables.and_then(|tables| Some((tables, tables.width_for(rest)?)));
            let width = tables.map_or_else(|| width_alone(rest), |(_, width)| width);
            let windows = Windows::new::<P::ScalarField>(width);
            let (sets, points) = match tables {
                None => (sets_alone(windows.count()), points),
                Some((tables, _)) => {
                    let sets = tables.sets(windows.count(), rayon::current_num_threads());
                    (sets, Points::new(tables.words()))
                }
            };
            let shares: Vec<Share> = parts
                .par_iter()
                .map(|parts| Share::new(&windows, &parts.rest, scalar_of))
                .collect();
            sum_of_sets::<P, A>(&windows, &sets, &shares, points, tally)
        },
    );
    total + ones
}

/// Doubles and adds, all points at once.
fn sum_of_few<'a, P: Group, A: Adder<P>>(
    parts: &[Parts],
    scalar_of: impl Fn(usize) -> &'a Scalar,
    points: Points<'_, P>,
) -> Projective<P> {
    let indices: Vec<u32> = parts.iter().flat_map(|parts| parts.rest.iter().copied()).collect();
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

fn sum_of_ones<P: Group, A: Adder<P>>(
    parts: &[Parts],
    points: Points<'_, P>,
    tally: &Tally,
) -> Affine<P> {
    let mut ones: Vec<u32> = Vec::with_capacity(parts.iter().map(|parts| parts.ones.len()).sum());
    parts.iter().for_each(|parts| ones.extend_from_slice(&parts.ones));
    if ones.is_empty() {
        return Affine::identity();
    }
    let length = ones.len() as u32;
    let sums = sum_runs::<P, A>(vec![length], points, &ones, tally);
    wipe(&mut ones, 0);
    stored_points::<P, A>(sums.points::<P>().0, &sums.places)[0]
}

fn sum_of_sets<P: Group, A: Adder<P>>(
    windows: &Windows,
    sets: &[Set],
    shares: &[Share],
    points: Points<'_, P>,
    tally: &Tally,
) -> Projective<P> {
    let count = shares.iter().map(|share| share.points.len()).sum::<usize>();
    let each = count * sets.iter().map(|set| set.windows.len()).max().unwrap_or(1);
    let together = (4 * tile_rows::<P, A>() * A::LANES).div_ceil(each);
    let together = together.min(sets.len().div_ceil(rayon::current_num_threads()));
    let groups = groups::<P>(sets, shares);
    let weighed: Vec<Vec<Vec<Affine<P>>>> = sets
        .par_chunks(together)
        .map_init(Scratch::<P, A>::default, |scratch, sets| {
            sums_of_sets::<P, A>(windows, sets, &groups, points, scratch, tally)
        })
        .collect();
    let weighed: Vec<Vec<Affine<P>>> = weighed.into_iter().flatten().collect();
    let mut total = Projective::<P>::zero();
    for shift in (0..=sets.iter().map(|set| set.shift).max().unwrap_or(0)).rev() {
        let of_shift = || sets.iter().zip(&weighed).filter(|(set, _)| set.shift == shift);
        // A point for 1, and one for each bit of a bucket's index.
        total.double_in_place();
        for bit in (1..windows.width()).rev() {
            total.double_in_place();
            of_shift().for_each(|(_, points)| total += points[bit]);
        }
        of_shift().for_each(|(_, points)| total += points[0]);
    }
    total
}

/// The tables that a sum of stored points can use, in at most `room` bytes; none if they would not pay.
pub(super) fn tables<P: Group>(
    path: Path,
    words: &[u64],
    room: usize,
) -> Result<Option<Tables>, SlabError> {
    match path {
        Path::Portable => Tables::make::<P, Plain>(words, P::write_point, room),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => Tables::make::<P, Wide<Fma>>(words, encode_wide, room),
        #[cfg(target_arch = "x86_64")]
        Path::Ifma => Tables::make::<P, Wide<Ifma>>(words, encode_wide, room),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("a path that the processor lacks is never chosen"),
    }
}
