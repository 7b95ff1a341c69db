//! Keys in shared memory: which are resident, how many partitions use each, which are idle.

use crate::event::KeySpec;
use crate::ids::{KeyId, RunId, Time};
use crate::memory::Memory;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a key's copy in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedCopy {
    /// Not in memory.
    Absent,
    /// Being read by that run.
    Loading(RunId),
    /// Not in memory; the last load failed, and the next may begin at that time.
    Backoff(Time),
    /// In memory.
    Resident,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) spec: KeySpec,
    pub(crate) copy: SharedCopy,
    pub(crate) pinned: bool,
    pub(crate) withdrawn: bool,
    /// Loads failed in a row.
    pub(crate) failures: u32,
    /// Started partitions that need it.
    users: u32,
    used: u64,
}

impl Key {
    /// Whether the key has a shared copy and it is not resident.
    pub(crate) fn missing(&self) -> bool {
        self.copy != SharedCopy::Resident && !self.spec.shared.is_zero()
    }
}

/// All declared keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: BTreeMap<KeyId, Key>,
    /// Resident keys that are neither pinned nor used, least recently used first.
    idle: BTreeSet<(u64, KeyId)>,
    /// Withdrawn keys whose copy may still be in memory.
    withdrawn_keys: BTreeSet<KeyId>,
    uses: u64,
    pub(crate) loading: u32,
}

impl Keys {
    pub(crate) fn get(&self, key: KeyId) -> Option<&Key> {
        self.keys.get(&key)
    }

    /// Declares a key. If it was declared before, its earlier sizes stay.
    pub(crate) fn declare(&mut self, key: KeyId, spec: KeySpec) {
        let new = Key {
            spec,
            copy: SharedCopy::Absent,
            pinned: false,
            withdrawn: false,
            failures: 0,
            users: 0,
            used: 0,
        };
        self.keys.entry(key).or_insert(new).withdrawn = false;
        self.withdrawn_keys.remove(&key);
    }

    /// Marks a key as withdrawn: it can no longer be loaded. Returns whether the key is known.
    pub(crate) fn withdraw(&mut self, key: KeyId) -> bool {
        let known = self.change(key, |k| k.withdrawn = true).is_some();
        if known {
            self.withdrawn_keys.insert(key);
        }
        known
    }

    /// Withdrawn keys whose copy is resident and idle; each is returned once.
    pub(crate) fn take_withdrawn_idle(&mut self) -> Vec<KeyId> {
        let (keys, idle) = (&self.keys, &self.idle);
        let is_idle = |id: &KeyId| keys.get(id).is_some_and(|k| idle.contains(&(k.used, *id)));
        let gone: Vec<KeyId> = self.withdrawn_keys.iter().copied().filter(is_idle).collect();
        self.withdrawn_keys.retain(|id| {
            let copy = keys.get(id).map(|k| k.copy);
            matches!(copy, Some(SharedCopy::Resident | SharedCopy::Loading(_)))
                && !gone.contains(id)
        });
        gone
    }

    /// Changes a key and updates the idle list.
    pub(crate) fn change<T>(&mut self, id: KeyId, with: impl FnOnce(&mut Key) -> T) -> Option<T> {
        let key = self.keys.get_mut(&id)?;
        self.idle.remove(&(key.used, id));
        let result = with(key);
        if key.users == 0 && !key.pinned && key.copy == SharedCopy::Resident {
            self.idle.insert((key.used, id));
        }
        Some(result)
    }

    /// A partition that needs the key has started.
    pub(crate) fn add_user(&mut self, id: KeyId) {
        self.uses += 1;
        let now = self.uses;
        self.change(id, |key| {
            key.users += 1;
            key.used = now;
        });
    }

    /// A partition that needs the key is done, or starts over.
    pub(crate) fn remove_user(&mut self, id: KeyId) {
        self.uses += 1;
        let now = self.uses;
        self.change(id, |key| {
            key.users = key.users.saturating_sub(1);
            key.used = now;
        });
    }

    /// Idle keys with the bytes of their shared copy, least recently used first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = (KeyId, Memory)> {
        let idle = self.idle.iter().map(|(_, id)| (*id, self.keys[id].spec.shared));
        idle.filter(|idle| !idle.1.is_zero())
    }

    /// Sum of the shared copies of all pinned keys, resident or not.
    pub(crate) fn pinned(&self) -> Memory {
        let pinned = self.keys.values().filter(|k| k.pinned);
        pinned.fold(Memory::ZERO, |sum, k| sum + k.spec.shared)
    }
}
