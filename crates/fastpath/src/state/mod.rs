//! The state: a trait for the store behind the executor, and the resident cells.

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

/// A store behind the resident cells of the executor.
///
/// The executor reads an entry at its first access and commits all changed entries of a block
/// together.
pub trait State: Send + Sync {
    /// Whether the resident cells are the whole state. Then a block neither reads from this state
    /// nor commits to it.
    fn is_resident(&self) -> bool {
        false
    }

    /// Returns one entry; `None` if it does not exist.
    ///
    /// # Errors
    /// The error of the store. The block that needed the entry is discarded.
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError>;

    /// Returns many entries, in the order of `names`. The executor calls it to prefetch declared
    /// entries. A store that supports several reads in flight should override it.
    ///
    /// # Errors
    /// As [`State::get`].
    fn get_many(&self, names: &[(Space, Key)]) -> Result<Vec<Option<Value>>, StateError> {
        names.iter().map(|(space, key)| self.get(*space, key)).collect()
    }

    /// Makes the changes of a block durable, all of them or none. `None` deletes an entry.
    ///
    /// # Errors
    /// As [`State::get`].
    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError>;

    /// Calls `each` for every entry, in any order. The executor builds its root from them.
    ///
    /// # Errors
    /// As [`State::get`].
    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError>;
}

/// The store behind the executor failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the state store failed: {reason}")]
pub struct StateError {
    /// The message of the store.
    pub reason: String,
}

impl StateError {
    /// An error with the message of a store.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// A store in a map, for tests and for measurements with a delay.
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

/// No store: the resident cells are the whole state, and the executor's drop discards it.
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
