//! Keys in shared memory: which are there, who uses them, which may go.

use crate::event::KeySpec;
use crate::ids::{KeyId, RunId, Time};
use crate::memory::Memory;
use std::collections::{BTreeMap, BTreeSet};

/// Where a key's shared copy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedCopy {
    /// Not there.
    Absent,
    /// Being read.
    Loading(RunId),
    /// Not there; the last load failed and the next waits till then.
    Backoff(Time),
    /// There.
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
    /// A shared copy is needed and is not there.
    pub(crate) fn missing(&self) -> bool {
        self.copy != SharedCopy::Resident && !self.spec.shared.is_zero()
    }
}

/// See the module docs.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: BTreeMap<KeyId, Key>,
    /// Resident, unpinned and unused, by last use.
    idle: BTreeSet<(u64, KeyId)>,
    /// Withdrawn, and perhaps still there.
    withdrawn_keys: BTreeSet<KeyId>,
    uses: u64,
    pub(crate) loading: u32,
}

impl Keys {
    pub(crate) fn get(&self, key: KeyId) -> Option<&Key> {
        self.keys.get(&key)
    }

    /// Declares a key; an earlier declaration's sizes stay.
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

    /// From now on it can no longer be loaded, and its copy goes when nobody uses it.
    pub(crate) fn withdraw(&mut self, key: KeyId) -> bool {
        let known = self.change(key, |k| k.withdrawn = true).is_some();
        if known {
            self.withdrawn_keys.insert(key);
        }
        known
    }

    /// Withdrawn keys whose shared copy is there and idle; they are not asked for again.
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

    /// Changes a key and keeps the idle list true.
    pub(crate) fn change<T>(&mut self, id: KeyId, with: impl FnOnce(&mut Key) -> T) -> Option<T> {
        let key = self.keys.get_mut(&id)?;
        self.idle.remove(&(key.used, id));
        let result = with(key);
        if key.users == 0 && !key.pinned && key.copy == SharedCopy::Resident {
            self.idle.insert((key.used, id));
        }
        Some(result)
    }

    /// A partition that needs it has started.
    pub(crate) fn add_user(&mut self, id: KeyId) {
        self.uses += 1;
        let now = self.uses;
        self.change(id, |key| {
            key.users += 1;
            key.used = now;
        });
    }

    /// That partition is over.
    pub(crate) fn remove_user(&mut self, id: KeyId) {
        self.uses += 1;
        let now = self.uses;
        self.change(id, |key| {
            key.users = key.users.saturating_sub(1);
            key.used = now;
        });
    }

    /// Idle keys with a shared copy, those unused for longest first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = (KeyId, Memory)> {
        let idle = self.idle.iter().map(|(_, id)| (*id, self.keys[id].spec.shared));
        idle.filter(|idle| !idle.1.is_zero())
    }

    /// Sum of the shared copies that are pinned, there or not.
    pub(crate) fn pinned(&self) -> Memory {
        let pinned = self.keys.values().filter(|k| k.pinned);
        pinned.fold(Memory::ZERO, |sum, k| sum + k.spec.shared)
    }
}
