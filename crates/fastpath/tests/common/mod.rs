//! Random programs as transactions, and a sequential model of the executor that shares no code with
//! it.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::BTreeMap;

use athanor_fastpath::{
    Abort, Access, Block, Config, Context, Declaration, Failure, FastPathExecutor, Key,
    MemoryState, Mode, Object, ObjectRef, Output, Owner, Ownership, Path, PrivateClaim, Receipt,
    Status, Transaction, Value, Verifier,
};

/// The SplitMix64 generator.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// An operation of a program. `acc` is the only register.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// `acc = acc * 31 + hash(value(key))`.
    Read(u64),
    /// `key = acc`, as a value of this many bytes (at least 8).
    Write(u64, usize),
    Delete(u64),
    Credit(u64, u64),
    /// Aborts if `acc % modulus == 0`.
    AbortIf(u64),
    /// Panics if `acc % modulus == 0`.
    PanicIf(u64),
    /// Loops forever if `acc % modulus == 0`.
    LoopIf(u64),
    Fee(u64),
    /// Reads key number `acc % bound`.
    ReadIndirect(u64),
    /// Writes key number `acc % bound`.
    WriteIndirect(u64),
    ObjectRead(usize),
    ObjectWrite(usize),
    ObjectGive(usize, Ownership),
    /// Reads this key and ignores an error.
    ReadCarelessly(u64),
    /// Yields to other threads, so that earlier reads are probably overwritten.
    Yield,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) ops: Vec<Op>,
    pub(crate) sender: Owner,
    pub(crate) objects: Vec<ObjectRef>,
    pub(crate) access: Declared,
    pub(crate) reads: Vec<Key>,
    pub(crate) writes: Vec<Key>,
    pub(crate) proof: Option<Vec<u8>>,
    pub(crate) deadline: Option<u64>,
}

#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub(crate) enum Declared {
    #[default]
    Unknown,
    Objects,
    Keys(Declaration),
}

pub(crate) fn key(n: u64) -> Key {
    Key::from_u64(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// `acc` in the first eight bytes, followed by bytes derived from it.
fn value_of(acc: u64, len: usize) -> Vec<u8> {
    let mut bytes = acc.to_le_bytes().to_vec();
    bytes.extend((8..len).map(|i| (acc >> (i % 8)) as u8));
    bytes
}

fn mix(acc: u64, value: &Option<Value>) -> u64 {
    let seen = match value {
        None => 17,
        Some(value) => value.with_bytes(|bytes| {
            bytes.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(257).wrapping_add(byte.into()))
        }),
    };
    acc.wrapping_mul(31).wrapping_add(seen)
}

impl Transaction for Program {
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        let mut acc = 1;
        for op in &self.ops {
            match op {
                Op::Read(k) => acc = mix(acc, &ctx.read(&key(*k))?),
                Op::Write(k, len) => {
                    ctx.write(&key(*k), Value::from_bytes(&value_of(acc, *len)))?
                }
                Op::Delete(k) => ctx.delete(&key(*k))?,
                Op::Credit(k, amount) => ctx.credit(&key(*k), *amount)?,
                Op::AbortIf(m) if acc.is_multiple_of(*m) => return Err(Abort::user(acc)),
                Op::PanicIf(m) if acc.is_multiple_of(*m) => panic!("unlucky {m}"),
                Op::LoopIf(m) if acc.is_multiple_of(*m) => loop {
                    ctx.step(1)?;
                },
                Op::AbortIf(_) | Op::PanicIf(_) | Op::LoopIf(_) => {}
                Op::Fee(amount) => ctx.pay_fee(*amount),
                Op::ReadIndirect(n) => acc = mix(acc, &ctx.read(&key(acc % n))?),
                Op::WriteIndirect(n) => ctx.write(&key(acc % n), acc)?,
                Op::ObjectRead(i) => {
                    let object = ctx.object(*i)?;
                    // Adds zero if both ways to read the object return the same number.
                    acc = acc.wrapping_add(ctx.object_u64(*i)? ^ object.data.as_u64());
                    acc = mix(acc, &Some(object.data)).wrapping_add(object.version);
                }
                Op::ObjectWrite(i) => ctx.set_object(*i, acc)?,
                Op::ObjectGive(i, to) => ctx.give_object(*i, *to)?,
                Op::Yield => std::thread::yield_now(),
                Op::ReadCarelessly(k) => {
                    if let Ok(value) = ctx.read(&key(*k)) {
                        acc = mix(acc, &value);
                    }
                }
            }
        }
        Ok(Output::Word(acc))
    }

    fn access(&self) -> Access<'_> {
        match self.access {
            Declared::Unknown => Access::Unknown,
            Declared::Objects => Access::Objects,
            Declared::Keys(kind) => Access::Keys { kind, reads: &self.reads, writes: &self.writes },
        }
    }

    fn sender(&self) -> Owner {
        self.sender
    }

    fn objects(&self) -> &[ObjectRef] {
        &self.objects
    }

    fn private(&self) -> Option<PrivateClaim<'_>> {
        self.proof.as_deref().map(|proof| PrivateClaim { statement: b"even", proof })
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline
    }
}

