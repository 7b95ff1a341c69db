//! A block in, an outcome out.

use crate::access_log::AccessLog;
use crate::adaptive::Decision;
use crate::receipt::Receipt;
use crate::state::root::Root;
use crate::value::{Key, Value};

/// Transactions in the order that decides.
#[derive(Clone, Debug)]
pub struct Block<T> {
    /// The transactions; their index is their place in the order.
    pub transactions: Vec<T>,
    /// The block's time, in a unit of the caller's choice; deadlines are compared with it.
    pub time: u64,
    /// Where fees go. They are added up as the block runs and credited when it ends, so that they
    /// order nothing; a transaction that reads this key sees the balance before the block's fees.
    pub fee_account: Option<Key>,
}

impl<T> Block<T> {
    /// A block at time zero without a fee account.
    #[must_use]
    pub fn new(transactions: Vec<T>) -> Self {
        Self { transactions, time: 0, fee_account: None }
    }
}

/// Which name space an entry of the state belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// A plain key.
    Plain = 0,
    /// An object's owner and version.
    ObjectHeader = 1,
    /// An object's data.
    ObjectData = 2,
}

/// One changed entry of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name space.
    pub space: Space,
    /// Its name there.
    pub key: Key,
    /// Its value after the block; `None` if it is gone.
    pub value: Option<Value>,
}

/// Every entry that the block wrote, each once, in no particular order.
#[derive(Clone, Debug, Default)]
pub struct StateDelta {
    /// The entries.
    pub changes: Vec<Change>,
}

impl StateDelta {
    /// The changes ordered by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<Change> {
        let mut changes = self.changes.clone();
        changes.sort_unstable_by_key(|change| (change.space, change.key));
        changes
    }
}

/// What a block did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One receipt for each transaction, in block order.
    pub receipts: Vec<Receipt>,
    /// What changed.
    pub delta: StateDelta,
    /// The root of the whole state after the block; zero if roots are turned off.
    pub root: Root,
    /// What the executor chose, stretch by stretch, and why.
    pub decisions: Vec<Decision>,
    /// Reads and writes in order, where asked for.
    pub log: Option<AccessLog>,
    /// Transactions that each shard of the fast path executed; empty if none was used.
    pub partitions: Vec<u64>,
    /// What it cost.
    pub cost: Cost,
}

/// What a block cost, in counts and nanoseconds of wall clock.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Executions, at least one for each transaction that ran.
    pub executions: u64,
    /// Validations of speculative executions.
    pub validations: u64,
    /// Executions that did not count, because what they had read was overwritten.
    pub conflicts: u64,
    /// Executions given up early because a lower transaction was about to write what they read.
    pub suspensions: u64,
    /// Transactions executed by the plain loop.
    pub serial: u64,
    /// Transactions executed by single-writer shards.
    pub sharded: u64,
    /// Transactions ordered by declared access sets.
    pub declared: u64,
    /// Of those, transactions that ran right behind one they had waited for, on the same worker: so the
    /// users of a hot key follow each other on one core.
    pub followed: u64,
    /// Transactions executed optimistically.
    pub optimistic: u64,
    /// Checking proofs.
    pub verify_ns: u64,
    /// Executing.
    pub execute_ns: u64,
    /// Writing the delta and computing the root.
    pub root_ns: u64,
}
