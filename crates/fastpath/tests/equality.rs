//! Compares the executor with a model that shares no code with it, over random programs, access
//! patterns, declarations, objects and failures, in every mode and with one to eight threads.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;

use athanor_fastpath::{
    Block, Config, Cost, Declaration, FastPathExecutor, Key, MemoryState, Mode, Object, ObjectRef,
    Ownership, Value,
};
use common::{
    Declared, EvenVerifier, Model, Op, Program, Rng, assert_same_receipts, assert_same_state, key,
    quiet_panics,
};

const OBJECTS: u64 = 40;
const OWNERS: u64 = 4;
const STEP_LIMIT: u64 = 60;

fn object_id(n: u64) -> Key {
    Key::named(&n.to_le_bytes())
}

fn owner(n: u64) -> Key {
    Key([n as u8 + 1; 32])
}

/// Parameters of a random block.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    transactions: u64,
    /// Number of keys. Fewer keys cause more conflicts.
    keys: u64,
    /// Of ten transactions, the number that use only objects, and the number that promise their
    /// access sets.
    owned: u64,
    declared: u64,
    /// Whether the block contains faulty programs.
    faults: bool,
}

fn program(rng: &mut Rng, recipe: &Recipe, model: &Model) -> Program {
    let mut program = Program { sender: owner(rng.below(OWNERS)), ..Program::default() };
    let kind = rng.below(10);
    if kind < recipe.owned {
        program.access = Declared::Objects;
        pick_objects(rng, &mut program, recipe, model);
    } else if rng.one_in(10) {
        pick_objects(rng, &mut program, recipe, model);
    }
    let key_ops = program.access != Declared::Objects;
    for _ in 0..1 + rng.below(6) {
        let k = rng.below(recipe.keys);
        let op = match rng.below(16) {
            0..=3 if key_ops => Op::Read(k),
            4..=6 if key_ops => Op::Write(k, [8, 8, 8, 20, 48, 90][rng.below(6) as usize]),
            7 if key_ops => Op::Delete(k),
            8..=9 if key_ops => {
                Op::Credit(k, if recipe.faults && rng.one_in(30) { u64::MAX / 2 } else { 1 })
            }
            10 if key_ops => Op::ReadIndirect(recipe.keys),
            11 if key_ops => Op::WriteIndirect(recipe.keys),
            12 => Op::Fee(rng.below(5)),
            13 => Op::ObjectRead(rng.below(3) as usize),
            14 => Op::ObjectWrite(rng.below(2) as usize),
            15 if rng.one_in(3) => {
                let to = match rng.below(8) {
                    0 => Ownership::Shared,
                    1 => Ownership::Immutable,
                    n => Ownership::Owned(owner(n % OWNERS)),
                };
                Op::ObjectGive(0, to)
            }
            _ => Op::AbortIf(7 + rng.below(100)),
        };
        let needs = match op {
            Op::ObjectRead(i) | Op::ObjectWrite(i) | Op::ObjectGive(i, _) => i + 1,
            _ => 0,
        };
        // The use of an undeclared object is a fault, so it is added rarely.
        if needs <= program.objects.len() || recipe.faults && rng.one_in(20) {
            program.ops.push(op);
        }
        if rng.one_in(60) {
            program.ops.push(Op::Yield);
        }
    }
    if recipe.faults && rng.one_in(25) {
        let modulus = 1 + rng.below(4);
        program.ops.push(match rng.below(3) {
            0 => Op::PanicIf(modulus),
            1 => Op::LoopIf(modulus),
            _ => Op::ReadCarelessly(rng.below(recipe.keys)),
        });
    }
    if key_ops && kind < recipe.owned + recipe.declared {
        declare(rng, &mut program, recipe);
    }
    if recipe.faults && rng.one_in(40) {
        program.proof = Some(vec![rng.below(4) as u8]);
    }
    if recipe.faults && rng.one_in(40) {
        program.deadline = Some(rng.below(20));
    }
    program
}

fn pick_objects(rng: &mut Rng, program: &mut Program, recipe: &Recipe, model: &Model) {
    for _ in 0..1 + rng.below(2) {
        let id = object_id(rng.below(OBJECTS + u64::from(recipe.faults)));
        let known = model.objects.get(&id);
        let mut version = known.map_or(0, |object| object.version);
        // In one case of three, the version that an earlier transaction of the block can make.
        version += rng.below(3) / 2;
        if let Some(Object { ownership: Ownership::Owned(owner), .. }) = known
            && !rng.one_in(10)
        {
            program.sender = *owner;
        }
        program.objects.push(ObjectRef { id, version });
    }
}

fn declare(rng: &mut Rng, program: &mut Program, recipe: &Recipe) {
    let indirect =
        program.ops.iter().any(|op| matches!(op, Op::ReadIndirect(_) | Op::WriteIndirect(_)));
    let kind = match rng.below(3) {
        0 => Declaration::Exact,
        1 => Declaration::Superset,
        _ => Declaration::Guess,
    };
    program.access = Declared::Keys(kind);
    for op in &program.ops {
        match op {
            Op::Read(k) | Op::ReadCarelessly(k) => program.reads.push(key(*k)),
            Op::Write(k, _) | Op::Delete(k) | Op::Credit(k, _) => program.writes.push(key(*k)),
            _ => {}
        }
    }
    if indirect && !rng.one_in(4) {
        program.reads.extend((0..recipe.keys.min(12)).map(key));
        program.writes.extend((0..recipe.keys.min(12)).map(key));
    }
    if kind != Declaration::Exact && rng.one_in(2) {
        program.writes.push(key(rng.below(recipe.keys)));
    }
    if recipe.faults && rng.one_in(15) {
        program.reads.pop();
        program.writes.pop();
    }
}