/// Accepts a proof if the sum of its bytes is even.
pub(crate) struct EvenVerifier;

impl Verifier for EvenVerifier {
    fn verify(&self, claims: &[PrivateClaim<'_>]) -> Vec<Result<(), String>> {
        claims.iter().map(|claim| is_even(claim.proof)).collect()
    }
}

fn is_even(proof: &[u8]) -> Result<(), String> {
    let sum: u64 = proof.iter().map(|&byte| u64::from(byte)).sum();
    if sum.is_multiple_of(2) { Ok(()) } else { Err("odd".into()) }
}

/// The state as maps.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<Key, Value>,
    pub(crate) objects: BTreeMap<Key, Object>,
    pub(crate) step_limit: u64,
}

enum End {
    User(u64),
    Failure(Failure),
}

impl Model {
    /// Executes a block sequentially.
    pub(crate) fn execute(&mut self, block: &Block<Program>) -> Vec<Receipt> {
        let mut fees = 0_u64;
        let mut spent: Vec<(Key, u64)> = Vec::new();
        let receipts = block
            .transactions
            .iter()
            .map(|program| self.transaction(program, block.time, &mut fees, &mut spent))
            .collect();
        if let Some(account) = block.fee_account.filter(|_| fees > 0) {
            let before = self.keys.get(&account).map(Value::as_u64).unwrap_or(0);
            let value = with_number(self.keys.get(&account), before.saturating_add(fees));
            self.keys.insert(account, value);
        }
        receipts
    }

    fn transaction(
        &mut self,
        program: &Program,
        time: u64,
        fees: &mut u64,
        spent: &mut Vec<(Key, u64)>,
    ) -> Receipt {
        let private = program.proof.is_some();
        let refused = |failure: Failure| Receipt {
            status: Status::from(failure),
            path: if private { Path::Private } else { Path::Consensus },
            ..Receipt::default()
        };
        if let Some(deadline) = program.deadline.filter(|deadline| *deadline < time) {
            return refused(Failure::Expired { deadline, time });
        }
        if let Some(Err(reason)) = program.proof.as_deref().map(is_even) {
            return refused(Failure::ProofRejected { reason });
        }
        let mut after = self.clone();
        let mut fee = 0_u64;
        let mut shared = false;
        let result = after.program(program, &mut fee, spent, &mut shared);
        let owned = program.access == Declared::Objects && !program.objects.is_empty() && !shared;
        let path = match (private, owned) {
            (true, _) => Path::Private,
            (false, true) => Path::Fast,
            (false, false) => Path::Consensus,
        };
        let (status, output) = match result {
            Ok(acc) => {
                for object in &program.objects {
                    let before = &self.objects[&object.id];
                    if after.objects[&object.id].version != before.version {
                        spent.push((object.id, before.version));
                    }
                }
                *self = after;
                *fees = fees.saturating_add(fee);
                (Status::Success, Output::Word(acc))
            }
            Err(End::User(code)) => (Status::Aborted { code }, Output::None),
            Err(End::Failure(failure)) => (Status::from(failure), Output::None),
        };
        Receipt { status, output, path, attempts: 1 }
    }

