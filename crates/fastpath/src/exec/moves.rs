//! Transactions for the loom tests of the schedulers: few entries, few transactions, and a result
//! that differs for each order of execution.

use super::{Env, route::Refusals};
use crate::block::Space;
use crate::state::{MemoryState, arena::Arena};
use crate::transaction::{Abort, Access, Declaration, Transaction};
use crate::{Context, Key, Output, Value};

/// Initial balances.
const BALANCES: [u64; 3] = [10, 20, 30];

/// Subtracts one from the first entry; doubles the second and adds one. No two of these
/// transactions commute.
#[derive(Clone)]
pub(super) struct Move {
    from: u64,
    to: u64,
    /// Kind of the declared access set.
    kind: Option<Declaration>,
    keys: [Key; 2],
    /// Aborts if the first entry has this value.
    gives_up_at: Option<u64>,
}

impl Move {
    pub(super) fn new(from: u64, to: u64) -> Self {
        let keys = [Key::from_u64(from), Key::from_u64(to)];
        Self { from, to, kind: None, keys, gives_up_at: None }
    }

    pub(super) fn declared(self, kind: Declaration) -> Self {
        Self { kind: Some(kind), ..self }
    }

    pub(super) fn gives_up_at(self, left: u64) -> Self {
        Self { gives_up_at: Some(left), ..self }
    }

    fn of(&self, x: u64, y: u64) -> Option<(u64, u64)> {
        (self.gives_up_at != Some(x)).then_some((x - 1, 2 * y + 1))
    }
}

impl Transaction for Move {
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        let [from, to] = &self.keys;
        let (x, y) = (ctx.read_u64(from)?, ctx.read_u64(to)?);
        let (x, y) = self.of(x, y).ok_or(Abort::user(1))?;
        ctx.write(from, x)?;
        ctx.write(to, y)?;
        Ok(Output::None)
    }

    fn access(&self) -> Access<'_> {
        match self.kind {
            None => Access::Unknown,
            Some(kind) => Access::Keys { kind, reads: &[], writes: &self.keys },
        }
    }
}

/// The parts that the workers of a test share.
pub(super) struct Scene {
    pub(super) arena: Arena,
    pub(super) moves: Vec<Move>,
    refusals: Refusals,
}

impl Scene {
    pub(super) fn new(moves: &[Move]) -> Self {
        let mut arena = Arena::new();
        for (n, balance) in (0..).zip(BALANCES) {
            arena.insert(Space::Plain, Key::from_u64(n), Some(&Value::from_u64(balance)));
        }
        Self { arena, moves: moves.to_vec(), refusals: Refusals::default() }
    }

    pub(super) fn env(&self) -> Env<'_, Move> {
        Env {
            transactions: &self.moves,
            refusals: &self.refusals,
            arena: &self.arena,
            behind: &MemoryState,
            base: 1,
            step_limit: 100,
            log: false,
        }
    }

    /// Asserts that the state equals that of sequential execution and that no hint is left.
    pub(super) fn check(&self) {
        let mut truth = BALANCES;
        for step in &self.moves {
            let (from, to) = (step.from as usize, step.to as usize);
            if let Some((x, y)) = step.of(truth[from], truth[to]) {
                (truth[from], truth[to]) = (x, y);
            }
        }
        for (n, balance) in (0..).zip(truth) {
            let slot = self.arena.plain(&Key::from_u64(n), &MemoryState);
            assert_eq!(self.arena.load(slot).0, Some(Value::from_u64(balance)), "entry {n}");
            assert!(self.arena.cell(slot).pending().is_none(), "a hint of {n}");
        }
    }
}

/// Runs `body` in every interleaving with at most two preemptions. The bound keeps the run time at
/// a few seconds; known bugs of such schedulers need no more preemptions.
pub(super) fn in_every_interleaving(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(body);
}