fn block(rng: &mut Rng, recipe: &Recipe, model: &Model) -> Block<Program> {
    Block {
        transactions: (0..recipe.transactions).map(|_| program(rng, recipe, model)).collect(),
        time: 10,
        fee_account: rng.one_in(2).then(|| key(rng.below(recipe.keys))),
    }
}

fn genesis(rng: &mut Rng, recipe: &Recipe) -> Model {
    let mut model = Model { step_limit: STEP_LIMIT, ..Model::default() };
    for n in 0..recipe.keys {
        if rng.below(4) > 0 {
            model.keys.insert(key(n), Value::from_u64(1000 + n));
        }
    }
    for n in 0..OBJECTS {
        let ownership = match rng.below(8) {
            0 => Ownership::Shared,
            1 => Ownership::Immutable,
            n => Ownership::Owned(owner(n % OWNERS)),
        };
        let data = Value::from_u64(n);
        let object = Object { id: object_id(n), version: rng.below(3), ownership, data };
        model.objects.insert(object.id, object);
    }
    model
}

fn executor(model: &Model, config: Config) -> FastPathExecutor<MemoryState> {
    let config = Config { step_limit: STEP_LIMIT, ..config };
    let mut executor =
        FastPathExecutor::in_memory(config).unwrap().with_verifier(Arc::new(EvenVerifier));
    for (key, value) in &model.keys {
        executor.insert(*key, value.clone()).unwrap();
    }
    for object in model.objects.values() {
        executor.insert_object(object.clone()).unwrap();
    }
    executor
}

/// Executes blocks of one recipe with the model, the plain loop and the given configurations.
fn compare(seed: u64, recipe: Recipe, blocks: u64, configs: &[Config], cost: &mut Cost) -> u64 {
    quiet_panics();
    let mut rng = Rng(seed);
    let mut model = genesis(&mut rng, &recipe);
    let mut reference = executor(&model, Config::with_threads(1));
    let mut others: Vec<_> =
        configs.iter().map(|config| executor(&model, config.clone())).collect();
    let mut executed = 0;
    for round in 0..blocks {
        let block = block(&mut rng, &recipe, &model);
        let what = format!("seed {seed}, {recipe:?}, block {round}");
        let expected = model.execute(&block);
        let plain = reference.execute_sequential(&block).unwrap();
        assert_same_receipts(&expected, &plain.receipts, &format!("{what}, sequential"));
        assert_same_state(&model, &reference, recipe.keys, &what);
        for (config, other) in configs.iter().zip(&mut others) {
            let what = format!("{what}, {:?} on {} threads", config.mode, config.threads);
            let outcome = other.execute_block(&block).unwrap();
            assert_same_receipts(&expected, &outcome.receipts, &what);
            assert_same_state(&model, other, recipe.keys, &what);
            assert_eq!(plain.root, outcome.root, "{what}");
            assert_eq!(plain.delta.sorted(), outcome.delta.sorted(), "{what}");
            executed += recipe.transactions;
            cost.optimistic += outcome.cost.optimistic;
            cost.declared += outcome.cost.declared;
            cost.sharded += outcome.cost.sharded;
            cost.conflicts += outcome.cost.conflicts;
            cost.suspensions += outcome.cost.suspensions;
        }
    }
    executed
}

fn modes(threads: usize) -> Vec<Config> {
    let with = |chunk, mode| Config { chunk, ..Config::with_threads(threads).fixed(mode) };
    vec![
        Config { adaptive: true, ..Config::with_threads(threads) },
        with(1, Mode::Optimistic),
        with(8, Mode::Optimistic),
        with(2, Mode::Declared),
        with(2, Mode::Shards),
    ]
}

fn recipes() -> impl Iterator<Item = Recipe> {
    let shapes = [
        (2, 0, 0),
        (6, 0, 0),
        (6, 0, 10),
        (12, 0, 5),
        (40, 5, 0),
        (200, 3, 3),
        (30, 10, 0),
        (50, 10, 0),
    ];
    shapes.into_iter().flat_map(|(keys, owned, declared)| {
        [false, true].map(|faults| Recipe { transactions: 150, keys, owned, declared, faults })
    })
}

#[test]
fn every_mode_gives_the_result_of_the_order() {
    let (mut executed, mut cost) = (0, Cost::default());
    for (i, recipe) in recipes().enumerate() {
        for threads in [2, 3, 8] {
            let seed = i as u64 * 100 + threads as u64;
            executed += compare(seed, recipe, 2, &modes(threads), &mut cost);
        }
        executed += compare(i as u64 * 100, recipe, 2, &modes(1)[..2], &mut cost);
    }
    assert!(executed > 40_000, "{executed}");
    // Each mode executed transactions with its configuration fixed, and conflicts and suspensions
    // occurred.
    assert!(cost.optimistic > 10_000 && cost.declared > 1000 && cost.sharded > 500, "{cost:?}");
    assert!(cost.conflicts > 100 && cost.suspensions > 0, "{cost:?}");
}

#[test]
fn ten_million_transactions_give_the_result_of_the_order() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let mut executed = 0;
    let mut seed = 1_000_000;
    while executed < 10_000_000 {
        for recipe in recipes() {
            let threads = 1 + seed as usize % 8;
            executed += compare(seed, recipe, 10, &modes(threads), &mut Cost::default());
            seed += 1;
        }
    }
}
