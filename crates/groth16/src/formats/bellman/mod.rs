//! Parameter files of bellman and bellperson, over BLS12-381, as Filecoin and Zcash use them.
//!
//! ```text
//! verifying key: α G1 | β G1 | β G2 | γ G2 | δ G1 | δ G2 | count | IC G1 ...
//! five queries, each a count and its points: h G1 | l G1 | a G1 | b G1 | b G2
//! ```
//!
//! Counts have 32 bits, points are uncompressed, all is big-endian. `a` and `b` omit points at
//! infinity; the constraints determine to which wires the other points belong ([`Density`]). The
//! quotient is in coefficient form.
//!
//! The offset of a query is computed from the counts. (bellperson stores the byte range of every
//! point instead, which takes gigabytes for the key of a 32 GiB sector.)

mod points;
mod reader;
mod writer;

use std::io;

use ark_ff::{BigInt, PrimeField};
use athanor_kernels::{Bls12_381, Curve, DomainError, Matrix, SCALAR_WORDS, SlabError, Words};

pub use reader::{BellmanReader, Trust};
pub use writer::write;

use crate::{PointFault, Proof};

/// Bytes of a proof: A and C of 48, B of 96 between them.
pub const PROOF_BYTES: usize = 192;

/// The queries, in the file's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// The basis for the quotient's coefficients.
    H,
    /// The combined terms of the private wires.
    L,
    /// `A_i(τ)` of the wires that occur in A.
    A,
    /// `B_i(τ)` in G1 of the wires that occur in B.
    B1,
    /// The same in G2.
    B2,
}

impl Query {
    /// All queries, in the file's order.
    pub const ALL: [Self; 5] = [Self::H, Self::L, Self::A, Self::B1, Self::B2];

    fn name(self) -> &'static str {
        match self {
            Query::H => "h",
            Query::L => "l",
            Query::A => "a",
            Query::B1 => "b in G1",
            Query::B2 => "b in G2",
        }
    }
}

/// Why a parameter file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BellmanError {
    /// The file cannot be read or written.
    #[error("cannot read or write the parameters: {0}")]
    Io(#[from] io::Error),
    /// The file's length does not match its counts.
    #[error("the parameters have {got} bytes, but their counts require {expected}")]
    Length {
        /// Length that the counts require.
        expected: u64,
        /// Length of the file.
        got: u64,
    },
    /// A point is invalid.
    #[error("point {index} of {section} {}", match fault {
        Some(fault) => fault.to_string(),
        None => "has a coordinate that is not below the modulus".to_owned(),
    })]
    Point {
        /// The part of the file.
        section: &'static str,
        /// Its index there, from 0.
        index: usize,
        /// The fault; `None` for a coordinate out of range.
        fault: Option<PointFault>,
    },
    /// The domain is larger than the field allows.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The converted key does not fit into memory.
    #[error(transparent)]
    Memory(#[from] SlabError),
    /// The parameters are not for these constraints.
    #[error(
        "the parameters are for a different circuit: {what} has {got} points, but these constraints require {expected}"
    )]
    OtherCircuit {
        /// The query.
        what: &'static str,
        /// Number of points that the constraints require.
        expected: usize,
        /// Number of points in the file.
        got: usize,
    },
}

/// Which wires of a constraint system have points in the queries that omit infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Density {
    /// Wires with a point in `a`: all wires of the statement, then the private wires that occur in A.
    pub a: Vec<u32>,
    /// Wires that occur in B.
    pub b: Vec<u32>,
}

impl Density {
    /// Computes the density of matrices whose `A` includes the rows that bind the statement.
    pub fn of<F: PrimeField<BigInt = BigInt<SCALAR_WORDS>> + Words>(
        a: &Matrix<F>,
        b: &Matrix<F>,
    ) -> Self {
        let wires = |matrix: &Matrix<F>| {
            let mut seen = vec![false; matrix.columns()];
            matrix.columns_named().for_each(|column| seen[column] = true);
            (0..).zip(seen).filter(|(_, seen)| *seen).map(|(wire, _)| wire).collect()
        };
        Self { a: wires(a), b: wires(b) }
    }
}

/// A proof as bellman writes it: three compressed points.
pub fn proof_bytes(proof: &Proof<Bls12_381>) -> [u8; PROOF_BYTES] {
    let mut bytes = [0; PROOF_BYTES];
    points::compress(&proof.a, &mut bytes[..48]);
    points::compress(&proof.b, &mut bytes[48..144]);
    points::compress(&proof.c, &mut bytes[144..]);
    bytes
}

type G1Config = <Bls12_381 as Curve>::G1Config;
type G2Config = <Bls12_381 as Curve>::G2Config;
