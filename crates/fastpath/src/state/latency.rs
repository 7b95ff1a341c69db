//! A state with artificial read latency, to measure the cost of waiting.

use std::time::{Duration, Instant};

use super::{State, StateError};
use crate::block::{Change, Space};
use crate::value::{Key, Value};

/// Delays the reads of another state like a device with a latency and a queue depth.
///
/// A read takes the latency. A batch takes the latency once for every `depth` of its slow names.
/// Waits of at most 2 ms spin, because the granularity of a sleeping timer is too coarse for them.
#[derive(Debug, Clone)]
pub struct LatencyState<S> {
    inner: S,
    latency: Duration,
    depth: usize,
    /// One name in this many is slow; 1 if all are.
    one_in: u64,
}

impl<S: State> LatencyState<S> {
    /// Delays every read of `inner` by `latency`, with at most `depth` reads in flight.
    pub fn new(inner: S, latency: Duration, depth: usize) -> Self {
        Self { inner, latency, depth: depth.max(1), one_in: 1 }
    }

    /// Delays only one name in `n` on average. The name alone determines whether it is slow.
    #[must_use]
    pub fn one_in(mut self, n: u64) -> Self {
        self.one_in = n.max(1);
        self
    }

    /// The delayed state.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    fn is_slow(&self, key: &Key) -> bool {
        self.one_in == 1
            || u64::from_le_bytes(key.0[..8].try_into().expect("8 bytes"))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                >> 32
                << 32
                < u64::MAX / self.one_in
    }

    fn wait(&self, rounds: usize) {
        let wait = self.latency * rounds as u32;
        if wait > Duration::from_millis(2) {
            std::thread::sleep(wait);
            return;
        }
        let start = Instant::now();
        while start.elapsed() < wait {
            std::hint::spin_loop();
        }
    }
}

impl<S: State> State for LatencyState<S> {
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError> {
        if self.is_slow(key) {
            self.wait(1);
        }
        self.inner.get(space, key)
    }

    fn get_many(&self, names: &[(Space, Key)]) -> Result<Vec<Option<Value>>, StateError> {
        let slow = names.iter().filter(|(_, key)| self.is_slow(key)).count();
        self.wait(slow.div_ceil(self.depth));
        self.inner.get_many(names)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError> {
        self.inner.commit(changes)
    }

    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError> {
        self.inner.scan(each)
    }
}
