//! Named situations: each kind of bad input, the races that other executors lost, fees, logs, the
//! service, and stores that are slow, persistent or failing.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::time::Duration;

use athanor_fastpath::{
    Abort, AccessKind, Backoff, Block, Change, Config, Context, Declaration, ExecutorError,
    Failure, FastPathExecutor, FastPathService, Key, LatencyState, MapState, Mode, Object,
    ObjectRef, Output, Ownership, Path, QueueConfig, Receipt, Space, State, StateError, Status,
    SubmitError, Transaction, Value,
};
use common::{Declared, EvenVerifier, Op, Program, Rng, key, quiet_panics};

fn owner(n: u8) -> Key {
    Key([n; 32])
}

fn object(n: u64, ownership: Ownership, version: u64) -> Object {
    Object { id: key(1000 + n), version, ownership, data: Value::from_u64(n) }
}

fn spend(n: u64, version: u64, sender: u8) -> Program {
    Program {
        ops: vec![Op::ObjectWrite(0)],
        sender: owner(sender),
        objects: vec![ObjectRef { id: key(1000 + n), version }],
        access: Declared::Objects,
        ..Program::default()
    }
}

fn ops(ops: impl Into<Vec<Op>>) -> Program {
    Program { ops: ops.into(), ..Program::default() }
}

fn failure(receipt: &Receipt) -> &Failure {
    match &receipt.status {
        Status::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

/// Every configuration that a situation is tried in.
fn configs() -> Vec<Config> {
    let mut configs = vec![Config::with_threads(1), Config::with_threads(2)];
    for mode in [Mode::Optimistic, Mode::Shards, Mode::Declared] {
        configs.push(Config::with_threads(3).fixed(mode));
    }
    configs.iter_mut().for_each(|config| config.step_limit = 1000);
    configs
}

#[test]
fn each_bad_input_has_its_status_and_harms_nothing_else() {
    quiet_panics();
    let id = |n: u64| key(1000 + n);
    let twice = Program { objects: vec![ObjectRef { id: id(1), version: 5 }; 2], ..spend(1, 5, 1) };
    let undeclared = Program {
        access: Declared::Keys(Declaration::Superset),
        writes: vec![key(1)],
        ..ops([Op::Write(1, 8), Op::Read(2)])
    };
    let inexact = Program {
        access: Declared::Keys(Declaration::Exact),
        writes: vec![key(1), key(2)],
        ..ops([Op::Write(1, 8)])
    };
    let frozen = Program { ops: vec![Op::ObjectWrite(0)], ..spend(4, 0, 1) };
    let unproven = Program { proof: Some(vec![1]), ..ops([Op::Write(1, 8)]) };
    let late = Program { deadline: Some(9), ..ops([Op::Write(1, 8)]) };
    let cases = vec![
        (spend(99, 0, 1), Failure::UnknownObject { id: id(99) }),
        (spend(1, 4, 1), Failure::WrongVersion { id: id(1), cited: 4, found: 5 }),
        (spend(1, 5, 2), Failure::NotOwner { id: id(1) }),
        (twice, Failure::DuplicateObject { id: id(1) }),
        (frozen, Failure::Immutable { id: id(4) }),
        (ops([Op::PanicIf(1)]), Failure::Panicked { message: "unlucky 1".into() }),
        (ops([Op::Write(1, 8), Op::LoopIf(1)]), Failure::StepLimit { limit: 1000 }),
        (undeclared, Failure::UndeclaredAccess { key: key(2) }),
        (inexact, Failure::InexactAccess { key: key(2) }),
        (ops([Op::Credit(7, u64::MAX)]), Failure::Overflow { key: key(7) }),
        (ops([Op::ObjectRead(0)]), Failure::UndeclaredObject { index: 0 }),
        (unproven, Failure::ProofRejected { reason: "odd".into() }),
        (late, Failure::Expired { deadline: 9, time: 10 }),
    ];
    for config in configs() {
        let mut executor = FastPathExecutor::in_memory(config.clone())
            .unwrap()
            .with_verifier(Arc::new(EvenVerifier));
        executor.insert(key(7), 1).unwrap();
        executor.insert_object(object(1, Ownership::Owned(owner(1)), 5)).unwrap();
        executor.insert_object(object(2, Ownership::Owned(owner(1)), 0)).unwrap();
        executor.insert_object(object(4, Ownership::Immutable, 0)).unwrap();
        // Good transactions between the bad ones: a chain on one object, and a counter.
        let mut transactions = Vec::new();
        for (i, (bad, _)) in cases.iter().enumerate() {
            transactions.extend([bad.clone(), spend(2, i as u64, 1), ops([Op::Credit(3, 1)])]);
        }
        let block = Block { time: 10, ..Block::new(transactions) };
        let outcome = executor.execute_block(&block).unwrap();
        for (i, (_, expected)) in cases.iter().enumerate() {
            assert_eq!(failure(&outcome.receipts[3 * i]), expected, "{:?}", config.mode);
            assert!(outcome.receipts[3 * i + 1].status.is_success());
            assert!(outcome.receipts[3 * i + 2].status.is_success());
        }
        assert_eq!(executor.get(&key(3)).unwrap().unwrap().as_u64(), cases.len() as u64);
        assert_eq!(executor.get(&key(1)).unwrap(), None, "no failed write took effect");
        assert_eq!(executor.object(&key(1002)).unwrap().unwrap().version, cases.len() as u64);
    }
}

#[test]
fn two_transactions_that_spend_one_version_end_in_one_success_and_one_equivocation() {
    for config in configs() {
        let mut executor = FastPathExecutor::in_memory(config).unwrap();
        executor.insert_object(object(1, Ownership::Owned(owner(1)), 5)).unwrap();
        let outcome =
            executor.execute_block(&Block::new(vec![spend(1, 5, 1), spend(1, 5, 1)])).unwrap();
        assert!(outcome.receipts[0].status.is_success());
        assert_eq!(outcome.receipts[0].path, Path::Fast);
        let expected = Failure::Equivocation { id: key(1001), version: 5 };
        assert_eq!(*failure(&outcome.receipts[1]), expected);
        // In a later block it is an old version and nothing else.
        let outcome = executor.execute_block(&Block::new(vec![spend(1, 5, 1)])).unwrap();
        let expected = Failure::WrongVersion { id: key(1001), cited: 5, found: 6 };
        assert_eq!(*failure(&outcome.receipts[0]), expected);
    }
}

#[test]
fn a_private_transaction_without_a_verifier_is_refused() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2)).unwrap();
    let private = Program { proof: Some(vec![2]), ..ops([Op::Write(1, 8)]) };
    let block = Block::new(vec![private.clone()]);
    let outcome = executor.execute_block(&block).unwrap();
    assert!(matches!(failure(&outcome.receipts[0]), Failure::ProofRejected { .. }));
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2))
        .unwrap()
        .with_verifier(Arc::new(EvenVerifier));
    let outcome = executor.execute_block(&block).unwrap();
    assert!(outcome.receipts[0].status.is_success());
    assert_eq!(outcome.receipts[0].path, Path::Private);
}

