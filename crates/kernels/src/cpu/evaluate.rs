//! Sparse matrix times witness.

use ark_ff::PrimeField;

use crate::{
    Matrix, Scalar, Words,
    sparse::{Coefficient, montgomery_r},
};

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
    let over_r = r.inverse().expect("R is not zero modulo a prime");
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
