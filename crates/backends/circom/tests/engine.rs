//! Real circuits, keys and proofs with faults that the engine must handle.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use athanor_circom::{
    BACKEND, CircomBackend, Limits,
    circuit::{self, Files, NATIVE, NativeGenerator, ProofBundle, Settings, WTNS, keys::KeyCache},
};
use athanor_engine::{
    Catalog, Config, Engine, FileEntry, Input, JobError, LoadError, Manifest, MemoryJournal, Retry,
    Span, Submission,
};
use athanor_groth16::{
    Verifier, development_setup,
    formats::{json, wtns::write_wtns, zkey::ZkeyFile},
    synthetic,
};
use athanor_kernels::{Bn254, CurveId, Quotient, Scalars};

const CONSTRAINTS: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

/// Computes witnesses of the synthetic circuit; the first ones are wrong.
#[derive(Default)]
struct Generator {
    wrong: AtomicU32,
    panics: AtomicU32,
}

impl NativeGenerator for Generator {
    fn witness(&self, input: &[u8]) -> Result<Scalars, String> {
        let take = |left: &AtomicU32| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        };
        assert!(!take(&self.panics), "as planned");
        let seed = input.first().copied().ok_or("an input has a byte")?;
        let mut values = synthetic::dense::<Bn254>(CONSTRAINTS, seed.into()).witness.to_vec();
        if take(&self.wrong) {
            values[20][0] ^= 1;
        }
        Ok(Scalars::new(values))
    }
}

/// A directory with a key, and an engine beside it.
struct Place {
    directory: tempfile::TempDir,
    generator: Arc<Generator>,
    engine: Engine,
}

fn config() -> Config {
    let mut config = Config::with_threads(2);
    config.memory = Some(4 << 30);
    config.policy.retry =
        Retry { attempts: 3, base: Span::from_millis(1), cap: Span::from_millis(5) };
    config
}

impl Place {
    /// Sets up a circuit whose witnesses are computed here.
    fn new() -> Place {
        Place::with_tables(0)
    }

    /// As above, with tables of its key of at most that number of bytes.
    fn with_tables(tables: u64) -> Place {
        let directory = tempfile::tempdir().unwrap();
        make_key(&directory.path().join("key.zkey"));
        let generator = Arc::new(Generator::default());
        let engine = Engine::start(config(), Arc::new(MemoryJournal)).unwrap();
        let files = Files {
            zkey: directory.path().join("key.zkey"),
            native: Some(generator.clone()),
            ..Files::default()
        };
        let opened =
            circuit::open(files, None, Settings { tables, ..settings(directory.path()) }).unwrap();
        engine.load("dense", opened.circuit).unwrap();
        Place { directory, generator, engine }
    }

    fn prove(&self, seed: u8) -> Result<Vec<u8>, JobError> {
        let input = Input::new(NATIVE, vec![seed]);
        let handle = self.engine.submit(Submission::new("dense", input))?;
        let end = handle.wait_timeout(PATIENCE).expect("it ends");
        end.map(|finished| finished.bytes.to_vec())
    }

    fn zkey(&self) -> PathBuf {
        self.directory.path().join("key.zkey")
    }

    /// Checks that the next job succeeds, its proof verifies, and only the key's memory stays reserved.
    fn is_clean(&self) {
        verifies(&self.zkey(), &self.prove(99).unwrap());
        let until = Instant::now() + PATIENCE;
        while self.engine.standing().unwrap().open_jobs > 0 {
            assert!(Instant::now() < until);
        }
        let standing = self.engine.standing().unwrap();
        let key = self.zkey().metadata().unwrap().len();
        assert!(standing.reserved <= key + key / 4, "{} beside the key", standing.reserved);
    }
}

fn make_key(path: &Path) {
    let example = synthetic::dense::<Bn254>(CONSTRAINTS, 1);
    let key = development_setup::<Bn254>(&example.r1cs, Quotient::OddCoset).unwrap();
    let mut bytes = Vec::new();
    key.write_zkey(&mut bytes, "for tests").unwrap();
    fs::write(path, bytes).unwrap();
}

