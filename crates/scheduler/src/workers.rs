//! Workers (CPU thread pools and devices): which are free, which device holds which key, which are
//! quarantined.

use crate::ids::{DeviceClass, KeyId, RunId, WorkerId};
use crate::job::WorkerKind;
use std::collections::{BTreeMap, BTreeSet};

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Nothing: it can take a run.
    Free,
    /// A step, a key load or a known-answer test.
    Busy(RunId),
    /// A device that failed its known-answer test waits for the next one.
    Quarantine,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) kind: WorkerKind,
    pub(crate) state: WorkerState,
    pub(crate) draining: bool,
    /// It failed and has not passed a known-answer test since.
    pub(crate) suspect: bool,
    /// Known-answer tests failed in a row.
    pub(crate) failed_tests: u32,
    /// Keys in its memory: bytes, and when each was last used.
    keys: BTreeMap<KeyId, (u64, u64)>,
}

impl Worker {
    pub(crate) fn drop_key(&mut self, key: KeyId) {
        self.keys.remove(&key);
    }

    fn unused(&self) -> u64 {
        let used: u64 = self.keys.values().map(|k| k.0).sum();
        self.capacity().saturating_sub(used)
    }

    fn capacity(&self) -> u64 {
        match self.kind {
            WorkerKind::Cpu { threads } => u64::from(threads),
            WorkerKind::Device { memory, .. } => memory,
        }
    }

    fn class(&self) -> Option<DeviceClass> {
        match self.kind {
            WorkerKind::Cpu { .. } => None,
            WorkerKind::Device { class, .. } => Some(class),
        }
    }
}

/// The workers of one kind: CPU (no class) or a device class.
#[derive(Debug, Default)]
struct Group {
    /// Every worker that is not draining, by capacity (threads or bytes).
    members: BTreeSet<(u64, WorkerId)>,
    /// Those that are neither suspect nor draining.
    serving: BTreeSet<(u64, WorkerId)>,
    /// Free workers by capacity.
    free: BTreeSet<(u64, WorkerId)>,
    /// Free devices by the bytes that no key occupies.
    by_free_memory: BTreeSet<(u64, WorkerId)>,
    /// Free devices by the keys in their memory.
    free_by_key: BTreeMap<KeyId, BTreeSet<WorkerId>>,
}

/// All workers, with indexes for the choice of a free one. Used with device-resident keys by a
/// backend that keeps keys in device memory.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    workers: BTreeMap<WorkerId, Worker>,
    groups: BTreeMap<Option<DeviceClass>, Group>,
    uses: u64,
}

/// A worker chosen for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerChoice {
    pub(crate) worker: WorkerId,
    /// The step's key is in the worker's memory, or the step needs none there.
    pub(crate) has_key: bool,
}

impl Workers {
    pub(crate) fn get(&self, worker: WorkerId) -> Option<&Worker> {
        self.workers.get(&worker)
    }

    pub(crate) fn join(&mut self, worker: WorkerId, kind: WorkerKind) -> bool {
        if self.workers.contains_key(&worker) {
            return false;
        }
        let new = Worker {
            kind,
            state: WorkerState::Free,
            draining: false,
            suspect: false,
            failed_tests: 0,
            keys: BTreeMap::new(),
        };
        self.workers.insert(worker, new);
        self.add_to_indexes(worker);
        true
    }

    /// Removes a worker and returns it.
    pub(crate) fn leave(&mut self, worker: WorkerId) -> Option<Worker> {
        self.remove_from_indexes(worker);
        self.workers.remove(&worker)
    }

    /// Changes a worker and updates the indexes.
    pub(crate) fn change(&mut self, worker: WorkerId, with: impl FnOnce(&mut Worker)) {
        self.remove_from_indexes(worker);
        if let Some(worker) = self.workers.get_mut(&worker) {
            with(worker);
        }
        self.add_to_indexes(worker);
    }

    /// Records that a key is in a device's memory, and that it was used now.
    pub(crate) fn add_key(&mut self, worker: WorkerId, key: KeyId, bytes: u64) {
        self.uses += 1;
        let now = self.uses;
        self.change(worker, |l| {
            l.keys.insert(key, (bytes, now));
        });
    }

    /// Removes the least recently used keys, except `keep`, until `bytes` are free; returns the
    /// removed ones.
    pub(crate) fn evict_until_free(
        &mut self,
        worker: WorkerId,
        bytes: u64,
        keep: Option<KeyId>,
    ) -> Vec<KeyId> {
        let mut gone = Vec::new();
        self.change(worker, |l| {
            while l.unused() < bytes {
                let idle = l.keys.iter().filter(|(k, _)| Some(**k) != keep);
                let Some(oldest) = idle.min_by_key(|(_, (_, used))| *used).map(|(k, _)| *k) else {
                    break;
                };
                l.keys.remove(&oldest);
                gone.push(oldest);
            }
        });
        gone
    }