/// Moves one unit between two balances, and lets other threads go on between reading and writing.
struct Transfer(u64, u64);

impl Transaction for Transfer {
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        let (from, to) = (ctx.read_u64(&key(self.0))?, ctx.read_u64(&key(self.1))?);
        if (from ^ to).is_multiple_of(8) {
            std::thread::yield_now();
        }
        ctx.write(&key(self.0), from.checked_sub(1).ok_or(Abort::user(1))?)?;
        ctx.write(&key(self.1), to + 1)?;
        Ok(Output::Word(from))
    }
}

/// Snapshot stores with a commit timestamp drawn before the versions are there lose updates: a
/// transaction that begins in between reads the old value and passes validation. Here the total of
/// all balances must hold, and each of them, at few accounts and many threads.
#[test]
fn no_update_is_lost_and_no_money_is_made() {
    let mut conflicts = 0;
    for accounts in [2, 10, 100] {
        for threads in [2, 8] {
            let config = Config { chunk: 1, ..Config::with_threads(threads) };
            let mut executor = FastPathExecutor::in_memory(config.fixed(Mode::Optimistic)).unwrap();
            let mut plain = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
            for n in 0..accounts {
                executor.insert(key(n), 1000).unwrap();
                plain.insert(key(n), 1000).unwrap();
            }
            let mut rng = Rng(accounts + threads as u64);
            let transfers = (0..1000).map(|_| {
                let from = rng.below(accounts);
                Transfer(from, (from + 1 + rng.below(accounts - 1)) % accounts)
            });
            let block = Block::new(transfers.collect());
            let found = executor.execute_block(&block).unwrap();
            let total: u64 =
                (0..accounts).map(|n| executor.get(&key(n)).unwrap().unwrap().as_u64()).sum();
            assert_eq!(total, accounts * 1000);
            assert_eq!(found.root, plain.execute_sequential(&block).unwrap().root);
            conflicts += found.cost.conflicts;
        }
    }
    assert!(conflicts > 100, "the races were there: {conflicts}");
}

