//! `athanor filecoin circuit`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use athanor_engine::{FileEntry, Manifest, NAME_RULE, is_name};
use athanor_filecoin::{BACKEND, MinerId, Porep, input, names, params};
use athanor_groth16::digest_of;
use clap::{Args, ValueHint};
use serde_json::json;

use super::{SectorArgs, settings};
use crate::{
    args::Common,
    failure::{Failure, Kind},
    output::{Progress, answer, timed},
};

/// `athanor filecoin circuit`.
#[derive(Debug, Args)]
pub struct Circuit {
    /// The circuit's name, such as porep-32g
    name: String,
    /// Which sectors.
    #[command(flatten)]
    sector: SectorArgs,
    /// The parameter file, or the directory where the stock stack keeps it
    #[arg(long, value_name = "PARAMS", value_hint = ValueHint::AnyPath)]
    params: PathBuf,
    /// Whose sectors they are, for inputs that do not say so
    #[arg(long, value_name = "f01000")]
    miner: Option<MinerId>,
    /// An output of C1 to prove at every start, before the circuit counts as ready
    #[arg(long, value_name = "C1.json", value_hint = ValueHint::FilePath)]
    input: Option<PathBuf>,
    /// The catalog's directory; made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Circuit {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let progress = Progress::new(self.common.json);
        if !is_name(&self.name) {
            let message = format_args!("{:?} is no name for a circuit: {NAME_RULE}", self.name);
            return Err(Failure::new(Kind::BadCircuit, message));
        }
        let place = self.dir.join(&self.name);
        if place.exists() {
            let message = "is there already: remove it first, or choose another name";
            return Err(Failure::at(Kind::BadCircuit, &place, message));
        }
        let porep = Porep::new(self.sector.sector()?);
        let source = match self.params.is_dir() {
            true => self.params.join(params::file_name(&porep)?),
            false => self.params.clone(),
        };
        let unwritable = |error| Failure::at(Kind::Unwritable, &self.dir, error);
        fs::create_dir_all(&self.dir).map_err(unwritable)?;
        let staged = tempfile::Builder::new()
            .prefix(".adding-")
            .tempdir_in(&self.dir)
            .map_err(unwritable)?;
        let mut files = BTreeMap::new();
        let (entry, time) = timed(|| bring(&source, staged.path(), "params", true));
        let entry = entry?;
        progress.stage("digest", time, &format!("{} bytes", entry.bytes));
        let digest = blake3::Hash::from_hex(&entry.blake3);
        let digest = digest.map_err(|error| Failure::new(Kind::Internal, error))?;
        files.insert(names::PARAMS.to_owned(), entry);
        let standing = params::Standing::path_for(&source);
        if standing.exists() {
            // The name under which the loader looks for it, beside the parameters.
            let entry = bring(&standing, staged.path(), "params.json", false)?;
            files.insert(names::STANDING.to_owned(), entry);
        }
        if let Some(path) = &self.input {
            let bytes = fs::read(path).map_err(|e| Failure::at(Kind::Unreadable, path, e))?;
            input::parse(&porep, &bytes, self.miner)?;
            let entry = bring(path, staged.path(), "input.json", false)?;
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
        manifest.write(staged.path())?;
        let staged = staged.keep();
        fs::rename(&staged, &place).map_err(|error| {
            let _ = fs::remove_dir_all(&staged);
            Failure::at(Kind::Unwritable, &place, error)
        })?;
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

/// Brings a file into the circuit's directory. Parameters have gigabytes, so they are linked where
/// the file system allows it.
fn bring(source: &Path, directory: &Path, name: &str, link: bool) -> Result<FileEntry, Failure> {
    let unreadable = |error| Failure::at(Kind::Unreadable, source, error);
    let target = directory.join(name);
    let source = source.canonicalize().map_err(unreadable)?;
    if !(link && fs::hard_link(&source, &target).is_ok()) {
        fs::copy(&source, &target).map_err(unreadable)?;
    }
    let mut file = File::open(&target).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let digest = digest_of(&mut file).map_err(unreadable)?;
    let blake3 = blake3::Hash::from_bytes(digest).to_hex().to_string();
    Ok(FileEntry { path: name.into(), blake3, bytes })
}
