//! `athanor filecoin circuit`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use athanor_engine::Manifest;
use athanor_filecoin::{BACKEND, MinerId, Porep, input, names, params};
use clap::{Args, ValueHint};
use serde_json::json;

use super::{SectorArgs, settings};
use crate::{
    args::Common,
    failure::{Failure, Kind},
    output::{Progress, answer, timed},
    staged::Staged,
};

/// `athanor filecoin circuit`.
#[derive(Debug, Args)]
pub struct Circuit {
    /// Name of the circuit, such as porep-32g
    name: String,
    /// Size of the sectors.
    #[command(flatten)]
    sector: SectorArgs,
    /// Parameter file, or the parameter directory of the stock Filecoin stack
    #[arg(long, value_name = "PARAMS", value_hint = ValueHint::AnyPath)]
    params: PathBuf,
    /// Default miner, for inputs that do not name one
    #[arg(long, value_name = "f01000")]
    miner: Option<MinerId>,
    /// C1 output to prove at every start, before the circuit is ready
    #[arg(long, value_name = "C1.json", value_hint = ValueHint::FilePath)]
    input: Option<PathBuf>,
    /// Directory of the catalog; created if it does not exist
    #[arg(long, value_name = "DIR", default_value = "circuits", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Circuit {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let progress = Progress::new(self.common.json);
        let porep = Porep::new(self.sector.sector()?);
        let source = match self.params.is_dir() {
            true => self.params.join(params::file_name(&porep)?),
            false => self.params.clone(),
        };
        let staged = Staged::new(&self.dir, &self.name)?;
        let bring = |source: &Path, name: &str, link| staged.bring(source, name.as_ref(), link);
        let mut files = BTreeMap::new();
        // Parameter files are gigabytes long, so they are linked instead of copied.
        let (entry, time) = timed(|| bring(&source, "params", true));
        let entry = entry?;
        progress.stage("digest", time, &format!("{} bytes", entry.bytes));
        let digest = blake3::Hash::from_hex(&entry.blake3);
        let digest = digest.map_err(|error| Failure::new(Kind::Internal, error))?;
        files.insert(names::PARAMS.to_owned(), entry);
        let standing = params::Standing::path_for(&source);
        if standing.exists() {
            // The loader looks for this name beside the parameters.
            let entry = bring(&standing, "params.json", false)?;
            files.insert(names::STANDING.to_owned(), entry);
        }
        if let Some(path) = &self.input {
            let bytes = fs::read(path).map_err(|e| Failure::at(Kind::Unreadable, path, e))?;
            input::parse(&porep, &bytes, self.miner)?;
            let entry = bring(path, "input.json", false)?;
            files.insert(names::INPUT.to_owned(), entry);
        }
        let (settings, pool) = (settings()?, self.common.pool()?);
        let params = staged.path().join("params");
        let (loaded, time) = timed(|| {
            pool.install(|| params::load(&porep, &params, Some(digest.as_bytes()), &settings))
        });
        let loaded = loaded?;
        let (constraints, key) = (loaded.key.constraints(), loaded.key.bytes() as u64);
        progress.stage("key", time, &format!("{constraints} constraints, {key} bytes"));
        drop(loaded);
        let miner = self.miner.map(|miner| (names::MINER.to_owned(), miner.to_string()));
        let sector = (names::SECTOR.to_owned(), porep.sector().size_name().to_owned());
        let manifest = Manifest {
            name: self.name.clone(),
            backend: BACKEND.to_owned(),
            proof_system: "groth16".to_owned(),
            curve: "bls12-381".to_owned(),
            partitions: porep.sector().partitions.into(),
            keys: [("proving".to_owned(), key)].into(),
            options: [sector].into_iter().chain(miner).collect(),
            files,
            stages: BTreeMap::new(),
        };
        let place = staged.finish(&manifest)?;
        progress.say(&format!("added {}", place.display()));
        if self.common.json {
            let manifest = serde_json::to_value(&manifest).unwrap_or_default();
            let answered = json!({
                "command": "filecoin circuit",
                "directory": place,
                "circuit": manifest,
                "constraints": constraints,
            });
            answer(&answered.to_string());
        }
        Ok(())
    }
}
