//! PoRep as a task of the engine: stages witness, prove and check for each partition, then one check of
//! the assembled proof.

mod claims;

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use athanor_engine::{
    About, CPU, Call, Circuit, Claim, Done, Failure, Input, InputError, KeyShape, Lane, Manifest,
    Memory, OpenError, Payload, Plan, PlannedPartition, Shape, StageEntry, Step, Stop, TaskError,
    WorkerNeed,
};
use athanor_groth16::{
    Proof, ProvingKey, Unverified, Verifier, Witness, development_setup,
    formats::bellman::{self, BellmanReader, Query},
    synthetic,
};
use athanor_kernels::{
    Bls12_381, Quotient,
    cpu::{Cpu, first_unsatisfied},
};
use bellperson::groth16::{PreparedVerifyingKey, VerifyingKey, prepare_verifying_key};
use blstrs::Bls12;

use crate::{
    Constraints, Fault, MinerId, Porep, Settings, Statement,
    backend::names,
    fault::{BAD_KEY, UNSUPPORTED},
    input::{self, Parsed},
    params,
    result::{CheckedBy, SealProof},
    synthesis::Wires,
};
use claims::Claims;

/// Input kind: a C1 output in JSON, with or without its envelope.
pub const JSON: &str = "json";

/// Opens a circuit: reads only the verifying key and the counts of its parameters.
pub fn open(
    porep: Porep,
    params: &Path,
    origin: Option<(PathBuf, Manifest)>,
    miner: Option<MinerId>,
    settings: Settings,
) -> Result<Arc<dyn Circuit>, Fault> {
    let at = |fault: Fault| Fault::at(fault.code, params, fault.message);
    let file = File::open(params).map_err(|error| Fault::at("unreadable", params, error))?;
    let reader = BellmanReader::open(BufReader::new(file)).map_err(|error| at(error.into()))?;
    let key = reader.verifying_key();
    let wires = Wires { inputs: key.ic.len(), aux: reader.points(Query::L) };
    let domain = reader.points(Query::H) + 1;
    let bytes = reader.verifying_key_bytes().to_vec();
    let stock = VerifyingKey::<Bls12>::read(&bytes[..])
        .map_err(|error| Fault::at(BAD_KEY, params, error))?;
    let claims = Claims::of(params, wires, domain, origin.as_ref().map(|(_, manifest)| manifest));
    Ok(Arc::new(PorepCircuit {
        verifier: Verifier::new(key).map_err(|error| Fault::at("bad-key-point", params, error))?,
        stock: prepare_verifying_key(&stock),
        verifying_key: bytes,
        params: params.to_owned(),
        known_answer: OnceLock::new(),
        porep,
        origin,
        miner,
        settings,
        wires,
        claims,
    }))
}

struct PorepCircuit {
    porep: Porep,
    params: PathBuf,
    /// Its directory and manifest, if it is from a catalog.
    origin: Option<(PathBuf, Manifest)>,
    miner: Option<MinerId>,
    settings: Settings,
    wires: Wires,
    claims: Claims,
    verifier: Verifier<Bls12_381>,
    stock: PreparedVerifyingKey<Bls12>,
    /// The verifying key in bellman's form.
    verifying_key: Vec<u8>,
    /// A small key and a witness, for the self-test of a device.
    known_answer: OnceLock<Result<KnownAnswer, Fault>>,
}

type Key = ProvingKey<Bls12_381, Cpu>;
type KnownAnswer = (Key, Witness<Bls12_381>);

/// The output of the proving stage, for the check.
struct Proven {
    witness: Witness<Bls12_381>,
    proof: Proof<Bls12_381>,
}

/// The partitions, by kind.
const PARTITION: usize = 0;
const WHOLE: usize = 1;

impl PorepCircuit {
    fn partitions(&self) -> u32 {
        self.porep.sector().partitions.into()
    }

    /// The vanilla proofs are checked first: this hashes some paths, which is cheap compared with a proof.
    fn witness(&self, call: &Call) -> Result<Done, TaskError> {
        let Parsed { vanilla, .. } = call.input()?;
        let made = call.lane.install(|| {
            let began = Instant::now();
            vanilla.check(call.partition)?;
            let checked = began.elapsed();
            Ok((vanilla.witness(call.partition, self.wires)?, checked))
        })?;
        let (witness, checked) = made.map_err(|fault: Fault| fault.in_partition(call.partition))?;
        Ok(Done { marks: vec![("vanilla", checked)], ..Done::new(witness) })
    }

