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
//! | "Athn" | in files written by Athanor, a text that describes the key; other tools skip it |
//!
//! Three conventions do not follow from the layout:
//!
//! - **Coordinates** are words in Montgomery form (`R = 2^(64W)`), infinity all zeros, G2
//!   coordinates `c0` then `c1`.
//! - **Coefficients** are stored times `R²`: `v·R²` as a canonical integer. One Montgomery product
//!   with a canonical witness value then gives Montgomery form.
//! - **Public rows.** After the circuit's `m` constraints, rows `m..=m + public` have a coefficient
//!   1 for wires `0..=public` in A only. They make the A polynomials of public wires independent.
//!   Section 4 stores them like other rows.
//!
//! Section 9 is in a basis that only snarkjs uses. Let `η` be a primitive root of order `2n` (see
//! [`Domain::snarkjs`](athanor_kernels::Domain::snarkjs)) and `L_j` the Lagrange polynomials of the
//! domain of `2n` points it generates; point `i` is `L_(2i+1)(τ) / δ`. Since `a·b - c` vanishes at
//! the even powers of `η`, its values at the odd ones times these points are the whole quotient
//! term: the prover neither divides by `Z` nor leaves the evaluation form.
//!
//! Reading takes two steps, since the curve is known only from the file: [`ZkeyFile::open`] checks
//! the outline, [`ZkeyFile::read_as`] fixes the curve. Points and coefficients are then read as a
//! stream.

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

/// Maximum length of a key's note in bytes.
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
    /// Athanor's note, a text that describes the key. The id "Athn" avoids the ids of other tools.
    pub(super) const NOTE: u32 = u32::from_le_bytes(*b"Athn");
}

/// Why a proving key's file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZkeyError {
    /// The container is malformed.
    #[error("zkey: {0}")]
    Container(#[from] BinFileError),
    /// A field is not supported.
    #[error("zkey: {0}")]
    Prime(#[from] PrimeError),
    /// The key is for a different proof system.
    #[error("zkey: this is a key for {name}; only Groth16 keys are supported")]
    Protocol {
        /// The proof system's name, or its number.
        name: String,
    },
    /// The two primes belong to different curves.
    #[error(
        "zkey: the coordinates' prime is that of {coordinates}, the scalars' that of {scalars}; the file is damaged"
    )]
    MixedCurves {
        /// Curve of the field of coordinates.
        coordinates: CurveId,
        /// Curve of the field of scalars.
        scalars: CurveId,
    },
    /// The key is for a different curve than the expected one.
    #[error("zkey: the key is for {found}, expected {expected}")]
    WrongCurve {
        /// The expected curve.
        expected: CurveId,
        /// The key's curve.
        found: CurveId,
    },
    /// The header contradicts itself.
    #[error("zkey: impossible header: {what} ({value})")]
    Header {
        /// The contradiction.
        what: &'static str,
        /// The value.
        value: u32,
    },
    /// A point has a coordinate at or above the modulus, or is off the curve.
    #[error("zkey: point {index} of {place} is not on the curve; the file is damaged or forged")]
    NotOnCurve {
        /// Section of the point.
        place: &'static str,
        /// Its index there, from 0.
        index: usize,
    },
    /// A point is on the curve, but outside the subgroup of prime order.
    #[error("zkey: point {index} of {place} is outside the subgroup; the file is forged")]
    NotInSubgroup {
        /// Section of the point.
        place: &'static str,
        /// Its index there, from 0.
        index: usize,
    },
    /// A point is at infinity, which no sound key has in this place.
    #[error("zkey: {place} is the point at infinity; anyone could forge proofs with such a key")]
    Infinity {
        /// Name of the point.
        place: &'static str,
    },
    /// A coefficient has a matrix, row or wire out of range.
    #[error("zkey: coefficient {index}: {what} ({value}, must be below {bound})")]
    Coefficient {
        /// Its index in the section.
        index: u64,
        /// The part that is out of range.
        what: &'static str,
        /// The value.
        value: u32,
        /// Exclusive upper bound of the value.
        bound: u32,
    },
    /// A coefficient's value is not below the group order.
    #[error("zkey: the value of coefficient {index} is not below the group order")]
    CoefficientNotCanonical {
        /// Its index in the section.
        index: u64,
    },
    /// A contribution is malformed.
    #[error("zkey: contribution {index}: {what}")]
    Contribution {
        /// Its index, from 0.
        index: u32,
        /// The fault.
        what: &'static str,
    },
    /// The note is not UTF-8, or too long.
    #[error("zkey: the key's note is not UTF-8 of at most {MAX_NOTE} bytes")]
    Note,
    /// The matrices could not be compiled.
    #[error("zkey: {0}")]
    Matrix(#[from] MatrixError),
}
