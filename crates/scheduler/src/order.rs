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
    /// It needs that key in shared memory first.
    Load(KeyId),
}

/// What a ready step needs beside its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) spot: Spot,
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
#[derive(Debug, Default)]
pub(crate) struct Queues {
    shapes: BTreeMap<Shape, BTreeMap<Order, Grip>>,
}

impl Queues {
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

    pub(crate) fn shapes(&self) -> impl Iterator<Item = (&Shape, &BTreeMap<Order, Grip>)> {
        self.shapes.iter()
    }

    /// Everyone who waits for a key to be loaded.
    pub(crate) fn awaiting(&self, key: KeyId) -> Vec<Order> {
        let of_key = |shape: &Shape| shape.spot == Spot::Load(key);
        self.shapes
            .iter()
            .filter(|(shape, _)| of_key(shape))
            .flat_map(|(_, queue)| queue.keys().copied())
            .collect()
    }
}

/// The entries of a queue after `cursor`, in order.
pub(crate) fn beyond(
    queue: &BTreeMap<Order, Grip>,
    cursor: Option<Order>,
) -> impl Iterator<Item = (&Order, &Grip)> {
    let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
    queue.range((from, Bound::Unbounded))
}
