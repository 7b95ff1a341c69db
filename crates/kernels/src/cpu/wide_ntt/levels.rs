//! The levels above vectors of eight: one factor serves all lanes.
//!
//! Values come settled. On the way in they grow by at most `4p` with every two levels, and where a first
//! block's sums grow faster they are settled at once; on the way out only one sum in four grows, and is
//! settled at once too.
//!
//! No closure here touches lanes: it would be a function of its own, without the instructions.

use std::marker::PhantomData;

use super::next::Next;
use crate::lanes::{
    Lanes, Task,
    constant::Splat,
    residue::{Constant, Eight, Residue, Transformed},
};

pub(super) type Of<F, L> = <F as Transformed>::InLanes<L>;

/// Levels of a block on the way in or out, down to blocks of `stop` vectors.
pub(super) struct Levels<'a, F> {
    pub(super) values: &'a mut [Eight],
    /// Which block of the domain's values it is, of those equally large.
    pub(super) block: usize,
    pub(super) stop: usize,
    pub(super) factors: &'a [Constant],
    /// What is worked on next.
    pub(super) next: Next,
    pub(super) field: PhantomData<F>,
}

/// Down: settled values come out below `28p` from up to eleven levels.
pub(super) struct Inward<'a, F>(pub(super) Levels<'a, F>);

/// Settles values, so that more levels can follow.
pub(super) struct Settle<'a, F>(pub(super) &'a mut [Eight], pub(super) PhantomData<F>);

/// Up; all values are settled before and after.
pub(super) struct Outward<'a, F>(pub(super) Levels<'a, F>);

impl<F: Transformed, L: Lanes> Task<L> for Inward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Levels { values, block, stop, factors, mut next, .. } = self.0;
        let (mut len, mut first) = (values.len(), block);
        while len >= 4 * stop {
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                inward_two::<F, L>(values, first + i, factors, &mut next);
            }
            (len, first) = (len / 4, first * 4);
        }
        if len == 2 * stop {
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                inward_one::<F, L>(values, first + i, factors);
            }
        }
    }
}

impl<F: Transformed, L: Lanes> Task<L> for Settle<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.0 {
            Of::<F, L>::load(value).settle().store(value);
        }
    }
}

impl<F: Transformed, L: Lanes> Task<L> for Outward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Levels { values, block, stop, factors, mut next, .. } = self.0;
        let mut len = stop;
        if (values.len() / stop).ilog2() % 2 == 1 {
            len = 2 * stop;
            let first = block * (values.len() / len);
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                outward_one::<F, L>(values, first + i, factors);
            }
        }
        while len < values.len() {
            len *= 4;
            let first = block * (values.len() / len);
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                outward_two::<F, L>(values, first + i, factors, &mut next);
            }
        }
    }
}

/// Two levels of block number `block` on the way in.
#[inline(always)]
fn inward_two<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    factors: &[Constant],
    next: &mut Next,
) {
    let right = Splat::new(&factors[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.fetch();
            let [a, b, c, d] = inward_first::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>([a.settle(), b.settle(), c, d], four);
        }
        return;
    }
    let (upper, left) = (Splat::new(&factors[block]), Splat::new(&factors[2 * block]));
    for four in quarters(values) {
        next.fetch();
        let done = inward_four::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels on the way in: each value grows by at most `4p`.
#[inline(always)]
fn inward_four<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    upper: &Splat<L>,
    left: &Splat<L>,
    right: &Splat<L>,
) -> [Of<F, L>; 4] {
    let [c, d] = Residue::times([c, d], [upper, upper]);
    let [sum, difference] = Residue::times([b.plus(d), b.minus(d, 2)], [left, right]);
    let (low, high) = (a.plus(c), a.minus(c, 2));
    [low.plus(sum), low.minus(sum, 2), high.plus(difference), high.minus(difference, 2)]
}

/// The same for the first block, whose factors are 1 but for the last: of settled values, the first two come
/// out below `16p` and the others below `10p`.
#[inline(always)]
pub(super) fn inward_first<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    right: &Splat<L>,
) -> [Of<F, L>; 4] {
    let [difference] = Residue::times([b.minus(d, 4)], [right]);
    let sum = b.plus(d);
    let (low, high) = (a.plus(c), a.minus(c, 4));
    [low.plus(sum), low.minus(sum, 8), high.plus(difference), high.minus(difference, 2)]
}

