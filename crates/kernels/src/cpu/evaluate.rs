//! Sparse matrix times witness.
//!
//! A witness consists of canonical words. The Montgomery form of a coefficient times canonical
//! words, divided by R in the Montgomery product, is the canonical words of the product. Read as a
//! field element, those words represent the value divided by R; linear maps keep that factor, and
//! code that multiplies or reads values accounts for it.

use ark_ff::PrimeField;
use rayon::prelude::*;

use crate::{
    Matrix, SCALAR_WORDS, Scalar, Words,
    sparse::{MINUS_ONE, PLUS_ONE},
};

/// The first row in which `A·w ∘ B·w` differs from `C·w`, or `None` if the witness satisfies all
/// rows. Runs in the caller's rayon pool.
///
/// # Panics
/// If there are fewer scalars than a matrix has columns.
pub fn first_unsatisfied<F: PrimeField + Words>(
    [a, b, c]: [&Matrix<F>; 3],
    scalars: &[Scalar],
) -> Option<usize> {
    let all = a.rows().max(b.rows()).max(c.rows());
    let values = |matrix: &Matrix<F>, first: usize, count: usize| {
        let mut values = vec![F::ZERO; count];
        rows(matrix, scalars, first, &mut values);
        values
    };
    // The number 1 read as an element.
    let over_r = F::read_words_unchecked(&[1, 0, 0, 0]);
    (0..all.div_ceil(ROWS_PER_TASK)).into_par_iter().find_map_first(|task| {
        let (first, count) = (task * ROWS_PER_TASK, ROWS_PER_TASK.min(all - task * ROWS_PER_TASK));
        let [a, b, c] = [a, b, c].map(|matrix| values(matrix, first, count));
        let row = a.iter().zip(&b).zip(&c).position(|((a, b), c)| *a * b != *c * over_r);
        row.map(|row| first + row)
    })
}

/// Rows that one task processes.
pub(super) const ROWS_PER_TASK: usize = 1 << 9;

/// Writes the products of rows from `first` on, divided by R. Values beyond the rows of the matrix
/// stay as they are.
pub(super) fn rows<F: PrimeField + Words>(
    matrix: &Matrix<F>,
    scalars: &[Scalar],
    first: usize,
    values: &mut [F],
) {
    let (dictionary, mut modulus) = (matrix.dictionary(), Scalar::default());
    modulus.copy_from_slice(F::MODULUS.as_ref());
    let rows = matrix.rows().saturating_sub(first);
    for (at, value) in values.iter_mut().enumerate().take(rows) {
        let mut sum = Accumulator::default();
        for &[column, index] in matrix.row(first + at) {
            let (scalar, coefficient) = (&scalars[column as usize], &dictionary[index as usize]);
            let [low, rest @ ..] = scalar;
            if *low <= 1 && rest == &[0; SCALAR_WORDS - 1] {
                // In most circuits almost all scalars are bits, and the branch predictor cannot
                // tell 0 from 1.
                sum.add(&coefficient.number.map(|word| word & low.wrapping_neg()));
            } else if index == PLUS_ONE {
                sum.add(scalar);
            } else if index == MINUS_ONE {
                sum.add(&subtract(&modulus, scalar));
            } else {
                let mut product = Scalar::default();
                (coefficient.element * F::read_words_unchecked(scalar)).write_words(&mut product);
                sum.add(&product);
            }
        }
        *value = F::read_words_unchecked(&sum.reduced(&modulus));
    }
}

/// A sum of up to `2^64` numbers below the modulus.
#[derive(Default)]
struct Accumulator {
    words: Scalar,
    overflow: u64,
}

impl Accumulator {
    #[inline(always)]
    fn add(&mut self, number: &Scalar) {
        let mut carry = false;
        for (word, more) in self.words.iter_mut().zip(number) {
            (*word, carry) = word.carrying_add(*more, carry);
        }
        self.overflow += u64::from(carry);
    }

    /// The sum modulo the modulus.
    fn reduced(self, modulus: &Scalar) -> Scalar {
        // The highest words give the quotient, or one less.
        let (top, most) = (self.words[SCALAR_WORDS - 1], modulus[SCALAR_WORDS - 1] + 1);
        let times = if self.overflow == 0 {
            top / most
        } else {
            ((u128::from(self.overflow) << 64 | u128::from(top)) / u128::from(most)) as u64
        };
        let (mut rest, mut carry, mut borrow) = (self.words, 0, false);
        for (word, modulus) in rest.iter_mut().zip(modulus) {
            let held;
            (held, carry) = modulus.carrying_mul(times, carry);
            (*word, borrow) = word.borrowing_sub(held, borrow);
        }
        while !rest.iter().rev().lt(modulus.iter().rev()) {
            rest = subtract(&rest, modulus);
        }
        rest
    }
}

/// `a - b`, which must not be negative.
#[inline(always)]
fn subtract(a: &Scalar, b: &Scalar) -> Scalar {
    let (mut difference, mut borrow) = (*a, false);
    for (word, b) in difference.iter_mut().zip(b) {
        (*word, borrow) = word.borrowing_sub(*b, borrow);
    }
    difference
}

#[cfg(test)]
mod tests {
    use ark_std::{rand::Rng, test_rng};

    use super::*;

    /// Sums of `count` numbers, including the largest possible one.
    fn long_sums_are_reduced<F: PrimeField + Words>() {
        let rng = &mut test_rng();
        let mut modulus = Scalar::default();
        modulus.copy_from_slice(F::MODULUS.as_ref());
        let words = |value: F| {
            let mut words = Scalar::default();
            words.copy_from_slice(value.into_bigint().as_ref());
            words
        };
        for count in [0, 1, 2, 3, 5, 6, 17, 1_000, 70_000] {
            for largest_only in [true, false] {
                let (mut sum, mut expected) = (Accumulator::default(), F::ZERO);
                for _ in 0..count {
                    let largest = largest_only || rng.gen_bool(0.1);
                    let value = if largest { -F::ONE } else { F::rand(rng) };
                    sum.add(&words(value));
                    expected += value;
                }
                assert_eq!(sum.reduced(&modulus), words(expected), "{count} numbers");
            }
        }
        // A sum that is a multiple of the modulus is zero.
        let mut sum = Accumulator::default();
        (0..2).for_each(|_| sum.add(&modulus));
        assert_eq!(sum.reduced(&modulus), Scalar::default());
    }

    #[test]
    fn long_sums_are_reduced_in_both_fields() {
        long_sums_are_reduced::<ark_bn254::Fr>();
        long_sums_are_reduced::<ark_bls12_381::Fr>();
    }
}