    fn allowed(program: &Program, key: &Key, write: bool) -> Result<(), End> {
        let fine = match program.access {
            Declared::Unknown | Declared::Keys(Declaration::Guess) => true,
            Declared::Objects => false,
            Declared::Keys(_) => {
                program.writes.contains(key) || !write && program.reads.contains(key)
            }
        };
        if fine { Ok(()) } else { Err(End::Failure(Failure::UndeclaredAccess { key: *key })) }
    }

    fn program(
        &mut self,
        program: &Program,
        fee: &mut u64,
        spent: &[(Key, u64)],
        shared: &mut bool,
    ) -> Result<u64, End> {
        let fail = |failure| Err(End::Failure(failure));
        let mut steps = program.objects.len() as u64;
        let limit = self.step_limit;
        let before = self.objects.clone();
        for (i, object) in program.objects.iter().enumerate() {
            let id = object.id;
            if program.objects[..i].iter().any(|other| other.id == id) {
                return fail(Failure::DuplicateObject { id });
            }
            let Some(found) = self.objects.get(&id) else {
                *shared = true;
                return fail(Failure::UnknownObject { id });
            };
            *shared |= found.ownership == Ownership::Shared;
            if let Ownership::Owned(owner) = found.ownership {
                if found.version != object.version {
                    let version = object.version;
                    return fail(
                        if version + 1 == found.version && spent.contains(&(id, version)) {
                            Failure::Equivocation { id, version }
                        } else {
                            Failure::WrongVersion { id, cited: version, found: found.version }
                        },
                    );
                }
                if owner != program.sender {
                    return fail(Failure::NotOwner { id });
                }
            }
        }
        let mut written = Vec::new();
        let mut touched = Vec::new();
        let mut acc = 1_u64;
        for op in &program.ops {
            if *op == Op::Yield {
                continue;
            }
            if !matches!(op, Op::AbortIf(_) | Op::PanicIf(_) | Op::LoopIf(_) | Op::Fee(_)) {
                steps += 1;
                if steps > limit {
                    return fail(Failure::StepLimit { limit });
                }
            }
            let at = match op {
                Op::Read(k) | Op::Write(k, _) | Op::Delete(k) | Op::Credit(k, _) => key(*k),
                Op::ReadCarelessly(k) => key(*k),
                Op::ReadIndirect(n) | Op::WriteIndirect(n) => key(acc % n),
                _ => Key::default(),
            };
            match op {
                Op::Read(_) | Op::ReadIndirect(_) | Op::ReadCarelessly(_) => {
                    Self::allowed(program, &at, false)?;
                    acc = mix(acc, &self.keys.get(&at).cloned());
                }
                Op::Write(_, len) => {
                    Self::allowed(program, &at, true)?;
                    self.keys.insert(at, Value::from_bytes(&value_of(acc, *len)));
                    written.push(at);
                }
                Op::WriteIndirect(_) => {
                    Self::allowed(program, &at, true)?;
                    self.keys.insert(at, Value::from_u64(acc));
                    written.push(at);
                }
                Op::Delete(_) => {
                    Self::allowed(program, &at, true)?;
                    self.keys.remove(&at);
                    written.push(at);
                }
                Op::Credit(_, amount) => {
                    Self::allowed(program, &at, true)?;
                    let before = self.keys.get(&at).map(Value::as_u64).unwrap_or(0);
                    let Some(sum) = before.checked_add(*amount) else {
                        return fail(Failure::Overflow { key: at });
                    };
                    let value = with_number(self.keys.get(&at), sum);
                    self.keys.insert(at, value);
                    written.push(at);
                }
                Op::AbortIf(m) if acc.is_multiple_of(*m) => return Err(End::User(acc)),
                Op::PanicIf(m) if acc.is_multiple_of(*m) => {
                    return fail(Failure::Panicked { message: format!("unlucky {m}") });
                }
                Op::LoopIf(m) if acc.is_multiple_of(*m) => {
                    return fail(Failure::StepLimit { limit });
                }
                Op::AbortIf(_) | Op::PanicIf(_) | Op::LoopIf(_) | Op::Yield => {}
                Op::Fee(amount) => *fee = fee.saturating_add(*amount),
                Op::ObjectRead(i) | Op::ObjectWrite(i) | Op::ObjectGive(i, _) => {
                    let Some(cited) = program.objects.get(*i) else {
                        return fail(Failure::UndeclaredObject { index: *i });
                    };
                    let object = self.objects.get_mut(&cited.id).expect("checked above");
                    if let Op::ObjectRead(_) = op {
                        acc = mix(acc, &Some(object.data.clone())).wrapping_add(object.version);
                        continue;
                    }
                    if before[&cited.id].ownership == Ownership::Immutable {
                        return fail(Failure::Immutable { id: cited.id });
                    }
                    touched.push(cited.id);
                    match op {
                        Op::ObjectGive(_, to) => object.ownership = *to,
                        _ => object.data = Value::from_u64(acc),
                    }
                }
            }
        }
        if program.access == Declared::Keys(Declaration::Exact)
            && let Some(missing) = program.writes.iter().find(|key| !written.contains(key))
        {
            return fail(Failure::InexactAccess { key: *missing });
        }
        for cited in &program.objects {
            let object = self.objects.get_mut(&cited.id).expect("checked above");
            let spends = match before[&cited.id].ownership {
                Ownership::Owned(_) => true,
                Ownership::Shared => touched.contains(&cited.id),
                Ownership::Immutable => false,
            };
            object.version += u64::from(spends);
        }
        Ok(acc)
    }
}

