//! Errors that stop a start before any change: a held lock, a wrong seal key, damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use athanor_engine::modelled::{Act, Modelled, Script};
use athanor_engine::{Config, Engine, Submission};
use athanor_store::{
    CallbackState, JobState, Restorable, SealKey, Store, StoreError, StoreOptions, check,
};

fn sealed(key: u8) -> StoreOptions {
    StoreOptions { seal_key: Some(SealKey::new([key; 32])), keep_inputs: false }
}

fn plain() -> StoreOptions {
    StoreOptions { seal_key: None, keep_inputs: false }
}

/// Runs a query of the store.
fn ask<T>(what: impl Future<Output = Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what).unwrap()
}

/// Accepts jobs with these ids, which then wait until the engine ends.
fn accept(directory: &Path, options: StoreOptions, names: &[&str]) {
    let store = Arc::new(Store::open(directory, options).unwrap());
    let mut config = Config::with_threads(1);
    config.memory = Some(4 << 30);
    config.grace = Duration::from_millis(50);
    let engine = Engine::start(config, store.clone()).unwrap();
    engine.load("model", Arc::new(Modelled::default())).unwrap();
    for name in names {
        let reference = Some((*name).into());
        let input = Script::fault(0, 1, Act::Wait);
        let submission = Submission { share: false, reference, ..Submission::new("model", input) };
        engine.submit(submission).unwrap();
    }
    drop(engine);
    Arc::into_inner(store).expect("nobody else has it").close();
}

