//! The log of all reads and writes of a block, in block order: the input for a proof of its
//! execution.
//!
//! The log has one part for each partition of the state root that the block accessed. A part holds
//! the root of the partition before and after the block and the accesses to it in block order, so
//! each part can be converted to a witness and proven separately.

use std::collections::HashMap;

use crate::block::Space;
use crate::frame::{Edit, Frame, Write, credited};
use crate::state::arena::{Arena, Slot};
use crate::state::root::{PARTITIONS, Root, partition};
use crate::value::{Key, Value};

/// The access log of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The accessed partitions, in ascending order.
    pub partitions: Vec<PartitionLog>,
}

/// The accesses to one partition of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLog {
    /// Index of the partition, below [`PARTITIONS`].
    pub partition: usize,
    /// Root of the partition before the block; zero if `Config::root` is off.
    pub before: Root,
    /// Root of the partition after the block; zero if `Config::root` is off.
    pub after: Root,
    /// The accesses in block order; within a transaction, reads precede writes.
    pub accesses: Vec<LoggedAccess>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAccess {
    /// Index of the transaction in the block. `None` for the credit of the block's fees, which is
    /// the last access.
    pub transaction: Option<u32>,
    /// Name space of the entry.
    pub space: Space,
    /// Name of the entry.
    pub key: Key,
    /// Kind of the access.
    pub kind: AccessKind,
}

/// Kind of an access, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessKind {
    /// A read that returned this value; `None` if the entry did not exist.
    Read(Option<Value>),
    /// A write of this value.
    Put(Value),
    /// A deletion of the entry.
    Delete,
    /// An addition to the number of the entry, without a read of it.
    Credit(u64),
}

/// The log contains an access that contradicts earlier accesses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access {index} of partition {partition} contradicts the accesses before it")]
pub struct LogError {
    /// Index of the partition.
    pub partition: usize,
    /// Index of the access in the partition's list.
    pub index: usize,
}

impl AccessLog {
    /// Checks that every read returns the value that the earlier accesses of the log left, and that
    /// no credit overflows. O(accesses), one hash lookup each.
    ///
    /// # Errors
    /// Returns the first access that contradicts the accesses before it.
    pub fn check(&self) -> Result<(), LogError> {
        for log in &self.partitions {
            let mut known: HashMap<(Space, Key), Option<Value>> = HashMap::new();
            // Sum of the credits to each entry whose value is not known yet.
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

/// The accesses of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    reads: Vec<(Slot, Option<Value>)>,
    writes: Vec<Write>,
}

impl Entries {
    /// Takes the accesses out of the frame of an execution that was committed.
    pub(crate) fn take(frame: &mut Frame) -> Self {
        let reads = frame.seen.as_mut().map(std::mem::take).unwrap_or_default();
        Self { reads, writes: std::mem::take(&mut frame.writes) }
    }
}

/// Sorts the accesses of a block into partitions. `roots` are the partition roots before and after
/// the block.
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
