//! Points in stored form: which of them a sum takes, with what sign, and how they are brought near in time.

use std::marker::PhantomData;

use crate::{Group, prefetch};

/// In the index of a point: it is to be negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// How far ahead of a gathering to fetch points: about as far as memory takes to answer.
pub(super) const PREFETCH_DISTANCE: usize = 32;

/// Most words of a point.
pub(super) const MAX_POINT_WORDS: usize = 24;

/// Points by number: a key's, and extra after them.
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

    /// With extra, whose numbers follow.
    pub(super) fn with_extra(self, extra: &'a [u64]) -> Self {
        Self { extra, ..self }
    }

    /// With infinity, and its number.
    pub(super) fn with_infinity(self) -> (Self, u32) {
        static INFINITY: [u64; MAX_POINT_WORDS] = [0; MAX_POINT_WORDS];
        (self.with_extra(&INFINITY[..P::POINT_WORDS]), self.count() as u32)
    }

    /// How many there are, the extra left out.
    pub(super) fn count(&self) -> usize {
        self.words.len() / P::POINT_WORDS
    }

    /// The words of a point, whatever its sign.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> &'a [u64] {
        let start = (index & !NEGATED) as usize * P::POINT_WORDS;
        match start.checked_sub(self.words.len()) {
            None => &self.words[start..][..P::POINT_WORDS],
            Some(start) => &self.extra[start..][..P::POINT_WORDS],
        }
    }

    /// Asks for a point while the one so many places before it is read: the order is random, and a key is
    /// larger than any cache.
    #[inline(always)]
    pub(super) fn prefetch_ahead(&self, order: &[u32], at: usize) {
        if let Some(&index) = order.get(at + PREFETCH_DISTANCE) {
            prefetch::to_l1(self.get(index));
        }
    }
}

/// Stored points that are gathered next. Memory answers while extra are being added: asked for all at
/// once, they would come no sooner than the few that a core can wait for at a time.
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

    /// Asks for some.
    #[inline(always)]
    pub(super) fn prefetch(&mut self, count: usize) {
        let (now, later) = self.order.split_at(count.min(self.order.len()));
        for &index in now {
            prefetch::to_l2(self.points.get(index));
        }
        self.order = later;
    }
}
