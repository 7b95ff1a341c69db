//! Transforms eight elements at a time.
//!
//! The same transforms as in [`super::ntt`], on vectors of eight neighbouring elements. Above the last
//! three levels one factor serves all lanes ([`levels`]); for those three, eight vectors are turned over so
//! that each block of eight has a lane of its own, and in the same visit the coset shift is applied and the
//! way out begins ([`inside`]). A domain too large for the cache is taken column by column: narrow stripes
//! of the square that its blocks form are brought near, transformed over all upper levels, and put back, so
//! that memory is gone through three times from a domain to its coset, whatever its size.
//!
//! Values stay in limbs from the matrix product to the scalars of the next sum. They are in the Montgomery
//! form of words, which constants leave as it is; see [`vectors`] for what products do to it.

mod factors;
mod inside;
mod levels;
mod next;
mod vectors;

use std::marker::PhantomData;

use rayon::prelude::*;

pub(super) use self::vectors::{
    export, export_difference, export_remainder, import, import_share, limb_montgomery_r, multiply,
    product,
};
use self::{
    factors::{Direction, Factors},
    inside::{Inside, Way},
    levels::{Inward, Levels, Outward, Settle},
    next::Next,
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

/// Vectors of a block that is worked on in one piece: 640 KiB of them, which fit a second-level cache where these
/// instructions are.
const BLOCK: usize = 1 << 11;

/// Levels that a stripe takes at most: 320 KiB.
const STRIPE_LEVELS: u32 = 8;

/// Vectors of a stripe side by side: twenty cache lines, so that memory is read in runs.
const STRIPE: usize = 4;

/// A domain's factors, for transforms in lanes; all transforms take canonical values or products to settled
/// ones.
pub(super) struct WideDomain<F>(Factors, PhantomData<F>);

impl<F: NttField> WideDomain<F> {
    /// The domain must have at least [`SMALLEST`] points.
    pub(super) fn new(domain: Domain<F>) -> Self {
        Self(Factors::new(&domain), PhantomData)
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order.
    pub(super) fn to_odd_coset<L: Lanes>(&self, values: &mut [ScalarVector]) {
        let Factors { inverse, forward, to_coset, .. } = &self.0;
        descend::<F, L>(values, 0, inverse, Way::Back(to_coset, forward));
    }

    /// From evaluations on the domain to coefficients times its size, in bit-reversed order.
    pub(super) fn to_coefficients<L: Lanes>(&self, values: &mut [ScalarVector]) {
        descend::<F, L>(values, 0, &self.0.inverse, Way::Coefficients);
    }

    /// The same from evaluations on the odd coset.
    pub(super) fn off_odd_coset<L: Lanes>(&self, values: &mut [ScalarVector]) {
        let Factors { inverse, off_coset, .. } = &self.0;
        descend::<F, L>(values, 0, inverse, Way::Shifted(off_coset));
    }
}

/// All levels of a block, by stripes and then by smaller blocks.
fn descend<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    inward: &Direction,
    way: Way<'_>,
) {
    let field = PhantomData::<F>;
    let in_levels = |values: &mut [ScalarVector], stop: usize, next: Next| {
        L::enable(Inward(Levels { values, block, stop, factors: &inward.broad, next, field }));
    };
    let out_levels = |values: &mut [ScalarVector], stop: usize, next: Next| {
        if let Way::Back(_, outward) = way {
            L::enable(Outward(Levels {
                values,
                block,
                stop,
                factors: &outward.broad,
                next,
                field,
            }));
        }
    };
    if values.len() <= BLOCK {
        // All that is done in a block while it is near, and the next one is brought near meanwhile.
        let (len, end) = (values.len(), values.as_ptr_range().end);
        in_levels(values, 1, Next::new(end, [len, len, 1], len.ilog2()));
        let first = block * len / 8;
        for (at, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            L::enable(Inside { values, group: first + at, inward, way, field });
        }
        out_levels(values, 1, Next::NONE);
        return;
    }
    let levels = STRIPE_LEVELS.min((values.len() / BLOCK).ilog2());
    let (rows, len) = (1 << levels, values.len() >> levels);
    each_stripe(values, len, |stripe, next| {
        in_levels(stripe, STRIPE, next);
        L::enable(Settle(stripe, field));
    });
    values.par_chunks_exact_mut(len).enumerate().for_each(|(row, values)| {
        descend::<F, L>(values, block * rows + row, inward, way);
    });
    if matches!(way, Way::Back(..)) {
        each_stripe(values, len, |stripe, next| out_levels(stripe, STRIPE, next));
    }
}

/// Brings narrow stripes through all rows of `len` vectors near, works on them and puts them back; the one
/// beside is asked for meanwhile.
fn each_stripe(
    values: &mut [ScalarVector],
    len: usize,
    work: impl Fn(&mut [ScalarVector], Next) + Sync,
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
        work(near, Next::new(beside, [STRIPE, len, rows], rows.ilog2()));
        for (part, done) in stripe.into_iter().zip(near.chunks_exact(STRIPE)) {
            part.copy_from_slice(done);
        }
    });
}
