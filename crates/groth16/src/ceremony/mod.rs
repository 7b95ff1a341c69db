//! The part of a ceremony that belongs to one circuit: an initial key from powers of tau,
//! contributions to it, and the verification of all of it (eprint 2017/1050, section 7).
//!
//! A key's last secret is `δ`. The [initial key](initial_key) has `δ = 1`, so that everyone can
//! recompute it from the circuit and the powers of tau. Each [contribution](contribute) multiplies
//! `δ` by a secret `k` and divides the points of L and H by it; whoever contributed proves that
//! they knew `k`, and forgets it. If one of them did, nobody knows `δ`. [Verification](verify)
//! follows `δ` from contribution to contribution, and compares the key with the initial one.
//!
//! Hashes, random points and the order of everything are snarkjs's, so that each tool goes on
//! where the other stopped.

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

/// Most iterations of a beacon's hash, as a logarithm, that are computed or verified: some minutes.
pub const MAX_BEACON_LOG: u8 = 32;
/// Fewest iterations of a beacon's hash, as a logarithm.
pub const MIN_BEACON_LOG: u8 = 10;

/// Why a step of a ceremony failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The key's file is at fault, or could not be written.
    #[error(transparent)]
    Zkey(#[from] ZkeyError),
    /// The powers' file is at fault.
    #[error(transparent)]
    Ptau(#[from] PtauError),
    /// Too many constraints for the field.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A constraint system that no key can be made for.
    #[error("the constraint system is malformed: {0}")]
    Malformed(&'static str),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// A key without a history.
    #[error("the key has no section of contributions; it did not come from a ceremony")]
    NoHistory,
    /// A key that one process made with all secrets in its hands.
    #[error(
        "this is a key for development, whose maker knew every secret: no contribution mends that; \
         begin with `setup new`"
    )]
    Development,
    /// A beacon without value, or of too few or too many iterations.
    #[error("the beacon {0}")]
    Beacon(&'static str),
    /// A contribution that does not follow from what came before.
    #[error("contribution {number} is not sound: {what}")]
    Contribution {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key that is not the initial one with other `δ`.
    #[error("the key does not come from this circuit and these powers of tau: {0}")]
    NotFromInitial(&'static str),
}
