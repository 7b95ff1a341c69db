//! Points in stored form: which of them a sum takes, with what sign, and how they are brought near in time.

use std::marker::PhantomData;

use crate::{Group, prefetch};

/// In the index of a point: it is to be negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// How far ahead of a gathering to fetch points: about as far as memory takes to answer.
pub(super) const AHEAD: usize = 32;

/// Most words of a point.
pub(super) const MOST_WORDS: usize = 24;

/// Points by number: a key's, and others after them.
pub(super) struct Points<'a, P> {
    words: &'a [u64],
    others: &'a [u64],
    group: PhantomData<P>,
}

impl<P> Clone for Points<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Points<'_, P> {}

impl<'a, P: Group> Points<'a, P> {
    pub(super) fn new(words: &'a [u64]) -> Self {
        Self { words, others: &[], group: PhantomData }
    }

    /// With others, whose numbers follow.
    pub(super) fn and(self, others: &'a [u64]) -> Self {
        Self { others, ..self }
    }

    /// With infinity, and its number.
    pub(super) fn and_infinity(self) -> (Self, u32) {
        static INFINITY: [u64; MOST_WORDS] = [0; MOST_WORDS];
        (self.and(&INFINITY[..P::POINT_WORDS]), self.count() as u32)
    }

    /// How many there are, the others left out.
    pub(super) fn count(&self) -> usize {
        self.words.len() / P::POINT_WORDS
    }

    /// The words of a point, whatever its sign.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> &'a [u64] {
        let start = (index & !NEGATED) as usize * P::POINT_WORDS;
        match start.checked_sub(self.words.len()) {
            None => &self.words[start..][..P::POINT_WORDS],
            Some(start) => &self.others[start..][..P::POINT_WORDS],
        }
    }

    /// Asks for a point while the one so many places before it is read: the order is random, and a key is
    /// larger than any cache.
    #[inline(always)]
    pub(super) fn fetch_ahead(&self, order: &[u32], at: usize) {
        if let Some(&index) = order.get(at + AHEAD) {
            prefetch::soon(self.get(index));
        }
    }
}

/// Stored points that are gathered next. Memory answers while others are being added: asked for all at
/// once, they would come no sooner than the few that a core can wait for at a time.
pub(super) struct Next<'a, P> {
    points: Points<'a, P>,
    order: &'a [u32],
}

impl<'a, P: Group> Next<'a, P> {
    pub(super) fn nothing() -> Next<'static, P> {
        Next { points: Points::new(&[]), order: &[] }
    }

    pub(super) fn new(points: Points<'a, P>, order: &'a [u32]) -> Self {
        Self { points, order }
    }

    /// Asks for some.
    #[inline(always)]
    pub(super) fn fetch(&mut self, count: usize) {
        let (now, later) = self.order.split_at(count.min(self.order.len()));
        for &index in now {
            prefetch::later(self.points.get(index));
        }
        self.order = later;
    }
}
