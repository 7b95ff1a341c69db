//! A Circom circuit as a task of the engine, with the stages witness, prove and check.
//!
//! There are two kinds of input. Input signals first go through the witness generator on the CPU, then to
//! a device; a computed witness goes directly to a device.

mod claims;
pub mod keys;
mod outline;
mod result;
pub mod witness;

pub use claims::Claims;
pub use result::ProofBundle;

use std::{
    fs::File,
    io::Cursor,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use athanor_engine::{
    About, CPU, Call, Circuit, Claim, Done, Failure, Input, InputError, KeyShape, Lane, Manifest,
    Memory, OpenError, Payload, Plan, PlannedPartition, Shape, Step, Stop, TaskError, WorkerNeed,
};
use athanor_groth16::{
    Proof, ProveError, ProvingKey, Standing, Unverified, VerifyError, Witness, development_setup,
    formats::zkey::{Header, ZkeyFile},
    synthetic,
};
use athanor_kernels::{
    Bls12_381, Bn254, Curve, CurveId, Device, DeviceError, Quotient, Scalars, cpu::Cpu,
};

use crate::{Fault, FaultKind, Inputs, Limits, ModuleCache, WitnessCalculator};
use keys::{KeyCache, KeySource};
use outline::CachedOutline;

/// Input kind: input signals in JSON, for the witness generator.
pub const JSON: &str = "json";
/// Input kind: a computed witness (`.wtns`).
pub const WTNS: &str = "wtns";

/// Input kind: bytes that a [`NativeGenerator`] understands.
pub const NATIVE: &str = "native";

/// Computes witnesses in this process, for circuits that are built into a program.
pub trait NativeGenerator: Send + Sync {
    /// Returns a value for each wire, or an error message that does not contain values of the input.
    fn witness(&self, input: &[u8]) -> Result<Scalars, String>;
}

/// Paths of a circuit's files.
#[derive(Clone, Default)]
pub struct Files {
    /// The proving key.
    pub zkey: PathBuf,
    /// The witness generator; without one, only computed witnesses are accepted.
    pub wasm: Option<PathBuf>,
    /// The witness generator of a circuit that is built into a program.
    pub native: Option<Arc<dyn NativeGenerator>>,
    /// Constraints, to name a violated constraint in errors.
    pub r1cs: Option<PathBuf>,
    /// Signal names for errors.
    pub sym: Option<PathBuf>,
    /// Name of the input in errors.
    pub input: PathBuf,
}

/// Settings that circuits share.
#[derive(Clone)]
pub struct Settings {
    /// The cache of converted keys.
    pub keys: KeyCache,
    /// The cache of compiled witness generators.
    pub modules: Option<ModuleCache>,
    /// Limits of witness generators and inputs.
    pub limits: Limits,
    /// Memory limit of the tables of each key, in bytes.
    pub tables: u64,
}

/// Properties of a circuit.
#[derive(Debug)]
pub struct Facts {
    /// Its curve.
    pub curve: CurveId,
    /// Its header.
    pub header: Header,
    /// Resource claims of its stages.
    pub claims: Claims,
    /// Whether anyone contributed to its key.
    pub standing: Standing,
    /// Set when its key has been loaded.
    pub key: OnceLock<KeyFacts>,
}

/// Properties of a loaded key.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts {
    /// Its origin.
    pub source: KeySource,
    /// Its memory in bytes.
    pub bytes: usize,
    /// Its number of constraints.
    pub constraints: usize,
    /// Duration of loading.
    pub took: Duration,
}

/// A circuit and its properties.
#[derive(Clone)]
pub struct Opened {
    /// The task for an engine.
    pub circuit: Arc<dyn Circuit>,
    /// The properties for display.
    pub facts: Arc<Facts>,
}

/// Opens a circuit: reads only the outline of its key.
pub fn open(
    files: Files,
    origin: Option<(PathBuf, Manifest)>,
    settings: Settings,
) -> Result<Opened, Fault> {
    let zkey = keys::open_zkey(&files.zkey)?;
    match zkey.curve() {
        CurveId::Bn254 => open_as::<Bn254>(zkey, files, origin, settings),
        CurveId::Bls12_381 => open_as::<Bls12_381>(zkey, files, origin, settings),
    }
}

