//! Constraint matrices, compiled for evaluation: rows of (column, coefficient) with a dictionary.
//!
//! Real circuits have few distinct coefficients (PoRep: 1,526 in 12.6 million entries), and two
//! thirds of their entries are +1 or -1. So an entry is a 32-bit column and a 32-bit index into a
//! dictionary that begins with +1 and -1. It takes eight bytes where a field element would take 36,
//! and units cost an addition instead of a multiplication.

use std::{collections::HashMap, marker::PhantomData};

use ark_ff::PrimeField;

use crate::{SCALAR_WORDS, Scalar, Slab, SlabError, Words};

/// The index of +1.
pub(crate) const PLUS_ONE: u32 = 0;
/// The index of -1.
pub(crate) const MINUS_ONE: u32 = 1;
const FIRST_LISTED: u32 = 2;

/// Why rows or stored bytes are not a matrix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MatrixError {
    /// An entry outside the matrix.
    #[error("row {row} refers to column {column} of {columns}")]
    ColumnOutOfRange {
        /// The row.
        row: usize,
        /// The column it names.
        column: u32,
        /// The number of columns.
        columns: usize,
    },
    /// More entries than a 32-bit index can address.
    #[error("more than 2^32 entries")]
    TooLarge,
    /// The stored bytes were not written by [`Matrix::parts`].
    #[error("the stored matrix is damaged: {0}")]
    Damaged(&'static str),
    /// Not enough memory.
    #[error(transparent)]
    Memory(#[from] SlabError),
}

/// A sparse matrix over a scalar field.
#[derive(Clone, Debug)]
pub struct Matrix<F> {
    columns: usize,
    /// One past each row's last entry; 32-bit words.
    row_ends: Slab,
    /// Column and dictionary index of each entry, alternating; 32-bit words.
    entries: Slab,
    /// +1, -1, and all other coefficients.
    dictionary: Vec<Coefficient<F>>,
}

/// A coefficient in the forms that evaluation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coefficient<F> {
    /// Its Montgomery form: the Montgomery product with canonical words gives canonical words.
    pub(crate) element: F,
    /// Its canonical words: the product with 1.
    pub(crate) number: Scalar,
}

impl<F: PrimeField> Coefficient<F> {
    fn new(element: F) -> Self {
        let mut number = Scalar::default();
        number.copy_from_slice(element.into_bigint().as_ref());
        Self { element, number }
    }

    fn units() -> Vec<Self> {
        vec![Self::new(F::ONE), Self::new(-F::ONE)]
    }
}

impl<F: PrimeField + Words> Matrix<F> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.row_ends.u32s().len()
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.entries.u32s().len() / 2
    }

    /// Number of distinct coefficients other than +1 and -1.
    pub fn distinct_coefficients(&self) -> usize {
        self.dictionary.len() - FIRST_LISTED as usize
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.row_ends.len() + self.entries.len() + size_of_val(&self.dictionary[..])
    }

    /// The entries of a row: column and index into [`Matrix::dictionary`].
    pub(crate) fn row(&self, row: usize) -> &[[u32; 2]] {
        let ends = self.row_ends.u32s();
        let start = if row == 0 { 0 } else { ends[row - 1] as usize };
        &self.entries.u32s().as_chunks().0[start..ends[row] as usize]
    }

    /// The coefficients that entries refer to: +1, -1, and all others.
    pub(crate) fn dictionary(&self) -> &[Coefficient<F>] {
        &self.dictionary
    }

    /// The entries of all rows, in order: row, column, coefficient.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, F)> {
        (0..self.rows()).flat_map(move |row| {
            self.row(row).iter().map(move |&[column, index]| {
                (row, column as usize, self.dictionary[index as usize].element)
            })
        })
    }

    /// The column of every entry, in order.
    pub fn columns_named(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.u32s().chunks_exact(2).map(|entry| entry[0] as usize)
    }

    /// The stored form, for [`Matrix::from_parts`].
    pub fn parts(&self) -> Result<MatrixParts, MatrixError> {
        let r = montgomery_r::<F>();
        let mut dictionary = vec![0; SCALAR_WORDS * self.distinct_coefficients()];
        let listed = &self.dictionary[FIRST_LISTED as usize..];
        for (words, listed) in dictionary.chunks_exact_mut(SCALAR_WORDS).zip(listed) {
            (listed.element * r).write_words(words);
        }
        Ok(MatrixParts {
            row_ends: self.row_ends.clone(),
            entries: self.entries.clone(),
            dictionary: Slab::from_words(&dictionary)?,
        })
    }

    /// Reads the stored form and checks that every index is in range.
    pub fn from_parts(columns: usize, parts: MatrixParts) -> Result<Self, MatrixError> {
        let MatrixParts { row_ends, entries, dictionary } = parts;
        let over_r = montgomery_r::<F>().inverse().expect("R is not zero modulo a prime");
        let mut coefficients = Coefficient::units();
        for words in dictionary.words().chunks_exact(SCALAR_WORDS) {
            let listed = F::read_words(words)
                .ok_or(MatrixError::Damaged("a coefficient is not below the modulus"))?;
            coefficients.push(Coefficient::new(listed * over_r));
        }
        let (ends, pairs) = (row_ends.u32s(), entries.u32s());
        let last = ends.last().copied().unwrap_or(0) as usize;
        if !ends.is_sorted() || pairs.len() != 2 * last {
            return Err(MatrixError::Damaged("rows and entries disagree"));
        }
        let named = coefficients.len();
        let in_range = |pair: &[u32]| (pair[0] as usize) < columns && (pair[1] as usize) < named;
        if !pairs.chunks_exact(2).all(in_range) {
            return Err(MatrixError::Damaged("an entry is out of range"));
        }
        Ok(Self { columns, row_ends, entries, dictionary: coefficients })
    }
}

