//! The workloads W1 to W8: their accounts and the transactions of their blocks.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::transaction::{BenchTransaction, Claim, Kind, turns_for};
use super::zipf::Zipf;
use crate::transaction::Declaration;
use crate::{
    Block, ExecutorError, FastPathExecutor, Key, Object, ObjectRef, Ownership, State, Value,
};

/// An initial balance that no workload exhausts.
const RICH: u64 = 1 << 40;
/// Number of pools of the exchange in the hybrid workload.
const POOLS: u64 = 20;
/// Account number below those that name minted tokens. It exceeds the number of every account.
const MINTED: u64 = 1 << 32;

/// The accounts that a block accesses, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// W1: transfers between uniformly distributed accounts.
    Transfers,
    /// W2: transfers and reads of accounts with a Zipf distribution.
    Zipf,
    /// W3: 60 % transfers, 20 % token transfers, 20 % swaps. A tenth of the accounts is hot.
    Hybrid,
    /// W4: every transfer debits the account that the previous one credited.
    Chain,
    /// W5: every transfer credits one account, which it reads.
    HotKey,
    /// W5: every transfer credits one account, without reading it.
    HotCredit,
    /// W7: SmallBank. The hot accounts are the first hundred.
    SmallBank,
    /// W8: owned objects, shared accounts and private transfers.
    Mixed,
    /// A game: mostly objects of single players, and some transactions over shared keys.
    Game,
    /// A sale: tokens minted from a small number of collections.
    Nft,
}

/// A workload with its parameters.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name of the workload in tables.
    pub name: String,
    /// The accessed accounts.
    pub pattern: Pattern,
    /// Number of accounts, and of objects if the pattern uses any.
    pub accounts: u64,
    /// Transactions per block.
    pub txs: usize,
    /// Nanoseconds of arithmetic per transaction.
    pub work_ns: f64,
    /// Exponent of the Zipf distribution.
    pub zipf_alpha: f64,
    /// Share of transactions that only read, 0 to 1.
    pub read_ratio: f64,
    /// Share of accesses to hot accounts, 0 to 1.
    pub hot_ratio: f64,
    /// Share of transactions over owned objects, 0 to 1.
    pub owned_ratio: f64,
    /// Share of private transactions, 0 to 1.
    pub privacy_ratio: f64,
    /// Kind of the declared access sets.
    pub declare: Option<Declaration>,
    /// One transaction in `heavy_every` has a hundred times the arithmetic; 0 for none.
    pub heavy_every: usize,
}

impl Workload {
    /// A workload with the default parameters.
    #[must_use]
    pub fn new(name: impl Into<String>, pattern: Pattern) -> Self {
        Self {
            name: name.into(),
            pattern,
            accounts: 10_000,
            txs: 10_000,
            work_ns: 1000.0,
            zipf_alpha: 0.0,
            read_ratio: 0.0,
            hot_ratio: 0.0,
            owned_ratio: 0.0,
            privacy_ratio: 0.0,
            declare: None,
            heavy_every: 0,
        }
    }

    fn has_objects(&self) -> bool {
        matches!(self.pattern, Pattern::Mixed | Pattern::Game)
    }

    fn entries(&self) -> u64 {
        match self.pattern {
            Pattern::Hybrid => 3 * self.accounts + POOLS,
            Pattern::SmallBank => 2 * self.accounts,
            _ => self.accounts + 16,
        }
    }

    /// The initial entries of the workload.
    pub(crate) fn genesis(&self) -> impl Iterator<Item = (Key, Value)> {
        (0..self.entries()).map(|n| (account(n), Value::from_u64(RICH)))
    }

    /// Creates the accounts and objects.
    ///
    /// # Errors
    /// The error of the executor.
    pub fn set_up<S: State>(
        &self,
        executor: &mut FastPathExecutor<S>,
    ) -> Result<(), ExecutorError> {
        if !self.has_objects() || self.owned_ratio < 1.0 {
            executor.insert_all(self.genesis())?;
        }
        if self.has_objects() {
            executor.insert_all_objects((0..self.accounts).map(|n| Object {
                id: object(n),
                version: 0,
                ownership: Ownership::Owned(owner(n)),
                data: Value::from_u64(n),
            }))?;
        }
        Ok(())
    }
}

/// The name of account `n`: pseudo-random, like a digest.
pub(crate) fn account(n: u64) -> Key {
    let mut bytes = [0; 32];
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    for chunk in bytes.chunks_exact_mut(8) {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(n);
        chunk.copy_from_slice(&x.to_le_bytes());
    }
    Key(bytes)
}

fn object(n: u64) -> Key {
    account(n ^ 0x6f62_6a65_6374_0000)
}

fn owner(n: u64) -> Key {
    account(n ^ 0x6f77_6e65_7200_0000)
}

/// Generates the blocks of a workload from a seed.
pub struct Generator {
    workload: Workload,
    rng: StdRng,
    zipf: Zipf,
    turns: u32,
    /// Version of each object after the blocks so far.
    versions: Vec<u64>,
    claims: Vec<Arc<Claim>>,
    minted: u64,
}

