//! Primes and field elements in files: the curve of a prime, and checks that numbers are canonical.

use std::io::Read;

use ark_ec::pairing::Pairing;
use ark_ff::{BigInteger, PrimeField};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Scalar};

use super::binfile::{BinFileError, SectionReader};

/// Maximum number of bytes of a prime in an error message.
const LONGEST_PRIME: u32 = 96;

/// The file is over a field of neither curve.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrimeError {
    /// Field elements have an unsupported size.
    #[error("numbers have {found} bytes; those of BN254 and BLS12-381 have {expected}")]
    Width {
        /// Bytes of a number in the file.
        found: u32,
        /// Bytes of a number on the supported curves.
        expected: &'static str,
    },
    /// The prime is of neither curve.
    #[error(
        "the prime {prime} belongs to neither BN254 nor BLS12-381; \
         compile the circuit with `--prime bn128` or `--prime bls12381`"
    )]
    Unknown {
        /// The prime, in hexadecimal.
        prime: String,
    },
}

/// Which of a curve's two fields a prime must belong to.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The scalar field, of order r.
    Scalars,
    /// The field of coordinates, of order q.
    Coordinates,
}

impl Role {
    fn modulus(self, curve: CurveId) -> Vec<u8> {
        fn bytes<F: PrimeField>() -> Vec<u8> {
            F::MODULUS.to_bytes_le()
        }
        match (self, curve) {
            (Role::Scalars, CurveId::Bn254) => bytes::<<Bn254 as Curve>::Fr>(),
            (Role::Scalars, CurveId::Bls12_381) => bytes::<<Bls12_381 as Curve>::Fr>(),
            (Role::Coordinates, CurveId::Bn254) => bytes::<<Bn254 as Pairing>::BaseField>(),
            (Role::Coordinates, CurveId::Bls12_381) => bytes::<<Bls12_381 as Pairing>::BaseField>(),
        }
    }

    fn widths(self) -> &'static str {
        match self {
            Role::Scalars => "32",
            Role::Coordinates => "32 or 48",
        }
    }
}

/// Reads a prime as the formats store it (length in bytes, then little-endian bytes) and returns its
/// curve.
pub(super) fn read_prime<R: Read, E>(
    section: &mut SectionReader<'_, R>,
    role: Role,
) -> Result<CurveId, E>
where
    E: From<BinFileError> + From<PrimeError>,
{
    let width = section.u32()?;
    if width > LONGEST_PRIME {
        return Err(PrimeError::Width { found: width, expected: role.widths() }.into());
    }
    let mut bytes = vec![0; width as usize];
    section.fill(&mut bytes)?;
    [CurveId::Bn254, CurveId::Bls12_381]
        .into_iter()
        .find(|&curve| role.modulus(curve) == bytes)
        .ok_or_else(|| PrimeError::Unknown { prime: hex(&bytes) }.into())
}

/// A prime as the formats store it.
pub(super) fn prime_bytes(curve: CurveId, role: Role) -> Vec<u8> {
    let modulus = role.modulus(curve);
    let mut bytes = (modulus.len() as u32).to_le_bytes().to_vec();
    bytes.extend(modulus);
    bytes
}

fn hex(little_endian: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("0x");
    let mut digits = little_endian.iter().rev().skip_while(|&&byte| byte == 0).peekable();
    if digits.peek().is_none() {
        text.push('0');
    }
    for byte in digits {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    text
}

/// The order of a curve's scalar field.
fn scalar_modulus(curve: CurveId) -> Scalar {
    match curve {
        CurveId::Bn254 => <Bn254 as Curve>::Fr::MODULUS.0,
        CurveId::Bls12_381 => <Bls12_381 as Curve>::Fr::MODULUS.0,
    }
}

/// Index of the first scalar that is not below the group order.
pub(super) fn first_not_canonical(curve: CurveId, scalars: &[Scalar]) -> Option<usize> {
    let modulus = scalar_modulus(curve);
    scalars.iter().position(|scalar| !scalar.iter().rev().lt(modulus.iter().rev()))
}

/// Why a text does not represent a field element.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecimalError {
    /// The text has characters other than digits, or leading zeros.
    #[error("is not a decimal number without sign, spaces or leading zeros")]
    NotDecimal,
    /// The number is not below the field's order. It is not reduced, since two texts for one value
    /// would make two proofs out of one.
    #[error("is not below the field's order")]
    NotCanonical,
}

/// Parses a field element from its canonical decimal text.
pub(super) fn parse_decimal<F: PrimeField>(text: &str) -> Result<F, DecimalError> {
    let digits = text.as_bytes();
    let canonical = text == "0" || (!digits.is_empty() && digits[0] != b'0');
    if !canonical || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotDecimal);
    }
    let mut value = F::BigInt::default();
    for digit in digits {
        let mut carry = u128::from(digit - b'0');
        for limb in value.as_mut() {
            carry += u128::from(*limb) * 10;
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            return Err(DecimalError::NotCanonical);
        }
    }
    F::from_bigint(value).ok_or(DecimalError::NotCanonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fr = <Bn254 as Curve>::Fr;

    #[test]
    fn one_text_stands_for_one_element() {
        let r = Fr::MODULUS.to_string();
        let below = (-Fr::from(1)).to_string();
        assert_eq!(parse_decimal::<Fr>("0"), Ok(Fr::from(0)));
        assert_eq!(parse_decimal::<Fr>(&below), Ok(-Fr::from(1)));
        assert_eq!(parse_decimal::<Fr>(&r), Err(DecimalError::NotCanonical));
        assert_eq!(parse_decimal::<Fr>(&"9".repeat(100)), Err(DecimalError::NotCanonical));
        for text in ["", "00", "01", "-1", "+1", "1_0", "0x1", " 1", "1e3", "1.0", "١"] {
            assert_eq!(parse_decimal::<Fr>(text), Err(DecimalError::NotDecimal), "{text:?}");
        }
    }

    #[test]
    fn scalars_are_compared_from_their_highest_word() {
        let r = scalar_modulus(CurveId::Bn254);
        let below = [r[0] - 1, r[1], r[2], r[3]];
        let low_words_high = [u64::MAX, u64::MAX, u64::MAX, r[3] - 1];
        assert_eq!(first_not_canonical(CurveId::Bn254, &[below, low_words_high]), None);
        assert_eq!(first_not_canonical(CurveId::Bn254, &[below, r]), Some(1));
    }
}