#[test]
fn fees_are_added_up_and_order_nothing() {
    let config = Config { chunk: 1, ..Config::with_threads(4).fixed(Mode::Optimistic) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    let block = Block {
        fee_account: Some(key(0)),
        ..Block::new((1..500).map(|n| ops([Op::Write(n, 8), Op::Fee(n)])).collect())
    };
    let outcome = executor.execute_block(&block).unwrap();
    assert_eq!(outcome.cost.conflicts, 0);
    assert_eq!(executor.get(&key(0)).unwrap().unwrap().as_u64(), 499 * 500 / 2);
}

#[test]
fn credits_to_one_key_do_not_conflict() {
    let config = Config { chunk: 4, ..Config::with_threads(4).fixed(Mode::Optimistic) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    let block = Block::new((0..2000).map(|n| ops([Op::Read(1 + n), Op::Credit(0, n)])).collect());
    let outcome = executor.execute_block(&block).unwrap();
    assert_eq!((outcome.cost.optimistic, outcome.cost.conflicts), (2000, 0));
    assert_eq!(executor.get(&key(0)).unwrap().unwrap().as_u64(), 1999 * 2000 / 2);
}

#[test]
fn the_log_holds_every_access_and_leads_from_root_to_root() {
    let mut logs = Vec::new();
    for config in configs() {
        let mut executor = FastPathExecutor::in_memory(Config { log: true, ..config }).unwrap();
        (0..50).for_each(|n| executor.insert(key(n), n).unwrap());
        let mut rng = Rng(7);
        let mut random = |ops: &mut Vec<Op>| {
            ops.push(Op::Read(rng.below(50)));
            ops.push(Op::Write(rng.below(50), 8));
            ops.push(Op::Credit(rng.below(50), 3));
            ops.push(Op::AbortIf(5));
            ops.push(Op::Fee(1));
        };
        let block = Block {
            fee_account: Some(key(3)),
            ..Block::new(
                (0..300)
                    .map(|_| {
                        let mut list = Vec::new();
                        random(&mut list);
                        ops(list)
                    })
                    .collect(),
            )
        };
        let outcome = executor.execute_block(&block).unwrap();
        let mut log = outcome.log.expect("asked for");
        log.check().unwrap();
        logs.push(log.clone());
        // A planted lie is found.
        let lie = log.partitions.iter_mut().find_map(|part| {
            let seen = part
                .accesses
                .iter()
                .rposition(|access| matches!(access.kind, AccessKind::Read(Some(_))))?;
            (seen > 3).then(|| part.accesses[seen].kind = AccessKind::Read(None))
        });
        assert!(lie.is_none() || log.check().is_err());
    }
    assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "the same log in every mode");
}

#[test]
fn hot_keys_are_found_and_forgotten() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2)).unwrap();
    let hot = |n: u64| ops([Op::Write(if n.is_multiple_of(2) { 5 } else { 100 + n }, 8)]);
    executor.execute_block(&Block::new((0..20_000).map(hot).collect())).unwrap();
    let top = executor.get_hot_keys(1);
    assert_eq!(top[0].0, key(5));
    assert!((5_000..20_000).contains(&top[0].1), "{top:?}");
    executor.reset_hot_keys();
    assert!(executor.get_hot_keys(1).is_empty());
}

