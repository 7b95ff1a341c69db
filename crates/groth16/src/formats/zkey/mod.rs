//! `.zkey`: a Groth16 proving key as snarkjs stores it.
//!
//! | section | holds |
//! |---|---|
//! | 1 | the protocol: 1, Groth16 |
//! | 2 | primes q and r, numbers of wires and public signals, domain size, `α1 β1 β2 γ2 δ1 δ2` |
//! | 3 | IC in G1: the constant one and each public signal |
//! | 4 | the entries of matrices A and B: matrix, row, wire, coefficient |
//! | 5, 6, 7 | `A_i(τ)` in G1, `B_i(τ)` in G1, `B_i(τ)` in G2, for each wire |
//! | 8 | `(β·A_i(τ) + α·B_i(τ) + C_i(τ)) / δ` in G1, for each private wire |
//! | 9 | the quotient's bases in G1, one for each point of the domain |
//! | 10 | hash of the initial key and the contributions to the ceremony |
//! | "Athn" | a text that says what the key is, in files written here; others pass over it |
//!
//! Three conventions are not to be guessed from the layout:
//!
//! - **Coordinates** are words in Montgomery form (`R = 2^(64W)`), infinity all zeros, G2
//!   coordinates `c0` then `c1`.
//! - **Coefficients** are stored times `R²`: `v·R²` as a canonical integer. Multiplying them by a
//!   canonical witness with one Montgomery product gives Montgomery form, which is why.
//! - **Public rows.** After the circuit's `m` constraints, rows `m..=m + public` hold a
//!   coefficient 1 for wires `0..=public` in A alone. They make the A polynomials of public wires
//!   independent, and are in section 4 like any other row.
//!
//! Section 9 is in a basis of snarkjs's own. Let `η` be a primitive root of order `2n` (see
//! [`Domain::snarkjs`](athanor_kernels::Domain::snarkjs)) and `L_j` the Lagrange polynomials of the
//! domain of `2n` points it generates; point `i` is `L_(2i+1)(τ) / δ`. Since `a·b - c` vanishes at
//! the even powers of `η`, its values at the odd ones times these points are the whole quotient
//! term: the prover neither divides by `Z` nor leaves the evaluation form.
//!
//! Reading goes in two steps, since the curve is known only from the file: [`ZkeyFile::open`]
//! checks the outline, [`ZkeyFile::read_as`] fixes the curve. Points and coefficients then come
//! in a stream.

mod contributions;
mod matrices;
mod parts;
pub(super) mod points;
mod reader;
mod writer;

pub use contributions::{Contribution, Contributions};
pub use matrices::{Coefficient, Coefficients, Factor, Matrices};
pub use parts::Part;
pub use points::{G1Query, Query};
pub use reader::{Header, HeaderPoints, ZkeyFile, ZkeyReader};
pub use writer::ZkeyWriter;

use athanor_kernels::{CurveId, MatrixError};

use super::{
    binfile::{BinFileError, Kind},
    field::PrimeError,
};

/// Most bytes of a key's note.
pub const MAX_NOTE: usize = 1024;

/// The container of `.zkey`.
pub const KIND: Kind = Kind {
    magic: *b"zkey",
    newest_version: 2,
    sections: &[
        "protocol",
        "header",
        "IC",
        "coefficients",
        "A points",
        "B1 points",
        "B2 points",
        "C points",
        "H points",
        "contributions",
    ],
};

/// Ids of sections.
mod section {
    pub(super) const PROTOCOL: u32 = 1;
    pub(super) const HEADER: u32 = 2;
    pub(super) const IC: u32 = 3;
    pub(super) const COEFFICIENTS: u32 = 4;
    pub(super) const A: u32 = 5;
    pub(super) const B1: u32 = 6;
    pub(super) const B2: u32 = 7;
    pub(super) const C: u32 = 8;
    pub(super) const H: u32 = 9;
    pub(super) const CONTRIBUTIONS: u32 = 10;
    /// Ours: a text that says what the key is. "Athn", so that nobody else's number is taken.
    pub(super) const NOTE: u32 = u32::from_le_bytes(*b"Athn");
}

/// What is wrong with a proving key's file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZkeyError {
    /// The container is at fault.
    #[error("zkey: {0}")]
    Container(#[from] BinFileError),
    /// A field is none of ours.
    #[error("zkey: {0}")]
    Prime(#[from] PrimeError),
    /// A key of another proof system.
    #[error("zkey: this is a key for {name}; only Groth16 keys are understood")]
    Protocol {
        /// The proof system's name, or its number.
        name: String,
    },
    /// The primes of two curves.
    #[error("zkey: coordinates are of {coordinates}, scalars of {scalars}; the file is damaged")]
    MixedCurves {
        /// Curve of the field of coordinates.
        coordinates: CurveId,
        /// Curve of the field of scalars.
        scalars: CurveId,
    },
    /// The key is for another curve than the one asked for.
    #[error("zkey: the key is for {found}, not for {expected}")]
    WrongCurve {
        /// The curve asked for.
        expected: CurveId,
        /// The key's curve.
        found: CurveId,
    },
    /// Numbers in the header that no key can have.
    #[error("zkey: impossible header: {what} ({value})")]
    Header {
        /// What is impossible.
        what: &'static str,
        /// The value.
        value: u32,
    },
    /// A point with a coordinate over the modulus, or off the curve.
    #[error("zkey: point {index} of {place} is not on the curve; the file is damaged or forged")]
    NotOnCurve {
        /// Where it stands.
        place: &'static str,
        /// Its number there.
        index: usize,
    },
    /// A point of the curve outside the group of prime order.
    #[error("zkey: point {index} of {place} is outside the subgroup; the file is forged")]
    NotInSubgroup {
        /// Where it stands.
        place: &'static str,
        /// Its number there.
        index: usize,
    },
    /// A point at infinity where every sound key has another.
    #[error("zkey: {place} is the point at infinity; anyone could forge proofs with such a key")]
    Infinity {
        /// Which point.
        place: &'static str,
    },
    /// A coefficient outside the matrices, or a value that is not below the group order.
    #[error("zkey: coefficient {index}: {what} ({value} of {bound})")]
    Coefficient {
        /// Its number in the section.
        index: u64,
        /// What is out of range.
        what: &'static str,
        /// The value.
        value: u32,
        /// What it must be below.
        bound: u32,
    },
    /// A coefficient whose value is not below the group order.
    #[error("zkey: the value of coefficient {index} is not below the group order")]
    CoefficientNotCanonical {
        /// Its number in the section.
        index: u64,
    },
    /// A contribution that cannot be read.
    #[error("zkey: contribution {index}: {what}")]
    Contribution {
        /// Its number, from 0.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A note that is no text or too long.
    #[error("zkey: the key's note is not UTF-8 of at most {MAX_NOTE} bytes")]
    Note,
    /// The matrices could not be compiled.
    #[error("zkey: {0}")]
    Matrix(#[from] MatrixError),
}