/// The stored form of a matrix; see [`Matrix::parts`].
#[derive(Clone, Debug)]
pub struct MatrixParts {
    /// One past each row's last entry; 32-bit words.
    pub row_ends: Slab,
    /// Column and dictionary index of each entry, alternating; 32-bit words.
    pub entries: Slab,
    /// The coefficients other than +1 and -1 times R, in Montgomery form: four words each.
    pub dictionary: Slab,
}

/// Builds a [`Matrix`] row by row.
pub struct MatrixBuilder<F> {
    columns: usize,
    row_ends: Vec<u32>,
    entries: Vec<u32>,
    dictionary: Vec<Coefficient<F>>,
    index: HashMap<[u64; SCALAR_WORDS], u32>,
    field: PhantomData<F>,
}

impl<F: PrimeField + Words> MatrixBuilder<F> {
    /// A matrix with `columns` columns and no rows yet.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            row_ends: Vec::new(),
            entries: Vec::new(),
            dictionary: Coefficient::units(),
            index: HashMap::new(),
            field: PhantomData,
        }
    }

    /// Appends a row. Entries with coefficient zero are left out.
    pub fn push_row(
        &mut self,
        entries: impl IntoIterator<Item = (u32, F)>,
    ) -> Result<(), MatrixError> {
        for (column, coefficient) in entries {
            if column as usize >= self.columns {
                let (row, columns) = (self.row_ends.len(), self.columns);
                return Err(MatrixError::ColumnOutOfRange { row, column, columns });
            }
            if !coefficient.is_zero() {
                let index = self.index_of(coefficient)?;
                self.entries.extend([column, index]);
            }
        }
        let end = u32::try_from(self.entries.len() / 2).map_err(|_| MatrixError::TooLarge)?;
        self.row_ends.push(end);
        Ok(())
    }

    fn index_of(&mut self, coefficient: F) -> Result<u32, MatrixError> {
        if coefficient.is_one() {
            return Ok(PLUS_ONE);
        }
        if (-coefficient).is_one() {
            return Ok(MINUS_ONE);
        }
        let mut key = [0; SCALAR_WORDS];
        coefficient.write_words(&mut key);
        if let Some(&index) = self.index.get(&key) {
            return Ok(index);
        }
        let index = u32::try_from(self.dictionary.len()).map_err(|_| MatrixError::TooLarge)?;
        self.dictionary.push(Coefficient::new(coefficient));
        self.index.insert(key, index);
        Ok(index)
    }

    /// Number of rows so far.
    pub fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Finishes the matrix.
    pub fn build(self) -> Result<Matrix<F>, MatrixError> {
        Ok(Matrix {
            columns: self.columns,
            row_ends: Slab::from_u32s(&self.row_ends)?,
            entries: Slab::from_u32s(&self.entries)?,
            dictionary: self.dictionary,
        })
    }
}

/// `R = 2^256` as an element: the factor from canonical words, read as an element, to Montgomery
/// form.
pub(crate) fn montgomery_r<F: PrimeField + Words>() -> F {
    let mut words = [0; SCALAR_WORDS];
    words[0] = 1;
    // The words of the number 1, read as an element, are the value `1/R`.
    F::read_words_unchecked(&words).inverse().expect("R is not zero modulo a prime")
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use ark_ff::Field;

    use super::*;

    fn small() -> Matrix<Fr> {
        let mut builder = MatrixBuilder::new(4);
        builder.push_row([(0, Fr::ONE), (3, Fr::from(7)), (1, -Fr::ONE)]).unwrap();
        builder.push_row([(2, Fr::from(0))]).unwrap();
        builder.push_row([(2, Fr::from(7)), (0, Fr::from(9))]).unwrap();
        builder.build().unwrap()
    }

    #[test]
    fn zero_entries_vanish_and_equal_coefficients_are_listed_once() {
        let matrix = small();
        assert_eq!((matrix.rows(), matrix.entries(), matrix.distinct_coefficients()), (3, 5, 2));
    }

    #[test]
    fn a_stored_matrix_reads_back_and_a_damaged_one_is_refused() {
        let matrix = small();
        let parts = matrix.parts().unwrap();
        let again = Matrix::<Fr>::from_parts(4, parts.clone()).unwrap();
        for row in 0..3 {
            assert!(matrix.row(row).eq(again.row(row)));
        }
        assert!(Matrix::<Fr>::from_parts(3, parts.clone()).is_err(), "a column out of range");
        let fewer = MatrixParts { entries: Slab::from_u32s(&[0, 0]).unwrap(), ..parts.clone() };
        assert!(Matrix::<Fr>::from_parts(4, fewer).is_err(), "rows beyond the entries");
        let none = MatrixParts { dictionary: Slab::from_words(&[]).unwrap(), ..parts };
        assert!(Matrix::<Fr>::from_parts(4, none).is_err(), "a coefficient out of range");
    }

    #[test]
    fn a_column_out_of_range_is_refused() {
        let mut builder = MatrixBuilder::new(4);
        let error = builder.push_row([(4, Fr::ONE)]).unwrap_err();
        assert_eq!(error, MatrixError::ColumnOutOfRange { row: 0, column: 4, columns: 4 });
    }
}
