//! The transaction trait: what the executor is told about a piece of work.

use crate::context::Context;
use crate::object::{ObjectRef, Owner};
use crate::receipt::{Failure, Output};
use crate::value::Key;

/// A transaction: a pure function of the state that it reads through its [`Context`].
///
/// It may be executed more than once, on any thread, and some of those executions may see state
/// that never comes to be; whatever they return is thrown away. So it must not have effects
/// outside its context, must not depend on anything but its own fields and what it reads, and must
/// hand on every [`Abort`] that the context returns (`?` does).
pub trait Transaction: Sync {
    /// Runs the transaction. Nothing reaches the state unless it returns `Ok`.
    ///
    /// # Errors
    /// [`Abort::user`] to give up, or whatever the context returned.
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort>;

    /// What it will read and write, as far as it wants to say. Verified, never trusted.
    fn access(&self) -> Access<'_> {
        Access::Unknown
    }

    /// In whose name it spends owned objects.
    fn sender(&self) -> Owner {
        Owner::default()
    }

    /// The objects that it uses, with the versions that it spends.
    fn objects(&self) -> &[ObjectRef] {
        &[]
    }

    /// The proof that must verify before it may run; `None` for a public transaction.
    fn private(&self) -> Option<PrivateClaim<'_>> {
        None
    }

    /// The last block time at which it may still run, in the unit of [`crate::Block::time`].
    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// What a transaction says about its accesses in advance.
#[derive(Copy, Clone, Debug, Default)]
pub enum Access<'a> {
    /// Nothing. It is executed optimistically.
    #[default]
    Unknown,
    /// It touches its declared objects and no key. With owned objects only, this is what the fast
    /// path takes.
    Objects,
    /// It touches its declared objects and at most these keys.
    Keys {
        /// What the lists promise.
        kind: Declaration,
        /// Keys that it reads.
        reads: &'a [Key],
        /// Keys that it writes, and may read.
        writes: &'a [Key],
    },
}

/// What a declared access set promises.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Declaration {
    /// Nothing else is touched, and a successful run writes every declared write. Both are checked.
    Exact,
    /// Nothing else is touched, which is checked.
    Superset,
    /// A hint for the scheduler. The transaction may touch other keys as well.
    Guess,
}

/// The statement and the proof of a private transaction, opaque to the executor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PrivateClaim<'a> {
    /// What is proven.
    pub statement: &'a [u8],
    /// The proof.
    pub proof: &'a [u8],
}

/// The end of a transaction without effect. The context returns it; a transaction hands it on.
#[derive(Debug)]
pub struct Abort(pub(crate) Cause);

#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The transaction's own decision.
    User(u64),
    /// A rule was broken.
    Failure(Box<Failure>),
    /// A lower transaction that is still running will write what was read here.
    Suspended { on: u32 },
    /// The state behind the executor failed; the block as a whole is void.
    StateLost,
}

impl Abort {
    /// The transaction gives up with a code of its own.
    #[must_use]
    pub fn user(code: u64) -> Self {
        Self(Cause::User(code))
    }

    pub(crate) fn failure(failure: Failure) -> Self {
        Self(Cause::Failure(Box::new(failure)))
    }
}
