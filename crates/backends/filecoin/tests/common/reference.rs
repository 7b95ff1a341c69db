//! The stock stack's circuits and prover, called directly without our code.

#![allow(unreachable_pub, reason = "shared by several binaries")]

use std::path::Path;

use bellperson::groth16::{MappedParameters, Parameters, create_proof};
use blstrs::{Bls12, Scalar};
use filecoin_proofs::{
    DefaultPieceHasher, PoRepConfig, PoRepProofPartitions, SectorShape2KiB, VanillaSealProof,
    parameters::public_params,
};
use filecoin_proofs_api::seal::SealCommitPhase1Output;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_porep::stacked::{
    PublicInputs, PublicParams, StackedCircuit, StackedCompound, StackedDrg, Tau,
};

pub type Circuit = StackedCircuit<SectorShape2KiB, DefaultPieceHasher>;
type Drg<'a> = StackedDrg<'a, SectorShape2KiB, DefaultPieceHasher>;
type Compound = StackedCompound<SectorShape2KiB, DefaultPieceHasher>;

fn params(c1: &SealCommitPhase1Output, partitions: u8) -> PublicParams<SectorShape2KiB> {
    let config = c1.registered_proof.as_v1_config();
    let partitions = PoRepProofPartitions(partitions);
    public_params(&PoRepConfig { partitions, ..config }).unwrap()
}

/// The circuit of one partition.
pub fn circuit(c1: &SealCommitPhase1Output, partitions: u8, partition: usize) -> Circuit {
    let vanilla: Vec<Vec<VanillaSealProof<SectorShape2KiB>>> =
        c1.vanilla_proofs.clone().try_into().unwrap();
    let inputs = PublicInputs {
        replica_id: c1.replica_id,
        tau: Some(Tau {
            comm_r: filecoin_hashers::Domain::try_from_bytes(&c1.comm_r).unwrap(),
            comm_d: filecoin_hashers::Domain::try_from_bytes(&c1.comm_d).unwrap(),
        }),
        k: None,
        seed: Some(c1.seed),
    };
    let params = params(c1, partitions);
    <Compound as CompoundProof<'_, Drg<'_>, Circuit>>::circuit(
        &inputs,
        (),
        &vanilla[partition],
        &params,
        Some(partition),
    )
    .unwrap()
}

/// Parameters of the stock prover: memory-mapped and decoded at every proof.
pub fn mapped(params: &Path) -> MappedParameters<Bls12> {
    Parameters::<Bls12>::build_mapped_parameters(params.to_owned(), false).unwrap()
}

/// A proof by the stock prover.
pub fn prove(circuit: Circuit, params: &MappedParameters<Bls12>, r: u64, s: u64) -> Vec<u8> {
    let (r, s) = (Scalar::from(r), Scalar::from(s));
    let proof = create_proof::<Bls12, _, _>(circuit, params, r, s).unwrap();
    let mut bytes = Vec::new();
    proof.write(&mut bytes).unwrap();
    bytes
}