fn settings(directory: &Path) -> Settings {
    let keys = directory.join("converted");
    fs::create_dir_all(&keys).unwrap();
    let keys = KeyCache { directory: keys, warn: Arc::new(|_| {}), kept: Arc::new(|_, _| {}) };
    Settings { keys, modules: None, limits: Limits::default(), tables: 0 }
}

fn verifies(zkey: &Path, result: &[u8]) {
    let bundle = ProofBundle::from_bytes(result).unwrap();
    let zkey = ZkeyFile::open(fs::File::open(zkey).unwrap()).unwrap();
    let key = zkey.read_as::<Bn254>().unwrap().verifying_key().unwrap();
    let proof = json::parse_proof::<Bn254>(bundle.proof()).unwrap();
    let public = json::parse_public::<Bn254>(bundle.public()).unwrap();
    Verifier::new(&key).unwrap().verify(&public, &proof).unwrap();
}

fn failed_with(result: Result<Vec<u8>, JobError>, expected: &str) {
    match result {
        Err(JobError::Failed { code, .. }) => assert_eq!(code, expected),
        other => panic!("{other:?} where {expected} was expected"),
    }
}

#[test]
fn a_key_with_tables_proves_the_same_and_is_claimed_with_them() {
    let alone = Place::new();
    verifies(&alone.zkey(), &alone.prove(1).unwrap());
    let alone = alone.engine.standing().unwrap().reserved;
    let tables = 4 << 20;
    let place = Place::with_tables(tables);
    verifies(&place.zkey(), &place.prove(1).unwrap());
    assert_eq!(place.engine.standing().unwrap().reserved, alone + tables);
}

#[test]
fn a_wrong_proof_is_proven_again_and_never_returned() {
    let place = Place::new();
    place.generator.wrong.store(1, Ordering::Relaxed);
    verifies(&place.zkey(), &place.prove(1).unwrap());
    assert_eq!(place.engine.standing().unwrap().counters.self_check_failures, 1);
    place.is_clean();
}

#[test]
fn a_witness_that_stays_wrong_is_unsatisfied_after_the_second_proof() {
    let place = Place::new();
    place.generator.wrong.store(99, Ordering::Relaxed);
    failed_with(place.prove(1), "unsatisfied");
    assert_eq!(place.generator.wrong.load(Ordering::Relaxed), 97);
    place.generator.wrong.store(0, Ordering::Relaxed);
    place.is_clean();
}

#[test]
fn a_generator_that_panics_costs_a_retry() {
    let place = Place::new();
    place.generator.panics.store(1, Ordering::Relaxed);
    verifies(&place.zkey(), &place.prove(1).unwrap());
    place.generator.panics.store(99, Ordering::Relaxed);
    failed_with(place.prove(2), "panic");
    place.generator.panics.store(0, Ordering::Relaxed);
    place.is_clean();
}

#[test]
fn an_input_that_is_none_fails_at_once_and_says_so() {
    let place = Place::new();
    let input = Input::new(NATIVE, Vec::new());
    let handle = place.engine.submit(Submission::new("dense", input)).unwrap();
    let error = handle.wait().unwrap_err();
    assert!(error.to_string().contains("an input has a byte"), "{error}");
    let unknown = Submission::new("dense", Input::new("xml", Vec::new()));
    assert!(matches!(place.engine.submit(unknown), Err(JobError::Input(_))));
    place.is_clean();
}

#[test]
fn a_key_file_that_is_missing_or_damaged_fails_its_jobs_until_it_is_mended() {
    let place = Place::new();
    let kept = fs::read(place.zkey()).unwrap();
    fs::remove_file(place.zkey()).unwrap();
    failed_with(place.prove(1), "unreadable");
    let mut damaged = kept.clone();
    let last = damaged.len() - 200;
    damaged[last] ^= 1;
    fs::write(place.zkey(), &damaged).unwrap();
    failed_with(place.prove(2), "bad-key-point");
    fs::write(place.zkey(), &kept[..kept.len() / 2]).unwrap();
    failed_with(place.prove(3), "bad-key");
    fs::write(place.zkey(), &kept).unwrap();
    place.is_clean();
    // A key in memory does not need its file.
    fs::write(place.zkey(), &damaged).unwrap();
    place.prove(4).unwrap();
    fs::write(place.zkey(), &kept).unwrap();
}

