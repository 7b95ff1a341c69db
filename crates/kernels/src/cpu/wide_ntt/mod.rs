//! Transforms eight elements at a time.
//!
//! The same transforms as in [`super::ntt`], on vectors of eight neighbouring elements. Above the last
//! three levels one factor serves all lanes; for those three, eight vectors are turned over so that each
//! block of eight has a lane of its own ([`levels`]), and in the same visit the coset shift is applied and
//! the way out begins. A domain too large for the cache is taken column by column: narrow stripes of the
//! square that its blocks form are brought near, transformed over all upper levels, and put back, so that
//! memory is gone through three times from a domain to its coset, whatever its size.
//!
//! Values stay in limbs from the matrix product to the scalars of the next sum.

mod factors;
mod levels;
mod vectors;

use std::marker::PhantomData;

use rayon::prelude::*;

pub(super) use self::vectors::{export, import, import_share, multiply, multiply_subtract};
use self::{
    factors::{Factors, Shifts},
    levels::{Inside, inward, outward},
};
use crate::{
    Domain,
    lanes::{
        Lanes,
        residue::{Eight, Transformed},
    },
};

/// The smallest domain: eight vectors of eight.
pub(super) const SMALLEST: usize = 64;

/// Vectors of a block that stays in the cache next to the core: 160 KiB of them.
const BLOCK: usize = 1 << 9;

/// Levels that a stripe takes at most: 160 KiB again.
const STRIPE_LEVELS: u32 = 8;

/// Vectors of a stripe side by side: ten cache lines, so that memory is read in runs.
const STRIPE: usize = 2;

/// A domain with its factors, for transforms in lanes.
pub(super) struct WideDomain<F>(Factors<F>);

impl<F: Transformed> WideDomain<F> {
    /// The domain must have at least [`SMALLEST`] points.
    pub(super) fn new(domain: Domain<F>) -> Self {
        Self(Factors::new(domain))
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order.
    pub(super) fn to_odd_coset<L: Lanes>(&self, values: &mut [Eight]) {
        self.descend::<L>(values, 0, self.0.to_coset(), true);
    }

    /// From evaluations on the odd coset to coefficients in bit-reversed order.
    pub(super) fn to_coefficients<L: Lanes>(&self, values: &mut [Eight]) {
        self.descend::<L>(values, 0, self.0.off_coset(), false);
    }

    fn descend<L: Lanes>(&self, values: &mut [Eight], block: usize, shifts: &Shifts, back: bool) {
        let factors = &self.0;
        let (inverse, forward) = (&factors.inverse, &factors.forward);
        if values.len() <= BLOCK {
            // All that is done in a block while it is near.
            inward::<F, L>(values, block, 1, &inverse.broad);
            let first = block * values.len() / 8;
            for (at, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let (group, forward) = (first + at, back.then_some(forward));
                let field = PhantomData::<F>;
                L::enable(Inside { values, group, inverse, shifts, forward, field });
            }
            if back {
                outward::<F, L>(values, block, 1, &forward.broad);
            }
            return;
        }
        let levels = STRIPE_LEVELS.min((values.len() / BLOCK).ilog2());
        let (rows, len) = (1 << levels, values.len() >> levels);
        each_stripe(values, len, |stripe| {
            inward::<F, L>(stripe, block, STRIPE, &inverse.broad);
        });
        values.par_chunks_exact_mut(len).enumerate().for_each(|(row, values)| {
            self.descend::<L>(values, block * rows + row, shifts, back);
        });
        if back {
            each_stripe(values, len, |stripe| {
                outward::<F, L>(stripe, block, STRIPE, &forward.broad);
            });
        }
    }
}

/// Brings narrow stripes through all rows of `len` vectors near, works on them and puts them back.
fn each_stripe(values: &mut [Eight], len: usize, work: impl Fn(&mut [Eight]) + Sync) {
    let rows = values.len() / len;
    let mut stripes: Vec<Vec<&mut [Eight]>> =
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
        work(near);
        for (part, done) in stripe.into_iter().zip(near.chunks_exact(STRIPE)) {
            part.copy_from_slice(done);
        }
    });
}
