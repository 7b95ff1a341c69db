//! Phase 2 of a ceremony, for one circuit: an initial key from powers of tau, contributions to it,
//! and the verification of both (eprint 2017/1050, section 7).
//!
//! The secret of phase 2 is `δ`. The [initial key](initial_key) has `δ = 1`, so anyone can recompute
//! it from the circuit and the powers of tau. Each [contribution](contribute) multiplies `δ` by a
//! secret `k`, divides the points of L and H by `k`, proves knowledge of `k`, and discards `k`. If at
//! least one contributor discarded their secret, nobody knows `δ`. [Verification](verify) follows `δ`
//! from contribution to contribution and compares the key with the initial one.
//!
//! Hashes, random points and their order are those of snarkjs, so both tools can contribute to and
//! verify the same key.

mod contribute;
mod initial;
mod random;
mod transcript;
mod verify;

pub use contribute::{Contributor, contribute};
pub use initial::initial_key;
pub use transcript::{Hash, contribution_hash, hash_words};
pub use verify::{Verified, verify};

use athanor_kernels::DomainError;

use crate::formats::{PtauError, ZkeyError};

/// Maximum of the binary logarithm of a beacon's hash iterations; this many take some minutes.
pub const MAX_BEACON_LOG: u8 = 32;
/// Minimum of the binary logarithm of a beacon's hash iterations.
pub const MIN_BEACON_LOG: u8 = 10;

/// Why a step of a ceremony failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The key file is malformed, or cannot be written.
    #[error(transparent)]
    Zkey(#[from] ZkeyError),
    /// The file of powers of tau is malformed.
    #[error(transparent)]
    Ptau(#[from] PtauError),
    /// The circuit has more constraints than the field's largest domain has points.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The constraint system is malformed.
    #[error("the constraint system is malformed: {0}")]
    Malformed(&'static str),
    /// The operating system's randomness cannot be read.
    #[error("cannot read randomness from the operating system: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The key has no section of contributions.
    #[error("the key has no section of contributions: it does not come from a ceremony")]
    NoHistory,
    /// The key is a development key: one process knew all its secrets.
    #[error(
        "this is a key for development, whose maker knew every secret: no contribution mends that; \
         begin with `setup new`"
    )]
    Development,
    /// The beacon's value is empty or too long, or its number of iterations is out of range.
    #[error("the beacon {0}")]
    Beacon(&'static str),
    /// A contribution does not follow from the contributions before it.
    #[error("contribution {number} does not verify: {what}")]
    Contribution {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The key differs from the initial key in more than `δ`.
    #[error("the key does not come from this circuit and these powers of tau: {0}")]
    NotFromInitial(&'static str),
}
