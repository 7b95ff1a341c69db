//! Parses the numbers of an input into field elements.

use ark_ff::{BigInt, PrimeField};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, SCALAR_WORDS, Scalar};

/// Why a value is not a valid number for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The string is empty.
    #[error("is empty; write 0 for zero")]
    Empty,
    /// The number has a decimal point or an exponent.
    #[error("has a decimal point or an exponent; write all digits of the integer")]
    NotAnInteger,
    /// The text has a character that is not a digit of the number's base.
    #[error("is not a number; write a decimal, or a string like \"123\", \"-5\" or \"0x7b\"")]
    BadDigit,
    /// The value is `null`.
    #[error("is null; every value of an input signal must be given")]
    Null,
}

/// The order of a curve's scalar field, four little-endian 64-bit words.
pub(crate) fn modulus(curve: CurveId) -> Scalar {
    match curve {
        CurveId::Bn254 => <Bn254 as Curve>::Fr::MODULUS.0,
        CurveId::Bls12_381 => <Bls12_381 as Curve>::Fr::MODULUS.0,
    }
}

/// The curve whose scalar field has this order.
pub(crate) fn curve_of(prime: &Scalar) -> Option<CurveId> {
    [CurveId::Bn254, CurveId::Bls12_381].into_iter().find(|&curve| modulus(curve) == *prime)
}

/// Whether a value is below the order; compares from the most significant word.
pub(crate) fn is_canonical(value: &Scalar, modulus: &Scalar) -> bool {
    value.iter().rev().lt(modulus.iter().rev())
}

/// Parses a JSON number or boolean: an integer of any length.
pub(crate) fn from_literal(curve: CurveId, text: &str) -> Result<Scalar, NumberError> {
    match text {
        // JavaScript's BigInt, and so snarkjs, accepts booleans as numbers.
        "true" => return Ok([1, 0, 0, 0]),
        "false" => return Ok([0; SCALAR_WORDS]),
        "null" => return Err(NumberError::Null),
        _ => {}
    }
    if text.contains(['.', 'e', 'E']) {
        return Err(NumberError::NotAnInteger);
    }
    signed(curve, text)
}

/// Parses the contents of a string: an integer as in JavaScript's `BigInt` (decimal with an optional
/// sign; `0x`, `0o`, `0b` without a sign; surrounding white space). The empty string is refused,
/// although `BigInt` reads it as zero.
pub(crate) fn from_string(curve: CurveId, text: &str) -> Result<Scalar, NumberError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    let radix = match text.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ if text.contains('.') => return Err(NumberError::NotAnInteger),
        _ => return signed(curve, text),
    };
    unsigned(curve, &text[2..], radix, false)
}

fn signed(curve: CurveId, text: &str) -> Result<Scalar, NumberError> {
    match text.as_bytes().first() {
        Some(b'-') => unsigned(curve, &text[1..], 10, true),
        Some(b'+') => unsigned(curve, &text[1..], 10, false),
        _ => unsigned(curve, text, 10, false),
    }
}

fn unsigned(curve: CurveId, digits: &str, radix: u32, negate: bool) -> Result<Scalar, NumberError> {
    match curve {
        CurveId::Bn254 => reduce::<<Bn254 as Curve>::Fr>(digits, radix, negate),
        CurveId::Bls12_381 => reduce::<<Bls12_381 as Curve>::Fr>(digits, radix, negate),
    }
}

