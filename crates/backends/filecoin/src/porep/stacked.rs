//! The stock circuits for one shape of tree.

use std::{marker::PhantomData, sync::Arc};

use athanor_groth16::Witness;
use athanor_kernels::{Bls12_381, Scalar};
use bellperson::groth16::PreparedVerifyingKey;
use blstrs::Bls12;
use filecoin_hashers::{Domain, HashFunction, Hasher};
use filecoin_proofs::{
    DefaultPieceDomain, DefaultPieceHasher, DefaultTreeHasher, PoRepConfig, VanillaSealProof,
    parameters::setup_params,
};
use filecoin_proofs_api::seal::{SealCommitPhase1Output, VanillaSealProof as Proofs};
use storage_proofs_core::{
    compound_proof::{self, CompoundProof},
    merkle::MerkleTreeTrait,
    multi_proof::MultiProof,
    parameter_cache::CacheableParameters,
    proof::ProofScheme,
};
use storage_proofs_porep::stacked::{
    ChallengeRequirements, PublicInputs, PublicParams, StackedCircuit, StackedCompound, StackedDrg,
    Tau, generate_replica_id,
};

use super::{MinerId, Statement, Vanilla};
use crate::{
    Constraints, Fault, field,
    synthesis::{self, Wires},
};

/// Operations for a shape of tree.
pub(super) trait Shape: Send + Sync {
    fn identifier(&self, config: &PoRepConfig) -> Result<String, Fault>;
    fn record(&self, config: &PoRepConfig) -> Result<Constraints, Fault>;
    fn vanilla(
        &self,
        config: &PoRepConfig,
        c1: SealCommitPhase1Output,
    ) -> Result<Arc<dyn Vanilla>, Fault>;
    fn verify(
        &self,
        config: &PoRepConfig,
        statement: &Statement,
        key: &PreparedVerifyingKey<Bls12>,
        proof: &[u8],
    ) -> Result<bool, Fault>;
    fn replica_id(
        &self,
        config: &PoRepConfig,
        statement: &Statement,
        miner: MinerId,
        sector: u64,
    ) -> Result<[u8; 32], Fault>;
}

/// A tree over the hash that all sectors use.
pub(super) trait Tree: 'static + MerkleTreeTrait<Hasher = DefaultTreeHasher> {}
impl<T: 'static + MerkleTreeTrait<Hasher = DefaultTreeHasher>> Tree for T {}

type Compound<T> = StackedCompound<T, DefaultPieceHasher>;
type Drg<'a, T> = StackedDrg<'a, T, DefaultPieceHasher>;
type Inputs = PublicInputs<<DefaultTreeHasher as Hasher>::Domain, DefaultPieceDomain>;

/// One shape.
pub(super) struct Stacked<T>(PhantomData<fn() -> T>);

impl<T> Default for Stacked<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn params<T: Tree>(config: &PoRepConfig) -> Result<PublicParams<T>, Fault> {
    let setup = setup_params(config).map_err(bad)?;
    Drg::<T>::setup(&setup).map_err(bad)
}

fn inputs(statement: &Statement) -> Result<Inputs, Fault> {
    let domain = |name, error: &dyn std::fmt::Display| {
        Fault::bad_input(format_args!("{name} is not a field element: {error}"))
    };
    let comm_r = Domain::try_from_bytes(&statement.comm_r);
    let comm_d = Domain::try_from_bytes(&statement.comm_d);
    let replica_id = Domain::try_from_bytes(&statement.replica_id);
    Ok(PublicInputs {
        replica_id: replica_id.map_err(|error| domain("replica_id", &error))?,
        seed: Some(statement.seed),
        tau: Some(Tau {
            comm_r: comm_r.map_err(|error| domain("comm_r", &error))?,
            comm_d: comm_d.map_err(|error| domain("comm_d", &error))?,
        }),
        k: None,
    })
}

/// Converts an error of the stack, which describes the fault of the proof.
fn bad(error: impl std::fmt::Debug) -> Fault {
    let text = format!("{error:?}");
    Fault::bad_input(text.lines().next().unwrap_or_default())
}

impl<T: Tree> Shape for Stacked<T> {
    fn identifier(&self, config: &PoRepConfig) -> Result<String, Fault> {
        let params = params::<T>(config)?;
        Ok(<Compound<T> as CacheableParameters<
            StackedCircuit<T, DefaultPieceHasher>,
            _,
        >>::cache_identifier(&params))
    }

    fn record(&self, config: &PoRepConfig) -> Result<Constraints, Fault> {
        let params = params::<T>(config)?;
        synthesis::record(|| Compound::<T>::blank_circuit(&params))
    }

