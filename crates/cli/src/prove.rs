//! `athanor prove`.

use std::path::PathBuf;

use athanor_groth16::{ProveError, Proved, Witness, formats::json};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Device, cpu::Cpu};
use serde_json::json;

use crate::{
    args,
    failure::Failure,
    keys::{self, LoadedKey},
    output::{Files, Progress, answer, peak_memory, timed},
    witness,
};

/// What to prove with what, after the two forms of the command line became one.
struct Task {
    zkey: PathBuf,
    witness: WitnessSource,
    r1cs: Option<PathBuf>,
    sym: Option<PathBuf>,
    proof: PathBuf,
    public: PathBuf,
    json: bool,
}

enum WitnessSource {
    Ready(PathBuf),
    Computed { wasm: PathBuf, input: PathBuf },
}

/// Proves, verifies and writes the proof.
pub(crate) fn run(args: args::Prove) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    let task = Task::new(args);
    pool.install(|| match keys::curve_of(&task.zkey)? {
        CurveId::Bn254 => task.run::<Bn254>(),
        CurveId::Bls12_381 => task.run::<Bls12_381>(),
    })
}

impl Task {
    /// One task from either form; the command line's rules leave no third.
    fn new(args: args::Prove) -> Self {
        let (r1cs, sym, json) = (args.r1cs, args.sym, args.common.json);
        if let Ok([zkey, wtns, proof, public]) = <[PathBuf; 4]>::try_from(args.files) {
            let witness = WitnessSource::Ready(wtns);
            return Self { zkey, witness, r1cs, sym, proof, public, json };
        }
        let witness = match (args.wtns, args.wasm, args.input) {
            (Some(wtns), ..) => WitnessSource::Ready(wtns),
            (None, wasm, input) => WitnessSource::Computed {
                wasm: wasm.unwrap_or_default(),
                input: input.unwrap_or_default(),
            },
        };
        let (proof, public) = (args.proof, args.public);
        Self { zkey: args.zkey.unwrap_or_default(), witness, r1cs, sym, proof, public, json }
    }

    fn run<C: Curve>(&self) -> Result<(), Failure>
    where
        Cpu: Device<C>,
    {
        let progress = Progress::new(self.json);
        // The key and the witness have nothing to do with each other until the proof.
        let ((key, key_time), (witness, witness_time)) =
            rayon::join(|| timed(|| keys::load::<C>(&self.zkey)), || timed(|| self.witness::<C>()));
        let LoadedKey { key, source } = key?;
        let witness = witness?;
        keys::warn_of_standing(key.verifying_key());
        progress.stage("key", key_time, source.name());
        progress.stage("witness", witness_time, &format!("{} values", witness.scalars().len()));

        let public = witness.public(key.verifying_key().public_signals()).to_vec();
        let kept = self.r1cs.as_ref().map(|r1cs| (r1cs, witness.clone()));
        let proved = key.prove(witness).map_err(|error| match (error, kept) {
            (ProveError::Unsatisfied, Some((r1cs, witness))) => {
                witness::name_the_constraint(&witness, r1cs, self.sym.as_deref())
            }
            (error, _) => error.into(),
        });
        let Proved { proof, stages } = proved?;
        progress.stage("prove", stages.prove, &format!("{} constraints", key.constraints()));
        progress.stage("verify", stages.check, "the proof is valid");

        let mut files = Files::default();
        files.add(&self.proof, json::write_proof::<C>(&proof).as_bytes())?;
        files.add(&self.public, json::write_public::<C>(&public).as_bytes())?;
        files.commit()?;
        progress.say(&format!("wrote {} and {}", self.proof.display(), self.public.display()));
        if self.json {
            let mut seconds = serde_json::Map::new();
            seconds.insert("key".into(), key_time.as_secs_f64().into());
            seconds.insert("witness".into(), witness_time.as_secs_f64().into());
            for (name, time) in stages.named() {
                seconds.insert(name.into(), time.as_secs_f64().into());
            }
            seconds.insert("total".into(), progress.elapsed().as_secs_f64().into());
            answer(
                &json!({
                    "command": "prove",
                    "verified": true,
                    "curve": C::ID.to_string(),
                    "constraints": key.constraints(),
                    "wires": key.wires(),
                    "public_signals": public.len(),
                    "threads": rayon::current_num_threads(),
                    "stages": seconds,
                    "peak_memory_bytes": peak_memory(),
                    "key": {
                        "source": source.name(),
                        "bytes": key.bytes(),
                        "standing": keys::standing_name(key.verifying_key().standing()),
                    },
                    "proof": self.proof,
                    "public": self.public,
                })
                .to_string(),
            );
        }
        Ok(())
    }

    fn witness<C: Curve>(&self) -> Result<Witness<C>, Failure> {
        match &self.witness {
            WitnessSource::Ready(path) => witness::read(path),
            WitnessSource::Computed { wasm, input } => {
                witness::compute(wasm, input, self.sym.as_deref())
            }
        }
    }
}
