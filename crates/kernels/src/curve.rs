//! The curves that kernels support, and their coordinates as machine words.

use ark_ec::{
    AffineRepr,
    models::short_weierstrass::{Affine, Projective, SWCurveConfig},
    pairing::Pairing,
    scalar_mul::glv::GLVConfig,
};
use ark_ff::{BigInt, Field, Fp, Fp2, Fp2Config, MontBackend, MontConfig, PrimeField};

use crate::{
    cpu::{Kernels, compiled},
    inversion::inverse,
    lanes::{ntt_field::NttField, packed_field::PackedField},
};

pub use ark_bls12_381::Bls12_381;
pub use ark_bn254::Bn254;

/// 64-bit words of a scalar; both curves have a scalar field of 254 or 255 bits.
pub const SCALAR_WORDS: usize = 4;

/// A curve's name in files and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CurveId {
    /// BN254, which snarkjs calls `bn128`.
    Bn254,
    /// BLS12-381, which snarkjs calls `bls12381`.
    Bls12_381,
}

impl std::fmt::Display for CurveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CurveId::Bn254 => "bn254",
            CurveId::Bls12_381 => "bls12-381",
        })
    }
}

/// A pairing-friendly curve with kernels: [`Bn254`] or [`Bls12_381`].
pub trait Curve:
    Pairing<
        ScalarField = Self::Fr,
        G1 = Projective<Self::G1Config>,
        G1Affine = Affine<Self::G1Config>,
        G2 = Projective<Self::G2Config>,
        G2Affine = Affine<Self::G2Config>,
    >
{
    /// The scalar field, four 64-bit words in Montgomery form.
    type Fr: PrimeField<BigInt = BigInt<SCALAR_WORDS>> + Words + NttField;
    /// G1: points over the base field, with an endomorphism that costs one multiplication.
    type G1Config: Group<ScalarField = Self::Fr> + GLVConfig;
    /// G2: points over its quadratic extension.
    type G2Config: Group<ScalarField = Self::Fr>;
    /// The curve's name.
    const ID: CurveId;

    /// Its kernels on the CPU, compiled once.
    #[doc(hidden)]
    fn kernels() -> &'static Kernels<Self>;
}

impl Curve for Bn254 {
    type Fr = ark_bn254::Fr;
    type G1Config = ark_bn254::g1::Config;
    type G2Config = ark_bn254::g2::Config;
    const ID: CurveId = CurveId::Bn254;

    fn kernels() -> &'static Kernels<Self> {
        &compiled::BN254
    }
}

impl Curve for Bls12_381 {
    type Fr = ark_bls12_381::Fr;
    type G1Config = ark_bls12_381::g1::Config;
    type G2Config = ark_bls12_381::g2::Config;
    const ID: CurveId = CurveId::Bls12_381;

    fn kernels() -> &'static Kernels<Self> {
        &compiled::BLS12_381
    }
}

/// Field elements as 64-bit little-endian words in Montgomery form, `R = 2^(64 · words)`.
///
/// The portable layout of everything stored; `.zkey` files use it too.
pub trait Words: Field {
    /// 64-bit words of one element.
    const WORDS: usize;
    /// Writes the element's words. `out.len()` must be [`Words::WORDS`].
    fn write_words(&self, out: &mut [u64]);
    /// Reads an element from the words of its Montgomery form; `None` if they are not below the
    /// modulus.
    fn read_words(words: &[u64]) -> Option<Self>;
    /// Reads an element that was checked before it was stored.
    fn read_words_unchecked(words: &[u64]) -> Self;
    /// The same result as [`Field::inverse`], faster.
    fn quick_inverse(&self) -> Option<Self>;
}

impl<T: MontConfig<N>, const N: usize> Words for Fp<MontBackend<T, N>, N> {
    const WORDS: usize = N;

    fn write_words(&self, out: &mut [u64]) {
        out.copy_from_slice(&self.0.0);
    }

    fn read_words(words: &[u64]) -> Option<Self> {
        let value = Self::read_words_unchecked(words);
        (value.0 < T::MODULUS).then_some(value)
    }

    #[inline(always)]
    fn read_words_unchecked(words: &[u64]) -> Self {
        let mut limbs = [0; N];
        limbs.copy_from_slice(words);
        Self::new_unchecked(BigInt(limbs))
    }