    /// Whether any worker of that kind, free or not, is large enough for a step. The error is the
    /// largest capacity, if there are such workers.
    pub(crate) fn could_ever(
        &self,
        class: Option<DeviceClass>,
        least: u64,
    ) -> Result<(), Option<u64>> {
        match self.groups.get(&class).and_then(|g| g.members.last()) {
            Some(&(capacity, _)) if capacity >= least => Ok(()),
            Some(&(capacity, _)) => Err(Some(capacity)),
            None => Err(None),
        }
    }

    /// Whether a free worker of that kind is large enough.
    pub(crate) fn any_free(&self, class: Option<DeviceClass>, least: u64) -> bool {
        let free = self.groups.get(&class).and_then(|g| g.free.last());
        free.is_some_and(|&(capacity, _)| capacity >= least)
    }

    /// Whether any worker is free.
    pub(crate) fn any_free_at_all(&self) -> bool {
        self.groups.values().any(|group| !group.free.is_empty())
    }

    /// The number of workers of that kind that are neither suspect nor draining.
    pub(crate) fn serving(&self, class: Option<DeviceClass>) -> usize {
        self.groups.get(&class).map_or(0, |g| g.serving.len())
    }

    /// The best free CPU worker: the smallest with at least `most` threads, else the largest with
    /// at least `least`.
    pub(crate) fn pick_cpu(&self, least: u32, most: u32) -> Option<WorkerId> {
        let free = &self.groups.get(&None)?.free;
        let ample = free.range((u64::from(most), WorkerId(0))..).next();
        ample.or(free.last()).filter(|(threads, _)| *threads >= u64::from(least)).map(|p| p.1)
    }

    /// The best free device: one that holds the key, else the one with the most unused memory.
    /// Never `avoid`, unless no other device of the class is large enough and serves.
    pub(crate) fn pick_device(
        &self,
        class: DeviceClass,
        least: u64,
        key: Option<KeyId>,
        avoid: Option<WorkerId>,
    ) -> Option<WorkerChoice> {
        let group = self.groups.get(&Some(class))?;
        let elsewhere = |avoid| group.serving.range((least, WorkerId(0))..).any(|l| l.1 != avoid);
        let avoid = avoid.filter(|&worker| elsewhere(worker));
        let fits =
            |worker: WorkerId| avoid != Some(worker) && self.workers[&worker].capacity() >= least;
        let Some(key) = key else {
            let mut free = group.free.range((least, WorkerId(0))..).map(|f| f.1);
            return free
                .find(|&worker| fits(worker))
                .map(|worker| WorkerChoice { worker, has_key: true });
        };
        let holder = group.free_by_key.get(&key).and_then(|h| h.iter().find(|l| fits(**l)));
        if let Some(&worker) = holder {
            return Some(WorkerChoice { worker, has_key: true });
        }
        let mut by_free_memory = group.by_free_memory.iter().rev().map(|r| r.1);
        by_free_memory
            .find(|&worker| fits(worker))
            .map(|worker| WorkerChoice { worker, has_key: false })
    }

    fn add_to_indexes(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let group = self.groups.entry(worker.class()).or_default();
        let capacity = worker.capacity();
        if worker.draining {
            return;
        }
        group.members.insert((capacity, id));
        if worker.suspect {
            return;
        }
        group.serving.insert((capacity, id));
        if worker.state == WorkerState::Free {
            group.free.insert((capacity, id));
            if worker.class().is_some() {
                group.by_free_memory.insert((worker.unused(), id));
                for key in worker.keys.keys() {
                    group.free_by_key.entry(*key).or_default().insert(id);
                }
            }
        }
    }

    fn remove_from_indexes(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let Some(group) = self.groups.get_mut(&worker.class()) else { return };
        let capacity = worker.capacity();
        group.members.remove(&(capacity, id));
        group.serving.remove(&(capacity, id));
        if group.free.remove(&(capacity, id)) && worker.class().is_some() {
            group.by_free_memory.remove(&(worker.unused(), id));
            for key in worker.keys.keys() {
                if let Some(free_by_key) = group.free_by_key.get_mut(key) {
                    free_by_key.remove(&id);
                    if free_by_key.is_empty() {
                        group.free_by_key.remove(key);
                    }
                }
            }
        }
    }
}
