//! What a circuit's stages claim: as measured when it was added, or estimated from its sizes.

use athanor_engine::{Manifest, StageEntry};
use athanor_groth16::formats::zkey::Header;

use super::Files;

/// Claims and times of the stages, and the key's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claims {
    /// Bytes of the resident key.
    pub key: u64,
    /// Computing the witness.
    pub witness: StageEntry,
    /// The proof.
    pub prove: StageEntry,
    /// The check.
    pub check: StageEntry,
}

/// What the name of the key is in manifests.
pub(super) const KEY: &str = "proving";

/// A field element.
const ELEMENT: u64 = 32;
/// No tables hold a point more often: scalars have fewer windows.
const MOST_COPIES: u64 = 128;
/// Sums of a proof, which may all be under way.
const SUMS: u64 = 5;
/// Windows of a sum that is worth the claim; small ones have more.
const MOST_WINDOWS: u64 = 20;
/// What every step may take besides what its circuit's size asks for.
const SMALL: u64 = 4 << 20;

impl Claims {
    /// The manifest's, and where it has none: estimates.
    pub(super) fn of(files: &Files, header: &Header, manifest: Option<&Manifest>) -> Claims {
        let mut claims = Claims::estimated(files, header);
        if let Some(manifest) = manifest {
            let stage = |name: &str| manifest.stages.get(name).copied();
            claims.key = manifest.keys.get(KEY).copied().unwrap_or(claims.key);
            claims.witness = stage("witness").unwrap_or(claims.witness);
            claims.prove = stage("prove").unwrap_or(claims.prove);
            claims.check = stage("check").unwrap_or(claims.check);
            // A stage holds at least what the one before it left.
            claims.prove.peak = claims.prove.peak.max(claims.witness.keeps);
            claims.check.peak = claims.check.peak.max(claims.prove.keeps);
            claims.check.keeps = 0;
        }
        claims
    }

    /// What tables of the key take at most, where they may take so many bytes.
    pub(super) fn tables(&self, allowed: u64) -> u64 {
        allowed.min(self.key.saturating_mul(MOST_COPIES))
    }

    /// What a proof may take besides, at most, where its key has tables: each sum sorts the digits of all
    /// windows at once, an index for each. (Those of a large key it sorts by groups, and takes less.)
    pub(super) fn sorting(header: &Header) -> u64 {
        u64::from(header.wires.max(header.domain_size)) * SUMS * MOST_WINDOWS * 4
    }

    /// From the sizes alone. A generator's memory cannot be known before it ran: it keeps every
    /// signal, of which wires are the part that simplification left.
    fn estimated(files: &Files, header: &Header) -> Claims {
        let witness = ELEMENT * u64::from(header.wires);
        let domain = ELEMENT * u64::from(header.domain_size);
        let file = files.zkey.metadata().map_or(0, |metadata| metadata.len());
        let stage = |peak, keeps| StageEntry { peak, keeps, seconds: 0.0 };
        // About 10 microseconds for each point of the domain on one slow core.
        let seconds = f64::from(header.domain_size) * 1e-5;
        Claims {
            key: file + file / 8,
            witness: stage(4 * witness + 8 * SMALL, witness),
            // Two vectors of evaluations and the quotient; sums work in pieces of bounded size.
            prove: StageEntry {
                seconds,
                ..stage(witness + 4 * domain + 4 * SMALL, witness + 4096)
            },
            check: stage(witness + SMALL, 0),
        }
    }
}
