//! PoRep of the stock stack, for every shape of tree, behind one trait.
//!
//! The stack is generic over the shape of a sector's trees, and each shape's circuits take seconds to
//! compile, so only this module names them.

mod stacked;
mod statement;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use athanor_groth16::Witness;
use athanor_kernels::{Bls12_381, Scalar};
use bellperson::groth16::PreparedVerifyingKey;
use blstrs::Bls12;
use filecoin_proofs::{
    SectorShapeBase, SectorShapeSub8, SectorShapeTop2, is_sector_shape_base, is_sector_shape_sub8,
};
use filecoin_proofs_api::{RegisteredSealProof, seal::SealCommitPhase1Output};

use crate::{Constraints, Fault, Sector, synthesis::Wires};
use stacked::{Shape, Stacked};
pub use statement::{MinerId, Statement};

/// PoRep of one kind of sector.
#[derive(Clone)]
pub struct Porep {
    sector: Sector,
    shape: Arc<dyn Shape>,
}

impl Porep {
    /// PoRep for that kind of sector.
    pub fn new(sector: Sector) -> Self {
        let shape: Arc<dyn Shape> = if is_sector_shape_base(sector.bytes) {
            Arc::new(Stacked::<SectorShapeBase>::default())
        } else if is_sector_shape_sub8(sector.bytes) {
            Arc::new(Stacked::<SectorShapeSub8>::default())
        } else {
            Arc::new(Stacked::<SectorShapeTop2>::default())
        };
        Self { sector, shape }
    }

    /// The kind of sector.
    pub fn sector(&self) -> Sector {
        self.sector
    }

    /// The stock stack's name for the circuit, which is part of the parameter files' names.
    pub fn identifier(&self) -> Result<String, Fault> {
        let config = self.sector.config(self.sector.registered_proof())?;
        guarded(|| self.shape.identifier(&config))
    }

    /// Records the constraints, from the blank circuit.
    pub fn record(&self) -> Result<Constraints, Fault> {
        let config = self.sector.config(self.sector.registered_proof())?;
        guarded(|| self.shape.record(&config))
    }

    /// Accepts a sector's vanilla proofs and checks their number.
    pub fn vanilla(&self, c1: SealCommitPhase1Output) -> Result<Arc<dyn Vanilla>, Fault> {
        let config = self.sector.config(c1.registered_proof)?;
        guarded(|| self.shape.vanilla(&config, c1))
    }

    /// Verifies an assembled proof with the stock compound verifier.
    pub fn verify(
        &self,
        statement: &Statement,
        key: &PreparedVerifyingKey<Bls12>,
        proof: &[u8],
    ) -> Result<bool, Fault> {
        let config = self.sector.config(statement.registered_proof)?;
        guarded(|| self.shape.verify(&config, statement, key, proof))
    }

    /// The replica id that a miner's sector must have.
    pub(crate) fn replica_id(
        &self,
        statement: &Statement,
        miner: MinerId,
        sector: u64,
    ) -> Result<[u8; 32], Fault> {
        let config = self.sector.config(statement.registered_proof)?;
        self.shape.replica_id(&config, statement, miner, sector)
    }
}

/// A sector's vanilla proofs, one list for each partition.
pub trait Vanilla: Send + Sync {
    /// Checks the vanilla proofs of a partition, as sealing does.
    fn check(&self, partition: u32) -> Result<(), Fault>;

    /// The public inputs of a partition, without the constant one.
    fn inputs(&self, partition: u32) -> Result<Vec<Scalar>, Fault>;

    /// The values of a partition's wires.
    fn witness(&self, partition: u32, wires: Wires) -> Result<Witness<Bls12_381>, Fault>;
}

/// Catches panics of the stack: it asserts conditions that a hostile input can violate.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault::bad_input("the vanilla proofs violate an assumption of the stock stack"))
    })
}

/// The registered proof's name in C1 outputs.
pub(crate) fn proof_name(proof: RegisteredSealProof) -> String {
    format!("{proof:?}")
}
