//! `athanor circuits`: adds circuits to a catalog and lists them.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use athanor_circom::{
    BACKEND, FaultKind,
    circuit::{self, Facts, JSON, Opened, WTNS, keys::open, witness::read_bytes},
};
use athanor_engine::{Catalog, FileEntry, Finished, Input, Manifest, StageEntry, Submission};
use serde_json::json;

use crate::{
    args::{CircuitsAdd, CircuitsList},
    client,
    failure::{Failure, Kind},
    keys, local,
    measure::{StageUsage, Watcher},
    output::{Progress, answer},
    staged::Staged,
};

/// A circuit to add: its files by their role in the manifest.
pub(crate) struct NewCircuit<'a> {
    pub(crate) name: &'a str,
    pub(crate) files: Vec<(&'static str, &'a Path)>,
    pub(crate) threads: u32,
}

/// The result of adding a circuit.
pub(crate) struct Added {
    pub(crate) manifest: Manifest,
    pub(crate) facts: Arc<Facts>,
    /// The proof that was measured, if the circuit has an input.
    pub(crate) proof: Option<Arc<Finished>>,
}

/// Names of inputs in manifests, with the kind of each.
const INPUTS: [(&str, &str); 2] = [("input", JSON), ("witness", WTNS)];

/// Largest input of either kind.
const MAX_INPUT: usize = 1 << 30;

/// `athanor circuits add`.
pub(crate) fn add(args: &CircuitsAdd) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    let mut files: Vec<(&'static str, &Path)> = vec![("zkey", &args.zkey)];
    let given = [("wasm", &args.wasm), ("r1cs", &args.r1cs), ("sym", &args.sym)];
    files.extend(given.iter().filter_map(|(name, path)| Some((*name, path.as_deref()?))));
    if let Some(input) = &args.input {
        files.push((kind_of_input(input)?, input));
    }
    let threads = local::threads(args.common.threads);
    let added = NewCircuit { name: &args.name, files, threads }.add(&args.dir)?;
    keys::warn_of_standing(added.facts.standing);
    if let Some(proof) = &added.proof {
        proof.marks.iter().for_each(|(name, time)| progress.stage(name, *time, ""));
    }
    let place = args.dir.join(&args.name);
    progress.say(&format!("added {}", place.display()));
    if args.common.json {
        let manifest = serde_json::to_value(&added.manifest).unwrap_or_default();
        let answered = json!({
            "command": "circuits add",
            "verified": added.proof.is_some(),
            "directory": place,
            "circuit": manifest,
        });
        answer(&answered.to_string());
    }
    Ok(())
}

/// `athanor circuits list`.
pub(crate) fn list(args: &CircuitsList) -> Result<(), Failure> {
    let Some(directory) = &args.dir else { return client::circuits::list(&args.remote) };
    let catalog = Catalog::new(directory);
    let mut rows = Vec::new();
    for name in catalog.names()? {
        rows.push(catalog.manifest(&name)?);
    }
    if args.remote.json {
        let circuits = serde_json::to_value(&rows).unwrap_or_default();
        answer(&json!({ "command": "circuits list", "circuits": circuits }).to_string());
        return Ok(());
    }
    for manifest in rows {
        let key: u64 = manifest.keys.values().sum();
        let peak = manifest.stages.values().map(|stage| stage.peak).max().unwrap_or(0);
        let seconds: f64 = manifest.stages.values().map(|stage| stage.seconds).sum();
        answer(&format!(
            "{:<24} {} {}  key {} MiB, work {} MiB, {seconds:.3} s",
            manifest.name,
            manifest.proof_system,
            manifest.curve,
            key.div_ceil(1 << 20),
            peak.div_ceil(1 << 20),
        ));
    }
    Ok(())
}

