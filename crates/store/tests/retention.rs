//! Retention: ended jobs are deleted in batches by service time, without delaying submits.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use athanor_engine::modelled::{Modelled, Script};
use athanor_engine::{Config, Engine, Submission};
use athanor_store::{CallbackState, Page, Store, StoreError, StoreOptions};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

const HOUR: Duration = Duration::from_secs(3600);

fn open(directory: &Path) -> Store {
    Store::open(directory, StoreOptions { seal_key: None, keep_inputs: false }).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn ask<T>(what: impl Future<Output = Result<T, StoreError>>) -> T {
    runtime().block_on(what).unwrap()
}

/// A separate connection to the journal.
async fn another(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join("journal.db"));
    options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap()
}

fn number(directory: &Path, query: &'static str) -> i64 {
    runtime().block_on(async {
        let mut other = another(directory).await;
        let (found,): (i64,) = sqlx::query_as(query).fetch_one(&mut other).await.unwrap();
        found
    })
}

fn change(directory: &Path, statements: &[&'static str]) {
    runtime().block_on(async {
        let mut other = another(directory).await;
        for statement in statements {
            sqlx::query(*statement).execute(&mut other).await.unwrap();
        }
    });
}

/// Makes a journal with `jobs` complete jobs, each with a result of `bytes` bytes.
fn filled(directory: &Path, jobs: i64, bytes: i64) -> Store {
    open(directory).close();
    runtime().block_on(async {
        let mut other = another(directory).await;
        let rows = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) \
            INSERT INTO jobs (public, number, tenant, circuit, class, input_kind, input_digest, state, created, \
            ended, ended_service, idempotency_key) SELECT lower(hex(randomblob(16))), i, 't', 'model', 'normal', \
            'script', hex(randomblob(32)), 'complete', i, i, 0, hex(randomblob(8)) FROM n";
        sqlx::query(rows).bind(jobs).execute(&mut other).await.unwrap();
        let results = "INSERT INTO results (number, bytes) SELECT number, zeroblob(?) FROM jobs";
        sqlx::query(results).bind(bytes).execute(&mut other).await.unwrap();
    });
    open(directory)
}

const JOBS: &str = "SELECT COUNT(*) FROM jobs";

#[test]
fn jobs_are_forgotten_in_batches_and_their_pages_are_given_back() {
    let place = tempfile::tempdir().unwrap();
    let store = filled(place.path(), 1200, 9000);
    let pages = number(place.path(), "SELECT page_count FROM pragma_page_count");
    let runtime = runtime();
    let _entered = runtime.enter();
    // A deletion whose future is dropped has deleted whole batches.
    let mut left = 1200;
    {
        let mut deletion = pin!(store.delete_ended(Duration::ZERO, 100));
        while left == 1200 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(deletion.as_mut().poll(&mut context).is_pending());
            left = number(place.path(), JOBS);
        }
    }
    assert_eq!(left, 1100);
    assert_eq!(runtime.block_on(store.delete_ended(Duration::MAX, 100)).unwrap(), 1000);
    assert_eq!(number(place.path(), JOBS), 100);
    assert_eq!(number(place.path(), "SELECT COUNT(*) FROM results"), 100);
    let free = number(place.path(), "SELECT freelist_count FROM pragma_freelist_count");
    let now = number(place.path(), "SELECT page_count FROM pragma_page_count");
    assert!(free <= 1000 && now < pages / 2, "{now} of {pages} pages, {free} of them free");
    store.close();
}

#[test]
fn hours_of_service_count_and_not_the_wall_clock() {
    let place = tempfile::tempdir().unwrap();
    let store = filled(place.path(), 2, 10);
    assert_eq!(ask(store.delete_ended(HOUR, 100)), 0);
    store.close();
    // As if they had ended in 1970, or will in a hundred years.
    change(place.path(), &["UPDATE jobs SET ended = 9000000000000 * number"]);
    let store = open(place.path());
    assert_eq!(ask(store.delete_ended(HOUR, 100)), 0);
    // Service time is counted in whole milliseconds, and a quick machine is done within one.
    std::thread::sleep(Duration::from_millis(5));
    store.close();
    let kept = "SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'service_time'";
    let time = number(place.path(), kept);
    assert!((1..600_000).contains(&time), "time while it was open: {time} ms");
    // An hour of service later.
    change(
        place.path(),
        &["UPDATE meta SET value = CAST(value AS BIGINT) + 3600000 WHERE name = 'service_time'"],
    );
    let store = open(place.path());
    assert_eq!(ask(store.delete_ended(HOUR, 100)), 2);
    store.close();
}

#[test]
fn jobs_of_an_older_journal_keep_the_age_that_they_had() {
    let place = tempfile::tempdir().unwrap();
    filled(place.path(), 3, 10).close();
    change(
        place.path(),
        &[
            "UPDATE jobs SET ended = (strftime('%s', 'now') - 7200 * number) * 1000",
            "DROP TABLE meta",
            "DROP INDEX jobs_by_service_time",
            "ALTER TABLE jobs DROP COLUMN ended_service",
            "ALTER TABLE jobs DROP COLUMN input_seal",
            "PRAGMA user_version = 2",
        ],
    );
    let store = open(place.path());
    assert_eq!(ask(store.delete_ended(3 * HOUR, 100)), 1);
    assert_eq!(ask(store.delete_ended(HOUR, 100)), 1);
    assert_eq!(ask(store.delete_ended(HOUR, 100)), 0);
    store.close();
}

