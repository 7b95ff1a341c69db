//! The matrices A and B of a proving key.

use std::io::{Read, Seek};

use ark_ff::PrimeField;
use athanor_kernels::{Curve, Matrix, MatrixBuilder, SCALAR_WORDS, Words};

use super::{Header, ZkeyError, ZkeyReader, section};
use crate::formats::binfile::SectionReader;

/// Which of the two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factor {
    /// The left factors.
    A,
    /// The right factors.
    B,
}

/// One entry of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coefficient<F> {
    /// Which matrix.
    pub factor: Factor,
    /// Its row: a constraint, or a row that binds a public signal.
    pub row: u32,
    /// Its column.
    pub wire: u32,
    /// The coefficient, without the file's scaling.
    pub value: F,
}

/// The entries of both matrices, in the file's order.
pub struct Coefficients<'a, F, R> {
    reader: SectionReader<'a, R>,
    header: Header,
    next: u32,
    /// `1/R`: the stored words, read as an element, are the coefficient times `R`.
    unscale: F,
}

impl<F: Words, R: Read> Coefficients<'_, F, R> {
    fn read(&mut self) -> Result<Coefficient<F>, ZkeyError> {
        let index = u64::from(self.next);
        let in_range = |what, value, bound| {
            let wrong = ZkeyError::Coefficient { index, what, value, bound };
            if value < bound { Ok(()) } else { Err(wrong) }
        };
        let matrix = self.reader.u32()?;
        let row = self.reader.u32()?;
        let wire = self.reader.u32()?;
        let mut words = [0; SCALAR_WORDS];
        self.reader.words(&mut words)?;
        in_range("the matrix does not exist", matrix, 2)?;
        in_range("the row is outside the domain", row, self.header.domain_size)?;
        in_range("the wire does not exist", wire, self.header.wires)?;
        let factor = if matrix == 0 { Factor::A } else { Factor::B };
        let scaled = F::read_words(&words).ok_or(ZkeyError::CoefficientNotCanonical { index })?;
        Ok(Coefficient { factor, row, wire, value: scaled * self.unscale })
    }
}

impl<F: Words, R: Read> Iterator for Coefficients<'_, F, R> {
    type Item = Result<Coefficient<F>, ZkeyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.header.coefficients {
            return None;
        }
        let item = self.read();
        // An error ends the iteration.
        self.next = if item.is_ok() { self.next + 1 } else { self.header.coefficients };
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.header.coefficients - self.next) as usize;
        (0, Some(left))
    }
}

/// A and B.
pub type Matrices<F> = (Matrix<F>, Matrix<F>);

impl<C: Curve, R: Read + Seek> ZkeyReader<C, R> {
    /// Streams the entries of both matrices, each in range and canonical.
    pub fn coefficients(&mut self) -> Result<Coefficients<'_, C::Fr, R>, ZkeyError> {
        let header = self.file.header;
        let file = &mut self.file.file;
        let mut reader = file.read(file.section(section::COEFFICIENTS)?)?;
        let _count = reader.u32()?;
        Ok(Coefficients { reader, header, next: 0, unscale: one_over_r() })
    }

    /// The matrices A and B, compiled, with the rows of the file including the public rows.
    pub fn matrices(&mut self) -> Result<Matrices<C::Fr>, ZkeyError> {
        let wires = self.file.header.wires;
        if let Some(matrices) = compile(wires, self.coefficients()?)? {
            return Ok(matrices);
        }
        // The rows are not in ascending order (no known tool writes such files): collect all entries
        // and sort them.
        let mut entries = self.coefficients()?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.row);
        let matrices = compile(wires, entries.into_iter().map(Ok))?;
        Ok(matrices.expect("the entries are sorted by row"))
    }
}

/// Compiles entries in ascending order of rows; `None` if they are in another order.
fn compile<F: PrimeField + Words>(
    wires: u32,
    entries: impl Iterator<Item = Result<Coefficient<F>, ZkeyError>>,
) -> Result<Option<Matrices<F>>, ZkeyError> {
    let (mut a, mut b) = (InOrder::new(wires), InOrder::new(wires));
    for entry in entries {
        let Coefficient { factor, row, wire, value } = entry?;
        let matrix = match factor {
            Factor::A => &mut a,
            Factor::B => &mut b,
        };
        if !matrix.push(row, wire, value)? {
            return Ok(None);
        }
    }
    Ok(Some((a.build()?, b.build()?)))
}

/// `1/R` as an element: the element whose stored words are 1.
pub(super) fn one_over_r<F: Words>() -> F {
    let mut words = [0; SCALAR_WORDS];
    words[0] = 1;
    F::read_words_unchecked(&words)
}

/// A builder of one matrix; rows without entries may be missing from its input.
struct InOrder<F> {
    builder: MatrixBuilder<F>,
    /// The entries of the current row, which is the builder's next row.
    row: Vec<(u32, F)>,
}

impl<F: PrimeField + Words> InOrder<F> {
    fn new(wires: u32) -> Self {
        Self { builder: MatrixBuilder::new(wires as usize), row: Vec::new() }
    }

    /// Adds an entry; fails if its row is before the current row.
    fn push(&mut self, row: u32, wire: u32, value: F) -> Result<bool, ZkeyError> {
        if (row as usize) < self.builder.rows() {
            return Ok(false);
        }
        while self.builder.rows() < row as usize {
            self.builder.push_row(self.row.drain(..))?;
        }
        self.row.push((wire, value));
        Ok(true)
    }

    fn build(mut self) -> Result<Matrix<F>, ZkeyError> {
        if !self.row.is_empty() {
            self.builder.push_row(self.row)?;
        }
        Ok(self.builder.build()?)
    }
}
