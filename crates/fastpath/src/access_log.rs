//! Everything that a block read and wrote, in order: what a proof of the execution starts from.
//!
//! The log is cut along the partitions of the state root. Each part names the partition's root
//! before and after the block and lists the accesses to it in block order, so parts can be turned
//! into witnesses, and proven, on their own.

use std::collections::HashMap;

use crate::block::Space;
use crate::frame::{Edit, Frame, Write, credited};
use crate::state::arena::{Arena, Slot};
use crate::state::root::{PARTITIONS, Root, partition};
use crate::value::{Key, Value};

/// The log of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// One part for each partition that the block touched, by partition.
    pub partitions: Vec<PartitionLog>,
}

/// The accesses to one partition of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLog {
    /// Which partition, of [`PARTITIONS`].
    pub partition: usize,
    /// Its root before the block.
    pub before: Root,
    /// Its root after the block.
    pub after: Root,
    /// The accesses in block order; within a transaction, reads before writes.
    pub accesses: Vec<LoggedAccess>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAccess {
    /// The transaction's index; `None` for the fees, which are credited when the block ends.
    pub transaction: Option<u32>,
    /// Name space of the entry.
    pub space: Space,
    /// Name of the entry.
    pub key: Key,
    /// What happened.
    pub kind: AccessKind,
}

/// What an access did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessKind {
    /// It read this value.
    Read(Option<Value>),
    /// It wrote this value.
    Put(Value),
    /// It removed the entry.
    Delete,
    /// It added to the entry's number without reading it.
    Credit(u64),
}

/// A log that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access {index} of partition {partition} contradicts the accesses before it")]
pub struct LogError {
    /// The partition.
    pub partition: usize,
    /// The access, by its place in the partition's list.
    pub index: usize,
}

impl AccessLog {
    /// Checks that every read gives what the accesses before it left.
    ///
    /// # Errors
    /// The first access that does not.
    pub fn check(&self) -> Result<(), LogError> {
        for log in &self.partitions {
            let mut known: HashMap<(Space, Key), Option<Value>> = HashMap::new();
            // Credits to an entry whose value is not known yet.
            let mut owed: HashMap<(Space, Key), u64> = HashMap::new();
            for (index, access) in log.accesses.iter().enumerate() {
                let name = (access.space, access.key);
                let fits = match &access.kind {
                    AccessKind::Read(value) => match known.get(&name) {
                        Some(expected) => expected == value,
                        None => {
                            known.insert(name, value.clone());
                            owed.remove(&name).is_none_or(|owed| {
                                value.as_ref().is_some_and(|value| value.as_u64() >= owed)
                            })
                        }
                    },
                    AccessKind::Put(value) => {
                        known.insert(name, Some(value.clone()));
                        owed.remove(&name);
                        true
                    }
                    AccessKind::Delete => {
                        known.insert(name, None);
                        owed.remove(&name);
                        true
                    }
                    AccessKind::Credit(amount) => match known.get_mut(&name) {
                        Some(value) => {
                            *value = credited(value, *amount);
                            value.is_some()
                        }
                        None => {
                            let owed = owed.entry(name).or_default();
                            let sum = owed.checked_add(*amount);
                            *owed = sum.unwrap_or_default();
                            sum.is_some()
                        }
                    },
                };
                if !fits {
                    return Err(LogError { partition: log.partition, index });
                }
            }
        }
        Ok(())
    }
}

/// What one transaction read and wrote.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    reads: Vec<(Slot, Option<Value>)>,
    writes: Vec<Write>,
}

impl Entries {
    /// Takes the accesses out of a frame whose execution counted.
    pub(crate) fn take(frame: &mut Frame) -> Self {
        let reads = frame.seen.as_mut().map(std::mem::take).unwrap_or_default();
        Self { reads, writes: std::mem::take(&mut frame.writes) }
    }
}

/// Sorts the accesses of a block into partitions. `roots` are those before and after.
pub(crate) fn assemble(
    arena: &Arena,
    mut entries: Vec<(u32, Entries)>,
    fees: Option<(Key, u64)>,
    roots: (&[Root], &[Root]),
) -> AccessLog {
    entries.sort_unstable_by_key(|(index, _)| *index);
    let mut parts: Vec<Vec<LoggedAccess>> = vec![Vec::new(); PARTITIONS];
    let mut push = |transaction, slot, kind| {
        let name = arena.name(slot);
        parts[partition(&name.path)].push(LoggedAccess {
            transaction,
            space: arena.space(slot),
            key: name.key,
            kind,
        });
    };
    for (index, entries) in entries {
        for (slot, value) in entries.reads {
            push(Some(index), slot, AccessKind::Read(value));
        }
        for write in entries.writes {
            let kind = match write.edit {
                Edit::Word(word) => AccessKind::Put(Value::from_u64(word)),
                Edit::Put(value) => AccessKind::Put(value),
                Edit::Delete => AccessKind::Delete,
                Edit::Credit(amount) => AccessKind::Credit(amount),
            };
            push(Some(index), write.slot, kind);
        }
    }
    if let Some((key, amount)) = fees {
        let path = crate::state::root::path(Space::Plain, &key);
        parts[partition(&path)].push(LoggedAccess {
            transaction: None,
            space: Space::Plain,
            key,
            kind: AccessKind::Credit(amount),
        });
    }
    let partitions = parts
        .into_iter()
        .enumerate()
        .filter(|(_, accesses)| !accesses.is_empty())
        .map(|(index, accesses)| PartitionLog {
            partition: index,
            before: roots.0[index],
            after: roots.1[index],
            accesses,
        })
        .collect();
    AccessLog { partitions }
}
