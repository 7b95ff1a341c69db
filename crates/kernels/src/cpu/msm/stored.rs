//! A key's points: which of them a sum takes, with what sign, and how they are brought near in time.

use crate::Group;

/// In the index of a point: it is to be negated.
pub(super) const NEGATED: u32 = 1 << 31;

/// How far ahead of a gathering to fetch points: about as far as memory takes to answer.
const AHEAD: usize = 48;

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
            fetch(stored(words, each, next));
        }
        visit(stored(words, each, index), index & NEGATED != 0);
    }
}

#[inline(always)]
fn stored(words: &[u64], each: usize, index: u32) -> &[u64] {
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
        now.iter().for_each(|&index| fetch(stored(self.words, self.each, index)));
        self.order = later;
    }
}

/// Asks for the words to be brought near.
#[inline(always)]
fn fetch(words: &[u64]) {
    #[cfg(target_arch = "x86_64")]
    for line in words.chunks(8) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}