/// Runs SQL on a closed journal.
fn change(directory: &Path, statements: &'static [&'static str]) {
    use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(directory.join("journal.db"));
        let mut connection = options.connect().await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// Statements that turn a journal of version 3 into one of version 2.
const VERSION_2: &[&str] = &[
    "DROP TABLE meta",
    "DROP INDEX jobs_by_service_time",
    "ALTER TABLE jobs DROP COLUMN ended_service",
    "ALTER TABLE jobs DROP COLUMN input_seal",
    "PRAGMA user_version = 2",
];

fn ready(directory: &Path, options: StoreOptions) -> usize {
    let store = Store::open(directory, options).unwrap();
    let jobs = store.restorable().unwrap();
    store.close();
    jobs.iter().filter(|job| matches!(job, Restorable::Ready(_))).count()
}

fn blobs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("blobs")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_wrong_or_missing_seal_key_is_refused_and_no_job_ends_by_it() {
    let place = tempfile::tempdir().unwrap();
    accept(place.path(), sealed(1), &["a", "b"]);
    let expected = SealKey::new([1; 32]).id();
    match Store::open(place.path(), sealed(2)) {
        Err(StoreError::SealKeyWrong { jobs: 2, expected: found, .. }) if found == expected => {}
        other => panic!("{other:?}"),
    }
    let refused = Store::open(place.path(), plain());
    let Err(error @ StoreError::SealKeyMissing { jobs: 2, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.is_seal_key() && error.to_string().contains(&expected), "{error}");
    assert_eq!(ready(place.path(), sealed(1)), 2);
}

#[test]
fn a_store_that_gets_a_key_still_reads_what_came_before() {
    let place = tempfile::tempdir().unwrap();
    accept(place.path(), plain(), &["a"]);
    assert_eq!(ready(place.path(), sealed(1)), 1);
    accept(place.path(), sealed(1), &["b"]);
    assert_eq!(ready(place.path(), sealed(1)), 2);
    let refused = Store::open(place.path(), plain());
    assert!(matches!(refused, Err(StoreError::SealKeyMissing { jobs: 1, .. })), "{refused:?}");
}

#[test]
fn a_wrong_key_is_found_in_a_journal_that_does_not_say_which_it_was() {
    for kept in [sealed(1), plain()] {
        let place = tempfile::tempdir().unwrap();
        accept(place.path(), kept.clone(), &["a", "b"]);
        change(place.path(), VERSION_2);
        if kept.seal_key.is_some() {
            for other in [sealed(2), plain()] {
                let refused = Store::open(place.path(), other);
                let Err(StoreError::SealKeyUnproven { jobs: 2, .. }) = refused else {
                    panic!("{refused:?}")
                };
            }
        }
        // With the right key, damage is distinguished from a wrong key.
        let mut bytes = fs::read(&blobs(place.path())[0]).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&blobs(place.path())[0], bytes).unwrap();
        let store = Store::open(place.path(), kept).unwrap();
        let jobs = store.restorable().unwrap();
        assert!(
            matches!(
                &jobs[..],
                [Restorable::Ready(_), Restorable::Lost(_)]
                    | [Restorable::Lost(_), Restorable::Ready(_)]
            ),
            "{jobs:?}"
        );
        store.close();
    }
}

#[test]
fn a_job_whose_input_cannot_be_read_waits_until_it_can() {
    let place = tempfile::tempdir().unwrap();
    accept(place.path(), plain(), &["a"]);
    let [blob]: [PathBuf; 1] = blobs(place.path()).try_into().unwrap();
    let aside = place.path().join("aside");
    fs::rename(&blob, &aside).unwrap();
    // A link to itself: opening it fails for any user, with an error other than "not found".
    std::os::unix::fs::symlink(&blob, &blob).unwrap();
    let store = Store::open(place.path(), plain()).unwrap();
    let jobs = store.restorable().unwrap();
    let [Restorable::Unreadable { row, .. }] = &jobs[..] else { panic!("{jobs:?}") };
    let again = ask(store.restorable_one(row.number)).unwrap();
    assert!(matches!(again, Restorable::Unreadable { .. }), "{again:?}");
    assert_eq!(ask(store.job("a")).unwrap().state, JobState::Accepted);
    let report = check(place.path(), None).unwrap();
    assert_eq!((report.faults.len(), report.faults[0].fault), (1, "unreadable"));
    fs::remove_file(&blob).unwrap();
    fs::rename(&aside, &blob).unwrap();
    let again = ask(store.restorable_one(row.number)).unwrap();
    assert!(matches!(again, Restorable::Ready(_)), "{again:?}");
    fs::remove_file(&blob).unwrap();
    let again = ask(store.restorable_one(row.number)).unwrap();
    assert!(matches!(again, Restorable::Lost(_)), "{again:?}");
    assert!(ask(store.restorable_one(row.number)).is_none(), "it has ended");
    assert_eq!(ask(store.job("a")).unwrap().code.as_deref(), Some("input-lost"));
    store.close();
}

#[test]
fn a_second_store_is_refused_with_the_holder_of_the_lock_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let first = Store::open(place.path(), plain()).unwrap();
    first.record_address("127.0.0.1:4711".parse().unwrap()).unwrap();
    let stray = place.path().join("blobs/stray");
    fs::write(&stray, b"x").unwrap();
    match Store::open(place.path(), plain()) {
        Err(StoreError::Locked { holder, .. }) => {
            let pid = format!("pid {}", std::process::id());
            assert!(holder.contains(&pid) && holder.contains("127.0.0.1:4711"), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    assert!(stray.exists(), "it swept the first one's blobs");
    assert!(check(place.path(), None).unwrap().holder.is_some(), "a check takes no lock");
    first.close();
    Store::open(place.path(), plain()).unwrap().close();
    assert!(!stray.exists());
    assert!(check(place.path(), None).unwrap().holder.is_none());
}

#[test]
fn a_damaged_journal_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    accept(place.path(), plain(), &["a", "b", "c"]);
    let journal = place.path().join("journal.db");
    let whole = fs::read(&journal).unwrap();
    assert!(check(place.path(), None).unwrap().is_sound());
    // The header, and each page after it, whether or not the start reads it.
    let pages = (4096..whole.len()).step_by(4096).map(|from| (from, from + 4096));
    for (from, to) in pages.chain([(0, 100)]) {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0x5a);
        fs::write(&journal, &bytes).unwrap();
        let refused = Store::open(place.path(), plain());
        let Err(error @ StoreError::DamagedJournal { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("athanor store check"), "{error}");
        assert_eq!(fs::read(&journal).unwrap(), bytes, "it was changed");
        assert!(!check(place.path(), None).unwrap().database.is_empty());
    }
    fs::write(&journal, &whole).unwrap();
    assert_eq!(ready(place.path(), plain()), 3);
}

#[test]
fn damage_in_the_log_is_found_where_sqlite_is_silent() {
    let place = tempfile::tempdir().unwrap();
    accept(place.path(), plain(), &["a"]);
    let store = Store::open(place.path(), plain()).unwrap();
    for _ in 0..3 {
        ask(store.set_callback("a", CallbackState::Delivered));
    }
    // A copy of the open files, as a killed process leaves them.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        fs::copy(place.path().join(name), copy.path().join(name)).unwrap();
    }
    drop(store);
    let log = copy.path().join("journal.db-wal");
    let mut bytes = fs::read(&log).unwrap();
    let report = check(copy.path(), None).unwrap().wal.unwrap();
    assert!(report.valid_frames > 1 && report.damaged_frame.is_none(), "{report:?}");
    bytes[100] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let report = check(copy.path(), None).unwrap();
    assert_eq!(report.wal.unwrap().damaged_frame, Some(1));
    assert!(!report.is_sound() && report.database.is_empty(), "{report:?}");
    assert_eq!(fs::read(&log).unwrap(), bytes, "a check changes nothing");
    Store::open(copy.path(), plain()).unwrap().close();
    assert_eq!(fs::read(copy.path().join("journal.db-wal.damaged")).unwrap(), bytes);
}