    fn quick_inverse(&self) -> Option<Self> {
        inverse::<T, N>(&self.0.0).map(|words| Self::new_unchecked(BigInt(words)))
    }
}

impl<T: Fp2Config> Words for Fp2<T>
where
    T::Fp: Words,
{
    const WORDS: usize = 2 * T::Fp::WORDS;

    fn write_words(&self, out: &mut [u64]) {
        let (c0, c1) = out.split_at_mut(T::Fp::WORDS);
        self.c0.write_words(c0);
        self.c1.write_words(c1);
    }

    fn read_words(words: &[u64]) -> Option<Self> {
        let (c0, c1) = words.split_at(T::Fp::WORDS);
        Some(Self::new(T::Fp::read_words(c0)?, T::Fp::read_words(c1)?))
    }

    #[inline(always)]
    fn read_words_unchecked(words: &[u64]) -> Self {
        let (c0, c1) = words.split_at(T::Fp::WORDS);
        Self::new(T::Fp::read_words_unchecked(c0), T::Fp::read_words_unchecked(c1))
    }

    fn quick_inverse(&self) -> Option<Self> {
        let norm = self.c0.square() - T::NONRESIDUE * self.c1.square();
        let over = norm.quick_inverse()?;
        Some(Self::new(self.c0 * over, -self.c1 * over))
    }
}

/// A group of points `(x, y)` whose coordinates can be stored as words.
///
/// A stored point is `x` then `y`; infinity is all zeros, which no point of these curves is
/// (their `b` is not zero).
pub trait Group: SWCurveConfig<BaseField: Words + PackedField> {
    /// Words of one stored affine point.
    const POINT_WORDS: usize = 2 * <Self::BaseField as Words>::WORDS;

    /// Writes a point in the stored form.
    fn write_point(point: &Affine<Self>, out: &mut [u64]) {
        match point.xy() {
            None => out.fill(0),
            Some((x, y)) => {
                let (out_x, out_y) = out.split_at_mut(Self::BaseField::WORDS);
                x.write_words(out_x);
                y.write_words(out_y);
            }
        }
    }

    /// Reads a stored point; `None` if a coordinate is not below the modulus or the point is not on
    /// the curve. It does not check membership in the subgroup of prime order.
    fn read_point(words: &[u64]) -> Option<Affine<Self>> {
        if words.iter().all(|&word| word == 0) {
            return Some(Affine::identity());
        }
        let (x, y) = words.split_at(Self::BaseField::WORDS);
        let point =
            Affine::new_unchecked(Self::BaseField::read_words(x)?, Self::BaseField::read_words(y)?);
        point.is_on_curve().then_some(point)
    }

    /// Reads a point that was checked before it was stored.
    #[inline(always)]
    fn read_point_unchecked(words: &[u64]) -> Affine<Self> {
        if words.iter().all(|&word| word == 0) {
            return Affine::identity();
        }
        let (x, y) = words.split_at(Self::BaseField::WORDS);
        Affine::new_unchecked(
            Self::BaseField::read_words_unchecked(x),
            Self::BaseField::read_words_unchecked(y),
        )
    }
}

impl<P: SWCurveConfig<BaseField: Words + PackedField>> Group for P {}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::CurveGroup;
    use ark_std::{UniformRand, test_rng};

    fn stored_points_read_back<P: Group>() {
        let rng = &mut test_rng();
        let mut words = vec![0; P::POINT_WORDS];
        for point in [Affine::<P>::identity(), Projective::<P>::rand(rng).into_affine()] {
            P::write_point(&point, &mut words);
            assert_eq!(P::read_point(&words), Some(point));
            assert_eq!(P::read_point_unchecked(&words), point);
        }
        words[0] ^= 1;
        assert_eq!(P::read_point(&words), None, "a point off the curve is refused");
        words.fill(u64::MAX);
        assert_eq!(P::read_point(&words), None, "a coordinate over the modulus is refused");
    }

    #[test]
    fn points_survive_storage_and_bad_ones_are_refused() {
        stored_points_read_back::<<Bn254 as Curve>::G1Config>();
        stored_points_read_back::<<Bn254 as Curve>::G2Config>();
        stored_points_read_back::<<Bls12_381 as Curve>::G1Config>();
        stored_points_read_back::<<Bls12_381 as Curve>::G2Config>();
    }
}
