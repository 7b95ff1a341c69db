//! A key's points: which of them a sum takes, with what sign, and how they are brought near in time.

use crate::{Group, prefetch};

/// In the index of a point: it is to be negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// How far ahead of a gathering to fetch points: about as far as memory takes to answer.
pub(super) const AHEAD: usize = 32;

/// The words of each point in turn, and whether it is negated, fetching ahead: the order is random, and
/// a key is larger than any cache.
#[inline(always)]
pub(super) fn each_stored(
    words: &[u64],
    each: usize,
    order: &[u32],
    mut visit: impl FnMut(&[u64], bool),
) {
    for (at, &index) in order.iter().enumerate() {
        if let Some(&next) = order.get(at + AHEAD) {
            prefetch::soon(stored(words, each, next));
        }
        visit(stored(words, each, index), index & NEGATED != 0);
    }
}

/// The words of a point.
#[inline(always)]
pub(super) fn stored(words: &[u64], each: usize, index: u32) -> &[u64] {
    &words[(index & !NEGATED) as usize * each..][..each]
}

/// Stored points that are gathered next. Memory answers while others are being added: asked for all at
/// once, they would come no sooner than the few that a core can wait for at a time.
pub(super) struct Next<'a> {
    words: &'a [u64],
    each: usize,
    order: &'a [u32],
}

impl<'a> Next<'a> {
    pub(super) fn nothing() -> Next<'static> {
        Next { words: &[], each: 0, order: &[] }
    }

    pub(super) fn new<P: Group>(words: &'a [u64], order: &'a [u32]) -> Self {
        Self { words, each: P::POINT_WORDS, order }
    }

    /// Asks for some.
    #[inline(always)]
    pub(super) fn fetch(&mut self, count: usize) {
        let (now, later) = self.order.split_at(count.min(self.order.len()));
        now.iter().for_each(|&index| prefetch::later(stored(self.words, self.each, index)));
        self.order = later;
    }
}