/// Polls a query up to `polls` times and drops it. Returns whether it completed.
fn dropped<T>(what: impl Future<Output = Result<T, StoreError>>, polls: usize) -> bool {
    let mut what = pin!(what);
    for _ in 0..polls {
        if what.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

#[test]
fn a_query_that_is_dropped_at_any_poll_leaves_every_connection_usable() {
    let place = tempfile::tempdir().unwrap();
    let store = filled(place.path(), 600, 10);
    let runtime = runtime();
    let _entered = runtime.enter();
    let row = ask(store.list("t", &Page { before: None, limit: 1 })).remove(0);
    let page = Page { before: None, limit: 500 };
    for polls in 0..30 {
        dropped(store.job(&row.public), polls);
        dropped(store.by_key("t", "none"), polls);
        dropped(store.list("t", &page), polls);
        dropped(store.result(&row.public), polls);
        dropped(store.pending_callbacks(), polls);
        dropped(store.set_callback(&row.public, CallbackState::Delivered), polls);
        dropped(store.input(&row), polls);
        dropped(store.restorable_one(row.number), polls);
        dropped(store.delete_ended(Duration::MAX, 590 - polls as u32), polls);
    }
    // A query that was started still ends.
    dropped(store.set_callback(&row.public, CallbackState::GivenUp), 1);
    let until = Instant::now() + Duration::from_secs(30);
    while number(place.path(), "SELECT COUNT(*) FROM jobs WHERE callback_state = 'given-up'") == 0 {
        assert!(Instant::now() < until, "a query was given up in the middle");
    }
    // More concurrent writes than the pool has connections.
    let store = Arc::new(store);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (store, public) = (store.clone(), row.public.clone());
                tokio::spawn(async move {
                    store.set_callback(&public, CallbackState::Delivered).await.unwrap();
                    store.job(&public).await.unwrap().unwrap()
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.delete_ended(Duration::MAX, 10).await.unwrap();
    });
    let mut config = Config::with_threads(1);
    config.memory = Some(4 << 30);
    let engine = Engine::start(config, store.clone()).unwrap();
    engine.load("model", Arc::new(Modelled::default())).unwrap();
    for salt in 0..8 {
        engine.submit(Submission::new("model", Script::good(salt))).unwrap().wait().unwrap();
    }
}

/// Latencies of submits one after another until `over`, the longest last.
fn submits(engine: &Engine, over: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    for salt in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let submission =
            Submission { share: false, ..Submission::new("model", Script::good(salt)) };
        let start = Instant::now();
        engine.submit(submission).unwrap();
        took.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    took.sort();
    took
}

/// Deletes 99,000 jobs while others are submitted. Runs only with `ATHANOR_LONG_TESTS=1`.
#[test]
#[allow(clippy::print_stdout, reason = "the figures")]
fn submits_are_not_held_up_while_old_jobs_are_forgotten() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let start = Instant::now();
    filled(place.path(), 100_000, 1000).close();
    let filled = start.elapsed();
    let start = Instant::now();
    let store = Arc::new(open(place.path()));
    println!("filled in {filled:?}, opened in {:?}", start.elapsed());
    let mut config = Config::with_threads(1);
    config.memory = Some(4 << 30);
    let engine = Engine::start(config, store.clone()).unwrap();
    engine.load("model", Arc::new(Modelled::default())).unwrap();
    let over = AtomicBool::new(false);
    let (quiet, busy) = std::thread::scope(|scope| {
        let quiet = scope.spawn(|| submits(&engine, &over));
        std::thread::sleep(Duration::from_secs(5));
        over.store(true, Ordering::Relaxed);
        let quiet = quiet.join().unwrap();
        over.store(false, Ordering::Relaxed);
        let busy = scope.spawn(|| submits(&engine, &over));
        let start = Instant::now();
        let gone = ask(store.delete_ended(Duration::MAX, 1000));
        println!("{gone} jobs forgotten in {:?}", start.elapsed());
        assert!(gone >= 99_000);
        over.store(true, Ordering::Relaxed);
        (quiet, busy.join().unwrap())
    });
    let wal = std::fs::metadata(place.path().join("journal.db-wal")).unwrap().len();
    for (name, took) in [("quiet", &quiet), ("forgetting", &busy)] {
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        println!(
            "{name}: {} submits, p50 {:?}, p99 {:?}, most {:?}",
            took.len(),
            at(50),
            at(99),
            at(100)
        );
    }
    println!("the write-ahead log has {wal} bytes");
    assert!(busy[busy.len() * 99 / 100] < Duration::from_millis(100));
    assert!(*busy.last().unwrap() < Duration::from_secs(1));
    assert!(wal < 64 << 20);
}
