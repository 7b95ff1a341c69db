//! Resource claims of a circuit's stages: measured when it was added, or estimated from its sizes.

use std::path::Path;

use athanor_engine::{Manifest, StageEntry};

use crate::synthesis::Wires;

/// Claims and times of the stages, and the key's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claims {
    /// Memory of the resident key in bytes.
    pub(super) key: u64,
    /// The witness stage of a partition.
    pub(super) witness: StageEntry,
    /// The proving stage of a partition.
    pub(super) prove: StageEntry,
    /// The check stage of a partition.
    pub(super) check: StageEntry,
    /// The check of the assembled proof.
    pub(super) whole: StageEntry,
}

/// Name of the key in manifests.
pub(crate) const KEY: &str = "proving";

/// Bytes of a field element.
const ELEMENT: u64 = 32;
/// Bytes of a field element in the limb form of the widest kernel path.
const LIMBS: u64 = 40;
/// Memory of a stage in bytes that does not depend on the circuit's size.
const FIXED_BYTES: u64 = 8 << 20;

impl Claims {
    /// The claims of the manifest; estimates for those that it does not have.
    pub(super) fn of(
        params: &Path,
        wires: Wires,
        domain: usize,
        manifest: Option<&Manifest>,
    ) -> Claims {
        let mut claims = Claims::estimated(params, wires, domain);
        if let Some(manifest) = manifest {
            let stage = |name: &str| manifest.stages.get(name).copied();
            claims.key = manifest.keys.get(KEY).copied().unwrap_or(claims.key);
            claims.witness = stage("witness").unwrap_or(claims.witness);
            claims.prove = stage("prove").unwrap_or(claims.prove);
            // A stage holds at least what the previous stage left.
            claims.prove.peak = claims.prove.peak.max(claims.witness.keeps);
            claims.check.peak = claims.check.peak.max(claims.prove.keeps);
        }
        claims
    }

    fn estimated(params: &Path, wires: Wires, domain: usize) -> Claims {
        let (witness, domain) = (ELEMENT * wires.all() as u64, domain as u64);
        let file = params.metadata().map_or(0, |metadata| metadata.len());
        let stage = |peak, keeps, seconds| StageEntry { peak, keeps, seconds };
        Claims {
            // The points, and the constraints: about 6 entries of 8 bytes per wire.
            key: file + 48 * wires.all() as u64,
            // The values in the stock stack's form and in ours.
            witness: stage(2 * witness + FIXED_BYTES, witness + 4096, 2e-7 * wires.all() as f64),
            // Three vectors of evaluations and the quotient; MSMs work in chunks of bounded size.
            prove: stage(
                witness + (3 * LIMBS + ELEMENT) * domain + 16 * FIXED_BYTES,
                witness + 4096,
                1e-5 * domain as f64,
            ),
            check: stage(witness + FIXED_BYTES, 0, 0.01),
            whole: stage(2 * FIXED_BYTES, 0, 0.05),
        }
    }
}
