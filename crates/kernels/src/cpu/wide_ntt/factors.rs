//! The factors of a domain's transforms in lanes.
//!
//! Inside a vector of eight neighbours there are three more levels, with seven factors for each vector.
//! All of them, and the eight coset shifts, follow from one power of the domain's `η`, and products take
//! less time than the memory that a table of them would be read from; see [`super::inside`].

use rayon::prelude::*;

use crate::{
    Domain,
    cpu::ntt::{inverse, reversed_powers},
    lanes::ntt_field::{NttField, SCALAR_LIMBS, ScalarVector, ShoupConstant, montgomery_limbs},
};

/// The factors of one direction.
pub(super) struct Direction {
    /// Factors of the levels above eight, in bit-reversed order.
    pub(super) broad: Vec<ShoupConstant>,
    /// For eight neighbouring vectors, the powers of `η` that their first elements' places stand for.
    pub(super) firsts: Vec<ScalarVector>,
    /// The factors of a transform of eight: a fourth and two eighth roots of unity.
    pub(super) roots: [ShoupConstant; 3],
    /// The number 1, in the form that lanes multiply with each other.
    pub(super) one: [u64; SCALAR_LIMBS],
}

impl Direction {
    fn new<F: NttField>(domain: &Domain<F>, eta: F) -> Self {
        let (log_size, omega) = (domain.log_size(), eta.square());
        let eighth = omega.pow([domain.size() as u64 / 8]);
        let fourth = eighth.square();
        let broad = reversed_powers(F::one(), omega.pow([8]), log_size - 4);
        Self {
            broad: broad.into_par_iter().map(NttField::shoup_constant).collect(),
            firsts: eights(&reversed_powers(F::one(), eta, log_size - 3)),
            roots: [fourth, eighth, eighth * fourth].map(NttField::shoup_constant),
            one: montgomery_limbs(F::ONE),
        }
    }
}

/// A domain's factors.
pub(super) struct Factors {
    pub(super) forward: Direction,
    pub(super) inverse: Direction,
    /// From the coset shift of a vector's first element to those of all, over the domain's size.
    pub(super) to_coset: [ShoupConstant; 8],
    /// The same for the way back, but for the size.
    pub(super) off_coset: [ShoupConstant; 8],
}

impl Factors {
    /// The factors of a domain of at least 64 points.
    pub(super) fn new<F: NttField>(domain: &Domain<F>) -> Self {
        let (eta, over_eta) = (domain.eta(), inverse(domain.eta()));
        let size = domain.size() as u64;
        let steps = |factor: F, base: F| {
            let steps = reversed_powers(factor, base.pow([size / 8]), 3);
            std::array::from_fn(|i| steps[i].shoup_constant())
        };
        Self {
            forward: Direction::new(domain, eta),
            inverse: Direction::new(domain, over_eta),
            to_coset: steps(inverse(F::from(size)), eta),
            off_coset: steps(F::one(), over_eta),
        }
    }
}

/// Elements side by side, in the form that lanes multiply with each other.
fn eights<F: NttField>(values: &[F]) -> Vec<ScalarVector> {
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
