//! The twiddles of transforms in lanes.
//!
//! Inside a vector of eight neighbours there are three more levels, with seven twiddles for each
//! vector. These and the eight coset shifts are powers of one power of the domain's `η`; computing
//! them takes less time than reading them from a table. See [`super::inner_levels`].

use rayon::prelude::*;

use crate::{
    Domain,
    cpu::ntt::{inverse, reversed_powers},
    lanes::ntt_field::{NttField, SCALAR_LIMBS, ScalarVector, ShoupConstant, montgomery_limbs},
};

/// The twiddles of one direction.
pub(super) struct DirectionTwiddles {
    /// Twiddles of the levels above eight, in bit-reversed order.
    pub(super) upper: Vec<ShoupConstant>,
    /// For each group of eight neighbouring vectors: the powers of `η` for the positions of their
    /// first elements.
    pub(super) eta_powers: Vec<ScalarVector>,
    /// The twiddles of a transform of eight: a primitive fourth and two primitive eighth roots of
    /// unity.
    pub(super) roots: [ShoupConstant; 3],
    /// The number 1 in Montgomery form with radix `R'`.
    pub(super) one: [u64; SCALAR_LIMBS],
}

impl DirectionTwiddles {
    fn new<F: NttField>(domain: &Domain<F>, eta: F) -> Self {
        let (log_size, omega) = (domain.log_size(), eta.square());
        let eighth = omega.pow([domain.size() as u64 / 8]);
        let fourth = eighth.square();
        let upper = reversed_powers(F::one(), omega.pow([8]), log_size - 4);
        Self {
            upper: upper.into_par_iter().map(NttField::shoup_constant).collect(),
            eta_powers: pack(&reversed_powers(F::one(), eta, log_size - 3)),
            roots: [fourth, eighth, eighth * fourth].map(NttField::shoup_constant),
            one: montgomery_limbs(F::ONE),
        }
    }
}

/// A domain's twiddles.
pub(super) struct VectorTwiddles {
    pub(super) forward: DirectionTwiddles,
    pub(super) inverse: DirectionTwiddles,
    /// The coset shifts of a vector's elements relative to its first element, divided by the
    /// domain's size.
    pub(super) to_coset: [ShoupConstant; 8],
    /// The inverse coset shifts, not divided by the size.
    pub(super) off_coset: [ShoupConstant; 8],
}

impl VectorTwiddles {
    /// The twiddles of a domain of at least 64 points.
    pub(super) fn new<F: NttField>(domain: &Domain<F>) -> Self {
        let (eta, over_eta) = (domain.eta(), inverse(domain.eta()));
        let size = domain.size() as u64;
        let steps = |scale: F, base: F| {
            let steps = reversed_powers(scale, base.pow([size / 8]), 3);
            std::array::from_fn(|i| steps[i].shoup_constant())
        };
        Self {
            forward: DirectionTwiddles::new(domain, eta),
            inverse: DirectionTwiddles::new(domain, over_eta),
            to_coset: steps(inverse(F::from(size)), eta),
            off_coset: steps(F::one(), over_eta),
        }
    }
}

/// Elements side by side, in Montgomery form with radix `R'`.
fn pack<F: NttField>(values: &[F]) -> Vec<ScalarVector> {
    let eight = |values: &[F]| {
        let mut eight = ScalarVector([[0; 8]; SCALAR_LIMBS]);
        for (lane, &value) in values.iter().enumerate() {
            for (limb, word) in montgomery_limbs(value).into_iter().enumerate() {
                eight.0[limb][lane] = word;
            }
        }
        eight
    };
    values.par_chunks(8).map(eight).collect()
}
