//! Durability: a restart during a job, a lost or changed input, a busy journal, older versions.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use athanor_engine::modelled::{Act, Fault, Modelled, Script};
use athanor_engine::{Config, Engine, Input, JobError, Journal, Status, Submission};
use athanor_store::{JobState, Page, SealKey, Store, StoreError, StoreOptions};

const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> StoreOptions {
    StoreOptions { seal_key: None, keep_inputs: false }
}

fn start(directory: &Path, circuit: &Arc<Modelled>) -> (Arc<Store>, Engine) {
    let store = Arc::new(Store::open(directory, options()).unwrap());
    let mut config = Config::with_threads(2);
    config.memory = Some(4 << 30);
    config.grace = Duration::from_millis(50);
    let engine = Engine::start(config, store.clone()).unwrap();
    engine.load("model", circuit.clone()).unwrap();
    (store, engine)
}

fn submission(public: &str, input: Input) -> Submission {
    let reference = Some(public.into());
    Submission { share: false, reference, ..Submission::new("model", input) }
}

/// Runs a query of the store.
fn ask<T>(what: impl Future<Output = Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_restart_goes_on_where_it_was_and_proves_no_finished_partition_again() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled { partitions: 3, ..Modelled::default() });
    // Three partitions are proven. The last one, which assembles them, waits until the engine ends.
    let faults = vec![Fault { partition: Some(3), step: 0, times: 1, act: Act::Wait }];
    let good = Script::good(5);
    let (store, engine) = start(directory.path(), &circuit);
    let done = engine.submit(submission("a", good.clone())).unwrap();
    done.wait().unwrap();
    let script = Script { salt: 9, faults }.input();
    let handle = engine.submit(submission("b", script.clone())).unwrap();
    until("the last partition waits", || {
        let Status::Accepted { done, stage, .. } = handle.status() else { return false };
        done == 3 && stage.as_deref() == Some("assemble")
    });
    drop(engine);
    assert_eq!(handle.wait(), Err(JobError::Stopping));
    let first = ask(store.job("a")).unwrap();
    assert_eq!((first.state, first.input_blob), (JobState::Complete, None), "its input is gone");
    drop(store);

    let (store, engine) = start(directory.path(), &circuit);
    let unfinished = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert!(store.next_job().0 > unfinished[0].job.0, "numbers are not given out twice");
    let proofs = circuit.proofs.load(Ordering::Relaxed);
    assert_eq!(unfinished[0].finished.len(), 3);
    let [job]: [_; 1] = unfinished.try_into().unwrap();
    let finished = engine.restore(job).wait().unwrap();
    assert_eq!(*finished.bytes, *Script::expected(&script, 3));
    assert_eq!(circuit.proofs.load(Ordering::Relaxed), proofs);
    assert_eq!(ask(store.result("b")).unwrap(), *finished.bytes);
    assert_eq!(ask(store.list("", &Page { before: None, limit: 10 })).len(), 2);
    assert_eq!(fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
}

#[test]
fn a_job_whose_input_was_lost_or_changed_ends_and_says_so() {
    for remove in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let circuit = Arc::new(Modelled::default());
        let (store, engine) = start(directory.path(), &circuit);
        let waits = Script::fault(0, 1, Act::Wait);
        engine.submit(submission("a", waits)).unwrap();
        drop(engine);
        drop(store);
        let blobs = directory.path().join("blobs");
        let blob = fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
        if remove {
            fs::remove_file(&blob).unwrap();
        } else {
            let mut bytes = fs::read(&blob).unwrap();
            bytes[0] ^= 1;
            fs::write(&blob, bytes).unwrap();
        }
        let store = Store::open(directory.path(), options()).unwrap();
        assert!(store.unfinished().unwrap().is_empty());
        let row = ask(store.job("a")).unwrap();
        assert_eq!((row.state, row.code.as_deref()), (JobState::Failed, Some("input-lost")));
        store.close();
    }
}

#[test]
fn one_key_is_one_job_of_a_tenant_and_what_a_crash_left_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled::default());
    let (store, engine) = start(directory.path(), &circuit);
    let keyed = |public: &str, tenant: &str| Submission {
        idempotency_key: Some("k".into()),
        tenant: tenant.into(),
        ..submission(public, Script::good(1))
    };
    engine.submit(keyed("a", "x")).unwrap().wait().unwrap();
    assert!(engine.submit(keyed("b", "x")).is_err(), "the journal refuses the second");
    engine.submit(keyed("c", "y")).unwrap().wait().unwrap();
    assert_eq!(ask(store.by_key("x", "k")).unwrap().public, "a");
    assert!(ask(store.job("b")).is_none());
    drop(engine);
    drop(store);
    fs::write(directory.path().join("blobs/left-behind"), b"x").unwrap();
    Store::open(directory.path(), options()).unwrap().close();
    assert_eq!(fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
}

