//! The transaction trait: the interface of a transaction to the executor.

use crate::context::Context;
use crate::object::{ObjectRef, Owner};
use crate::receipt::{Failure, Output};
use crate::value::Key;

/// A transaction: a pure function of the state that it reads through its [`Context`].
///
/// The executor can execute it more than once, on any thread, and some executions can read values
/// that are never committed; their results are discarded. An implementation must have no effects
/// outside its context, must depend only on its own fields and on what it reads, and must return
/// every [`Abort`] that the context returns (`?` does).
pub trait Transaction: Sync {
    /// Executes the transaction. Its writes reach the state only if it returns `Ok`.
    ///
    /// # Errors
    /// [`Abort::user`] to abort the transaction, or the error that the context returned.
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort>;

    /// The accesses that the transaction declares. The executor checks each access against the
    /// declaration, except for [`Declaration::Guess`].
    fn access(&self) -> Access<'_> {
        Access::Unknown
    }

    /// The owner whose objects the transaction spends.
    fn sender(&self) -> Owner {
        Owner::default()
    }

    /// The objects that the transaction uses, with the versions that it spends.
    fn objects(&self) -> &[ObjectRef] {
        &[]
    }

    /// The proof that must be verified before the transaction runs; `None` for a public
    /// transaction.
    fn private(&self) -> Option<PrivateClaim<'_>> {
        None
    }

    /// The last block time at which the transaction can run, in the unit of [`crate::Block::time`].
    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// The accesses that a transaction declares in advance.
#[derive(Copy, Clone, Debug, Default)]
pub enum Access<'a> {
    /// No declaration. The transaction runs optimistically or in the plain loop.
    #[default]
    Unknown,
    /// The transaction accesses its declared objects and no keys. If all of them are owned or
    /// immutable, it can run on the fast path.
    Objects,
    /// The transaction accesses its declared objects and these keys.
    Keys {
        /// Meaning of the lists.
        kind: Declaration,
        /// Keys that the transaction reads.
        reads: &'a [Key],
        /// Keys that the transaction writes and may read.
        writes: &'a [Key],
    },
}

/// Meaning of a declared access set.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Declaration {
    /// The transaction accesses no other key and, if it succeeds, writes every declared write. Both
    /// are checked.
    Exact,
    /// The transaction accesses no other key. This is checked.
    Superset,
    /// A hint for the scheduler. The transaction may access other keys.
    Guess,
}

/// The statement and the proof of a private transaction. The executor does not interpret them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PrivateClaim<'a> {
    /// The statement that the proof proves.
    pub statement: &'a [u8],
    /// The proof.
    pub proof: &'a [u8],
}

/// The end of a transaction without effect. The context returns it, and the transaction must return
/// it in turn.
#[derive(Debug)]
pub struct Abort(pub(crate) Cause);

#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The transaction aborted itself with this code.
    User(u64),
    /// The executor ended the transaction.
    Failure(Box<Failure>),
    /// The transaction read an entry that the transaction at position `on` is expected to write.
    Suspended { on: u32 },
    /// The store behind the executor failed. The block is discarded.
    StateLost,
}

impl Abort {
    /// An abort by the transaction itself, with its own code.
    #[must_use]
    pub fn user(code: u64) -> Self {
        Self(Cause::User(code))
    }

    pub(crate) fn failure(failure: Failure) -> Self {
        Self(Cause::Failure(Box::new(failure)))
    }
}