    fn vanilla(
        &self,
        config: &PoRepConfig,
        c1: SealCommitPhase1Output,
    ) -> Result<Arc<dyn Vanilla>, Fault> {
        let inputs = inputs(&Statement::of(&c1)?)?;
        let params = params::<T>(config)?;
        let name = super::proof_name(c1.registered_proof);
        let proofs = raw::<T>(c1.vanilla_proofs).ok_or_else(|| {
            Fault::bad_input(format_args!("its vanilla proofs are not for {name}"))
        })?;
        let (expected, got) = (usize::from(config.partitions), proofs.len());
        if expected != got {
            return Err(Fault::bad_input(format_args!(
                "the C1 output has {got} partitions, but this circuit has {expected}"
            )));
        }
        let expected = params.challenges.num_challenges_per_partition();
        if let Some(at) = proofs.iter().position(|partition| partition.len() != expected) {
            let got = proofs[at].len();
            return Err(Fault::bad_input(format_args!(
                "partition {at} of the C1 output has {got} challenges, but this circuit has {expected}"
            )));
        }
        Ok(Arc::new(Sector::<T> { inputs, params, proofs }))
    }

    fn verify(
        &self,
        config: &PoRepConfig,
        statement: &Statement,
        key: &PreparedVerifyingKey<Bls12>,
        proof: &[u8],
    ) -> Result<bool, Fault> {
        let setup = compound_proof::SetupParams {
            vanilla_params: setup_params(config).map_err(bad)?,
            partitions: Some(usize::from(config.partitions)),
            priority: false,
        };
        let params =
            <Compound<T> as CompoundProof<'_, Drg<'_, T>, _>>::setup(&setup).map_err(bad)?;
        let proof = MultiProof::new_from_bytes(params.partitions, proof, key).map_err(bad)?;
        let requirements =
            ChallengeRequirements { minimum_challenges: config.minimum_challenges() };
        Compound::<T>::verify(&params, &inputs(statement)?, &proof, &requirements).map_err(bad)
    }

    fn replica_id(
        &self,
        config: &PoRepConfig,
        statement: &Statement,
        miner: MinerId,
        sector: u64,
    ) -> Result<[u8; 32], Fault> {
        let id = generate_replica_id::<DefaultTreeHasher, _>(
            &miner.prover_id(),
            sector,
            &statement.ticket,
            statement.comm_d,
            &config.porep_id,
        );
        let bytes: &[u8] = id.as_ref();
        bytes.try_into().map_err(Fault::internal)
    }
}

/// The proofs of a shape, moved out of the stock stack's enum, whose own conversion copies them.
fn raw<T: Tree>(proofs: Proofs) -> Option<Vec<Vec<VanillaSealProof<T>>>> {
    use std::any::Any;
    let any: Box<dyn Any> = match proofs {
        Proofs::StackedDrg2KiBV1(raw) => Box::new(raw),
        Proofs::StackedDrg8MiBV1(raw) => Box::new(raw),
        Proofs::StackedDrg512MiBV1(raw) => Box::new(raw),
        Proofs::StackedDrg32GiBV1(raw) => Box::new(raw),
        Proofs::StackedDrg64GiBV1(raw) => Box::new(raw),
    };
    any.downcast().ok().map(|proofs| *proofs)
}

/// A sector's vanilla proofs.
struct Sector<T: Tree> {
    inputs: Inputs,
    params: PublicParams<T>,
    proofs: Vec<Vec<VanillaSealProof<T>>>,
}

impl<T: Tree> Sector<T> {
    fn proofs(&self, partition: u32) -> Result<&Vec<VanillaSealProof<T>>, Fault> {
        let proofs = self.proofs.get(partition as usize);
        proofs.ok_or_else(|| Fault::internal(format_args!("partition {partition} does not exist")))
    }
}

impl<T: Tree> Vanilla for Sector<T> {
    fn check(&self, partition: u32) -> Result<(), Fault> {
        super::guarded(|| {
            let proofs = self.proofs(partition)?;
            let wrong =
                |what: &str| Err(Fault::bad_input(format_args!("its vanilla proof {what}")));
            let (c, r_last) = (proofs[0].comm_c(), proofs[0].comm_r_last());
            let comm_r = <DefaultTreeHasher as Hasher>::Function::hash2(&c, &r_last);
            if self.inputs.tau.as_ref().is_none_or(|tau| tau.comm_r != comm_r) {
                return wrong("is not for this replica");
            }
            let graph = &self.params.graph;
            let nodes = storage_proofs_core::drgraph::Graph::size(graph);
            let at = Some(partition as usize);
            let challenges = self.inputs.challenges(&self.params.challenges, nodes, at);
            for (number, (proof, challenge)) in proofs.iter().zip(challenges).enumerate() {
                let same = proof.comm_c() == c && proof.comm_r_last() == r_last;
                if !same || !proof.verify(&self.params, &self.inputs, challenge, graph) {
                    return wrong(&format!("does not verify at challenge {number}"));
                }
            }
            Ok(())
        })
    }

    fn inputs(&self, partition: u32) -> Result<Vec<Scalar>, Fault> {
        super::guarded(|| {
            let at = Some(partition as usize);
            let inputs = Compound::<T>::generate_public_inputs(&self.inputs, &self.params, at);
            Ok(inputs.map_err(bad)?.iter().map(field::words).collect())
        })
    }

    fn witness(&self, partition: u32, wires: Wires) -> Result<Witness<Bls12_381>, Fault> {
        super::guarded(|| {
            let proofs = self.proofs(partition)?;
            let at = Some(partition as usize);
            let circuit = Compound::<T>::circuit(&self.inputs, (), proofs, &self.params, at);
            synthesis::witness(circuit.map_err(bad)?, wires)
        })
    }
}
