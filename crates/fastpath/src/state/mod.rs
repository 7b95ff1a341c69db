//! Where the state lives: a trait for what lies behind the executor, and the resident cells.

use std::collections::HashMap;
use std::fmt;

use crate::block::{Change, Space};
use crate::value::{Key, Value};

pub(crate) mod arena;
pub(crate) mod cell;
mod heap;
mod index;
mod latency;
#[cfg(feature = "persistent")]
mod persistent;
pub(crate) mod prefetch;
pub mod root;

pub use latency::LatencyState;
#[cfg(feature = "persistent")]
pub use persistent::PersistentState;

/// What lies behind the cells that the executor keeps resident.
///
/// The executor reads an entry the first time that it is touched and hands every changed entry
/// back when a block is done, all of a block at once.
pub trait State: Send + Sync {
    /// Whether the resident cells are all there is. If so, nothing is ever asked of this state.
    fn is_resident(&self) -> bool {
        false
    }

    /// One entry.
    ///
    /// # Errors
    /// Whatever the store reports. The block that needed the entry is void then.
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError>;

    /// Many entries at once, in the order of `names`. A store that can keep several reads in flight
    /// should; this is what prefetching calls.
    ///
    /// # Errors
    /// As [`State::get`].
    fn get_many(&self, names: &[(Space, Key)]) -> Result<Vec<Option<Value>>, StateError> {
        names.iter().map(|(space, key)| self.get(*space, key)).collect()
    }

    /// Makes a block's changes durable, all of them or none.
    ///
    /// # Errors
    /// As [`State::get`].
    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError>;

    /// Calls `each` with every entry, in any order; the executor rebuilds its root from it.
    ///
    /// # Errors
    /// As [`State::get`].
    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError>;
}

/// A store behind the executor failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the state store failed: {reason}")]
pub struct StateError {
    /// What the store said.
    pub reason: String,
}

impl StateError {
    /// An error with a store's own words.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// A map that lies behind: for tests, and for measuring what a device in front of it costs.
#[derive(Debug, Default, Clone)]
pub struct MapState {
    entries: HashMap<(Space, Key), Value>,
}

impl State for MapState {
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError> {
        Ok(self.entries.get(&(space, *key)).cloned())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError> {
        for change in changes {
            let name = (change.space, change.key);
            match &change.value {
                Some(value) => self.entries.insert(name, value.clone()),
                None => self.entries.remove(&name),
            };
        }
        Ok(())
    }

    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError> {
        self.entries.iter().for_each(|((space, key), value)| each(*space, *key, value.clone()));
        Ok(())
    }
}

/// Nothing lies behind: the resident cells are the state, and it is gone when the executor is.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryState;

impl State for MemoryState {
    fn is_resident(&self) -> bool {
        true
    }

    fn get(&self, _: Space, _: &Key) -> Result<Option<Value>, StateError> {
        Ok(None)
    }

    fn commit(&mut self, _: &[Change]) -> Result<(), StateError> {
        Ok(())
    }

    fn scan(&self, _: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError> {
        Ok(())
    }
}