#[test]
fn the_metrics_have_their_names() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2)).unwrap();
    executor.execute_block(&Block::new(vec![ops([Op::Write(1, 8)])])).unwrap();
    let service = FastPathService::<Program, _>::start(executor, QueueConfig::default()).unwrap();
    assert!(service.execute_with_retry(ops([Op::Write(2, 8)]), None).unwrap().status.is_success());
    let executor = loop {
        let text = service.export_prometheus();
        if text.contains("fastpath_txns_total 2") {
            for name in [
                "fastpath_latency_ms{quantile=\"0.999\"}",
                "fastpath_retries_total",
                "fastpath_queue_length 0",
                "fastpath_slow_requests_total",
                "fastpath_queue_wait_time_ms{quantile=\"0.5\"}",
                "# TYPE fastpath_batch_size gauge",
                "fastpath_dropped_total",
            ] {
                assert!(text.contains(name), "{name} in {text}");
            }
            break service.stop().unwrap();
        }
        std::thread::yield_now();
    };
    let stats = executor.stats();
    assert_eq!((stats.total, stats.succeeded, stats.blocks), (2, 2, 2));
    assert_eq!(stats.retry_rate(), 0.0);
    assert!(stats.summary().contains("2 transactions in 2 blocks"));
}

#[test]
fn the_size_of_each_partition_is_what_it_executed() {
    let config = Config { partitions: 4, ..Config::with_threads(2).fixed(Mode::Shards) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    (0..100).for_each(|n| {
        executor.insert_object(object(n, Ownership::Owned(owner(1)), 0)).unwrap();
    });
    // Three spends of object 0 and one of every other: its shard has two more than its share.
    let mut block: Vec<_> = (0..100).map(|n| spend(n, 0, 1)).collect();
    block.extend([spend(0, 1, 1), spend(0, 2, 1)]);
    let outcome = executor.execute_block(&Block::new(block)).unwrap();
    assert!(outcome.receipts.iter().all(|receipt| receipt.status.is_success()));
    assert_eq!(outcome.partitions.len(), 4);
    assert_eq!(outcome.partitions.iter().sum::<u64>(), 102);
    let text = executor.export_prometheus();
    for (shard, size) in outcome.partitions.iter().enumerate() {
        let line = format!("fastpath_batch_size{{partition=\"{shard}\"}} {size}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

/// Takes its time.
struct Sleepy;

impl Transaction for Sleepy {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        std::thread::sleep(Duration::from_millis(3));
        Ok(Output::None)
    }
}

#[test]
fn a_slow_transaction_leaves_a_trace_with_its_path_and_the_reason() {
    let config = Config { slow_nanos: 2_000_000, ..Config::with_threads(1) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    executor.execute_block(&Block::new((0..16).map(|_| Sleepy).collect())).unwrap();
    let stats = executor.stats();
    assert!(stats.slow >= 1);
    assert_eq!(stats.slow_transactions[0].path, Path::Consensus);
    assert!(stats.slow_transactions[0].decision.starts_with("serial: "));
}

/// Panics at every claim.
struct Clumsy;

impl athanor_fastpath::Verifier for Clumsy {
    fn verify(&self, _: &[athanor_fastpath::PrivateClaim<'_>]) -> Vec<Result<(), String>> {
        panic!("unlucky verifier");
    }
}

#[test]
fn a_verifier_that_panics_refuses_its_claims_and_nothing_else() {
    quiet_panics();
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2))
        .unwrap()
        .with_verifier(Arc::new(Clumsy));
    let private = Program { proof: Some(vec![2]), ..ops([Op::Write(1, 8)]) };
    let outcome =
        executor.execute_block(&Block::new(vec![private, ops([Op::Write(2, 8)])])).unwrap();
    let expected = Failure::ProofRejected { reason: "the verifier panicked".into() };
    assert_eq!(*failure(&outcome.receipts[0]), expected);
    assert!(outcome.receipts[1].status.is_success());
}

/// Breaks the rules: panics outside of its execution, where nothing can catch it for the block.
#[derive(Debug)]
struct Broken;

impl Transaction for Broken {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        Ok(Output::None)
    }

    fn deadline(&self) -> Option<u64> {
        panic!("unlucky deadline")
    }

    fn access(&self) -> athanor_fastpath::Access<'_> {
        panic!("unlucky access")
    }
}

#[test]
fn nobody_waits_for_a_service_that_died() {
    quiet_panics();
    let executor = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    let service = FastPathService::start(executor, QueueConfig::default()).unwrap();
    assert!(service.submit(Broken, Some(Duration::MAX)).unwrap().wait().is_none());
    loop {
        match service.submit(Broken, None) {
            Err(SubmitError::Stopped { .. }) => break,
            Ok(ticket) => assert!(ticket.wait().is_none()),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Waits until it is told to go on.
#[derive(Debug)]
struct Gate(std::sync::mpsc::SyncSender<()>, std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Transaction for Gate {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        let _ = self.0.send(());
        let _ = self.1.lock().unwrap().recv();
        Ok(Output::None)
    }
}

#[test]
fn a_full_queue_answers_busy_and_late_transactions_get_a_receipt() {
    let executor = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    let config = QueueConfig {
        capacity: 2,
        max_retries: 2,
        backoff: Backoff::Fixed,
        ..QueueConfig::default()
    };
    let service = FastPathService::start(executor, config).unwrap();
    let gate = || {
        let (entered_in, entered) = std::sync::mpsc::sync_channel(16);
        let (open, opened) = std::sync::mpsc::sync_channel(16);
        (Gate(entered_in, std::sync::Mutex::new(opened)), entered, open)
    };
    let (first, entered, open) = gate();
    let first = service.submit(first, None).unwrap();
    entered.recv().unwrap();
    // The executor stands still now; two may wait.
    let (second, _, open_second) = gate();
    let second = service.submit(second, None).unwrap();
    let (third, _, open_third) = gate();
    let third = service.submit(third, Some(Duration::ZERO)).unwrap();
    assert!(service.is_congested());
    let (fourth, _, _) = gate();
    let refused = service.execute_with_retry(fourth, None);
    assert!(matches!(refused, Err(SubmitError::Busy { waiting: 2, .. })));
    assert!(service.export_prometheus().contains("fastpath_submit_retries_total 2"));
    std::thread::sleep(Duration::from_millis(2));
    for open in [open, open_second, open_third] {
        let _ = open.send(());
    }
    assert!(first.wait().unwrap().status.is_success());
    assert!(second.wait().unwrap().status.is_success());
    assert!(matches!(failure(&third.wait().unwrap()), Failure::Expired { .. }));
}

#[test]
fn backoff_doubles_up_to_a_bound() {
    let bound = |retry| Backoff::Exponential.bound(retry, false).unwrap().as_millis();
    assert_eq!((bound(0), bound(1), bound(5), bound(30)), (1, 2, 32, 1000));
    assert_eq!(Backoff::Exponential.bound(0, true).unwrap().as_millis(), 2);
    assert_eq!(Backoff::Off.bound(0, false), None);
    assert_eq!(Backoff::from_name("fixed"), Backoff::Fixed);
}

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

/// Fails when it is told to.
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

#[test]
fn one_tiny_block_and_no_block_at_all_are_fine() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(8)).unwrap();
    let empty = executor.execute_block(&Block::<Program>::new(Vec::new())).unwrap();
    assert!(empty.receipts.is_empty() && empty.delta.changes.is_empty());
    let one = executor.execute_block(&Block::new(vec![ops([Op::Write(1, 8)])])).unwrap();
    assert_ne!(one.root, empty.root);
    let gone = executor.execute_block(&Block::new(vec![ops([Op::Delete(1)])])).unwrap();
    assert_eq!(gone.root, empty.root);
}

/// Nearly everything on one key, in a block of ten thousand (a million in the long run).
#[test]
fn one_hot_key_is_no_cliff_and_no_deadlock() {
    let long = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    let count = if long { 1_000_000 } else { 10_000 };
    for mode in [Mode::Optimistic, Mode::Declared] {
        let mut executor =
            FastPathExecutor::in_memory(Config::with_threads(4).fixed(mode)).unwrap();
        let mut plain = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
        let program = |n: u64| Program {
            access: Declared::Keys(Declaration::Superset),
            writes: vec![key(if n.is_multiple_of(100) { n } else { 0 })],
            ..ops([Op::ReadIndirect(1), Op::Write(0, 8)])
        };
        let mut block = Block::new((0..count).map(program).collect());
        for (n, program) in block.transactions.iter_mut().enumerate() {
            let k = if n % 100 == 0 { n as u64 } else { 0 };
            program.ops = vec![Op::Read(k), Op::Write(k, 8)];
        }
        let found = executor.execute_block(&block).unwrap();
        let expected = plain.execute_sequential(&block).unwrap();
        assert_eq!(found.root, expected.root);
        assert!(found.cost.executions <= 3 * count, "{:?}", found.cost);
    }
}
