//! Lanes and devices: who is free, which device holds which key, who is under quarantine.

use crate::ids::{DeviceClass, KeyId, LaneId, Run};
use crate::job::LaneKind;
use std::collections::{BTreeMap, BTreeSet};

/// What a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing.
    Free,
    /// A step, a key load or a known-answer test.
    Busy(Run),
    /// Waiting to be tested again.
    Quarantine,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) kind: LaneKind,
    pub(crate) doing: Doing,
    pub(crate) draining: bool,
    /// Erred and not yet passed a test.
    pub(crate) suspect: bool,
    /// Tests failed in a row.
    pub(crate) failed_tests: u32,
    /// Keys that lie here (bytes, last use).
    keys: BTreeMap<KeyId, (u64, u64)>,
}

impl Lane {
    pub(crate) fn drop_key(&mut self, key: KeyId) {
        self.keys.remove(&key);
    }

    fn unused(&self) -> u64 {
        let used: u64 = self.keys.values().map(|k| k.0).sum();
        self.capacity().saturating_sub(used)
    }

    fn capacity(&self) -> u64 {
        match self.kind {
            LaneKind::Cpu { threads } => u64::from(threads),
            LaneKind::Device { memory, .. } => memory,
        }
    }

    fn class(&self) -> Option<DeviceClass> {
        match self.kind {
            LaneKind::Cpu { .. } => None,
            LaneKind::Device { class, .. } => Some(class),
        }
    }
}

/// The lanes of one kind: CPU (no class) or a device class.
#[derive(Debug, Default)]
struct Group {
    /// Every lane that serves or may serve again, by capacity (threads or bytes).
    members: BTreeSet<(u64, LaneId)>,
    /// Those that serve: neither suspect nor draining.
    serving: BTreeSet<(u64, LaneId)>,
    /// Free ones by capacity.
    free: BTreeSet<(u64, LaneId)>,
    /// Free ones by bytes that no key occupies.
    roomy: BTreeSet<(u64, LaneId)>,
    /// Free ones by the keys they hold.
    holders: BTreeMap<KeyId, BTreeSet<LaneId>>,
}

/// See the module docs.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
    groups: BTreeMap<Option<DeviceClass>, Group>,
    uses: u64,
}

/// Where a step could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) lane: LaneId,
    /// Its key lies there, or it needs none there.
    pub(crate) keyed: bool,
}

impl Lanes {
    pub(crate) fn get(&self, lane: LaneId) -> Option<&Lane> {
        self.lanes.get(&lane)
    }

    pub(crate) fn join(&mut self, lane: LaneId, kind: LaneKind) -> bool {
        if self.lanes.contains_key(&lane) {
            return false;
        }
        let new = Lane {
            kind,
            doing: Doing::Free,
            draining: false,
            suspect: false,
            failed_tests: 0,
            keys: BTreeMap::new(),
        };
        self.lanes.insert(lane, new);
        self.index(lane);
        true
    }

    /// Takes a lane away; returns what it was.
    pub(crate) fn leave(&mut self, lane: LaneId) -> Option<Lane> {
        self.unindex(lane);
        self.lanes.remove(&lane)
    }

    /// Changes a lane and keeps the indexes true.
    pub(crate) fn change(&mut self, lane: LaneId, with: impl FnOnce(&mut Lane)) {
        self.unindex(lane);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            with(lane);
        }
        self.index(lane);
    }

    /// A copy of the key lies there from now on, or was used just now.
    pub(crate) fn hold_key(&mut self, lane: LaneId, key: KeyId, bytes: u64) {
        self.uses += 1;
        let now = self.uses;
        self.change(lane, |l| {
            l.keys.insert(key, (bytes, now));
        });
    }

    /// Frees the copies used longest ago until `bytes` beside `keep` fit; returns what went.
    pub(crate) fn make_room(
        &mut self,
        lane: LaneId,
        bytes: u64,
        keep: Option<KeyId>,
    ) -> Vec<KeyId> {
        let mut gone = Vec::new();
        self.change(lane, |l| {
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

    /// Whether any lane, free or not, suspect or not, could run it: the largest capacity, if not.
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

    /// Whether a free lane is large enough.
    pub(crate) fn any_free(&self, class: Option<DeviceClass>, least: u64) -> bool {
        let free = self.groups.get(&class).and_then(|g| g.free.last());
        free.is_some_and(|&(capacity, _)| capacity >= least)
    }

    /// Whether any lane is free.
    pub(crate) fn any_free_at_all(&self) -> bool {
        self.groups.values().any(|group| !group.free.is_empty())
    }

    /// How many lanes serve that kind of work.
    pub(crate) fn serving(&self, class: Option<DeviceClass>) -> usize {
        self.groups.get(&class).map_or(0, |g| g.serving.len())
    }

    /// The free CPU lane that fits best: the smallest that gives all useful threads, else the
    /// largest.
    pub(crate) fn pick_cpu(&self, least: u32, most: u32) -> Option<LaneId> {
        let free = &self.groups.get(&None)?.free;
        let ample = free.range((u64::from(most), LaneId(0))..).next();
        ample.or(free.last()).filter(|(threads, _)| *threads >= u64::from(least)).map(|p| p.1)
    }

    /// The free device that fits best: one that holds the key, else the one with most room, never
    /// `avoid` unless no other device of the class serves.
    pub(crate) fn pick_device(
        &self,
        class: DeviceClass,
        least: u64,
        key: Option<KeyId>,
        avoid: Option<LaneId>,
    ) -> Option<Pick> {
        let group = self.groups.get(&Some(class))?;
        let elsewhere = |avoid| group.serving.range((least, LaneId(0))..).any(|l| l.1 != avoid);
        let avoid = avoid.filter(|&lane| elsewhere(lane));
        let fits = |lane: LaneId| avoid != Some(lane) && self.lanes[&lane].capacity() >= least;
        let Some(key) = key else {
            let mut free = group.free.range((least, LaneId(0))..).map(|f| f.1);
            return free.find(|&lane| fits(lane)).map(|lane| Pick { lane, keyed: true });
        };
        let holder = group.holders.get(&key).and_then(|h| h.iter().find(|l| fits(**l)));
        if let Some(&lane) = holder {
            return Some(Pick { lane, keyed: true });
        }
        let mut roomy = group.roomy.iter().rev().map(|r| r.1);
        roomy.find(|&lane| fits(lane)).map(|lane| Pick { lane, keyed: false })
    }

    fn index(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let group = self.groups.entry(lane.class()).or_default();
        let capacity = lane.capacity();
        if lane.draining {
            return;
        }
        group.members.insert((capacity, id));
        if lane.suspect {
            return;
        }
        group.serving.insert((capacity, id));
        if lane.doing == Doing::Free {
            group.free.insert((capacity, id));
            if lane.class().is_some() {
                group.roomy.insert((lane.unused(), id));
                for key in lane.keys.keys() {
                    group.holders.entry(*key).or_default().insert(id);
                }
            }
        }
    }

    fn unindex(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let Some(group) = self.groups.get_mut(&lane.class()) else { return };
        let capacity = lane.capacity();
        group.members.remove(&(capacity, id));
        group.serving.remove(&(capacity, id));
        if group.free.remove(&(capacity, id)) && lane.class().is_some() {
            group.roomy.remove(&(lane.unused(), id));
            for key in lane.keys.keys() {
                if let Some(holders) = group.holders.get_mut(key) {
                    holders.remove(&id);
                    if holders.is_empty() {
                        group.holders.remove(key);
                    }
                }
            }
        }
    }
}
