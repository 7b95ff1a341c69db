//! The one order, and the ready steps kept in it.
//!
//! Ready steps are filed by *shape*: what they need of the world beside their place in the order.
//! There are few shapes and each is a sorted map, so the first step that can start is found by
//! looking at the head of each shape that could start at all, never by scanning steps.

use crate::ids::{DeviceClass, JobId, KeyId};
use crate::job::Class;
use crate::ledger::Seat;
use crate::trace::Purse;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A place in the order; the fields compare from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) class: Class,
    /// Nanoseconds; `u64::MAX` without one.
    pub(crate) deadline: u64,
    pub(crate) tag: u64,
    pub(crate) job: JobId,
    pub(crate) partition: u32,
}

/// Where a step could go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// It needs a CPU lane of at least so many threads.
    Cpu(u32),
    /// It needs a device of that class with at least so many bytes.
    Device(DeviceClass, u64),
}

/// Keys that must be in shared memory before a partition starts, as a number for the set. A shape
/// names the set and not which of them are missing, so that nothing is filed anew when a key comes
/// or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeySet(usize);

impl KeySet {
    pub(crate) const NONE: KeySet = KeySet(0);
}

/// What a ready step needs beside its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) spot: Spot,
    /// Of a fresh partition: its keys. Of a started one: none; they are there.
    pub(crate) keys: KeySet,
    /// Its partition has not started.
    pub(crate) fresh: bool,
    /// Its job holds nothing yet.
    pub(crate) joins: bool,
    /// Bit per shared pool that it takes from.
    pub(crate) takes: u8,
}

/// The seat of a partition that has one.
pub(crate) type Grip = Option<(Purse, Seat)>;

/// All ready steps.
#[derive(Debug)]
pub(crate) struct Queues {
    shapes: BTreeMap<Shape, BTreeMap<Order, Grip>>,
    sets: Vec<Vec<KeyId>>,
    numbers: BTreeMap<Vec<KeyId>, KeySet>,
}

impl Queues {
    pub(crate) fn new() -> Queues {
        let numbers = [(Vec::new(), KeySet::NONE)].into();
        Queues { shapes: BTreeMap::new(), sets: vec![Vec::new()], numbers }
    }

    /// The number of a set of keys.
    pub(crate) fn set_of(&mut self, keys: impl Iterator<Item = KeyId>) -> KeySet {
        let keys: Vec<KeyId> = keys.collect();
        let next = KeySet(self.sets.len());
        *self.numbers.entry(keys).or_insert_with_key(|keys| {
            self.sets.push(keys.clone());
            next
        })
    }

    /// The keys of a set.
    pub(crate) fn keys(&self, set: KeySet) -> &[KeyId] {
        &self.sets[set.0]
    }

    pub(crate) fn insert(&mut self, shape: Shape, order: Order, grip: Grip) {
        self.shapes.entry(shape).or_default().insert(order, grip);
    }

    pub(crate) fn remove(&mut self, shape: Shape, order: &Order) {
        if let Some(queue) = self.shapes.get_mut(&shape) {
            queue.remove(order);
            if queue.is_empty() {
                self.shapes.remove(&shape);
            }
        }
    }

    pub(crate) fn shapes(&self) -> impl Iterator<Item = Shape> + '_ {
        self.shapes.keys().copied()
    }

    /// The steps of a shape after `cursor`, in order.
    pub(crate) fn beyond(
        &self,
        shape: Shape,
        cursor: Option<Order>,
    ) -> impl Iterator<Item = (&Order, &Grip)> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let queue = self.shapes.get(&shape).into_iter();
        queue.flat_map(move |queue| queue.range((from, Bound::Unbounded)))
    }
}
