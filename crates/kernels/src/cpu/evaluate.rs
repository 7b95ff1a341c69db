//! Sparse matrix times witness.

use ark_ff::PrimeField;
use rayon::prelude::*;

use crate::{
    Matrix, Scalar, Words,
    sparse::{Coefficient, montgomery_r},
};

/// The first row in which `A·w ∘ B·w` is not `C·w`, if there is one: what a witness must satisfy.
/// In the caller's rayon pool.
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
    (0..all.div_ceil(SHARE)).into_par_iter().find_map_first(|share| {
        let (first, count) = (share * SHARE, SHARE.min(all - share * SHARE));
        let [a, b, c] = [a, b, c].map(|matrix| values(matrix, first, count));
        let row = a.iter().zip(&b).zip(&c).position(|((a, b), c)| *a * b != *c);
        row.map(|row| first + row)
    })
}

/// Rows that a thread takes at a time.
pub(super) const SHARE: usize = 1 << 9;

/// Writes the sums of some rows, from `first` on; values beyond the matrix's rows stay as they are.
pub(super) fn rows<F: PrimeField + Words>(
    matrix: &Matrix<F>,
    scalars: &[Scalar],
    first: usize,
    values: &mut [F],
) {
    let r = montgomery_r::<F>();
    // A listed coefficient is stored times R, for products with canonical words; for a factor of one
    // there is no product to take that R away again.
    // Of the number 1 over R the Montgomery form is 1.
    let over_r = F::read_words_unchecked(&[1, 0, 0, 0]);
    let rows = matrix.rows().saturating_sub(first);
    for (at, value) in values.iter_mut().enumerate().take(rows) {
        // Units are summed apart, so that a row of them costs one multiplication; so are
        // coefficients of ones, which in a circuit over bits are all there is.
        let (mut units, mut ones, mut others) = (F::ZERO, F::ZERO, F::ZERO);
        let (mut any_units, mut any_ones) = (false, false);
        for (column, coefficient) in matrix.row(first + at) {
            let scalar = &scalars[column];
            let element = F::read_words_unchecked(scalar);
            match coefficient {
                Coefficient::PlusOne => (units, any_units) = (units + element, true),
                Coefficient::MinusOne => (units, any_units) = (units - element, true),
                Coefficient::Listed(factor) => match scalar {
                    [0, 0, 0, 0] => {}
                    [1, 0, 0, 0] => (ones, any_ones) = (ones + factor, true),
                    _ => others += element * factor,
                },
            }
        }
        *value = others;
        if any_units {
            *value += units * r;
        }
        if any_ones {
            *value += ones * over_r;
        }
    }
}
