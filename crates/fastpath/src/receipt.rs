//! Receipts: the recorded results of transactions.

use std::fmt;
use std::sync::Arc;

use crate::object::ObjectId;
use crate::value::Key;

/// The route of a transaction. It depends only on the block and the state, so it is the same for
/// every mode.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default, Hash)]
pub enum Path {
    /// The transaction declares objects and no keys, and every object that was opened exists and is
    /// not shared.
    Fast,
    /// The transaction uses shared or undeclared state, or it was refused. Its effect is that of
    /// block order.
    #[default]
    Consensus,
    /// The transaction carries a proof. It runs only after the proof is verified.
    Private,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Consensus => "consensus",
            Self::Private => "private",
        })
    }
}

/// The return value of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Output {
    /// No value.
    #[default]
    None,
    /// A number.
    Word(u64),
    /// A byte string.
    Bytes(Arc<[u8]>),
}

impl From<()> for Output {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<u64> for Output {
    fn from(word: u64) -> Self {
        Self::Word(word)
    }
}

/// Whether a transaction took effect. Only [`Status::Success`] changes the state.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// The transaction completed; its writes are in the state.
    #[default]
    Success,
    /// The transaction aborted itself with a code.
    Aborted {
        /// The transaction's own code.
        code: u64,
    },
    /// The executor refused the transaction or ended it.
    Failed(Box<Failure>),
}

impl Status {
    /// Whether the transaction took effect.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Success
    }
}

/// Why the executor refused or ended a transaction. The transaction has no effect on the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A declared object does not exist.
    #[error("object {id} does not exist: drop it from the transaction")]
    UnknownObject {
        /// Name of the object.
        id: ObjectId,
    },
    /// An owned object is not at the cited version.
    #[error("object {id} is at version {found}, not {cited}: rebuild against version {found}")]
    WrongVersion {
        /// Name of the object.
        id: ObjectId,
        /// The version that the transaction cites.
        cited: u64,
        /// The version of the object.
        found: u64,
    },
    /// An earlier transaction of this block spent the same version.
    #[error("version {version} of object {id} was already spent in this block")]
    Equivocation {
        /// Name of the object.
        id: ObjectId,
        /// The version that both transactions cite.
        version: u64,
    },
    /// The version of the object is `u64::MAX`, so it has no next version.
    #[error("object {id} is at the last version that there is: it can no longer be spent")]
    LastVersion {
        /// Name of the object.
        id: ObjectId,
    },
    /// The transaction declares an object twice.
    #[error("object {id} is named twice: name it once")]
    DuplicateObject {
        /// Name of the object.
        id: ObjectId,
    },
    /// The sender of the transaction does not own the object.
    #[error("object {id} belongs to another owner")]
    NotOwner {
        /// Name of the object.
        id: ObjectId,
    },
    /// The transaction writes to an immutable object.
    #[error("object {id} is immutable")]
    Immutable {
        /// Name of the object.
        id: ObjectId,
    },
    /// The transaction uses an object index that is not below its number of declared objects.
    #[error("the transaction declares no object number {index}")]
    UndeclaredObject {
        /// The index.
        index: usize,
    },
    /// The transaction accesses a key outside its declared access set.
    #[error("access to {key} outside the declared set: declare it, or declare a guess")]
    UndeclaredAccess {
        /// The key.
        key: Key,
    },
    /// An exact declaration names a write that the transaction did not make.
    #[error("{key} was declared as written exactly but was not written: declare a superset")]
    InexactAccess {
        /// The key.
        key: Key,
    },
    /// The step limit is reached.
    #[error("the limit of {limit} steps was reached")]
    StepLimit {
        /// The limit.
        limit: u64,
    },
    /// The transaction panicked.
    #[error("the transaction panicked: {message}")]
    Panicked {
        /// The first bytes of the panic message, at most 256.
        message: String,
    },
    /// The sum of a credit and the number of the entry exceeds `u64::MAX`.
    #[error("a credit to {key} would overflow")]
    Overflow {
        /// The key.
        key: Key,
    },
    /// A value is longer than [`crate::MAX_VALUE_BYTES`].
    #[error("a value of {len} bytes is too long")]
    ValueTooLong {
        /// Length of the value in bytes.
        len: usize,
    },
    /// The verifier rejected the proof of a private transaction, or no verifier is set.
    #[error("the proof was not accepted: {reason}")]
    ProofRejected {
        /// The reason for the rejection.
        reason: String,
    },
    /// The deadline of the transaction is before the block's time.
    #[error("the deadline {deadline} passed before the block's time {time}")]
    Expired {
        /// The transaction's deadline.
        deadline: u64,
        /// The block's time.
        time: u64,
    },
    /// The store behind the executor could not be read.
    #[error("the state could not be read: {reason}")]
    State {
        /// The store's reason.
        reason: String,
    },
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// The record of one transaction.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// Whether the transaction took effect.
    pub status: Status,
    /// The return value; [`Output::None`] unless the transaction succeeded.
    pub output: Output,
    /// The route of the transaction.
    pub path: Path,
    /// Number of executions; zero if the transaction was refused. It depends on timing.
    pub attempts: u32,
}

impl Receipt {
    /// Whether two receipts have the same result. Ignores `attempts`, which depends on timing.
    #[must_use]
    pub fn same_result(&self, other: &Self) -> bool {
        self.status == other.status && self.output == other.output && self.path == other.path
    }
}
