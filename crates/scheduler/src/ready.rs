//! The ready steps, in priority order.
//!
//! Ready steps with the same [`Requirements`] share a queue, sorted by [`Priority`]. There are few
//! queues, so the first step that can start is found by looking at the queue heads, never by
//! scanning steps.

use crate::ids::{DeviceClass, JobId, KeyId};
use crate::job::Class;
use crate::reservations::ReservationId;
use crate::trace::BudgetPart;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The priority of a partition's steps: a smaller value is served first. Fields are compared in
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    pub(crate) class: Class,
    /// In nanoseconds; `u64::MAX` without a deadline.
    pub(crate) deadline: u64,
    pub(crate) tag: u64,
    pub(crate) job: JobId,
    pub(crate) partition: u32,
}

/// The smallest worker on which a step can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MinWorker {
    /// A CPU worker with at least that many threads.
    Cpu(u32),
    /// A device of that class with at least that many bytes of memory.
    Device(DeviceClass, u64),
}

/// The number of a set of keys that must be in shared memory before a partition starts. It stands
/// for the whole set, resident or not, so a step stays in its queue when a key comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeySetId(usize);

impl KeySetId {
    pub(crate) const NONE: KeySetId = KeySetId(0);
}

/// What a ready step needs in order to start; steps with the same requirements share a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Requirements {
    pub(crate) min_worker: MinWorker,
    /// The keys of a fresh partition; empty for a started one, whose keys are resident.
    pub(crate) keys: KeySetId,
    /// Its partition has not started.
    pub(crate) fresh: bool,
    /// Its job has not taken its own memory yet: starting the step takes it.
    pub(crate) first_of_job: bool,
    /// Bit mask of the shared pools from which starting the step takes memory.
    pub(crate) pools: u8,
}

/// The reservation of a started partition, and the budget part that it is in. `None` before the
/// start, and for a partition that claims no memory.
pub(crate) type Holding = Option<(BudgetPart, ReservationId)>;

/// The ready steps with the same requirements; never empty.
#[derive(Debug)]
struct Queue {
    first: Priority,
    steps: BTreeMap<Priority, Holding>,
}

/// All ready steps.
#[derive(Debug)]
pub(crate) struct ReadyQueues {
    queues: BTreeMap<Requirements, Queue>,
    /// The first step of every queue. Small, so that a scan over it does not touch the queues.
    heads: BTreeMap<(Priority, Requirements), Holding>,
    /// By key: the queues of steps whose partition has not started and needs the key.
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

    /// The queue heads after `cursor`, in priority order.
    pub(crate) fn heads(
        &self,
        cursor: Option<(Priority, Requirements)>,
    ) -> impl Iterator<Item = (Priority, Requirements, Holding)> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let heads = self.heads.range((from, Bound::Unbounded));
        heads.map(|(&(priority, requirements), &holding)| (priority, requirements, holding))
    }

    /// Whether a step is the head of its queue.
    pub(crate) fn is_head(&self, requirements: Requirements, priority: Priority) -> bool {
        self.heads.contains_key(&(priority, requirements))
    }

    /// The steps of a queue after `cursor`, in priority order.
    pub(crate) fn after(
        &self,
        requirements: Requirements,
        cursor: Priority,
    ) -> impl Iterator<Item = (&Priority, &Holding)> {
        let queue = self.queues.get(&requirements).into_iter();
        queue.flat_map(move |queue| queue.steps.range((Bound::Excluded(cursor), Bound::Unbounded)))
    }

    /// The last step of a queue.
    pub(crate) fn last(&self, requirements: Requirements) -> Option<(Priority, Holding)> {
        let (&priority, &holding) = self.queues.get(&requirements)?.steps.last_key_value()?;
        Some((priority, holding))
    }

    /// The heads of the queues whose partitions have not started and need that key.
    pub(crate) fn waiting_for_key(
        &self,
        key: KeyId,
    ) -> impl Iterator<Item = (Priority, Requirements)> {
        let queues = self.waiting_for_key.get(&key).into_iter().flatten();
        queues.map(|&requirements| (self.queues[&requirements].first, requirements))
    }
}
