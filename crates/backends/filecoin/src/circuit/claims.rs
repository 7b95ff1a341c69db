//! What a circuit's stages claim: as measured when it was added, or by its sizes.

use std::path::Path;

use athanor_engine::{Manifest, StageEntry};

use crate::synthesis::Wires;

/// Claims and times of the stages, and the key's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claims {
    /// Bytes of the resident key.
    pub(super) key: u64,
    /// Computing a partition's witness.
    pub(super) witness: StageEntry,
    /// Proving it.
    pub(super) prove: StageEntry,
    /// Checking it.
    pub(super) check: StageEntry,
    /// Checking the whole.
    pub(super) whole: StageEntry,
}

/// The name of the key in manifests.
pub(crate) const KEY: &str = "proving";

/// A field element.
const ELEMENT: u64 = 32;
/// A field element in limbs, as the widest path holds it.
const LIMBS: u64 = 40;
/// What every step may take besides what its circuit's size asks for.
const SMALL: u64 = 8 << 20;

impl Claims {
    /// The manifest's, and where it has none: estimates.
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
            // A stage holds at least what the one before it left.
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
            // The points as they are, and the constraints: some 6 entries of 8 bytes for each wire.
            key: file + 48 * wires.all() as u64,
            // The stock stack's numbers, and ours.
            witness: stage(2 * witness + SMALL, witness + 4096, 2e-7 * wires.all() as f64),
            // Three vectors of evaluations and the quotient; sums work in pieces of bounded size.
            prove: stage(
                witness + (3 * LIMBS + ELEMENT) * domain + 16 * SMALL,
                witness + 4096,
                1e-5 * domain as f64,
            ),
            check: stage(witness + SMALL, 0, 0.01),
            whole: stage(2 * SMALL, 0, 0.05),
        }
    }
}