/// Two levels of block number `block` on the way out.
#[inline(always)]
fn outward_two<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    factors: &[Constant],
    next: &mut Next,
) {
    let right = Splat::new(&factors[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.fetch();
            let [a, b, c, d] = outward_first::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>([a.settle(), b.settle(), c.settle(), d.settle()], four);
        }
        return;
    }
    let (upper, left) = (Splat::new(&factors[block]), Splat::new(&factors[2 * block]));
    for four in quarters(values) {
        next.fetch();
        let done = outward_four::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels on the way out, from settled values to such.
#[inline(always)]
fn outward_four<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    upper: &Splat<L>,
    left: &Splat<L>,
    right: &Splat<L>,
) -> [Of<F, L>; 4] {
    let (low, high) = (a.plus(b), c.plus(d));
    let [b, d] = Residue::times([a.minus(b, 4), c.minus(d, 4)], [left, right]);
    let [third, fourth] = Residue::times([low.minus(high, 8), b.minus(d, 2)], [upper, upper]);
    [low.plus(high).settle(), b.plus(d), third, fourth]
}

/// The same for the first block, whose factors are 1 but for the last: settled values come out below `16p`.
#[inline(always)]
pub(super) fn outward_first<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    right: &Splat<L>,
) -> [Of<F, L>; 4] {
    let (low, high) = (a.plus(b), c.plus(d));
    let b = a.minus(b, 4);
    let [d] = Residue::times([c.minus(d, 4)], [right]);
    [low.plus(high), b.plus(d), low.minus(high, 8), b.minus(d, 2)]
}

/// One level of block number `block` on the way in.
#[inline(always)]
fn inward_one<F: Transformed, L: Lanes>(values: &mut [Eight], block: usize, factors: &[Constant]) {
    let factor = Splat::new(&factors[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let first = Of::<F, L>::load(a);
        let [product] = Residue::times([Of::<F, L>::load(b)], [&factor]);
        first.plus(product).store(a);
        first.minus(product, 2).store(b);
    }
}

/// The same on the way out, from settled values to such.
#[inline(always)]
fn outward_one<F: Transformed, L: Lanes>(values: &mut [Eight], block: usize, factors: &[Constant]) {
    let factor = Splat::new(&factors[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let (first, second) = (Of::<F, L>::load(a), Of::<F, L>::load(b));
        let [product] = Residue::times([first.minus(second, 4)], [&factor]);
        first.plus(second).settle().store(a);
        product.store(b);
    }
}

#[inline(always)]
pub(super) fn load_four<F: Transformed, L: Lanes>(four: &[&mut Eight; 4]) -> [Of<F, L>; 4] {
    let [a, b, c, d] = four;
    [Of::<F, L>::load(a), Of::<F, L>::load(b), Of::<F, L>::load(c), Of::<F, L>::load(d)]
}

#[inline(always)]
pub(super) fn store_four<F: Transformed, L: Lanes>(four: [Of<F, L>; 4], into: [&mut Eight; 4]) {
    let ([a, b, c, d], [into_a, into_b, into_c, into_d]) = (four, into);
    a.store(into_a);
    b.store(into_b);
    c.store(into_c);
    d.store(into_d);
}

/// One vector from each quarter after the other.
pub(super) fn quarters(values: &mut [Eight]) -> impl Iterator<Item = [&mut Eight; 4]> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    let pairs = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
    pairs.map(|((a, b), (c, d))| [a, b, c, d])
}
