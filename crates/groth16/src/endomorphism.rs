//! Scalar multiplication in G1 by the endomorphism `φ(x, y) = (β·x, y)` (GLV), which multiplies a
//! point of the subgroup by `λ` at the cost of one field multiplication.
//!
//! A scalar `a + b·λ` takes half the doublings of a scalar of the combined length. Since
//! `1 + λ + λ² = 0`, the point `P + φ(P)` is `-φ²(P)`: the table of two bits costs no addition.

use ark_ec::{
    models::short_weierstrass::{Affine, Projective},
    scalar_mul::glv::GLVConfig,
};
use ark_ff::{AdditiveGroup, BigInt, PrimeField, Zero};
use zeroize::Zeroize;

/// `±a ± b·λ`.
#[derive(Clone, Copy, Zeroize)]
pub(crate) struct Factor {
    a: u128,
    b: u128,
    minus_a: bool,
    minus_b: bool,
    /// Number of bits of the longer of the two.
    bits: u32,
}

impl Factor {
    /// `a + b·λ`.
    pub(crate) fn of(a: u64, b: u64) -> Self {
        Self { a: a.into(), b: b.into(), minus_a: false, minus_b: false, bits: 64 }
    }

    /// Decomposes a scalar into two parts of about half its length.
    pub(crate) fn split<G: GLVConfig>(scalar: G::ScalarField) -> Self
    where
        G::ScalarField: PrimeField<BigInt = BigInt<4>>,
    {
        let ((plus_a, a), (plus_b, b)) = G::scalar_decomposition(scalar);
        let low = |part: G::ScalarField| {
            let BigInt([low, high, 0, 0]) = part.into_bigint() else {
                unreachable!("both parts are of about half the length");
            };
            u128::from(high) << 64 | u128::from(low)
        };
        let (a, b) = (low(a), low(b));
        let bits = 128 - (a | b).leading_zeros();
        Self { a, b, minus_a: !plus_a, minus_b: !plus_b, bits }
    }

    /// The scalar.
    pub(crate) fn number<G: GLVConfig>(&self) -> G::ScalarField {
        let signed = |value: u128, minus: bool| {
            let value = G::ScalarField::from(value);
            if minus { -value } else { value }
        };
        signed(self.a, self.minus_a) + G::LAMBDA * signed(self.b, self.minus_b)
    }

    /// `±P`, `±φ(P)` and their sum, with the signs of this scalar.
    fn table<G: GLVConfig>(&self, point: &Affine<G>) -> [Affine<G>; 3] {
        let beta = G::ENDO_COEFFS[0];
        let x = beta * point.x;
        let signed = |point: Affine<G>, minus: bool| if minus { -point } else { point };
        let p = signed(*point, self.minus_a);
        let phi = signed(Affine::new_unchecked(x, point.y), self.minus_b);
        let both = if self.minus_a == self.minus_b {
            signed(Affine::new_unchecked(beta * x, -point.y), self.minus_a)
        } else {
            (p + phi).into()
        };
        [p, phi, both]
    }
}

/// The sum of the points, each times its scalar, with shared doublings. Points must be in the
/// subgroup and not at infinity.
pub(crate) fn sum<G: GLVConfig>(points: &[(Affine<G>, Factor)]) -> Projective<G> {
    let tables: Vec<_> =
        points.iter().map(|(point, factor)| (factor.table(point), factor)).collect();
    let bits = points.iter().map(|(_, factor)| factor.bits).max().unwrap_or(0);
    let mut sum = Projective::<G>::zero();
    for bit in (0..bits).rev() {
        sum.double_in_place();
        for (table, Factor { a, b, .. }) in &tables {
            let digit = (a >> bit & 1) | (b >> bit & 1) << 1;
            if digit != 0 {
                sum += &table[digit as usize - 1];
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use ark_ec::{CurveGroup, PrimeGroup};
    use ark_ff::UniformRand;
    use ark_std::test_rng;
    use athanor_kernels::{Bls12_381, Bn254, Curve};

    use super::*;

    fn sums_are_sums_of_multiples<C: Curve>() {
        let rng = &mut test_rng();
        let mut factors = vec![Factor::of(0, 0), Factor::of(1, 0), Factor::of(u64::MAX, 1 << 63)];
        for scalar in [C::Fr::ZERO, -C::Fr::from(1u64), C::Fr::from(7u64)] {
            let split = Factor::split::<C::G1Config>(scalar);
            assert_eq!(split.number::<C::G1Config>(), scalar);
            factors.push(split);
        }
        for _ in 0..20 {
            let scalar = C::Fr::rand(rng);
            let split = Factor::split::<C::G1Config>(scalar);
            assert_eq!(split.number::<C::G1Config>(), scalar);
            factors.push(split);
        }
        let points: Vec<_> = factors
            .into_iter()
            .map(|factor| ((C::G1::generator() * C::Fr::rand(rng)).into_affine(), factor))
            .collect();
        let multiple =
            |(point, factor): &(C::G1Affine, Factor)| *point * factor.number::<C::G1Config>();
        for one in &points {
            assert_eq!(sum(std::slice::from_ref(one)), multiple(one));
        }
        assert_eq!(sum(&points), points.iter().map(multiple).sum::<C::G1>());
        assert_eq!(sum::<C::G1Config>(&[]), C::G1::ZERO);
    }

    #[test]
    fn sums_are_sums_of_multiples_on_both_curves() {
        sums_are_sums_of_multiples::<Bn254>();
        sums_are_sums_of_multiples::<Bls12_381>();
    }
}
