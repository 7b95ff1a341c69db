//! Signed-digit recoding of scalars.
//!
//! A scalar over half the group order is replaced by its negative, so that `-1` is as small as `1`,
//! and a bit is saved. Adding `2^(width-1)` in every window in advance makes each digit a plain
//! extraction of bits: no carry passes between windows, and windows can be read in any order.

use ark_ff::PrimeField;

use crate::{SCALAR_WORDS, Scalar};

const SIGN: u64 = 1 << 63;

/// The widest window: a digit takes 16 bits with its sign.
pub(super) const MAX_WIDTH: usize = 16;

/// The division of scalars of a field into windows of one width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    width: usize,
    count: usize,
    order: Scalar,
    /// `2^(width-1)` in every window but the last.
    offset: Scalar,
}

impl Windows {
    pub(super) fn new<F: PrimeField<BigInt = ark_ff::BigInt<SCALAR_WORDS>>>(width: usize) -> Self {
        // The absolute value has one bit less than the order, and the sign takes one.
        let count = (F::MODULUS_BIT_SIZE as usize).div_ceil(width);
        let mut offset = [0; SCALAR_WORDS];
        for window in 0..count - 1 {
            let bit = window * width + width - 1;
            offset[bit / 64] |= 1 << (bit % 64);
        }
        Self { width, count, order: F::MODULUS.0, offset }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Buckets of a window: the absolute values of its nonzero digits are 1 to `2^(width-1)`.
    pub(super) fn buckets(&self) -> usize {
        1 << (self.width - 1)
    }

    /// Prepares a canonical scalar for [`Windows::digits`].
    pub(super) fn recode(&self, scalar: &Scalar) -> Recoded {
        let negative = subtract(&self.order, scalar);
        let over_half = negative.iter().rev().lt(scalar.iter().rev());
        let mut words = add(if over_half { &negative } else { scalar }, &self.offset);
        if over_half {
            words[SCALAR_WORDS - 1] |= SIGN;
        }
        Recoded(words)
    }

    /// Writes the digits of a window, each in `[-2^(width-1), 2^(width-1))`. The last window has no
    /// offset: its digits are in `[0, 2^(width-1)]`.
    pub(super) fn digits(&self, scalars: &[Recoded], window: usize, digits: &mut [i16]) {
        let start = window * self.width;
        let (word, shift) = (start / 64, start % 64);
        let last = window == self.count - 1;
        let (mask, half) = ((1u64 << self.width) - 1, if last { 0 } else { self.buckets() as u64 });
        // At most 16 bits; the last window does not use its highest bit.
        let cut = |bits: u64| ((bits & mask) as i64 - half as i64) as i16;
        let pairs = scalars.iter().zip(digits);
        match word {
            // The highest word's highest bit is the sign.
            3 => pairs.for_each(|(scalar, digit)| *digit = cut((scalar.0[3] & !SIGN) >> shift)),
            2 => pairs.for_each(|(scalar, digit)| {
                *digit = cut(scalar.0[2] >> shift | (scalar.0[3] & !SIGN) << 1 << (63 - shift));
            }),
            word => pairs.for_each(|(scalar, digit)| {
                *digit = cut(scalar.0[word] >> shift | scalar.0[word + 1] << 1 << (63 - shift));
            }),
        }
    }
}

/// A recoded scalar: its absolute value plus the offset, and its sign in the highest bit.
#[derive(Clone, Copy, Default)]
pub(super) struct Recoded([u64; SCALAR_WORDS]);

impl Recoded {
    /// Whether the digits represent the negative of the scalar.
    pub(super) fn is_negative(&self) -> bool {
        self.0[SCALAR_WORDS - 1] & SIGN != 0
    }
}

fn subtract(a: &Scalar, b: &Scalar) -> Scalar {
    let mut borrow = false;
    std::array::from_fn(|i| {
        let (word, first) = a[i].overflowing_sub(b[i]);
        let (word, second) = word.overflowing_sub(borrow.into());
        borrow = first | second;
        word
    })
}

fn add(a: &Scalar, b: &Scalar) -> Scalar {
    let mut carry = false;
    std::array::from_fn(|i| {
        let (word, first) = a[i].overflowing_add(b[i]);
        let (word, second) = word.overflowing_add(carry.into());
        carry = first | second;
        word
    })
}

#[cfg(test)]
mod tests {
    use ark_std::test_rng;

    use super::*;

    fn single_digit(windows: &Windows, scalar: &Recoded, window: usize) -> i16 {
        let mut digit = [0];
        windows.digits(&[*scalar], window, &mut digit);
        digit[0]
    }

    fn digits_recompose_the_scalar<F: PrimeField<BigInt = ark_ff::BigInt<SCALAR_WORDS>>>() {
        let rng = &mut test_rng();
        let half = F::from(2).inverse().unwrap();
        let edges = [F::ZERO, F::one(), -F::one(), half, -half, half - F::one()];
        let scalars: Vec<F> = edges.into_iter().chain((0..50).map(|_| F::rand(rng))).collect();
        for width in 2..=MAX_WIDTH {
            let windows = Windows::new::<F>(width);
            for scalar in &scalars {
                let recoded = windows.recode(&scalar.into_bigint().0);
                let mut value = F::ZERO;
                for window in (0..windows.count()).rev() {
                    let digit = single_digit(&windows, &recoded, window);
                    let size = usize::from(digit.unsigned_abs());
                    assert!(size <= windows.buckets(), "width {width}");
                    value *= F::from(1u64 << width);
                    value += F::from(i64::from(digit));
                }
                if recoded.is_negative() {
                    value = -value;
                }
                assert_eq!(value, *scalar, "width {width}");
            }
        }
    }

    #[test]
    fn digits_recompose_the_scalar_at_every_width() {
        digits_recompose_the_scalar::<ark_bn254::Fr>();
        digits_recompose_the_scalar::<ark_bls12_381::Fr>();
    }

    #[test]
    fn small_scalars_of_either_sign_have_few_digits() {
        let windows = Windows::new::<ark_bn254::Fr>(8);
        for scalar in [ark_bn254::Fr::from(5), -ark_bn254::Fr::from(5)] {
            let recoded = windows.recode(&scalar.into_bigint().0);
            assert_eq!(single_digit(&windows, &recoded, 0), 5);
            assert!(
                (1..windows.count()).all(|window| single_digit(&windows, &recoded, window) == 0)
            );
        }
    }
}
