//! Generated constraint systems of any size, for benchmarks and tests.
//!
//! There are two shapes, which stress different kernels. [`dense`] has full-width values on every
//! wire, so the MSMs over the witness dominate. [`bits`] has 98 % bits, like hash circuits, so the
//! quotient's transforms and the MSM over H dominate.

use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField};
use athanor_kernels::{Curve, SCALAR_WORDS, Scalar, Scalars};

use crate::{R1cs, Rows};

/// A constraint system and a witness that satisfies it.
pub struct Example<F> {
    /// The constraints.
    pub r1cs: R1cs<F>,
    /// The witness: a value per wire.
    pub witness: Scalars,
}

/// A chain of `x' = x · (x + 1)`: every wire full width. Public: the last value.
pub fn dense<C: Curve>(constraints: usize, seed: u64) -> Example<C::Fr> {
    let mut system = System::new(1);
    let mut x = C::Fr::from(seed) + C::Fr::from(3u64).pow([1_000 + seed]);
    let mut wire = system.private(x);
    for step in 0..constraints {
        let product = x * (x + C::Fr::ONE);
        let last = step + 1 == constraints;
        let next = if last { system.public(product) } else { system.private(product) };
        system.constrain(
            &[(wire, C::Fr::ONE)],
            &[(wire, C::Fr::ONE), (0, C::Fr::ONE)],
            &[(next, C::Fr::ONE)],
        );
        (x, wire) = (product, next);
    }
    system.end()
}

/// Values split into `WIDTH` bits each: `bit · (bit - 1) = 0`, and their weighted sum is the value.
/// Public: the first value.
pub fn bits<C: Curve>(constraints: usize, seed: u64) -> Example<C::Fr> {
    const WIDTH: usize = 250;
    let mut system = System::new(1);
    let mut x = C::Fr::from(seed) + C::Fr::from(5u64).pow([1_000 + seed]);
    let weights: Vec<C::Fr> =
        std::iter::successors(Some(C::Fr::ONE), |weight| Some(weight.double()))
            .take(WIDTH)
            .collect();
    let mut made = 0;
    while made < constraints {
        let width = WIDTH.min(constraints - made - 1);
        x = x.square() + C::Fr::ONE;
        let low = low_bits(x, width);
        let bits: Vec<u32> = (0..width)
            .map(|bit| system.private(C::Fr::from((low[bit / 64] >> (bit % 64)) & 1)))
            .collect();
        for &bit in &bits {
            system.constrain(&[(bit, C::Fr::ONE)], &[(bit, C::Fr::ONE), (0, -C::Fr::ONE)], &[]);
        }
        let value = C::Fr::from_bigint(BigInt(low)).expect("250 bits are below the modulus");
        let wire = if made == 0 { system.public(value) } else { system.private(value) };
        let sum: Vec<(u32, C::Fr)> = bits.iter().copied().zip(weights.iter().copied()).collect();
        system.constrain(&sum, &[(0, C::Fr::ONE)], &[(wire, C::Fr::ONE)]);
        made += width + 1;
    }
    system.end()
}

fn low_bits<F: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>(value: F, width: usize) -> Scalar {
    let mut words = value.into_bigint().0;
    for (index, word) in words.iter_mut().enumerate() {
        let kept = width.saturating_sub(64 * index).min(64);
        *word &= if kept == 64 { u64::MAX } else { (1 << kept) - 1 };
    }
    words
}

/// A constraint system under construction, with its witness.
struct System<F> {
    r1cs: R1cs<F>,
    values: Vec<F>,
    next_public: u32,
}

impl<F: PrimeField<BigInt = BigInt<SCALAR_WORDS>>> System<F> {
    fn new(public: usize) -> Self {
        let rows = Rows::default;
        Self {
            r1cs: R1cs { wires: 0, public, a: rows(), b: rows(), c: rows() },
            values: [vec![F::ONE], vec![F::ZERO; public]].concat(),
            next_public: 1,
        }
    }

    fn private(&mut self, value: F) -> u32 {
        self.values.push(value);
        self.values.len() as u32 - 1
    }

    fn public(&mut self, value: F) -> u32 {
        let wire = self.next_public;
        self.values[wire as usize] = value;
        self.next_public += 1;
        wire
    }

    fn constrain(&mut self, a: &[(u32, F)], b: &[(u32, F)], c: &[(u32, F)]) {
        self.r1cs.a.push(a.iter().copied());
        self.r1cs.b.push(b.iter().copied());
        self.r1cs.c.push(c.iter().copied());
    }

    fn end(mut self) -> Example<F> {
        self.r1cs.wires = self.values.len();
        let witness = self.values.iter().map(|value| value.into_bigint().0).collect();
        Example { r1cs: self.r1cs, witness: Scalars::new(witness) }
    }
}

#[cfg(test)]
mod tests {
    use athanor_kernels::Bn254;

    use super::*;

    #[test]
    fn examples_have_the_size_asked_for_and_satisfied_constraints() {
        for constraints in [1, 2, 250, 251, 252, 1000] {
            for example in [dense::<Bn254>(constraints, 7), bits::<Bn254>(constraints, 7)] {
                assert_eq!(example.r1cs.constraints(), constraints);
                assert_eq!(example.r1cs.first_unsatisfied(&example.witness), None);
            }
        }
    }

    #[test]
    fn a_changed_value_is_found_at_its_constraint() {
        let example = dense::<Bn254>(100, 7);
        let mut values = example.witness.to_vec();
        values[40] = [5, 0, 0, 0];
        let found = example.r1cs.first_unsatisfied(&values).unwrap();
        assert!(example.r1cs.c.row(found).iter().any(|&(wire, _)| wire == 40));
    }
}
