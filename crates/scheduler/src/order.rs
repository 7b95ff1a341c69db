//! The one order, and the ready steps kept in it.
//!
//! Ready steps are filed by *shape*: what they need of the world beside their place in the order.
//! There are few shapes and each is a sorted map, so the first step that can start is found by
//! looking at the head of each shape that could start at all, never by scanning steps.

use crate::ids::{DeviceClass, JobId, KeyId};
use crate::job::Class;
use crate::ledger::Seat;
use crate::trace::Purse;
use std::collections::{BTreeMap, BTreeSet};
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

/// The ready steps of one shape; never empty.
#[derive(Debug)]
struct Queue {
    first: Order,
    steps: BTreeMap<Order, Grip>,
}

/// All ready steps.
#[derive(Debug)]
pub(crate) struct Queues {
    shapes: BTreeMap<Shape, Queue>,
    /// The first step of every shape: small, so that a pass over it touches none of the queues.
    line: BTreeMap<(Order, Shape), Grip>,
    /// The shapes of steps whose partition has not started, by each key it will need.
    wanting: BTreeMap<KeyId, BTreeSet<Shape>>,
    sets: Vec<Vec<KeyId>>,
    numbers: BTreeMap<Vec<KeyId>, KeySet>,
}

impl Queues {
    pub(crate) fn new() -> Queues {
        Queues {
            shapes: BTreeMap::new(),
            line: BTreeMap::new(),
            wanting: BTreeMap::new(),
            sets: vec![Vec::new()],
            numbers: [(Vec::new(), KeySet::NONE)].into(),
        }
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
        let new = || Queue { first: order, steps: BTreeMap::new() };
        let queue = self.shapes.entry(shape).or_insert_with(new);
        queue.steps.insert(order, grip);
        if queue.steps.len() == 1 {
            for &key in &self.sets[shape.keys.0] {
                self.wanting.entry(key).or_default().insert(shape);
            }
        } else if order < queue.first {
            self.line.remove(&(queue.first, shape));
            queue.first = order;
        }
        if queue.first == order {
            self.line.insert((order, shape), grip);
        }
    }

    pub(crate) fn remove(&mut self, shape: Shape, order: &Order) {
        let Some(queue) = self.shapes.get_mut(&shape) else { return };
        queue.steps.remove(order);
        if queue.first != *order {
            return;
        }
        self.line.remove(&(*order, shape));
        if let Some((&first, &grip)) = queue.steps.first_key_value() {
            queue.first = first;
            self.line.insert((first, shape), grip);
            return;
        }
        self.shapes.remove(&shape);
        for key in &self.sets[shape.keys.0] {
            if let Some(shapes) = self.wanting.get_mut(key) {
                shapes.remove(&shape);
            }
        }
    }

    /// The first steps of all shapes that come after `cursor`, in order.
    pub(crate) fn line(
        &self,
        cursor: Option<(Order, Shape)>,
    ) -> impl Iterator<Item = (Order, Shape, Grip)> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let line = self.line.range((from, Bound::Unbounded));
        line.map(|(&(order, shape), &grip)| (order, shape, grip))
    }

    /// Whether a step is the first of its shape.
    pub(crate) fn leads(&self, shape: Shape, order: Order) -> bool {
        self.line.contains_key(&(order, shape))
    }

    /// The steps of a shape after `cursor`, in order.
    pub(crate) fn beyond(
        &self,
        shape: Shape,
        cursor: Order,
    ) -> impl Iterator<Item = (&Order, &Grip)> {
        let queue = self.shapes.get(&shape).into_iter();
        queue.flat_map(move |queue| queue.steps.range((Bound::Excluded(cursor), Bound::Unbounded)))
    }

    /// The last step of a shape.
    pub(crate) fn last(&self, shape: Shape) -> Option<(Order, Grip)> {
        let (&order, &grip) = self.shapes.get(&shape)?.steps.last_key_value()?;
        Some((order, grip))
    }

    /// The first steps of all shapes whose partitions have not started and need that key.
    pub(crate) fn wanting(&self, key: KeyId) -> impl Iterator<Item = (Order, Shape)> {
        let shapes = self.wanting.get(&key).into_iter().flatten();
        shapes.map(|&shape| (self.shapes[&shape].first, shape))
    }
}