#[test]
fn a_key_that_was_evicted_in_between_is_read_again() {
    let place = Place::new();
    place.prove(1).unwrap();
    let circuits = place.engine.circuits();
    assert!(circuits[0].resident);
    place.engine.unload("dense").unwrap();
    let until = Instant::now() + PATIENCE;
    while place.engine.standing().unwrap().reserved > 0 {
        assert!(Instant::now() < until, "the key's memory is back");
    }
    let files =
        Files { zkey: place.zkey(), native: Some(place.generator.clone()), ..Files::default() };
    let opened = circuit::open(files, None, settings(place.directory.path())).unwrap();
    place.engine.load("dense", opened.circuit).unwrap();
    place.is_clean();
}

#[test]
fn a_job_is_cancelled_and_an_engine_stops_while_it_proves() {
    let place = Place::new();
    for seed in 0..6 {
        let input = Input::new(NATIVE, vec![seed]);
        let handle = place.engine.submit(Submission::new("dense", input)).unwrap();
        // At a different time in each round.
        std::thread::sleep(Duration::from_millis(u64::from(seed)));
        handle.cancel();
    }
    place.is_clean();
    let input = Input::new(NATIVE, vec![7]);
    let handle = place.engine.submit(Submission::new("dense", input)).unwrap();
    drop(place);
    assert_eq!(handle.wait().unwrap_err(), JobError::Stopping);
}

/// A catalog with one circuit, whose warm-up input is a computed witness.
fn catalog(directory: &Path) -> Catalog {
    let place = directory.join("circuits/dense");
    fs::create_dir_all(&place).unwrap();
    make_key(&place.join("zkey.zkey"));
    let mut witness = Vec::new();
    let values = synthetic::dense::<Bn254>(CONSTRAINTS, 3).witness;
    write_wtns(&mut witness, CurveId::Bn254, &values).unwrap();
    fs::write(place.join("witness.wtns"), &witness).unwrap();
    let entry = |name: &str| {
        let bytes = fs::read(place.join(name)).unwrap();
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        FileEntry { path: name.into(), blake3, bytes: bytes.len() as u64 }
    };
    let manifest = Manifest {
        name: "dense".into(),
        backend: BACKEND.into(),
        proof_system: "groth16".into(),
        curve: "bn254".into(),
        partitions: 1,
        options: Default::default(),
        keys: Default::default(),
        files: [
            ("zkey".to_owned(), entry("zkey.zkey")),
            ("witness".to_owned(), entry("witness.wtns")),
        ]
        .into(),
        stages: Default::default(),
    };
    manifest.write(&place).unwrap();
    Catalog::new(directory.join("circuits"))
}

#[test]
fn a_circuit_of_a_catalog_is_ready_after_its_warm_up_proof_and_not_if_a_file_changed() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = catalog(directory.path());
    let backend = || -> Arc<dyn athanor_engine::Backend> {
        Arc::new(CircomBackend::new(settings(directory.path())))
    };
    let engine = Engine::start(config(), Arc::new(MemoryJournal)).unwrap();
    engine.open(&catalog, "dense", &[backend()]).unwrap();
    assert_eq!(engine.standing().unwrap().stats.counts().complete, 1, "the warm-up");
    let mut witness = Vec::new();
    let values = synthetic::dense::<Bn254>(CONSTRAINTS, 4).witness;
    write_wtns(&mut witness, CurveId::Bn254, &values).unwrap();
    let proven = engine.submit(Submission::new("dense", Input::new(WTNS, witness)));
    let zkey = catalog.place("dense").join("zkey.zkey");
    verifies(&zkey, &proven.unwrap().wait().unwrap().bytes);
    engine.unload("dense").unwrap();

    // A different key of the same length has a different digest.
    make_key(&zkey);
    match engine.open(&catalog, "dense", &[backend()]) {
        Err(LoadError::WarmUp { error: JobError::Failed { code, message, .. }, .. }) => {
            assert_eq!(code, "bad-key");
            assert!(message.contains("digest"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.circuits(), []);
    assert!(engine.open(&catalog, "none", &[backend()]).is_err());
    assert!(engine.open(&catalog, "dense", &[]).is_err());
}
