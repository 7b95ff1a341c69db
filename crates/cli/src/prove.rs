//! `athanor prove`.

use std::{path::PathBuf, time::Duration};

use athanor_circom::{
    BACKEND, FaultKind, Limits,
    circuit::{self, Files, JSON, Opened, ProofBundle, WTNS, witness::read_bytes},
};
use athanor_engine::{Catalog, CatalogError, Input, Submission};
use serde_json::json;

use crate::{
    args,
    failure::{Failure, Kind},
    keys, local,
    output::{self, Progress, answer, peak_memory, timed},
};

/// What to prove, after the different forms of the command line are unified.
struct Task {
    circuit: Source,
    witness: WitnessSource,
    proof: PathBuf,
    public: PathBuf,
    threads: u32,
    json: bool,
}

enum Source {
    Files(Files),
    Catalog { directory: PathBuf, name: String },
}

enum WitnessSource {
    Ready(PathBuf),
    Computed { input: PathBuf },
}

/// Name of the circuit in an engine that has only this circuit.
const ONLY: &str = "circuit";

/// Proves, verifies and writes the proof.
pub(crate) fn run(args: args::Prove) -> Result<(), Failure> {
    #[cfg(feature = "filecoin")]
    if let Some(sector) = crate::filecoin::Prove::of(&args)? {
        return sector.run();
    }
    Task::new(args).run()
}

impl Task {
    /// The task from any form of the command line; clap's rules exclude other combinations.
    fn new(args: args::Prove) -> Self {
        let (threads, json) = (local::threads(args.common.threads), args.common.json);
        let files = Files { r1cs: args.r1cs, sym: args.sym, ..Files::default() };
        if let Ok([zkey, wtns, proof, public]) = <[PathBuf; 4]>::try_from(args.files) {
            let circuit = Source::Files(Files { zkey, input: wtns.clone(), ..files });
            let witness = WitnessSource::Ready(wtns);
            return Self { circuit, witness, proof, public, threads, json };
        }
        let witness = match (args.wtns, args.input) {
            (Some(wtns), _) => WitnessSource::Ready(wtns),
            (None, input) => WitnessSource::Computed { input: input.unwrap_or_default() },
        };
        let input = witness.path().clone();
        let circuit = match args.circuit {
            Some(name) => Source::Catalog { directory: args.dir, name },
            None => {
                let zkey = args.zkey.unwrap_or_default();
                Source::Files(Files { zkey, wasm: args.wasm, input, ..files })
            }
        };
        let (proof, public) = (args.proof, args.public);
        Self { circuit, witness, proof, public, threads, json }
    }

    fn open(&self) -> Result<Opened, Failure> {
        let settings = local::settings()?;
        match &self.circuit {
            Source::Files(files) => Ok(circuit::open(files.clone(), None, settings)?),
            Source::Catalog { directory, name } => {
                let catalog = Catalog::new(directory);
                let manifest = catalog.manifest(name)?;
                if manifest.backend != BACKEND {
                    let (circuit, backend) = (name.clone(), manifest.backend);
                    return Err(CatalogError::NoBackend { circuit, backend }.into());
                }
                let place = catalog.place(name);
                let input = self.witness.path().clone();
                let files = Files { input, ..athanor_circom::files(&place, &manifest)? };
                Ok(circuit::open(files, Some((place, manifest)), settings)?)
            }
        }
    }

    fn run(&self) -> Result<(), Failure> {
        let progress = Progress::new(self.json);
        let Opened { circuit, facts } = self.open()?;
        keys::warn_of_standing(facts.standing);
        let engine = local::engine(self.threads, None)?;
        engine.load(ONLY, circuit)?;
        let (handle, read) = timed(|| {
            let submission =
                Submission { share: false, ..Submission::new(ONLY, self.witness.read()?) };
            Ok::<_, Failure>(engine.submit(submission)?)
        });
        let finished = handle?.wait()?;
        let key = facts.key.get().copied();
        let key = key.ok_or_else(|| Failure::new(Kind::Internal, "a proof without a key"))?;
        let mut stages: Vec<(String, Duration)> = vec![("key".into(), key.took)];
        if matches!(self.witness, WitnessSource::Ready(_)) {
            stages.push(("witness".into(), read));
        }
        stages.extend(finished.marks.iter().cloned());
        for (name, time) in &stages {
            let remark = match name.as_str() {
                "key" => key.source.name().to_owned(),
                "witness" => format!("{} values", facts.header.wires),
                "prove" => format!("{} constraints", key.constraints),
                "check" => "the proof is valid".to_owned(),
                _ => continue,
            };
            progress.stage(name, *time, &remark);
        }

        let bundle = ProofBundle::from_bytes(&finished.bytes);
        let bundle = bundle.map_err(|error| Failure::new(Kind::Internal, error))?;
        let mut files = output::Files::default();
        files.add(&self.proof, bundle.proof().as_bytes())?;
        files.add(&self.public, bundle.public().as_bytes())?;
        files.commit()?;
        progress.say(&format!("wrote {} and {}", self.proof.display(), self.public.display()));
        if self.json {
            let mut seconds = serde_json::Map::new();
            for (name, time) in stages {
                seconds.insert(name, time.as_secs_f64().into());
            }
            seconds.insert("total".into(), progress.elapsed().as_secs_f64().into());
            answer(
                &json!({
                    "command": "prove",
                    "verified": true,
                    "curve": facts.curve.to_string(),
                    "constraints": key.constraints,
                    "wires": facts.header.wires,
                    "public_signals": facts.header.public,
                    "threads": self.threads,
                    "stages": seconds,
                    "peak_memory_bytes": peak_memory(),
                    "key": {
                        "source": key.source.name(),
                        "bytes": key.bytes,
                        "standing": keys::standing_name(facts.standing),
                    },
                    "proof": self.proof,
                    "public": self.public,
                })
                .to_string(),
            );
        }
        Ok(())
    }
}

impl WitnessSource {
    fn path(&self) -> &PathBuf {
        match self {
            WitnessSource::Ready(path) | WitnessSource::Computed { input: path } => path,
        }
    }

    fn read(&self) -> Result<Input, Failure> {
        Ok(match self {
            WitnessSource::Ready(path) => {
                Input::new(WTNS, read_bytes(path, MAX_WITNESS, FaultKind::BadWitnessFile)?)
            }
            WitnessSource::Computed { input } => {
                let limit = Limits::default().input_bytes;
                Input::new(JSON, read_bytes(input, limit, FaultKind::BadInput)?)
            }
        })
    }
}

/// Largest witness file: 2^28 values, the size of the curves' largest domain.
const MAX_WITNESS: usize = (32 << 28) + 1024;