    fn prove(&self, call: &Call) -> Result<Done, TaskError> {
        let witness = call.from::<Witness<Bls12_381>>()?.clone();
        let key = call.key::<Key>()?;
        let values = witness.clone();
        let proven = call.lane.install(|| key.prove_unverified(values))?;
        let Unverified { proof, stages } = proven.map_err(Fault::from)?;
        let marks =
            stages.named().into_iter().filter(|(name, _)| !["prove", "check"].contains(name));
        Ok(Done { marks: marks.collect(), ..Done::new(Proven { witness, proof }) })
    }

    /// Checks a partition's proof against public inputs that are computed independently of its witness.
    fn check_partition(&self, call: &Call) -> Result<Vec<u8>, TaskError> {
        let Parsed { vanilla, .. } = call.input()?;
        let Proven { witness, proof } = call.from()?;
        let inputs = vanilla.inputs(call.partition)?;
        if self.verifier.verify(&inputs, proof).is_ok() {
            return Ok(bellman::proof_bytes(proof).to_vec());
        }
        Err(self.refuse(call, witness))
    }

    /// Handles a proof that does not verify: the device or the witness is wrong. The constraints decide.
    fn refuse(&self, call: &Call, witness: &Witness<Bls12_381>) -> TaskError {
        let Settings { keys, warn, .. } = &self.settings;
        let unsatisfied = Constraints::kept(keys, &self.porep, &**warn).and_then(|constraints| {
            let Constraints { a, b, c, .. } = &constraints;
            let row = call.lane.install(|| first_unsatisfied([a, b, c], witness.scalars()));
            row.map_err(Fault::internal)
        });
        match unsatisfied {
            Ok(Some(row)) => {
                let message = format_args!("its witness violates constraint {row}");
                Fault::new("unsatisfied", message).in_partition(call.partition).into()
            }
            Err(fault) => fault.into(),
            Ok(None) => {
                let message =
                    format_args!("partition {}: its proof does not verify", call.partition);
                TaskError::new(Failure::BadResult, "invalid-proof", message)
            }
        }
    }

    /// Checks the assembled proof of all partitions with the stock stack.
    fn check_whole(&self, call: &Call) -> Result<Vec<u8>, TaskError> {
        let Parsed { statement, .. } = call.input()?;
        let proof: Vec<u8> = call.left.iter().flat_map(|left| left.iter().copied()).collect();
        let known = statement.miner.is_some() && statement.sector_number.is_some();
        let (checked, valid) = match &self.settings.verifier {
            Some(verifier) if known => {
                let place = self.settings.keys.join("verifying");
                let key = &self.verifying_key;
                let valid = verifier.verify(&place, &self.porep, key, statement, &proof)?;
                (CheckedBy::VerifySeal, valid)
            }
            _ => (CheckedBy::Compound, self.verified(call, statement, &proof)?),
        };
        if !valid {
            let message = "every partition verifies, but the stock stack refuses the whole: the \
                           statement is not the one that was proven";
            return Err(TaskError::new(Failure::Permanent, "invalid-proof", message));
        }
        Ok(SealProof { proof, statement: statement.clone(), checked: Some(checked) }.to_bytes()?)
    }

    fn verified(
        &self,
        call: &Call,
        statement: &Statement,
        proof: &[u8],
    ) -> Result<bool, TaskError> {
        let verified = || self.porep.verify(statement, &self.stock, proof);
        Ok(call.lane.install(verified)??)
    }
}

impl Circuit for PorepCircuit {
    fn about(&self) -> About {
        About {
            proof_system: "groth16".into(),
            curve: "bls12-381".into(),
            verifying_key: *blake3::hash(&self.verifying_key).as_bytes(),
        }
    }

    fn keys(&self) -> Vec<KeyShape> {
        vec![KeyShape { name: "proving key".into(), host: self.claims.key, device: 0 }]
    }

    fn shapes(&self) -> Vec<Shape> {
        let Claims { witness, prove, check, whole, .. } = &self.claims;
        let claim = |entry: &StageEntry| Claim {
            peak: Memory::host(entry.peak),
            keeps: Memory::host(entry.keeps),
            device: 0,
        };
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let step = |stage: &str, entry: &StageEntry, lane, key| Step {
            stage: stage.into(),
            lane,
            claim: claim(entry),
            key,
            estimate: seconds(entry.seconds),
            limit: None,
        };
        let cpu = WorkerNeed::Cpu { least: 1, most: 1 };
        let partition = Shape {
            steps: vec![
                step("witness", witness, cpu, None),
                step("prove", prove, WorkerNeed::Device { class: CPU }, Some(0)),
            ],
            check_peak: Memory::host(check.peak),
            check_estimate: seconds(check.seconds),
        };
        // It has no stage of its own: its check assembles the proofs of the partitions.
        let whole = Shape {
            steps: Vec::new(),
            check_peak: Memory::host(whole.peak),
            check_estimate: seconds(whole.seconds),
        };
        vec![partition, whole]
    }

