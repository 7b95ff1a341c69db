//! Points in Zcash's encoding: big-endian coordinates, flags in the first three bits.

use ark_bls12_381::{Fq, Fq2};
use ark_ec::{
    AffineRepr,
    models::short_weierstrass::{Affine, SWCurveConfig},
};
use ark_ff::{AdditiveGroup, BigInt, PrimeField};

const COMPRESSED: u8 = 1 << 7;
const INFINITY: u8 = 1 << 6;
const LARGER_Y: u8 = 1 << 5;

/// Coordinates of a point: an element of the base field or of its quadratic extension, the higher
/// coefficient first.
pub(super) trait Coordinate: AdditiveGroup + Ord {
    const BYTES: usize;
    fn write(&self, out: &mut [u8]);
    /// `None` if a coefficient is not below the modulus.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Coordinate for Fq {
    const BYTES: usize = 48;

    fn write(&self, out: &mut [u8]) {
        for (bytes, word) in out.chunks_exact_mut(8).zip(self.into_bigint().0.iter().rev()) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut number = BigInt::<6>::default();
        for (word, bytes) in number.0.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *word = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        }
        Fq::from_bigint(number)
    }
}

impl Coordinate for Fq2 {
    const BYTES: usize = 96;

    fn write(&self, out: &mut [u8]) {
        let (c1, c0) = out.split_at_mut(48);
        self.c1.write(c1);
        self.c0.write(c0);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (c1, c0) = bytes.split_at(48);
        Some(Fq2::new(Fq::read(c0)?, Fq::read(c1)?))
    }
}

/// Bytes of an uncompressed point.
pub(super) const fn bytes_of<P: SWCurveConfig<BaseField: Coordinate>>() -> usize {
    2 * P::BaseField::BYTES
}

/// Writes both coordinates.
pub(super) fn write<P: SWCurveConfig<BaseField: Coordinate>>(point: &Affine<P>, out: &mut [u8]) {
    match point.xy() {
        None => {
            out.fill(0);
            out[0] = INFINITY;
        }
        Some((x, y)) => {
            let (out_x, out_y) = out.split_at_mut(P::BaseField::BYTES);
            x.write(out_x);
            y.write(out_y);
        }
    }
}

/// Writes the first coordinate and a flag for the sign of the second.
pub(super) fn compress<P: SWCurveConfig<BaseField: Coordinate>>(point: &Affine<P>, out: &mut [u8]) {
    out.fill(0);
    match point.xy() {
        None => out[0] = INFINITY,
        Some((x, y)) => {
            x.write(out);
            // A coordinate is the larger one if its integer is larger than that of its negative.
            if y > -y {
                out[0] |= LARGER_Y;
            }
        }
    }
    out[0] |= COMPRESSED;
}

/// Reads an uncompressed point that is not at infinity; whether it lies on the curve is not checked.
pub(super) fn read<P: SWCurveConfig<BaseField: Coordinate>>(bytes: &[u8]) -> Option<Affine<P>> {
    // A set flag makes the first coefficient larger than the modulus.
    let (x, y) = bytes.split_at_checked(P::BaseField::BYTES)?;
    Some(Affine::new_unchecked(P::BaseField::read(x)?, P::BaseField::read(y)?))
}

#[cfg(test)]
mod tests {
    use ark_bls12_381::{G1Affine, G2Affine, g1, g2};
    use ark_ec::CurveGroup;
    use ark_ff::UniformRand;

    use super::*;

    fn both_ways<P: SWCurveConfig<BaseField: Coordinate>>() {
        let rng = &mut ark_std::test_rng();
        for _ in 0..20 {
            let point = ark_ec::models::short_weierstrass::Projective::<P>::rand(rng).into_affine();
            let mut bytes = vec![0; bytes_of::<P>()];
            write(&point, &mut bytes);
            assert_eq!(read::<P>(&bytes), Some(point));
            // An independent implementation of the encoding agrees, in both forms.
            let mut theirs = Vec::new();
            ark_serialize::CanonicalSerialize::serialize_uncompressed(&point, &mut theirs).unwrap();
            assert_eq!(bytes, theirs);
            let mut short = vec![0; bytes.len() / 2];
            compress(&point, &mut short);
            theirs.clear();
            ark_serialize::CanonicalSerialize::serialize_compressed(&point, &mut theirs).unwrap();
            assert_eq!(short, theirs);
            for flag in [COMPRESSED, INFINITY, LARGER_Y] {
                bytes[0] |= flag;
                assert_eq!(read::<P>(&bytes), None, "an uncompressed finite point has no flag");
                bytes[0] &= !flag;
            }
        }
    }

    #[test]
    fn points_are_read_as_written_and_as_others_write_them() {
        both_ways::<g1::Config>();
        both_ways::<g2::Config>();
        let mut bytes = [7; 48];
        compress(&G1Affine::identity(), &mut bytes);
        assert_eq!((bytes[0], bytes[47]), (0xc0, 0));
        let mut bytes = [7; 192];
        write(&G2Affine::identity(), &mut bytes);
        assert_eq!((bytes[0], bytes[191]), (0x40, 0));
    }
}
