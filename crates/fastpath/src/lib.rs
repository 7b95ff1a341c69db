//! A deterministic parallel transaction executor.
//!
//! The executor takes a block of transactions and returns receipts, the changed entries and the new
//! root of the state. The result equals that of executing the transactions one after the other in
//! block order. Transactions over owned objects can run in shards with a single writer each,
//! transactions with declared access sets in a partial order, and all others speculatively with
//! validation. Transactions that would not gain by this run in a plain loop. All four modes give
//! the same result, so the executor chooses between them by measured time.
//!
//! The two central types are [`FastPathExecutor`] and the [`Transaction`] trait. The crate contains
//! no consensus, no networking and no proof system; a [`Verifier`] checks the proofs of private
//! transactions.
//!
//! ```
//! use athanor_fastpath::{Abort, Block, Config, Context, FastPathExecutor, Key, Output, Transaction};
//!
//! struct Transfer {
//!     from: Key,
//!     to: Key,
//!     amount: u64,
//! }
//!
//! impl Transaction for Transfer {
//!     fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
//!         let balance = ctx.read_u64(&self.from)?;
//!         let left = balance.checked_sub(self.amount).ok_or(Abort::user(1))?;
//!         ctx.write(&self.from, left)?;
//!         ctx.credit(&self.to, self.amount)?;
//!         Ok(Output::Word(left))
//!     }
//! }
//!
//! let mut executor = FastPathExecutor::in_memory(Config::default())?;
//! let [alice, bob] = [Key::named(b"alice"), Key::named(b"bob")];
//! executor.insert(alice, 100)?;
//! let block = Block::new(vec![
//!     Transfer { from: alice, to: bob, amount: 70 },
//!     Transfer { from: bob, to: alice, amount: 20 },
//!     Transfer { from: bob, to: alice, amount: 60 },
//! ]);
//! let outcome = executor.execute_block(&block)?;
//! assert!(outcome.receipts[0].status.is_success());
//! assert!(!outcome.receipts[2].status.is_success());
//! assert_eq!(executor.get(&alice)?.unwrap().as_u64(), 50);
//! assert_eq!(executor.get(&bob)?.unwrap().as_u64(), 50);
//! # Ok::<(), athanor_fastpath::ExecutorError>(())
//! ```

mod access_log;
mod adaptive;
pub mod bench;
mod block;
mod config;
mod context;
mod exec;
mod executor;
mod frame;
mod histogram;
mod hot_keys;
mod object;
mod pool;
mod private;
mod receipt;
mod schedule;
mod service;
mod state;
mod stats;
mod sync;
mod transaction;
mod value;

pub use access_log::{AccessKind, AccessLog, LogError, LoggedAccess, PartitionLog};
pub use adaptive::{Decision, Mode};
pub use block::{Block, Change, Cost, Outcome, Space, StateDelta};
pub use config::Config;
pub use context::Context;
pub use executor::{ExecutorError, FastPathExecutor, MAX_BLOCK};
pub use histogram::LatencyHistogram;
pub use object::{Object, ObjectId, ObjectRef, Owner, Ownership};
pub use private::Verifier;
pub use receipt::{Failure, Output, Path, Receipt, Status};
pub use service::{Backoff, FastPathService, QueueConfig, SubmitError, Ticket};
#[cfg(feature = "persistent")]
pub use state::PersistentState;
pub use state::root::{self, Root};
pub use state::{LatencyState, MapState, MemoryState, State, StateError};
pub use stats::{FastPathStats, SlowTransaction};
pub use transaction::{Abort, Access, Declaration, PrivateClaim, Transaction};
pub use value::{INLINE_BYTES, Key, MAX_VALUE_BYTES, Value};

/// Locks `mutex`, even if another holder panicked. Workers catch the panics of transactions, so the
/// guarded data is consistent.
fn sync_lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