    fn plan(&self, input: &Input) -> Result<Plan, InputError> {
        if &*input.kind != JSON {
            let message =
                format_args!("the input kind {:?} is not supported: use {JSON:?}", input.kind);
            return Err(Fault::new(UNSUPPORTED, message).into());
        }
        let parsed = input::parse(&self.porep, input.bytes(), self.miner)?;
        let partition = |_| PlannedPartition { shape: PARTITION, after: Vec::new() };
        let mut partitions: Vec<_> = (0..self.partitions()).map(partition).collect();
        partitions.push(PlannedPartition { shape: WHOLE, after: (0..self.partitions()).collect() });
        // The input's bytes and the parsed input, which is smaller, as numbers are longer as text.
        let holds = Memory::host(2 * input.bytes().len() as u64 + (64 << 10));
        Ok(Plan { input: Arc::new(parsed), holds, partitions })
    }

    fn load_key(&self, _: usize, lane: &Lane, _: &Stop) -> Result<Payload, TaskError> {
        let digest = match &self.origin {
            None => None,
            Some((_, manifest)) => {
                let entry = manifest.files.get(names::PARAMS);
                let digest = entry.and_then(|entry| blake3::Hash::from_hex(&entry.blake3).ok());
                Some(*digest.ok_or_else(|| TaskError::internal("no digest"))?.as_bytes())
            }
        };
        let loaded = lane.install(|| {
            params::load(&self.porep, &self.params, digest.as_ref(), &self.settings)
        })??;
        Ok(Arc::new(loaded.key))
    }

    fn run(&self, call: &Call) -> Result<Done, TaskError> {
        match (call.shape, call.step) {
            (PARTITION, 0) => self.witness(call),
            (PARTITION, 1) => self.prove(call),
            _ => Err(TaskError::internal("the step does not exist")),
        }
    }

    fn check(&self, call: &Call) -> Result<Vec<u8>, TaskError> {
        match call.shape {
            PARTITION => self.check_partition(call),
            _ => self.check_whole(call),
        }
    }

    fn verify(&self, result: &[u8]) -> Result<(), TaskError> {
        let SealProof { proof, statement, .. } = SealProof::from_bytes(result)?;
        match self.porep.verify(&statement, &self.stock, &proof)? {
            true => Ok(()),
            false => {
                let message = "the proof does not verify";
                Err(TaskError::new(Failure::Permanent, "invalid-proof", message))
            }
        }
    }

    fn self_test(&self, lane: &Lane) -> Result<(), TaskError> {
        lane.install(|| {
            let made = self.known_answer.get_or_init(known_answer);
            let (key, witness) = made.as_ref().map_err(Clone::clone)?;
            key.prove(witness.clone()).map_err(Fault::from)
        })?
        .map(|_| ())
        .map_err(|fault| TaskError::new(Failure::Device, fault.code, fault.message))
    }

    fn warm_up(&self) -> Result<Option<Input>, OpenError> {
        let Some((directory, manifest)) = &self.origin else { return Ok(None) };
        if !manifest.files.contains_key(names::INPUT) {
            return Ok(None);
        }
        let path = manifest.file(directory, names::INPUT).map_err(Fault::from)?;
        let bytes = std::fs::read(&path).map_err(|error| Fault::at("unreadable", &path, error))?;
        let digest = blake3::hash(&bytes);
        manifest.check_digest(directory, names::INPUT, digest.as_bytes()).map_err(Fault::from)?;
        Ok(Some(Input::new(JSON, bytes)))
    }
}

fn known_answer() -> Result<KnownAnswer, Fault> {
    let example = synthetic::dense::<Bls12_381>(60, 1);
    let raw = development_setup::<Bls12_381>(&example.r1cs, Quotient::Coefficients);
    let native = raw.map_err(Fault::internal)?.to_native(&Cpu).map_err(Fault::memory)?;
    let witness = Witness::new(example.witness).map_err(Fault::internal)?;
    Ok((ProvingKey::load(Cpu, native)?, witness))
}
