//! The transactions of the workloads: reads, arithmetic and writes.

use std::sync::OnceLock;
use std::time::Instant;

use crate::transaction::{Abort, Access, Declaration, PrivateClaim, Transaction};
use crate::{Context, Key, ObjectRef, Output, Owner};

/// The program of a transaction. Its keys are numbered in this order.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads two balances and moves one unit from the first to the second.
    Transfer,
    /// Reads two balances.
    Look,
    /// Moves one unit from the first balance to the second, which it credits without reading.
    Pay,
    /// Changes the reserves of a pool and two balances of a user.
    Swap,
    /// Reads the first balance and changes the second.
    WriteCheck,
    /// Moves the first two balances to the third.
    Amalgamate,
    /// Adds to a balance.
    Deposit,
    /// Changes an object.
    Object,
    /// Increments the count of a collection without reading it and writes a new token.
    Mint,
}

/// A statement with its proof, for private transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The statement that the proof proves.
    pub statement: Vec<u8>,
    /// The proof.
    pub proof: Vec<u8>,
}

/// A transaction of a workload.
#[derive(Clone, Debug)]
pub(crate) struct BenchTransaction {
    pub(crate) kind: Kind,
    /// Keys; the written ones come first.
    pub(crate) keys: [Key; 3],
    pub(crate) writes: u8,
    pub(crate) reads: u8,
    pub(crate) declare: Option<Declaration>,
    /// Iterations of the arithmetic.
    pub(crate) turns: u32,
    pub(crate) object: Option<[ObjectRef; 1]>,
    pub(crate) sender: Owner,
    pub(crate) claim: Option<std::sync::Arc<Claim>>,
}

impl Transaction for BenchTransaction {
    #[inline]
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        let [a, b, c] = &self.keys;
        let take = |balance: u64| balance.checked_sub(1).ok_or(Abort::user(1));
        let word = match self.kind {
            Kind::Transfer => {
                let (from, to) = (ctx.read_u64(a)?, ctx.read_u64(b)?);
                let word = burn(self.turns, from ^ to);
                ctx.write(a, take(from)?)?;
                ctx.write(b, to + 1)?;
                word
            }
            Kind::Look => {
                let (x, y) = (ctx.read_u64(a)?, ctx.read_u64(b)?);
                burn(self.turns, x ^ y)
            }
            Kind::Pay => {
                let from = ctx.read_u64(a)?;
                let word = burn(self.turns, from);
                ctx.write(a, take(from)?)?;
                ctx.credit(b, 1)?;
                word
            }
            Kind::Swap => {
                let (pool, x, y) = (ctx.read_u64(a)?, ctx.read_u64(b)?, ctx.read_u64(c)?);
                let word = burn(self.turns, pool ^ x ^ y);
                ctx.write(a, pool + 1)?;
                ctx.write(b, take(x)?)?;
                ctx.write(c, y + 1)?;
                word
            }
            Kind::WriteCheck => {
                let (checking, savings) = (ctx.read_u64(a)?, ctx.read_u64(b)?);
                let word = burn(self.turns, checking ^ savings);
                ctx.write(a, checking.saturating_sub(if savings == 0 { 2 } else { 1 }))?;
                word
            }
            Kind::Amalgamate => {
                let (x, y, z) = (ctx.read_u64(a)?, ctx.read_u64(b)?, ctx.read_u64(c)?);
                let word = burn(self.turns, x ^ y ^ z);
                ctx.write(a, 0)?;
                ctx.write(b, 0)?;
                ctx.write(c, z + x + y)?;
                word
            }
            Kind::Deposit => {
                let balance = ctx.read_u64(a)?;
                let word = burn(self.turns, balance);
                ctx.write(a, balance + 1)?;
                word
            }
            Kind::Object => {
                let word = burn(self.turns, ctx.object_u64(0)?);
                ctx.set_object(0, word)?;
                word
            }
            Kind::Mint => {
                let word = burn(self.turns, self.turns.into());
                ctx.credit(a, 1)?;
                ctx.write(b, word)?;
                word
            }
        };
        Ok(Output::Word(word))
    }

    #[inline]
    fn access(&self) -> Access<'_> {
        if self.kind == Kind::Object {
            return Access::Objects;
        }
        match self.declare {
            None => Access::Unknown,
            Some(kind) => {
                let (writes, rest) = self.keys.split_at(usize::from(self.writes));
                Access::Keys { kind, writes, reads: &rest[..usize::from(self.reads)] }
            }
        }
    }

    #[inline]
    fn sender(&self) -> Owner {
        self.sender
    }

    #[inline]
    fn objects(&self) -> &[ObjectRef] {
        self.object.as_ref().map_or(&[], |object| object)
    }

    #[inline]
    fn private(&self) -> Option<PrivateClaim<'_>> {
        let claim = self.claim.as_ref()?;
        Some(PrivateClaim { statement: &claim.statement, proof: &claim.proof })
    }
}

/// Executes `turns` iterations of arithmetic, each of which depends on the previous one. The result
/// prevents their removal by the compiler.
#[inline]
#[must_use]
pub fn burn(turns: u32, seed: u64) -> u64 {
    let mut x = seed | 1;
    for _ in 0..turns {
        x = x.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (x >> 29);
    }
    x
}

/// Number of iterations of [`burn`] that take `nanos` nanoseconds on this machine, from the fastest
/// of many measurements.
#[must_use]
pub fn turns_for(nanos: f64) -> u32 {
    static PER_TURN: OnceLock<f64> = OnceLock::new();
    const TURNS: u32 = 20_000;
    let per_turn = *PER_TURN.get_or_init(|| {
        let fastest = (0..200)
            .map(|i| {
                let start = Instant::now();
                std::hint::black_box(burn(std::hint::black_box(TURNS), i));
                start.elapsed().as_nanos()
            })
            .min();
        fastest.unwrap_or(1).max(1) as f64 / f64::from(TURNS)
    });
    (nanos / per_turn).round() as u32
}
