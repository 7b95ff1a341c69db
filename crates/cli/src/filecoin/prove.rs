//! `athanor prove` with a PoRep circuit of a catalog.

use std::{path::PathBuf, sync::Arc};

use athanor_engine::{Catalog, Input, Submission};
use athanor_filecoin::{BACKEND, CheckedBy, JSON, MinerId, SealProof, input};
use serde_json::json;

use super::backend;
use crate::{
    args,
    failure::{Failure, Kind},
    local,
    output::{self, Progress, answer, peak_memory},
};

/// A sector to prove.
pub(crate) struct Prove {
    catalog: Catalog,
    name: String,
    input: PathBuf,
    miner: Option<MinerId>,
    proof: PathBuf,
    public: PathBuf,
    threads: u32,
    json: bool,
}

impl Prove {
    /// The task, if the command line names a circuit of this backend.
    pub(crate) fn of(args: &args::Prove) -> Result<Option<Self>, Failure> {
        let Some(name) = &args.circuit else { return Ok(None) };
        let catalog = Catalog::new(&args.dir);
        if catalog.manifest(name)?.backend != BACKEND {
            return Ok(None);
        }
        let input = args.input.clone().ok_or_else(|| {
            Failure::new(Kind::BadInput, "a PoRep circuit needs --input with a C1 output")
        })?;
        Ok(Some(Self {
            catalog,
            name: name.clone(),
            input,
            miner: args.miner,
            proof: args.proof.clone(),
            public: args.public.clone(),
            threads: local::threads(args.common.threads),
            json: args.common.json,
        }))
    }

    /// Proves, verifies with the stock Filecoin stack, and writes proof and statement.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let progress = Progress::new(self.json);
        let bytes = athanor_circom::circuit::witness::read_bytes(
            &self.input,
            input::LARGEST,
            athanor_circom::FaultKind::BadInput,
        )?;
        let bytes = match self.miner {
            Some(miner) => input::with_miner(&bytes, miner)?,
            None => bytes,
        };
        let engine = local::engine(self.threads, None)?;
        engine.open(&self.catalog, &self.name, &[backend()?])?;
        let input = Input::new(JSON, bytes);
        let submission = Submission { share: false, ..Submission::new(&self.name, input) };
        let finished = engine.submit(submission)?.wait()?;
        for (name, time) in &finished.marks {
            progress.stage(name, *time, "");
        }
        let proven = SealProof::from_bytes(&finished.bytes)?;
        let internal = |error| Failure::new(Kind::Internal, error);
        let statement = serde_json::to_vec_pretty(&proven.statement).map_err(internal)?;
        // Programs that submit the proof need its bytes; other uses need JSON.
        let is_json = self.proof.extension().is_some_and(|extension| extension == "json");
        let proof: Arc<[u8]> =
            if is_json { finished.bytes.clone() } else { proven.proof.clone().into() };
        let mut files = output::Files::default();
        files.add(&self.proof, &proof)?;
        files.add(&self.public, &statement)?;
        files.commit()?;
        let by = match proven.checked {
            Some(CheckedBy::VerifySeal) => "verify_seal",
            _ => "the stock compound verifier, for the replica that C1 names (no miner was given)",
        };
        progress.say(&format!("{} bytes, checked by {by}", proven.proof.len()));
        if self.json {
            let answered = json!({
                "command": "prove",
                "verified": true,
                "checked": proven.checked,
                "partitions": proven.proof.len() / 192,
                "threads": self.threads,
                "seconds": progress.elapsed().as_secs_f64(),
                "peak_memory_bytes": peak_memory(),
                "proof": self.proof,
                "public": self.public,
            });
            answer(&answered.to_string());
        }
        Ok(())
    }
}
