//! Rank-1 constraint systems: `A·w ∘ B·w = C·w`.

use ark_ff::{BigInt, PrimeField};
use athanor_kernels::{SCALAR_WORDS, Scalar};
use rayon::prelude::*;

/// A constraint system over a scalar field.
///
/// Wire 0 is the constant one; then come the public signals (outputs first, then public inputs),
/// then everything private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct R1cs<F> {
    /// Number of wires, the constant one included.
    pub wires: usize,
    /// Number of public signals, without the constant one.
    pub public: usize,
    /// Left factors.
    pub a: Rows<F>,
    /// Right factors.
    pub b: Rows<F>,
    /// Products.
    pub c: Rows<F>,
}

impl<F> R1cs<F> {
    /// Number of constraints.
    pub fn constraints(&self) -> usize {
        self.a.len()
    }
}

impl<F: PrimeField<BigInt = BigInt<SCALAR_WORDS>>> R1cs<F> {
    /// The index of the first constraint that the values do not satisfy, if there is one.
    ///
    /// `values`: one canonical value per wire.
    pub fn first_unsatisfied(&self, values: &[Scalar]) -> Option<usize> {
        let value = |wire: u32| F::from_bigint(BigInt(values[wire as usize])).unwrap_or_default();
        let sum =
            |row: &[(u32, F)]| row.iter().map(|&(wire, factor)| factor * value(wire)).sum::<F>();
        (0..self.constraints())
            .into_par_iter()
            .find_first(|&row| sum(self.a.row(row)) * sum(self.b.row(row)) != sum(self.c.row(row)))
    }
}

/// Sparse matrix: each row is a list of (wire, coefficient).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<F> {
    /// End (exclusive) of each row in the entries.
    ends: Vec<usize>,
    entries: Vec<(u32, F)>,
}

impl<F> Default for Rows<F> {
    fn default() -> Self {
        Self { ends: Vec::new(), entries: Vec::new() }
    }
}

impl<F> Rows<F> {
    /// Appends a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, F)>) {
        self.entries.extend(row);
        self.ends.push(self.entries.len());
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The entries of a row.
    pub fn row(&self, row: usize) -> &[(u32, F)] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.entries[start..self.ends[row]]
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[(u32, F)]> {
        (0..self.len()).map(|row| self.row(row))
    }

    /// An entry by its index among those of all rows.
    pub(crate) fn entry(&self, index: usize) -> (u32, F)
    where
        F: Copy,
    {
        self.entries[index]
    }

    /// Number of entries in all rows.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}
