//! Points in stored form: which of them a sum takes, with what sign, and how they are brought near in time.

use crate::{Group, prefetch};

/// In the index of a point: it is to be negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// How far ahead of a gathering to fetch points: about as far as memory takes to answer.
pub(super) const AHEAD: usize = 32;

/// Most words of a point.
pub(super) const MOST_WORDS: usize = 24;

/// Points by number: a key's, and others after them.
#[derive(Clone, Copy)]
pub(super) struct Points<'a> {
    words: &'a [u64],
    others: &'a [u64],
    /// Words of a point.
    each: usize,
}

impl<'a> Points<'a> {
    pub(super) fn new<P: Group>(words: &'a [u64]) -> Self {
        Self { words, others: &[], each: P::POINT_WORDS }
    }

    /// With others, whose numbers follow.
    pub(super) fn and(self, others: &'a [u64]) -> Self {
        Self { others, ..self }
    }

    /// With infinity, and its number.
    pub(super) fn and_infinity(self) -> (Self, u32) {
        static INFINITY: [u64; MOST_WORDS] = [0; MOST_WORDS];
        (self.and(&INFINITY[..self.each]), self.count() as u32)
    }

    /// How many there are, the others left out.
    pub(super) fn count(&self) -> usize {
        self.words.len() / self.each
    }

    /// The words of a point, whatever its sign.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> &'a [u64] {
        let start = (index & !NEGATED) as usize * self.each;
        match start.checked_sub(self.words.len()) {
            None => &self.words[start..][..self.each],
            Some(start) => &self.others[start..][..self.each],
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
pub(super) struct Next<'a> {
    points: Option<Points<'a>>,
    order: &'a [u32],
}

impl<'a> Next<'a> {
    pub(super) fn nothing() -> Next<'static> {
        Next { points: None, order: &[] }
    }

    pub(super) fn new(points: Points<'a>, order: &'a [u32]) -> Self {
        Self { points: Some(points), order }
    }

    /// Asks for some.
    #[inline(always)]
    pub(super) fn fetch(&mut self, count: usize) {
        let Some(points) = self.points else { return };
        let (now, later) = self.order.split_at(count.min(self.order.len()));
        for &index in now {
            prefetch::later(points.get(index));
        }
        self.order = later;
    }
}