fn with_number(value: Option<&Value>, n: u64) -> Value {
    let mut bytes = value.map(Value::to_vec).unwrap_or_default();
    bytes.resize(bytes.len().max(8), 0);
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Value::from_bytes(&bytes)
}

/// Asserts that two lists of receipts have the same results.
pub(crate) fn assert_same_receipts(expected: &[Receipt], found: &[Receipt], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert!(
            expected.same_result(found),
            "{what}: transaction {index}\nexpected {expected:?}\n   found {found:?}"
        );
    }
}

/// Asserts that the executor's state equals the model's.
pub(crate) fn assert_same_state(
    model: &Model,
    executor: &FastPathExecutor<MemoryState>,
    keys: u64,
    what: &str,
) {
    for n in 0..keys {
        let key = key(n);
        assert_eq!(
            model.keys.get(&key).cloned(),
            executor.get(&key).unwrap(),
            "{what}: key {n} ({key})"
        );
    }
    for (id, object) in &model.objects {
        assert_eq!(Some(object.clone()), executor.object(id).unwrap(), "{what}: object {id}");
    }
}

/// Suppresses the messages of the expected panics of test programs.
pub(crate) fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let expected = info.payload().downcast_ref::<String>();
            if !expected.is_some_and(|message| message.starts_with("unlucky")) {
                usual(info);
            }
        }));
    });
}

pub(crate) fn owner(n: u8) -> Key {
    Key([n; 32])
}

pub(crate) fn object(n: u64, ownership: Ownership, version: u64) -> Object {
    Object { id: key(1000 + n), version, ownership, data: Value::from_u64(n) }
}

pub(crate) fn spend(n: u64, version: u64, sender: u8) -> Program {
    Program {
        ops: vec![Op::ObjectWrite(0)],
        sender: owner(sender),
        objects: vec![ObjectRef { id: key(1000 + n), version }],
        access: Declared::Objects,
        ..Program::default()
    }
}

pub(crate) fn ops(ops: impl Into<Vec<Op>>) -> Program {
    Program { ops: ops.into(), ..Program::default() }
}

pub(crate) fn failure(receipt: &Receipt) -> &Failure {
    match &receipt.status {
        Status::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

/// The configurations in which each scenario is tested.
pub(crate) fn configs() -> Vec<Config> {
    let mut configs = vec![Config::with_threads(1), Config::with_threads(2)];
    for mode in [Mode::Optimistic, Mode::Shards, Mode::Declared] {
        configs.push(Config::with_threads(3).fixed(mode));
    }
    configs.iter_mut().for_each(|config| config.step_limit = 1000);
    configs
}
