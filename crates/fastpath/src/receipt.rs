//! What a block leaves behind for each transaction.

use std::fmt;
use std::sync::Arc;

use crate::object::ObjectId;
use crate::value::Key;

/// The way that a transaction was routed. It follows from the block and the state, so it is the
/// same whichever mode executed it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default, Hash)]
pub enum Path {
    /// It names objects and no keys; each exists and none is shared.
    Fast,
    /// Shared or undeclared state: executed in block order, or as if.
    #[default]
    Consensus,
    /// A proof was demanded and checked before the transaction could run.
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

/// What a transaction returned.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Output {
    /// Nothing.
    #[default]
    None,
    /// A number.
    Word(u64),
    /// Bytes.
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
    /// It ran to its end; its writes are in the state.
    #[default]
    Success,
    /// It gave up by itself with this code.
    Aborted {
        /// The transaction's own code.
        code: u64,
    },
    /// The executor refused it or ended it.
    Failed(Box<Failure>),
}

impl Status {
    /// Whether the transaction took effect.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Success
    }
}

/// Why the executor refused or ended a transaction. Nothing of it reached the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// An object that does not exist.
    #[error("object {id} does not exist: drop it from the transaction")]
    UnknownObject {
        /// The object.
        id: ObjectId,
    },
    /// An object at another version.
    #[error("object {id} is at version {found}, not {cited}: rebuild against version {found}")]
    WrongVersion {
        /// The object.
        id: ObjectId,
        /// The version that the transaction named.
        cited: u64,
        /// The version that the object has.
        found: u64,
    },
    /// The same version was spent by an earlier transaction of this block.
    #[error("version {version} of object {id} was already spent in this block")]
    Equivocation {
        /// The object.
        id: ObjectId,
        /// The version that both transactions named.
        version: u64,
    },
    /// An object that has no next version.
    #[error("object {id} is at the last version that there is: it can no longer be spent")]
    LastVersion {
        /// The object.
        id: ObjectId,
    },
    /// The same object twice in one transaction.
    #[error("object {id} is named twice: name it once")]
    DuplicateObject {
        /// The object.
        id: ObjectId,
    },
    /// An object of somebody else.
    #[error("object {id} belongs to another owner")]
    NotOwner {
        /// The object.
        id: ObjectId,
    },
    /// A write to an object that can no longer change.
    #[error("object {id} is immutable")]
    Immutable {
        /// The object.
        id: ObjectId,
    },
    /// Use of an object by an index that the transaction did not declare.
    #[error("the transaction declares no object number {index}")]
    UndeclaredObject {
        /// The index asked for.
        index: usize,
    },
    /// A read or write outside the declared access set.
    #[error("access to {key} outside the declared set: declare it, or declare a guess")]
    UndeclaredAccess {
        /// The key.
        key: Key,
    },
    /// An exact declaration named a write that a successful run did not make.
    #[error("{key} was declared as written exactly but was not written: declare a superset")]
    InexactAccess {
        /// The key.
        key: Key,
    },
    /// The step limit was reached.
    #[error("the limit of {limit} steps was reached")]
    StepLimit {
        /// The limit in force.
        limit: u64,
    },
    /// The transaction panicked.
    #[error("the transaction panicked: {message}")]
    Panicked {
        /// The panic's message, at most 256 bytes of it.
        message: String,
    },
    /// A credit past the largest number.
    #[error("a credit to {key} would overflow")]
    Overflow {
        /// The key.
        key: Key,
    },
    /// A value longer than [`crate::MAX_VALUE_BYTES`].
    #[error("a value of {len} bytes is too long")]
    ValueTooLong {
        /// Its length.
        len: usize,
    },
    /// The proof of a private transaction did not verify, or nobody could verify it.
    #[error("the proof was not accepted: {reason}")]
    ProofRejected {
        /// The verifier's reason.
        reason: String,
    },
    /// The deadline lies before the block's time.
    #[error("the deadline {deadline} passed before the block's time {time}")]
    Expired {
        /// The transaction's deadline.
        deadline: u64,
        /// The block's time.
        time: u64,
    },
    /// The state behind the executor could not be read.
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
    /// Whether it took effect.
    pub status: Status,
    /// What it returned; [`Output::None`] unless it succeeded.
    pub output: Output,
    /// How it was routed.
    pub path: Path,
    /// How many times it was executed; zero if it was refused before that. Depends on timing.
    pub attempts: u32,
}

impl Receipt {
    /// Whether two receipts say the same. `attempts` tells how the executor got there, which
    /// depends on timing, so it does not count.
    #[must_use]
    pub fn same_result(&self, other: &Self) -> bool {
        self.status == other.status && self.output == other.output && self.path == other.path
    }
}