fn open_as<C: Curve>(
    zkey: ZkeyFile<File>,
    files: Files,
    origin: Option<(PathBuf, Manifest)>,
    settings: Settings,
) -> Result<Opened, Fault>
where
    Cpu: Device<C>,
{
    let manifest = origin.as_ref().map(|(_, manifest)| manifest);
    let digest = manifest.and_then(|manifest| manifest.files.get("zkey"));
    let digest = digest.and_then(|file| blake3::Hash::from_hex(&file.blake3).ok());
    let outline = CachedOutline::read(zkey, &files.zkey, &settings.keys, digest)?;
    let (header, standing) = (outline.contents.header, outline.contents.verifying_key.standing());
    let claims = Claims::of(&files, &header, manifest);
    let key = OnceLock::new();
    let facts = Arc::new(Facts { curve: C::ID, header, claims, standing, key });
    let circuit = Arc::new(CircomCircuit {
        files,
        origin,
        settings,
        claims,
        outline,
        generator: OnceLock::new(),
        known_answer: OnceLock::new(),
        facts: facts.clone(),
    });
    Ok(Opened { circuit, facts })
}

struct CircomCircuit<C: Curve>
where
    Cpu: Device<C>,
{
    files: Files,
    /// Its directory and manifest, if it is from a catalog.
    origin: Option<(PathBuf, Manifest)>,
    settings: Settings,
    claims: Claims,
    outline: CachedOutline<C>,
    generator: OnceLock<Result<WitnessCalculator, Fault>>,
    /// A small key and a witness, for the self-test of a device.
    known_answer: OnceLock<Result<KnownAnswer<C>, Fault>>,
    facts: Arc<Facts>,
}

/// The key of a small circuit and a witness for it.
type KnownAnswer<C> = (ProvingKey<C, Cpu>, Witness<C>);

/// A parsed input.
enum Parsed<C> {
    Signals(Inputs),
    Native,
    Witness(Witness<C>),
}

/// The output of the proving stage, for the check.
struct Proven<C: Curve> {
    witness: Witness<C>,
    proof: Proof<C>,
}

