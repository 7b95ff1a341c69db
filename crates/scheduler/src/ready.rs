//! The one priority, and the ready steps kept in it.
//!
//! Ready steps are filed by *requirements*: what they need of the world beside their place in the priority.
//! There are few queues and each is a sorted map, so the first step that can start is found by
//! looking at the head of each requirements that could start at all, never by scanning steps.

use crate::ids::{DeviceClass, JobId, KeyId};
use crate::job::Class;
use crate::reservations::ReservationId;
use crate::trace::BudgetPart;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A place in the priority; the fields compare from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    pub(crate) class: Class,
    /// Nanoseconds; `u64::MAX` without one.
    pub(crate) deadline: u64,
    pub(crate) tag: u64,
    pub(crate) job: JobId,
    pub(crate) partition: u32,
}

/// Where a step could go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MinWorker {
    /// It needs a CPU worker of at least so many threads.
    Cpu(u32),
    /// It needs a device of that class with at least so many bytes.
    Device(DeviceClass, u64),
}

/// Keys that must be in shared memory before a partition starts, as a number for the set. A requirements
/// names the set and not which of them are missing, so that nothing is filed anew when a key comes
/// or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeySetId(usize);

impl KeySetId {
    pub(crate) const NONE: KeySetId = KeySetId(0);
}

/// What a ready step needs beside its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Requirements {
    pub(crate) min_worker: MinWorker,
    /// Of a fresh partition: its keys. Of a started one: none; they are there.
    pub(crate) keys: KeySetId,
    /// Its partition has not started.
    pub(crate) fresh: bool,
    /// Its job holds nothing yet.
    pub(crate) first_of_job: bool,
    /// Bit per shared pool that it pools from.
    pub(crate) pools: u8,
}

/// The seat of a partition that has one.
pub(crate) type Holding = Option<(BudgetPart, ReservationId)>;

/// The ready steps of one requirements; never empty.
#[derive(Debug)]
struct Queue {
    first: Priority,
    steps: BTreeMap<Priority, Holding>,
}

/// All ready steps.
#[derive(Debug)]
pub(crate) struct ReadyQueues {
    queues: BTreeMap<Requirements, Queue>,
    /// The first step of every requirements: small, so that a scan over it touches none of the queues.
    heads: BTreeMap<(Priority, Requirements), Holding>,
    /// The queues of steps whose partition has not started, by each key it will need.
    waiting_for_key: BTreeMap<KeyId, BTreeSet<Requirements>>,
    key_sets: Vec<Vec<KeyId>>,
    key_set_ids: BTreeMap<Vec<KeyId>, KeySetId>,
}

impl ReadyQueues {
    pub(crate) fn new() -> ReadyQueues {
        ReadyQueues {
            queues: BTreeMap::new(),
            heads: BTreeMap::new(),
            waiting_for_key: BTreeMap::new(),
            key_sets: vec![Vec::new()],
            key_set_ids: [(Vec::new(), KeySetId::NONE)].into(),
        }
    }

    /// The number of a set of keys.
    pub(crate) fn key_set_id(&mut self, keys: impl Iterator<Item = KeyId>) -> KeySetId {
        let keys: Vec<KeyId> = keys.collect();
        let next = KeySetId(self.key_sets.len());
        *self.key_set_ids.entry(keys).or_insert_with_key(|keys| {
            self.key_sets.push(keys.clone());
            next
        })
    }

    /// The keys of a set.
    pub(crate) fn keys(&self, set: KeySetId) -> &[KeyId] {
        &self.key_sets[set.0]
    }

    pub(crate) fn insert(
        &mut self,
        requirements: Requirements,
        priority: Priority,
        holding: Holding,
    ) {
        let new = || Queue { first: priority, steps: BTreeMap::new() };
        let queue = self.queues.entry(requirements).or_insert_with(new);
        queue.steps.insert(priority, holding);
        if queue.steps.len() == 1 {
            for &key in &self.key_sets[requirements.keys.0] {
                self.waiting_for_key.entry(key).or_default().insert(requirements);
            }
        } else if priority < queue.first {
            self.heads.remove(&(queue.first, requirements));
            queue.first = priority;
        }
        if queue.first == priority {
            self.heads.insert((priority, requirements), holding);
        }
    }

    pub(crate) fn remove(&mut self, requirements: Requirements, priority: &Priority) {
        let Some(queue) = self.queues.get_mut(&requirements) else { return };
        queue.steps.remove(priority);
        if queue.first != *priority {
            return;
        }
        self.heads.remove(&(*priority, requirements));
        if let Some((&first, &holding)) = queue.steps.first_key_value() {
            queue.first = first;
            self.heads.insert((first, requirements), holding);
            return;
        }
        self.queues.remove(&requirements);
        for key in &self.key_sets[requirements.keys.0] {
            if let Some(queues) = self.waiting_for_key.get_mut(key) {
                queues.remove(&requirements);
            }
        }
    }

    /// The first steps of all queues that come after `cursor`, in priority.
    pub(crate) fn heads(
        &self,
        cursor: Option<(Priority, Requirements)>,
    ) -> impl Iterator<Item = (Priority, Requirements, Holding)> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let heads = self.heads.range((from, Bound::Unbounded));
        heads.map(|(&(priority, requirements), &holding)| (priority, requirements, holding))
    }

    /// Whether a step is the first of its requirements.
    pub(crate) fn is_head(&self, requirements: Requirements, priority: Priority) -> bool {
        self.heads.contains_key(&(priority, requirements))
    }

    /// The steps of a requirements after `cursor`, in priority.
    pub(crate) fn after(
        &self,
        requirements: Requirements,
        cursor: Priority,
    ) -> impl Iterator<Item = (&Priority, &Holding)> {
        let queue = self.queues.get(&requirements).into_iter();
        queue.flat_map(move |queue| queue.steps.range((Bound::Excluded(cursor), Bound::Unbounded)))
    }

    /// The last step of a requirements.
    pub(crate) fn last(&self, requirements: Requirements) -> Option<(Priority, Holding)> {
        let (&priority, &holding) = self.queues.get(&requirements)?.steps.last_key_value()?;
        Some((priority, holding))
    }

    /// The first steps of all queues whose partitions have not started and need that key.
    pub(crate) fn waiting_for_key(
        &self,
        key: KeyId,
    ) -> impl Iterator<Item = (Priority, Requirements)> {
        let queues = self.waiting_for_key.get(&key).into_iter().flatten();
        queues.map(|&requirements| (self.queues[&requirements].first, requirements))
    }
}
