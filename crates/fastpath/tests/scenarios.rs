//! Scenarios: each kind of invalid input, lost-update races, fees, access logs.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;

use athanor_fastpath::{
    Abort, AccessKind, Block, Config, Context, Declaration, Failure, FastPathExecutor, Mode,
    ObjectRef, Output, Ownership, Path, Transaction,
};
use common::{
    Declared, EvenVerifier, Op, Program, Rng, assert_same_receipts, configs, failure, key, object,
    ops, owner, quiet_panics, spend,
};

#[test]
fn each_bad_input_has_its_status_and_harms_nothing_else() {
    quiet_panics();
    let id = |n: u64| key(1000 + n);
    let twice = Program { objects: vec![ObjectRef { id: id(1), version: 5 }; 2], ..spend(1, 5, 1) };
    let worn_out = Program {
        objects: vec![
            ObjectRef { id: id(6), version: 0 },
            ObjectRef { id: id(5), version: u64::MAX },
        ],
        ..spend(6, 0, 1)
    };
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
        (worn_out, Failure::LastVersion { id: id(5) }),
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
        executor.insert_object(object(5, Ownership::Owned(owner(1)), u64::MAX)).unwrap();
        executor.insert_object(object(6, Ownership::Owned(owner(1)), 0)).unwrap();
        // Valid transactions between the invalid ones: a chain on one object, and a counter.
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
        assert_eq!(executor.object(&key(1006)).unwrap().unwrap().version, 0, "nor a version");
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
        // In a later block the version is an old one; there is no equivocation.
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

/// Moves one unit between two balances. In some cases it yields between the reads and the writes.
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

/// Snapshot stores that draw a commit timestamp before they publish the versions can lose updates:
/// a transaction that begins in between reads the old value and passes validation. This test checks
/// the total of all balances and the root, with few accounts and many threads.
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
        // A falsified read is detected.
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

/// A verifier that panics at every call.
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

/// 99 % of the transactions use one key, in a block of ten thousand (a million in the long test).
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
        // All transactions that use the key run after the first of them on its worker, without
        // validation.
        let followers = if mode == Mode::Declared { count - count / 100 } else { 0 };
        assert_eq!(found.cost.followed, followers);
    }
}

/// Large sets of names, writes, declared keys, objects and records are searched through indexes.
/// Here a transaction has thousands of each, at random; a linear search would be visible in the
/// duration.
#[test]
fn large_transactions_give_the_result_of_the_order() {
    const KEYS: u64 = 10_000;
    const OBJECTS: u64 = 6_000;
    for config in configs() {
        let config = Config { step_limit: 100_000, ..config };
        let mut executor = FastPathExecutor::in_memory(config.clone()).unwrap();
        let mut plain = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
        for executor in [&mut executor, &mut plain] {
            let objects = (0..OBJECTS).map(|n| object(n, Ownership::Owned(owner(1)), 0));
            executor.insert_all_objects(objects).unwrap();
        }
        let mut rng = Rng(3);
        let mut keys = |n: u64| {
            let mut program = Program::default();
            for _ in 0..n {
                let [a, b, c] = [(); 3].map(|()| rng.below(KEYS));
                program.ops.extend([Op::Read(a), Op::Write(b, 8), Op::Credit(c, 1)]);
                program.reads.push(key(a));
                program.writes.extend([key(b), key(c)]);
            }
            program
        };
        let declared = |kind| move |program| Program { access: Declared::Keys(kind), ..program };
        let objects = |first: u64, n: u64| Program {
            ops: (0..n as usize).step_by(7).map(Op::ObjectWrite).collect(),
            objects: (first..first + n)
                .map(|n| ObjectRef { id: key(1000 + n), version: 0 })
                .collect(),
            ..spend(0, 0, 1)
        };
        let mut twice = objects(0, 1000);
        twice.objects.push(twice.objects[17]);
        let mut block = vec![twice, objects(0, 1000), objects(900, 1000), objects(2000, 4000)];
        for n in [1, 40, 3000, 3000] {
            block.push(keys(n));
            block.push(declared(Declaration::Guess)(keys(n)));
            block.push(declared(Declaration::Superset)(keys(n)));
            block.push(declared(Declaration::Exact)(keys(n)));
            // The declaration lacks one key.
            let mut short = declared(Declaration::Superset)(keys(n));
            short.reads.pop();
            short.ops.push(Op::Read(KEYS + n));
            block.push(short);
        }
        let only_declared =
            block.iter().filter(|program| program.access != Declared::Unknown).cloned().collect();
        for block in [Block::new(block), Block::new(only_declared)] {
            let found = executor.execute_block(&block).unwrap();
            let expected = plain.execute_sequential(&block).unwrap();
            assert_eq!(found.root, expected.root);
            assert_same_receipts(&expected.receipts, &found.receipts, &format!("{config:?}"));
            assert!(found.receipts.iter().any(|receipt| receipt.status.is_success()));
        }
    }
}
