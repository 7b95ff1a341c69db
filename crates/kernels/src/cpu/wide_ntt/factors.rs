//! The factors of a domain's transforms in lanes.
//!
//! The three levels inside a vector of eight need seven factors for each; all of them follow from one
//! ([`Eighth`]), and a product takes less time than the memory that a table of them would be read from.
//! So do the eight coset shifts of a vector.

use std::sync::OnceLock;

use crate::{
    Domain,
    cpu::ntt::{inverse, reversed_powers},
    lanes::residue::{Eight, SCALAR_LIMBS, Transformed, limbs},
};

pub(super) type Limbs = [u64; SCALAR_LIMBS];

/// The factors of one direction.
pub(super) struct Direction {
    /// Factors of the levels above eight, in bit-reversed order.
    pub(super) broad: Vec<Limbs>,
    /// For eight neighbouring vectors, their factors of the last level's first pair.
    pub(super) narrow: Vec<Eight>,
    /// From those to the other factors: a fourth and an eighth root of unity.
    pub(super) roots: [Limbs; 2],
}

impl Direction {
    fn new<F: Transformed>(domain: &Domain<F>, omega: F) -> Self {
        let log_size = domain.log_size();
        let eighth = omega.pow([domain.size() as u64 / 8]);
        let broad = reversed_powers(F::one(), omega.pow([8]), log_size - 4);
        Self {
            broad: broad.into_iter().map(limbs).collect(),
            narrow: eights(&reversed_powers(F::one(), omega, log_size - 3)),
            roots: [limbs(eighth.square()), limbs(eighth)],
        }
    }
}

/// Shifts by the powers of a point over the size of the domain, in bit-reversed order.
pub(super) struct Shifts {
    /// For eight neighbouring vectors, the shifts of their first elements.
    pub(super) firsts: Vec<Eight>,
    /// From the first element's to the others'.
    pub(super) steps: [Limbs; 8],
}

/// A domain's factors.
pub(super) struct Factors<F> {
    pub(super) domain: Domain<F>,
    pub(super) forward: Direction,
    pub(super) inverse: Direction,
    to_coset: OnceLock<Shifts>,
    from_coset: OnceLock<Shifts>,
}

impl<F: Transformed> Factors<F> {
    /// The factors of a domain of at least 64 points.
    pub(super) fn new(domain: Domain<F>) -> Self {
        let omega = domain.omega();
        Self {
            domain,
            forward: Direction::new(&domain, omega),
            inverse: Direction::new(&domain, inverse(omega)),
            to_coset: OnceLock::new(),
            from_coset: OnceLock::new(),
        }
    }

    /// From coefficients times the size to evaluations on the odd coset.
    pub(super) fn to_coset(&self) -> &Shifts {
        self.to_coset.get_or_init(|| self.shifts(self.domain.eta()))
    }

    /// And back.
    pub(super) fn off_coset(&self) -> &Shifts {
        self.from_coset.get_or_init(|| self.shifts(inverse(self.domain.eta())))
    }

    fn shifts(&self, base: F) -> Shifts {
        let size = self.domain.size() as u64;
        let over_size = inverse(F::from(size));
        let firsts = reversed_powers(over_size, base, self.domain.log_size() - 3);
        let steps = reversed_powers(F::one(), base.pow([size / 8]), 3);
        let mut step = steps.into_iter().map(limbs);
        Shifts {
            firsts: eights(&firsts),
            steps: std::array::from_fn(|_| step.next().expect("eight of them")),
        }
    }
}

/// Elements side by side.
fn eights<F: Transformed>(values: &[F]) -> Vec<Eight> {
    let eight = |values: &[F]| {
        let mut eight = Eight::ZERO;
        for (lane, &value) in values.iter().enumerate() {
            for (limb, word) in limbs(value).into_iter().enumerate() {
                eight.0[limb][lane] = word;
            }
        }
        eight
    };
    values.chunks(8).map(eight).collect()
}