/// Horner's rule in the field, with as many digits per step as fit into a 64-bit word. Takes time
/// linear in the length and allocates nothing.
fn reduce<F: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>(
    digits: &str,
    radix: u32,
    negate: bool,
) -> Result<Scalar, NumberError> {
    if digits.is_empty() {
        return Err(NumberError::BadDigit);
    }
    let at_once = u64::MAX.ilog(u64::from(radix)) as usize;
    let mut value = F::zero();
    for chunk in digits.as_bytes().chunks(at_once) {
        let mut word = 0u64;
        for &byte in chunk {
            let digit = (byte as char).to_digit(radix).ok_or(NumberError::BadDigit)?;
            word = word * u64::from(radix) + u64::from(digit);
        }
        value = value * F::from(u64::from(radix).pow(chunk.len() as u32)) + F::from(word);
    }
    Ok(if negate { -value } else { value }.into_bigint().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::BigInteger;
    use proptest::prelude::*;

    const CURVES: [CurveId; 2] = [CurveId::Bn254, CurveId::Bls12_381];

    fn small(value: u64) -> Scalar {
        [value, 0, 0, 0]
    }

    /// `modulus - value`.
    fn minus(curve: CurveId, value: u64) -> Scalar {
        let mut words = BigInt(modulus(curve));
        words.sub_with_borrow(&BigInt(small(value)));
        words.0
    }

    #[test]
    fn every_way_to_write_a_number_gives_the_same_element() {
        for curve in CURVES {
            for text in ["123", "+123", " 123\n", "0x7b", "0X7B", "0o173", "0b1111011", "000123"] {
                assert_eq!(from_string(curve, text), Ok(small(123)), "{text}");
            }
            assert_eq!(from_literal(curve, "123"), Ok(small(123)));
            assert_eq!(from_literal(curve, "true"), Ok(small(1)));
            assert_eq!(from_literal(curve, "false"), Ok(small(0)));
            assert_eq!(from_literal(curve, "-0"), Ok(small(0)));
        }
    }

    #[test]
    fn numbers_beyond_two_to_the_53_are_exact() {
        let exact = (1 << 53) + 1;
        assert_eq!(from_literal(CurveId::Bn254, "9007199254740993"), Ok(small(exact)));
        let wide = format!("0x{}", "f".repeat(62));
        let expected = [u64::MAX, u64::MAX, u64::MAX, u64::MAX >> 8];
        assert_eq!(from_string(CurveId::Bls12_381, &wide), Ok(expected));
    }

    #[test]
    fn negatives_and_values_over_the_modulus_are_reduced() {
        for curve in CURVES {
            assert_eq!(from_literal(curve, "-1"), Ok(minus(curve, 1)));
            assert_eq!(from_string(curve, "-7"), Ok(minus(curve, 7)));
            let modulus = BigInt(modulus(curve));
            assert_eq!(from_string(curve, &modulus.to_string()), Ok(small(0)));
            let mut more = modulus;
            more.add_with_carry(&BigInt(small(5)));
            assert_eq!(from_literal(curve, &more.to_string()), Ok(small(5)));
            assert_eq!(from_literal(curve, &format!("-{more}")), Ok(minus(curve, 5)));
        }
    }

    #[test]
    fn what_is_no_integer_is_refused_with_the_reason() {
        use NumberError::*;
        let curve = CurveId::Bn254;
        for (text, why) in [
            ("", Empty),
            ("  ", Empty),
            ("1.5", NotAnInteger),
            ("1e3", BadDigit),
            ("0x", BadDigit),
            ("0xg", BadDigit),
            ("-0x5", BadDigit),
            ("--5", BadDigit),
            ("-", BadDigit),
            ("1 2", BadDigit),
            ("1_000", BadDigit),
            ("½", BadDigit),
            ("√2", BadDigit),
        ] {
            assert_eq!(from_string(curve, text), Err(why), "{text:?}");
        }
        for (text, why) in
            [("1.0", NotAnInteger), ("1e3", NotAnInteger), ("1E-3", NotAnInteger), ("null", Null)]
        {
            assert_eq!(from_literal(curve, text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn decimal_and_hex_agree_with_the_field_for_any_length(
            bytes in prop::collection::vec(any::<u8>(), 1..200),
            negate: bool,
        ) {
            type Fr = <Bn254 as Curve>::Fr;
            let expected = Fr::from_be_bytes_mod_order(&bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let got = from_string(CurveId::Bn254, &format!("0x{hex}")).unwrap();
            prop_assert_eq!(got, expected.into_bigint().0);

            let decimal: String = bytes.iter().map(|byte| char::from(b'0' + byte % 10)).collect();
            let ten = Fr::from(10u64);
            let mut expected = Fr::from(0u64);
            for byte in &bytes {
                expected = expected * ten + Fr::from(byte % 10);
            }
            let sign = if negate { expected = -expected; "-" } else { "" };
            let got = from_literal(CurveId::Bn254, &format!("{sign}{decimal}")).unwrap();
            prop_assert_eq!(got, expected.into_bigint().0);
        }
    }
}
