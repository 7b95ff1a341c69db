//! Stores behind the executor: slow, persistent and failing ones.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::time::Duration;

use athanor_fastpath::{
    Block, Change, Config, Declaration, ExecutorError, FastPathExecutor, Key, LatencyState,
    MapState, Mode, Space, State, StateError, Value,
};
#[cfg(feature = "persistent")]
use athanor_fastpath::{Object, Ownership};
use common::{Declared, Op, Program, Rng, key, ops};
#[cfg(feature = "persistent")]
use common::{object, owner, spend};

fn transfers(seed: u64, accounts: u64, declared: bool) -> Block<Program> {
    let mut rng = Rng(seed);
    let mut one = || {
        let (a, b) = (rng.below(accounts), rng.below(accounts));
        let mut program = ops([Op::Read(a), Op::Read(b), Op::Write(a, 8), Op::Write(b, 60)]);
        if declared {
            program.access = Declared::Keys(Declaration::Guess);
            program.writes = vec![key(a), key(b)];
        }
        program
    };
    Block::new((0..400).map(|_| one()).collect())
}

#[test]
fn a_slow_store_changes_nothing_but_the_time() {
    let mut expected = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    let slow = || LatencyState::new(MapState::default(), Duration::from_micros(20), 16);
    for (resident, declared) in [(0, false), (0, true), (1 << 20, true)] {
        let config = Config { resident, chunk: 2, ..Config::with_threads(4) };
        for config in [config.clone(), config.fixed(Mode::Optimistic)] {
            let mut executor = FastPathExecutor::new(slow(), config).unwrap();
            expected = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
            for round in 0..3 {
                let block = transfers(round, 300, declared);
                let plain = expected.execute_sequential(&block).unwrap();
                let found = executor.execute_block(&block).unwrap();
                assert_eq!(plain.root, found.root);
                assert_eq!(plain.delta.sorted(), found.delta.sorted());
            }
        }
    }
    assert!(expected.get(&key(0)).unwrap().is_some());
}

/// A store whose reads and commits fail while `fail` is `true`.
struct Failing {
    inner: MapState,
    fail: Arc<std::sync::atomic::AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), StateError> {
        match self.fail.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err(StateError::new("on purpose")),
            false => Ok(()),
        }
    }
}

impl State for Failing {
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError> {
        self.check()?;
        self.inner.get(space, key)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError> {
        self.check()?;
        self.inner.commit(changes)
    }

    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError> {
        self.inner.scan(each)
    }
}

#[test]
fn a_block_whose_store_fails_has_no_effect_and_can_be_tried_again() {
    for mode in [Mode::Serial, Mode::Optimistic] {
        for resident in [0, 1 << 20] {
            let fail = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let state = Failing { inner: MapState::default(), fail: Arc::clone(&fail) };
            let config = Config { resident, ..Config::with_threads(2).fixed(mode) };
            let mut executor = FastPathExecutor::new(state, config).unwrap();
            let mut expected = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
            for round in 0..6 {
                let block = transfers(round, 50, false);
                fail.store(true, std::sync::atomic::Ordering::SeqCst);
                let before = executor.root();
                let error = executor.execute_block(&block).unwrap_err();
                assert!(matches!(error, ExecutorError::State(_)));
                assert_eq!(executor.root(), before);
                fail.store(false, std::sync::atomic::Ordering::SeqCst);
                let found = executor.execute_block(&block).unwrap();
                assert_eq!(found.root, expected.execute_sequential(&block).unwrap().root);
            }
        }
    }
}

#[cfg(feature = "persistent")]
#[test]
fn a_persistent_state_is_there_again_with_its_root() {
    use athanor_fastpath::PersistentState;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.redb");
    let mut expected = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    for round in 0..4 {
        let state = PersistentState::open(&file).unwrap();
        let config = Config { resident: 20, ..Config::with_threads(2) };
        let mut executor = FastPathExecutor::new(state, config).unwrap();
        assert_eq!(executor.root(), expected.root(), "after it was opened again");
        if round == 0 {
            for executor in [&mut executor as &mut dyn Insert, &mut expected] {
                executor.insert_owned(object(1, Ownership::Owned(owner(1)), 0));
            }
        }
        for seed in 0..3 {
            let mut block = transfers(10 * round + seed, 100, seed > 0);
            block.transactions.push(spend(1, 3 * round + seed, 1));
            let plain = expected.execute_sequential(&block).unwrap();
            let found = executor.execute_block(&block).unwrap();
            assert!(found.receipts.last().unwrap().status.is_success());
            assert_eq!(plain.root, found.root);
        }
    }
}

#[cfg(feature = "persistent")]
trait Insert {
    fn insert_owned(&mut self, object: Object);
}

#[cfg(feature = "persistent")]
impl<S: State> Insert for FastPathExecutor<S> {
    fn insert_owned(&mut self, object: Object) {
        self.insert_object(object).unwrap();
    }
}