/// Whether an input holds signals or a computed witness: a `.wtns` file begins with `wtns`.
fn kind_of_input(path: &Path) -> Result<&'static str, Failure> {
    let mut magic = [0; 4];
    let read = io::Read::read(&mut open(path)?, &mut magic);
    let read = read.map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
    Ok(if magic[..read] == *b"wtns" { "witness" } else { "input" })
}

impl NewCircuit<'_> {
    /// Copies the files, proves the input if there is one, and writes the manifest. On failure nothing
    /// is left in the catalog.
    pub(crate) fn add(&self, catalog: &Path) -> Result<Added, Failure> {
        let staged = Staged::new(catalog, self.name)?;
        let files = self.copy(&staged)?;
        let mut manifest = Manifest {
            name: self.name.to_owned(),
            backend: BACKEND.to_owned(),
            proof_system: "groth16".to_owned(),
            curve: String::new(),
            partitions: 1,
            options: Default::default(),
            keys: BTreeMap::new(),
            files,
            stages: BTreeMap::new(),
        };
        let paths = athanor_circom::files(staged.path(), &manifest)?;
        let Opened { circuit, facts } = circuit::open(paths, None, local::settings()?)?;
        manifest.curve = facts.curve.to_string();
        let proof = match self.input(staged.path(), &manifest)? {
            Some(input) => {
                let watcher = Watcher::default();
                let engine = local::engine(self.threads, Some(watcher.observer()))?;
                engine.load(self.name, circuit)?;
                // The first proof compiles the generator and fills the caches; the second is measured as
                // the cost of a job.
                engine.submit(Submission::new(self.name, input.clone()))?.wait()?;
                let finished = engine.submit(Submission::new(self.name, input))?.wait()?;
                let labels = engine.standing().map(|standing| standing.labels).unwrap_or_default();
                manifest.stages = claims(&watcher.seen(&labels), &facts);
                Some(finished)
            }
            None => None,
        };
        if let Some(key) = facts.key.get() {
            manifest.keys.insert("proving".into(), key.bytes as u64);
        }
        staged.finish(&manifest)?;
        Ok(Added { manifest, facts, proof })
    }

    fn copy(&self, staged: &Staged) -> Result<BTreeMap<String, FileEntry>, Failure> {
        let mut entries = BTreeMap::new();
        for (name, source) in &self.files {
            let extension = source.extension().map(|e| e.to_string_lossy().into_owned());
            let path = PathBuf::from(name).with_extension(extension.unwrap_or_default());
            drop(open(source)?);
            entries.insert((*name).to_owned(), staged.bring(source, &path, false)?);
        }
        Ok(entries)
    }

    fn input(&self, directory: &Path, manifest: &Manifest) -> Result<Option<Input>, Failure> {
        for (name, kind) in INPUTS {
            if manifest.files.contains_key(name) {
                let path = manifest.file(directory, name)?;
                let bytes = read_bytes(&path, MAX_INPUT, FaultKind::BadInput)?;
                return Ok(Some(Input::new(kind, bytes)));
            }
        }
        Ok(None)
    }
}

/// Resource claims from the measurement plus 10 %, since runs differ. The memory that a stage keeps
/// follows from the circuit's size. A stage in this process's memory claims at least the estimate:
/// memory that an earlier stage freed is reused by the allocator and does not show in the measurement.
fn claims(seen: &BTreeMap<String, StageUsage>, facts: &Facts) -> BTreeMap<String, StageEntry> {
    let witness = 32 * u64::from(facts.header.wires) + 4096;
    let entry = |(name, seen): (&String, &StageUsage)| {
        let least = match name.as_str() {
            "witness" => StageEntry { peak: witness, keeps: witness, seconds: 0.0 },
            "prove" => facts.claims.prove,
            _ => facts.claims.check,
        };
        let measured = seen.peak?;
        let peak = (measured + measured / 10).max(least.peak);
        Some((name.clone(), StageEntry { peak, keeps: least.keeps, seconds: seen.seconds }))
    };
    seen.iter().filter_map(entry).collect()
}
