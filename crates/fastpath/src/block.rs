//! The input and the output of the executor: blocks and outcomes.

use crate::access_log::AccessLog;
use crate::adaptive::Decision;
use crate::receipt::Receipt;
use crate::state::root::Root;
use crate::value::{Key, Value};

/// A list of transactions, executed as if one after the other in list order.
#[derive(Clone, Debug)]
pub struct Block<T> {
    /// The transactions. The index of a transaction is its place in the order.
    pub transactions: Vec<T>,
    /// The time of the block, in a unit of the caller's choice. Deadlines are compared with it.
    pub time: u64,
    /// Account that receives the fees. Fees are summed during the block and credited at its end, so
    /// they create no conflicts. A transaction that reads this key sees the balance before the
    /// block's fees.
    pub fee_account: Option<Key>,
}

impl<T> Block<T> {
    /// A block at time zero without a fee account.
    #[must_use]
    pub fn new(transactions: Vec<T>) -> Self {
        Self { transactions, time: 0, fee_account: None }
    }
}

/// The name space of an entry of the state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// Entries named by plain keys.
    Plain = 0,
    /// Owner and version of objects.
    ObjectHeader = 1,
    /// Data of objects.
    ObjectData = 2,
}

/// A changed entry of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name space of the entry.
    pub space: Space,
    /// Name of the entry in its name space.
    pub key: Key,
    /// Value after the block; `None` if the entry was deleted.
    pub value: Option<Value>,
}

/// All entries that the block wrote, each once, in unspecified order.
#[derive(Clone, Debug, Default)]
pub struct StateDelta {
    /// The changed entries.
    pub changes: Vec<Change>,
}

impl StateDelta {
    /// The changes, ordered by name space and key.
    #[must_use]
    pub fn sorted(&self) -> Vec<Change> {
        let mut changes = self.changes.clone();
        changes.sort_unstable_by_key(|change| (change.space, change.key));
        changes
    }
}

/// The result of a block.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One receipt for each transaction, in block order.
    pub receipts: Vec<Receipt>,
    /// The changed entries of the state.
    pub delta: StateDelta,
    /// Root of the whole state after the block; zero if [`crate::Config::root`] is off.
    pub root: Root,
    /// The executor's choices, in the order in which the stretches ran. Empty after
    /// [`crate::FastPathExecutor::execute_sequential`].
    pub decisions: Vec<Decision>,
    /// Log of all reads and writes, if [`crate::Config::log`] is on.
    pub log: Option<AccessLog>,
    /// Number of transactions that each shard executed; empty if no shard was used.
    pub partitions: Vec<u64>,
    /// Counters and durations.
    pub cost: Cost,
}

/// The costs of a block: counts, and durations in nanoseconds of wall clock.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Executions, repeated ones included. The plain loop also counts refused transactions.
    pub executions: u64,
    /// Validations of speculative executions.
    pub validations: u64,
    /// Speculative executions that failed their validation, because an entry that they had read was
    /// overwritten.
    pub conflicts: u64,
    /// Executions that ended early because they read an entry that a lower transaction was expected
    /// to write.
    pub suspensions: u64,
    /// Transactions executed by the plain loop.
    pub serial: u64,
    /// Transactions executed by single-writer shards.
    pub sharded: u64,
    /// Transactions ordered by declared access sets.
    pub declared: u64,
    /// Of [`Cost::declared`], transactions that a worker executed directly after one that they had
    /// waited for. The users of a hot key then run one after the other on one core.
    pub followed: u64,
    /// Transactions executed optimistically.
    pub optimistic: u64,
    /// Duration of the verification of proofs, in nanoseconds.
    pub verify_ns: u64,
    /// Duration of the execution, in nanoseconds.
    pub execute_ns: u64,
    /// Duration of writing the delta and computing the root, in nanoseconds.
    pub root_ns: u64,
}
