//! Number-theoretic transforms in lanes, eight elements at a time.
//!
//! The same transforms as in [`super::ntt`], on vectors of eight neighbouring elements. Above the
//! last three levels one twiddle serves all lanes ([`levels`]). For the last three, eight vectors
//! are transposed so that each block of eight has a lane of its own; the same pass applies the
//! coset shift and starts the forward transform ([`inner_levels`]). A domain too large for the
//! cache is processed in narrow stripes of the matrix that its blocks form: a stripe is copied to
//! the cache, transformed over all upper levels, and copied back. From a domain to its coset,
//! memory is passed through three times, or more if the stripes' rows exceed a block again.
//!
//! Values stay in limbs from the matrix product to the scalars of the next sum. They are in the
//! Montgomery form of words, which multiplication by constants keeps; see [`elementwise`] for
//! products of values.

mod elementwise;
mod inner_levels;
mod levels;
mod prefetch;
mod twiddles;

use std::marker::PhantomData;

use rayon::prelude::*;

pub(super) use self::elementwise::{
    export, export_difference, export_remainder, import, import_serial, limb_montgomery_r,
    multiply, product,
};
use self::{
    inner_levels::{InnerLevels, TransformOutput},
    levels::{ForwardLevels, InverseLevels, Levels, ReduceTo4p},
    prefetch::VectorPrefetch,
    twiddles::{DirectionTwiddles, VectorTwiddles},
};
use crate::{
    Domain,
    lanes::{
        Lanes,
        ntt_field::{NttField, ScalarVector},
    },
};

/// The smallest domain: eight vectors of eight.
pub(super) const SMALLEST: usize = 64;

/// Vectors of a block that is processed in one piece: 640 KiB, which fits the second-level cache of
/// processors with these instructions.
const BLOCK: usize = 1 << 11;

/// The most levels of a stripe, which is 320 KiB then.
const STRIPE_LEVELS: u32 = 8;

/// Vectors of a stripe side by side: twenty cache lines, so that memory is read in runs.
const STRIPE: usize = 4;

/// A domain's twiddles for transforms in lanes. All transforms take values that are canonical or
/// products, and return values below `4p`.
pub(super) struct VectorDomain<F>(VectorTwiddles, PhantomData<F>);

impl<F: NttField> VectorDomain<F> {
    /// The domain must have at least [`SMALLEST`] points.
    pub(super) fn new(domain: Domain<F>) -> Self {
        Self(VectorTwiddles::new(&domain), PhantomData)
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order.
    pub(super) fn to_odd_coset<L: Lanes>(&self, values: &mut [ScalarVector]) {
        let VectorTwiddles { inverse, forward, to_coset, .. } = &self.0;
        transform::<F, L>(values, 0, inverse, TransformOutput::CosetEvaluations(to_coset, forward));
    }

    /// From evaluations on the domain to coefficients times its size, in bit-reversed order.
    pub(super) fn to_coefficients<L: Lanes>(&self, values: &mut [ScalarVector]) {
        transform::<F, L>(values, 0, &self.0.inverse, TransformOutput::Coefficients);
    }

    /// From evaluations on the odd coset to coefficients times the size of the domain, in
    /// bit-reversed order.
    pub(super) fn off_odd_coset<L: Lanes>(&self, values: &mut [ScalarVector]) {
        let VectorTwiddles { inverse, off_coset, .. } = &self.0;
        transform::<F, L>(values, 0, inverse, TransformOutput::ShiftedCoefficients(off_coset));
    }
}

/// All levels of a block, by stripes and then by smaller blocks.
fn transform<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    inverse: &DirectionTwiddles,
    output: TransformOutput<'_>,
) {
    let field = PhantomData::<F>;
    let inverse_levels = |values: &mut [ScalarVector], min_len: usize, next: VectorPrefetch| {
        L::enable(InverseLevels(Levels {
            values,
            block,
            min_len,
            twiddles: &inverse.upper,
            next,
            field,
        }));
    };
    let forward_levels = |values: &mut [ScalarVector], min_len: usize, next: VectorPrefetch| {
        if let TransformOutput::CosetEvaluations(_, forward) = output {
            L::enable(ForwardLevels(Levels {
                values,
                block,
                min_len,
                twiddles: &forward.upper,
                next,
                field,
            }));
        }
    };
    if values.len() <= BLOCK {
        // The whole block is processed while it is in the cache; the next one is prefetched
        // meanwhile.
        let (len, end) = (values.len(), values.as_ptr_range().end);
        inverse_levels(values, 1, VectorPrefetch::new(end, [len, len, 1], len.ilog2()));
        let first = block * len / 8;
        for (at, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            L::enable(InnerLevels { values, group: first + at, inverse, output, field });
        }
        forward_levels(values, 1, VectorPrefetch::NONE);
        return;
    }
    let levels = STRIPE_LEVELS.min((values.len() / BLOCK).ilog2());
    let (rows, len) = (1 << levels, values.len() >> levels);
    for_each_stripe(values, len, |stripe, next| {
        inverse_levels(stripe, STRIPE, next);
        L::enable(ReduceTo4p(stripe, field));
    });
    values.par_chunks_exact_mut(len).enumerate().for_each(|(row, values)| {
        transform::<F, L>(values, block * rows + row, inverse, output);
    });
    if matches!(output, TransformOutput::CosetEvaluations(..)) {
        for_each_stripe(values, len, |stripe, next| forward_levels(stripe, STRIPE, next));
    }
}

/// Copies narrow stripes through all rows of `len` vectors to a buffer, processes them and copies
/// them back. The neighbouring stripe is prefetched meanwhile.
fn for_each_stripe(
    values: &mut [ScalarVector],
    len: usize,
    work: impl Fn(&mut [ScalarVector], VectorPrefetch) + Sync,
) {
    let rows = values.len() / len;
    let mut stripes: Vec<Vec<&mut [ScalarVector]>> =
        (0..len / STRIPE).map(|_| Vec::with_capacity(rows)).collect();
    for row in values.chunks_exact_mut(len) {
        for (stripe, part) in stripes.iter_mut().zip(row.chunks_exact_mut(STRIPE)) {
            stripe.push(part);
        }
    }
    let near = || Vec::with_capacity(rows * STRIPE);
    stripes.into_par_iter().for_each_init(near, |near, stripe| {
        near.clear();
        stripe.iter().for_each(|part| near.extend_from_slice(part));
        let beside = stripe[0].as_ptr().wrapping_add(STRIPE);
        work(near, VectorPrefetch::new(beside, [STRIPE, len, rows], rows.ilog2()));
        for (part, done) in stripe.into_iter().zip(near.chunks_exact(STRIPE)) {
            part.copy_from_slice(done);
        }
    });
}
