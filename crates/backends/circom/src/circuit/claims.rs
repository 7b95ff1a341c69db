//! Resource claims of a circuit's stages: measured when it was added, or estimated from its sizes.

use athanor_engine::{Manifest, StageEntry};
use athanor_groth16::formats::zkey::Header;

use super::Files;

/// Claims and times of the stages, and the key's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claims {
    /// Memory of the resident key in bytes.
    pub key: u64,
    /// The witness stage.
    pub witness: StageEntry,
    /// The proving stage.
    pub prove: StageEntry,
    /// The check stage.
    pub check: StageEntry,
}

/// Name of the key in manifests.
pub(super) const KEY: &str = "proving";

/// Bytes of a field element.
const ELEMENT: u64 = 32;
/// Maximum number of multiples per point in tables: the number of windows of a scalar is smaller.
const MAX_TABLE_COPIES: u64 = 128;
/// Number of MSMs of a proof, which may all run at the same time.
const MSMS: u64 = 5;
/// Number of windows of a large MSM. Small MSMs have more windows but need little memory.
const MSM_WINDOWS: u64 = 20;
/// Memory of a stage in bytes that does not depend on the circuit's size.
const FIXED_BYTES: u64 = 4 << 20;

impl Claims {
    /// The claims of the manifest; estimates for those that it does not have.
    pub(super) fn of(files: &Files, header: &Header, manifest: Option<&Manifest>) -> Claims {
        let mut claims = Claims::estimated(files, header);
        if let Some(manifest) = manifest {
            let stage = |name: &str| manifest.stages.get(name).copied();
            claims.key = manifest.keys.get(KEY).copied().unwrap_or(claims.key);
            claims.witness = stage("witness").unwrap_or(claims.witness);
            claims.prove = stage("prove").unwrap_or(claims.prove);
            claims.check = stage("check").unwrap_or(claims.check);
            // A stage holds at least what the previous stage left.
            claims.prove.peak = claims.prove.peak.max(claims.witness.keeps);
            claims.check.peak = claims.check.peak.max(claims.prove.keeps);
            claims.check.keeps = 0;
        }
        claims
    }

    /// Upper bound of the key's tables in bytes, with a limit of `allowed` bytes.
    pub(super) fn tables(&self, allowed: u64) -> u64 {
        allowed.min(self.key.saturating_mul(MAX_TABLE_COPIES))
    }

    /// Upper bound of the additional memory of a proof if its key has tables: each MSM sorts the digits of all
    /// windows at once, with an index for each. (For a large key it sorts in groups, which takes less.)
    pub(super) fn sorting(header: &Header) -> u64 {
        u64::from(header.wires.max(header.domain_size)) * MSMS * MSM_WINDOWS * 4
    }

    /// Estimates from the sizes. A generator's memory is unknown before it runs: it stores every
    /// signal, including those that simplification removed from the wires.
    fn estimated(files: &Files, header: &Header) -> Claims {
        let witness = ELEMENT * u64::from(header.wires);
        let domain = ELEMENT * u64::from(header.domain_size);
        let file = files.zkey.metadata().map_or(0, |metadata| metadata.len());
        let stage = |peak, keeps| StageEntry { peak, keeps, seconds: 0.0 };
        // About 10 microseconds per point of the domain on one slow core.
        let seconds = f64::from(header.domain_size) * 1e-5;
        Claims {
            key: file + file / 8,
            witness: stage(4 * witness + 8 * FIXED_BYTES, witness),
            // Two vectors of evaluations and the quotient; MSMs work in chunks of bounded size.
            prove: StageEntry {
                seconds,
                ..stage(witness + 4 * domain + 4 * FIXED_BYTES, witness + 4096)
            },
            check: stage(witness + FIXED_BYTES, 0),
        }
    }
}