impl Generator {
    /// Creates a generator. `claims` are proofs for private transactions, which are chosen at
    /// random.
    #[must_use]
    pub fn new(workload: &Workload, seed: u64, claims: &[Arc<Claim>]) -> Self {
        let objects = if workload.has_objects() { workload.accounts as usize } else { 0 };
        Self {
            rng: StdRng::seed_from_u64(seed),
            zipf: Zipf::new(workload.accounts.max(1), workload.zipf_alpha),
            turns: turns_for(workload.work_ns),
            versions: vec![0; objects],
            claims: claims.to_vec(),
            workload: workload.clone(),
            minted: MINTED,
        }
    }

    /// The next block. Blocks must be executed in the order of their generation.
    pub(crate) fn block(&mut self) -> Block<BenchTransaction> {
        Block::new((0..self.workload.txs).map(|i| self.transaction(i)).collect())
    }

    fn transaction(&mut self, index: usize) -> BenchTransaction {
        let share = self.rng.random::<f64>();
        let mut transaction = match self.workload.pattern {
            Pattern::Transfers | Pattern::Zipf => self.transfer(),
            Pattern::Hybrid => self.hybrid(share),
            Pattern::Chain => {
                let n = self.workload.accounts;
                self.make(Kind::Transfer, &[index as u64 % n, (index as u64 + 1) % n], 2)
            }
            Pattern::HotKey | Pattern::HotCredit => {
                let from = 1 + self.rng.random_range(0..self.workload.accounts);
                let credit = self.workload.pattern == Pattern::HotCredit;
                let kind = if credit { Kind::Pay } else { Kind::Transfer };
                self.make(kind, &[from, 0], 2)
            }
            Pattern::SmallBank => self.small_bank(share),
            Pattern::Mixed if share < self.workload.owned_ratio => self.object(),
            Pattern::Mixed if share < self.workload.owned_ratio + self.workload.privacy_ratio => {
                let mut transfer = self.transfer();
                let claim = self.rng.random_range(0..self.claims.len().max(1));
                transfer.claim = self.claims.get(claim).cloned();
                transfer
            }
            Pattern::Mixed => self.transfer(),
            Pattern::Game if share < 0.8 => self.object(),
            Pattern::Game => self.transfer(),
            Pattern::Nft if share < 0.7 => {
                self.minted += 1;
                let collection = self.rng.random_range(0..4);
                self.make(Kind::Mint, &[collection, self.minted], 2)
            }
            Pattern::Nft => self.transfer(),
        };
        let heavy = self.workload.heavy_every;
        if heavy > 0 && index % heavy == heavy / 2 {
            transaction.turns *= 100;
        }
        transaction
    }

    fn make(&self, kind: Kind, accounts: &[u64], writes: u8) -> BenchTransaction {
        let mut keys = [Key::default(); 3];
        for (key, n) in keys.iter_mut().zip(accounts) {
            *key = account(*n);
        }
        BenchTransaction {
            kind,
            keys,
            writes,
            reads: accounts.len() as u8 - writes,
            declare: self.workload.declare,
            turns: self.turns,
            object: None,
            sender: Key::default(),
            claim: None,
        }
    }

    fn pick(&mut self) -> u64 {
        let Workload { accounts, hot_ratio, ref pattern, .. } = self.workload;
        let hot = match pattern {
            Pattern::SmallBank => accounts.min(100),
            _ => accounts.div_ceil(10),
        };
        if hot_ratio > 0.0 && self.rng.random_bool(hot_ratio) {
            return self.rng.random_range(0..hot);
        }
        self.zipf.draw(&mut self.rng)
    }

    fn pair(&mut self) -> [u64; 2] {
        let first = self.pick();
        loop {
            let second = self.pick();
            if second != first || self.workload.accounts < 2 {
                return [first, second];
            }
        }
    }

    fn transfer(&mut self) -> BenchTransaction {
        let pair = self.pair();
        let ratio = self.workload.read_ratio;
        if ratio > 0.0 && self.rng.random_bool(ratio) {
            return self.make(Kind::Look, &pair, 0);
        }
        self.make(Kind::Transfer, &pair, 2)
    }

    fn hybrid(&mut self, share: f64) -> BenchTransaction {
        let n = self.workload.accounts;
        let [a, b] = self.pair();
        match share {
            s if s < 0.6 => self.make(Kind::Transfer, &[a, b], 2),
            s if s < 0.8 => self.make(Kind::Transfer, &[n + a, n + b], 2),
            _ => {
                let pool = 3 * n + self.rng.random_range(0..POOLS);
                self.make(Kind::Swap, &[pool, n + a, 2 * n + a], 3)
            }
        }
    }

    fn small_bank(&mut self, share: f64) -> BenchTransaction {
        let n = self.workload.accounts;
        let [a, b] = self.pair();
        match (share * 6.0) as u32 {
            0 => self.make(Kind::Look, &[a, n + a], 0),
            1 => self.make(Kind::Deposit, &[a], 1),
            2 => self.make(Kind::Deposit, &[n + a], 1),
            3 => self.make(Kind::Amalgamate, &[a, n + a, b], 3),
            4 => self.make(Kind::WriteCheck, &[a, n + a], 1),
            _ => self.make(Kind::Transfer, &[a, b], 2),
        }
    }

    fn object(&mut self) -> BenchTransaction {
        let n = self.pick();
        let version = &mut self.versions[n as usize];
        let reference = ObjectRef { id: object(n), version: *version };
        *version += 1;
        BenchTransaction {
            object: Some([reference]),
            sender: owner(n),
            ..self.make(Kind::Object, &[], 0)
        }
    }
}