#[test]
fn inputs_are_unreadable_without_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled::default());
    let sealed = |key| StoreOptions { seal_key: Some(SealKey::new([key; 32])), keep_inputs: true };
    let store = Arc::new(Store::open(directory.path(), sealed(1)).unwrap());
    let mut config = Config::with_threads(1);
    config.memory = Some(4 << 30);
    let engine = Engine::start(config, store.clone()).unwrap();
    engine.load("model", circuit).unwrap();
    let input = Script::good(0x5EC2E7);
    engine.submit(submission("a", input.clone())).unwrap().wait().unwrap();
    let row = ask(store.job("a")).unwrap();
    assert_eq!(ask(store.input(&row)).unwrap().bytes(), input.bytes());
    let blob = fs::read_dir(directory.path().join("blobs")).unwrap().next().unwrap().unwrap();
    let kept = fs::read(blob.path()).unwrap();
    assert!(!kept.windows(8).any(|window| window == &input.bytes()[..8]));
    drop(engine);
    drop(store);
    let store = Store::open(directory.path(), sealed(2)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened = runtime.block_on(store.input(&row));
    assert!(matches!(opened, Err(StoreError::Sealed { .. })));
    store.close();
}

#[test]
fn old_jobs_are_forgotten_by_age_and_by_number() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled::default());
    let (store, engine) = start(directory.path(), &circuit);
    for salt in 0..5 {
        let input = Script::good(salt);
        engine.submit(submission(&format!("j{salt}"), input)).unwrap().wait().unwrap();
    }
    assert_eq!(ask(store.delete_ended(Duration::MAX, 100)), 0);
    assert_eq!(ask(store.delete_ended(Duration::MAX, 3)), 2);
    assert!(ask(store.job("j0")).is_none() && ask(store.result("j4")).is_some());
    assert_eq!(ask(store.delete_ended(Duration::ZERO, 3)), 3);
    assert!(ask(store.result("j4")).is_none());
}

/// A separate connection to the journal.
async fn another(directory: &Path) -> sqlx::SqliteConnection {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    let options = SqliteConnectOptions::new().filename(directory.join("journal.db"));
    options.connect().await.unwrap()
}

#[test]
fn a_journal_that_somebody_locks_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled::default());
    let (store, engine) = start(directory.path(), &circuit);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(async {
        let mut other = another(directory.path()).await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        other
    });
    let handle = engine.begin(submission("a", Script::good(1))).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let status = handle.status();
    assert!(matches!(status, Status::Entering), "accepted without being kept: {status:?}");
    assert!(ask(store.list("", &Page { before: None, limit: 9 })).is_empty(), "it can be read");
    runtime.block_on(sqlx::query("ROLLBACK").execute(&mut other)).unwrap();
    handle.wait().unwrap();
    assert_eq!(ask(store.job("a")).unwrap().state, JobState::Complete);
}

#[test]
fn a_journal_of_the_version_before_is_taken_over_and_one_of_a_later_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = Arc::new(Modelled::default());
    let (store, engine) = start(directory.path(), &circuit);
    engine.submit(submission("a", Script::good(1))).unwrap().wait().unwrap();
    drop(engine);
    drop(store);
    let change = |text: &'static [&'static str]| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut other = another(directory.path()).await;
            for text in text {
                sqlx::query(*text).execute(&mut other).await.unwrap();
            }
        });
    };
    change(&[
        "DROP TABLE meta",
        "DROP INDEX jobs_by_service_time",
        "ALTER TABLE jobs DROP COLUMN ended_service",
        "ALTER TABLE jobs DROP COLUMN input_seal",
        "ALTER TABLE jobs DROP COLUMN callback",
        "ALTER TABLE jobs DROP COLUMN callback_state",
        "PRAGMA user_version = 1",
    ]);
    let store = Store::open(directory.path(), options()).unwrap();
    let row = ask(store.job("a")).unwrap();
    assert!(row.state == JobState::Complete && row.callback.is_none());
    store.close();
    change(&["PRAGMA user_version = 99"]);
    let refused = Store::open(directory.path(), options());
    assert!(matches!(refused, Err(StoreError::Version { found: 99, .. })));
}