impl<C: Curve> CircomCircuit<C>
where
    Cpu: Device<C>,
{
    fn generator(&self) -> Result<&WitnessCalculator, Fault> {
        let made = self.generator.get_or_init(|| {
            let wasm = self.files.wasm.as_deref().ok_or_else(|| no_generator(&self.files.zkey))?;
            let Settings { modules, limits, keys, .. } = &self.settings;
            let expected = |digest: &[u8; 32]| self.is_unchanged("wasm", digest);
            witness::generator(wasm, modules.as_ref(), limits, &*keys.warn, expected)
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Checks that a file of a catalog is the one that was added.
    fn is_unchanged(&self, name: &str, digest: &[u8; 32]) -> Result<(), Fault> {
        let Some((directory, manifest)) = &self.origin else { return Ok(()) };
        let checked = manifest.check_digest(directory, name, digest);
        checked.map_err(|error| Fault::new(FaultKind::BadKey, error))
    }

    fn witness(&self, call: &Call) -> Result<Witness<C>, TaskError> {
        let inputs = match (call.input::<Parsed<C>>()?, &self.files.native) {
            (Parsed::Signals(inputs), _) => inputs,
            (Parsed::Native, Some(native)) => {
                let bad = |what| Fault::at(FaultKind::BadInput, &self.files.input, what);
                let values = native.witness(call.raw.bytes()).map_err(bad)?;
                return Ok(Witness::new(values).map_err(Fault::from)?);
            }
            _ => return Err(TaskError::internal("a computed witness has no generator stage")),
        };
        let generator = self.generator()?;
        let wasm = self.files.wasm.as_deref().unwrap_or(Path::new(""));
        let (input, sym) = (&self.files.input, self.files.sym.as_deref());
        Ok(witness::compute(generator, (wasm, input), inputs, sym)?)
    }

    fn prove(&self, call: &Call) -> Result<Done, TaskError> {
        let witness = match (&call.from, call.input::<Parsed<C>>()?) {
            (Some(_), _) => call.from::<Witness<C>>()?.clone(),
            (None, Parsed::Witness(witness)) => witness.clone(),
            (None, _) => {
                return Err(TaskError::internal("the proving stage has no witness"));
            }
        };
        let key = call.key::<ProvingKey<C, Cpu>>()?;
        let (values, fault) = (witness.clone(), |error| TaskError::from(Fault::from(error)));
        let proven = call.lane.install(|| key.prove_unverified(values))?;
        let Unverified { proof, stages } = proven.map_err(fault)?;
        // The check is a separate stage of the engine with its own time.
        let marks =
            stages.named().into_iter().filter(|(name, _)| !["prove", "check"].contains(name));
        Ok(Done { marks: marks.collect(), ..Done::new(Proven { witness, proof }) })
    }

    /// Handles a proof that does not verify: the device or the witness is wrong. The constraints decide; without
    /// them, a second invalid proof shows that the witness is wrong.
    fn refuse(&self, call: &Call, witness: &Witness<C>) -> TaskError {
        let unsatisfied = match &self.files.r1cs {
            Some(r1cs) if call.again == 0 => match witness::is_satisfied(witness, r1cs) {
                Ok(true) => None,
                _ => Some(witness::name_the_constraint(witness, r1cs, self.files.sym.as_deref())),
            },
            Some(r1cs) => {
                Some(witness::name_the_constraint(witness, r1cs, self.files.sym.as_deref()))
            }
            None if call.again == 0 => None,
            None => Some(ProveError::Unsatisfied.into()),
        };
        match unsatisfied {
            Some(fault) => fault.into(),
            None => {
                TaskError::new(Failure::BadResult, "invalid-proof", "the proof does not verify")
            }
        }
    }
}

fn no_generator(zkey: &Path) -> Fault {
    let message = "this circuit has no witness generator: give it a computed witness (.wtns; over HTTP with kind=wtns)";
    Fault::at(FaultKind::BadInput, zkey, message)
}

impl<C: Curve> Circuit for CircomCircuit<C>
where
    Cpu: Device<C>,
{
    fn about(&self) -> About {
        About {
            proof_system: "groth16".into(),
            curve: C::ID.to_string(),
            verifying_key: self.outline.contents.verifying_key_digest,
        }
    }

    fn keys(&self) -> Vec<KeyShape> {
        let host = self.claims.key + self.claims.tables(self.settings.tables);
        vec![KeyShape { name: "proving key".into(), host, device: 0 }]
    }

    fn shapes(&self) -> Vec<Shape> {
        let Claims { witness, prove, check, .. } = &self.claims;
        let claim = |entry: &athanor_engine::StageEntry| Claim {
            peak: Memory::host(entry.peak),
            keeps: Memory::host(entry.keeps),
            device: 0,
        };
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let compute = Step {
            stage: "witness".into(),
            lane: WorkerNeed::Cpu { least: 1, most: 1 },
            claim: claim(witness),
            key: None,
            estimate: seconds(witness.seconds),
            // The sandbox enforces its own limit; this one covers the rest of the stage.
            limit: Some(self.settings.limits.time + Duration::from_secs(60)),
        };
        let mut prove_claim = claim(prove);
        if self.settings.tables > 0 {
            prove_claim.peak = Memory::host(prove.peak + Claims::sorting(&self.facts.header));
        }
        let prove_step = Step {
            stage: "prove".into(),
            lane: WorkerNeed::Device { class: CPU },
            claim: prove_claim,
            key: Some(0),
            estimate: seconds(prove.seconds),
            limit: None,
        };
        let shape = |steps: Vec<Step>| Shape {
            steps,
            check_peak: Memory::host(check.peak),
            check_estimate: seconds(check.seconds),
        };
        vec![shape(vec![compute, prove_step.clone()]), shape(vec![prove_step])]
    }

    fn plan(&self, input: &Input) -> Result<Plan, InputError> {
        let (parsed, shape) = match &*input.kind {
            JSON if self.files.wasm.is_none() => return Err(no_generator(&self.files.zkey).into()),
            JSON => {
                let inputs = Inputs::parse(input.bytes(), C::ID, &self.settings.limits);
                let bad = |error| Fault::at(FaultKind::BadInput, &self.files.input, error);
                (Parsed::<C>::Signals(inputs.map_err(bad)?), 0)
            }
            WTNS => {
                let bytes = Cursor::new(input.bytes());
                let witness = witness::read::<C>(&self.files.input, bytes)?;
                let (expected, got) = (self.facts.header.wires as usize, witness.scalars().len());
                if expected != got {
                    return Err(Fault::from(ProveError::WrongWitness { expected, got }).into());
                }
                (Parsed::Witness(witness), 1)
            }
            NATIVE if self.files.native.is_some() => (Parsed::Native, 0),
            other => {
                let message = format_args!(
                    "the input kind {other:?} is not supported: use {JSON:?} or {WTNS:?}"
                );
                return Err(Fault::new(FaultKind::BadInput, message).into());
            }
        };
        Ok(Plan {
            input: Arc::new(parsed),
            // The input's bytes and the parsed input.
            holds: Memory::host(3 * input.bytes().len() as u64 + 1024),
            partitions: vec![PlannedPartition { shape, after: Vec::new() }],
        })
    }

    fn load_key(&self, _: usize, lane: &Lane, _: &Stop) -> Result<Payload, TaskError> {
        let began = Instant::now();
        let loaded = lane.install(|| {
            let expected = |digest: &[u8; 32]| self.is_unchanged("zkey", digest);
            let Settings { keys, tables, .. } = &self.settings;
            keys::load::<C>(&self.files.zkey, keys, *tables, expected)
        })??;
        self.outline.store(&self.settings.keys, loaded.key.verifying_key());
        let (bytes, constraints) = (loaded.key.bytes(), loaded.key.constraints());
        let took = began.elapsed();
        let _ = self.facts.key.set(KeyFacts { source: loaded.source, bytes, constraints, took });
        Ok(Arc::new(loaded.key))
    }

    fn run(&self, call: &Call) -> Result<Done, TaskError> {
        match (call.shape, call.step) {
            (0, 0) => Ok(Done::new(self.witness(call)?)),
            _ => self.prove(call),
        }
    }

    fn check(&self, call: &Call) -> Result<Vec<u8>, TaskError> {
        let Proven { witness, proof } = call.from::<Proven<C>>()?;
        let public = witness.public(self.outline.contents.verifier.public_signals());
        match self.outline.contents.verifier.verify(public, proof) {
            Ok(()) => Ok(ProofBundle::new::<C>(proof, public).to_bytes()),
            Err(VerifyError::Invalid | VerifyError::BadProofPoint { .. }) => {
                Err(self.refuse(call, witness))
            }
            Err(error) => Err(Fault::new(FaultKind::Internal, error).into()),
        }
    }

    fn verify(&self, result: &[u8]) -> Result<(), TaskError> {
        result::verify(&self.outline.contents.verifier, result)
    }

    fn verify_many(&self, results: &[&[u8]]) -> Vec<Result<(), TaskError>> {
        result::verify_many(&self.outline.contents.verifier, results)
    }

    fn self_test(&self, lane: &Lane) -> Result<(), TaskError> {
        lane.install(|| {
            let made = self.known_answer.get_or_init(known_answer::<C>);
            let (key, witness) = made.as_ref().map_err(Clone::clone)?;
            key.prove(witness.clone()).map_err(Fault::from)
        })?
        .map(|_| ())
        .map_err(|fault| TaskError::new(Failure::Device, fault.kind.name(), fault.message))
    }

    fn warm_up(&self) -> Result<Option<Input>, OpenError> {
        let Some((directory, manifest)) = &self.origin else { return Ok(None) };
        for (name, kind) in [("input", JSON), ("witness", WTNS)] {
            if manifest.files.contains_key(name) {
                let bad = |error: &dyn std::fmt::Display| Fault::new(FaultKind::BadInput, error);
                let path = manifest.file(directory, name).map_err(|error| bad(&error))?;
                let limit = self.settings.limits.memory_bytes;
                let bytes = witness::read_bytes(&path, limit, FaultKind::BadInput)?;
                let digest = blake3::hash(&bytes);
                manifest
                    .check_digest(directory, name, digest.as_bytes())
                    .map_err(|error| bad(&error))?;
                return Ok(Some(Input::new(kind, bytes)));
            }
        }
        Ok(None)
    }
}

fn known_answer<C: Curve>() -> Result<KnownAnswer<C>, Fault>
where
    Cpu: Device<C>,
{
    let internal = |error: &dyn std::fmt::Display| Fault::new(FaultKind::Internal, error);
    let example = synthetic::dense::<C>(60, 1);
    let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset);
    let native = raw.map_err(|error| internal(&error))?.to_native(&Cpu);
    let native = native.map_err(|error| ProveError::from(DeviceError::from(error)))?;
    Ok((ProvingKey::load(Cpu, native)?, Witness::new(example.witness)?))
}
