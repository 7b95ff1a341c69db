//! Points in stored form: access by index and sign, and prefetching.

use std::marker::PhantomData;

use crate::{Group, prefetch};

/// Bit of a point index: the point is negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// Points between the one that is read and the one that is prefetched: about the latency of memory.
pub(super) const PREFETCH_DISTANCE: usize = 32;

/// The most words of a point.
pub(super) const MAX_POINT_WORDS: usize = 24;

/// Points by index: those of a key, followed by extra ones.
pub(super) struct StoredPoints<'a, P> {
    words: &'a [u64],
    extra: &'a [u64],
    group: PhantomData<P>,
}

impl<P> Clone for StoredPoints<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for StoredPoints<'_, P> {}

impl<'a, P: Group> StoredPoints<'a, P> {
    pub(super) fn new(words: &'a [u64]) -> Self {
        Self { words, extra: &[], group: PhantomData }
    }

    /// Adds extra points, whose indices follow.
    pub(super) fn with_extra(self, extra: &'a [u64]) -> Self {
        Self { extra, ..self }
    }

    /// Adds infinity, and returns its index.
    pub(super) fn with_infinity(self) -> (Self, u32) {
        static INFINITY: [u64; MAX_POINT_WORDS] = [0; MAX_POINT_WORDS];
        (self.with_extra(&INFINITY[..P::POINT_WORDS]), self.count() as u32)
    }

    /// The number of points without extra ones.
    pub(super) fn count(&self) -> usize {
        self.words.len() / P::POINT_WORDS
    }

    /// The words of a point; the sign is ignored.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> &'a [u64] {
        let start = (index & !NEGATED) as usize * P::POINT_WORDS;
        match start.checked_sub(self.words.len()) {
            None => &self.words[start..][..P::POINT_WORDS],
            Some(start) => &self.extra[start..][..P::POINT_WORDS],
        }
    }

    /// Prefetches the point [`PREFETCH_DISTANCE`] places after `at`. The order is random, and a key
    /// is larger than any cache.
    #[inline(always)]
    pub(super) fn prefetch_ahead(&self, order: &[u32], at: usize) {
        if let Some(&index) = order.get(at + PREFETCH_DISTANCE) {
            prefetch::to_l1(self.get(index));
        }
    }
}

/// Stored points of the next tile, prefetched a few at a time while the current tile is being
/// added. A core can wait for only a few cache lines at a time, so prefetching all at once would
/// not be faster.
pub(super) struct PrefetchQueue<'a, P> {
    points: StoredPoints<'a, P>,
    order: &'a [u32],
}

impl<'a, P: Group> PrefetchQueue<'a, P> {
    pub(super) fn empty() -> PrefetchQueue<'static, P> {
        PrefetchQueue { points: StoredPoints::new(&[]), order: &[] }
    }

    pub(super) fn new(points: StoredPoints<'a, P>, order: &'a [u32]) -> Self {
        Self { points, order }
    }

    /// Prefetches the next `count` points.
    #[inline(always)]
    pub(super) fn prefetch(&mut self, count: usize) {
        let (now, later) = self.order.split_at(count.min(self.order.len()));
        for &index in now {
            prefetch::to_l2(self.points.get(index));
        }
        self.order = later;
    }
}
