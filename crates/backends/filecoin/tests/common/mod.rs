//! Shared by the tests of all settings: parameters, a real sector, and an engine.
//!
//! Parameters are made once and cached in the build's temporary directory.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unreachable_pub, reason = "shared by several binaries")]
#![allow(clippy::print_stderr, reason = "tests say what took how long")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use athanor_engine::{Config, Engine, MemoryJournal};
use athanor_filecoin::{
    Constraints, MinerId, Porep, SealVerifier, Sector, Settings, open, params, seal, serve_verifier,
};
use filecoin_proofs_api::seal::SealCommitPhase1Output;

pub const MINER: MinerId = MinerId(1000);
pub const SECTOR_NUMBER: u64 = 7;

/// Processor seconds of this process, all threads.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// Runs work and prints its cost.
pub fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let made = work();
    let (cpu, wall) = (cpu_seconds() - cpu, began.elapsed().as_secs_f64());
    eprintln!("{what}: {cpu:.2} cpu s, {wall:.2} s");
    made
}

/// Directory of files that are cached between runs.
pub fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("filecoin")
}

pub fn porep(partitions: u8) -> Porep {
    Porep::new(Sector::new(2048, partitions).unwrap())
}

/// This test binary as the verifier's child; see `verifier_child`.
pub fn verifier() -> SealVerifier {
    let arguments = ["--exact", "verifier_child", "--ignored", "--nocapture"];
    SealVerifier {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(Into::into).to_vec(),
    }
}

/// What each test binary's ignored test `verifier_child` does.
pub fn be_the_verifier() {
    serve_verifier(std::io::stdin(), std::io::stdout()).unwrap();
}

pub fn settings() -> Settings {
    Settings { verifier: Some(verifier()), ..Settings::new(kept().join("keys")) }
}

pub fn constraints(porep: &Porep) -> Constraints {
    let quiet = |warning: &str| panic!("{warning}");
    Constraints::kept(&kept().join("keys"), porep, quiet).unwrap()
}

/// Local parameters, made if they do not exist.
pub fn parameters(porep: &Porep) -> PathBuf {
    let directory = kept().join("params");
    let path = directory.join(params::file_name(porep).unwrap());
    if !path.exists() {
        timed("parameters", || {
            params::generate(porep, &constraints(porep), &directory).unwrap();
        });
    }
    path
}

/// A sealed sector's C1 output.
pub fn c1(porep: &Porep) -> SealCommitPhase1Output {
    let scratch = tempfile::tempdir().unwrap();
    seal(porep.sector(), MINER, SECTOR_NUMBER, 1, scratch.path()).unwrap()
}

/// The same in its envelope.
pub fn envelope(c1: &SealCommitPhase1Output) -> serde_json::Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    serde_json::json!({
        "SectorNum": SECTOR_NUMBER,
        "Phase1Out": STANDARD.encode(serde_json::to_vec(c1).unwrap()),
        "SectorSize": 2048,
        "Miner": MINER,
    })
}

/// An engine with the circuit `porep`.
pub fn engine(porep: &Porep) -> Engine {
    let engine = Engine::start(Config::with_threads(2), Arc::new(MemoryJournal)).unwrap();
    let circuit = open(porep.clone(), &parameters(porep), None, None, settings()).unwrap();
    engine.load("porep", circuit).unwrap();
    engine
}

/// Changes the vanilla proof of a partition, in a C1 output as JSON.
pub fn corrupt(c1: &mut serde_json::Value, partition: usize) {
    let partition = &mut c1["vanilla_proofs"]["StackedDrg2KiBV1"][partition];
    let bytes = first_bytes(partition).unwrap();
    bytes[0] = (bytes[0].as_u64().unwrap() ^ 1).into();
}

/// The first 32 numbers below a value.
fn first_bytes(value: &mut serde_json::Value) -> Option<&mut Vec<serde_json::Value>> {
    match value {
        serde_json::Value::Array(items) => {
            match items.len() == 32 && items.iter().all(serde_json::Value::is_number) {
                true => Some(items),
                false => items.iter_mut().find_map(first_bytes),
            }
        }
        serde_json::Value::Object(fields) => fields.values_mut().find_map(first_bytes),
        _ => None,
    }
}
