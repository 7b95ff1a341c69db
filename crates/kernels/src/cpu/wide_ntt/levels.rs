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
    ntt_field::{NttElement, NttField, ScalarVector, ShoupConstant},
    shoup::SplatConstant,
};

pub(super) type Packed<F, L> = <F as NttField>::PackedScalar<L>;

/// Levels of a block on the way in or out, down to blocks of `stop` vectors.
pub(super) struct Levels<'a, F> {
    pub(super) values: &'a mut [ScalarVector],
    /// Which block of the domain's values it is, of those equally large.
    pub(super) block: usize,
    pub(super) stop: usize,
    pub(super) factors: &'a [ShoupConstant],
    /// What is worked on next.
    pub(super) next: Next,
    pub(super) field: PhantomData<F>,
}

/// Down: settled values come out below `28p` from up to eleven levels.
pub(super) struct Inward<'a, F>(pub(super) Levels<'a, F>);

/// Settles values, so that more levels can follow.
pub(super) struct Settle<'a, F>(pub(super) &'a mut [ScalarVector], pub(super) PhantomData<F>);

/// Up; all values are settled before and after.
pub(super) struct Outward<'a, F>(pub(super) Levels<'a, F>);

impl<F: NttField, L: Lanes> Task<L> for Inward<'_, F> {
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

impl<F: NttField, L: Lanes> Task<L> for Settle<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.0 {
            Packed::<F, L>::load(value).reduce_to_4p().store(value);
        }
    }
}

impl<F: NttField, L: Lanes> Task<L> for Outward<'_, F> {
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
fn inward_two<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    factors: &[ShoupConstant],
    next: &mut Next,
) {
    let right = SplatConstant::new(&factors[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.fetch();
            let [a, b, c, d] = inward_first::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>([a.reduce_to_4p(), b.reduce_to_4p(), c, d], four);
        }
        return;
    }
    let (upper, left) =
        (SplatConstant::new(&factors[block]), SplatConstant::new(&factors[2 * block]));
    for four in quarters(values) {
        next.fetch();
        let done = inward_four::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels on the way in: each value grows by at most `4p`.
#[inline(always)]
fn inward_four<F: NttField, L: Lanes>(
    [a, b, c, d]: [Packed<F, L>; 4],
    upper: &SplatConstant<L>,
    left: &SplatConstant<L>,
    right: &SplatConstant<L>,
) -> [Packed<F, L>; 4] {
    let [c, d] = NttElement::mul_shoup([c, d], [upper, upper]);
    let [sum, difference] =
        NttElement::mul_shoup([b.add_lazy(d), b.sub_plus_multiple(d, 2)], [left, right]);
    let (low, high) = (a.add_lazy(c), a.sub_plus_multiple(c, 2));
    [
        low.add_lazy(sum),
        low.sub_plus_multiple(sum, 2),
        high.add_lazy(difference),
        high.sub_plus_multiple(difference, 2),
    ]
}

/// The same for the first block, whose factors are 1 but for the last: of settled values, the first two come
/// out below `16p` and the others below `10p`.
#[inline(always)]
pub(super) fn inward_first<F: NttField, L: Lanes>(
    [a, b, c, d]: [Packed<F, L>; 4],
    right: &SplatConstant<L>,
) -> [Packed<F, L>; 4] {
    let [difference] = NttElement::mul_shoup([b.sub_plus_multiple(d, 4)], [right]);
    let sum = b.add_lazy(d);
    let (low, high) = (a.add_lazy(c), a.sub_plus_multiple(c, 4));
    [
        low.add_lazy(sum),
        low.sub_plus_multiple(sum, 8),
        high.add_lazy(difference),
        high.sub_plus_multiple(difference, 2),
    ]
}

/// Two levels of block number `block` on the way out.
#[inline(always)]
fn outward_two<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    factors: &[ShoupConstant],
    next: &mut Next,
) {
    let right = SplatConstant::new(&factors[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.fetch();
            let [a, b, c, d] = outward_first::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>(
                [a.reduce_to_4p(), b.reduce_to_4p(), c.reduce_to_4p(), d.reduce_to_4p()],
                four,
            );
        }
        return;
    }
    let (upper, left) =
        (SplatConstant::new(&factors[block]), SplatConstant::new(&factors[2 * block]));
    for four in quarters(values) {
        next.fetch();
        let done = outward_four::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels on the way out, from settled values to such.
#[inline(always)]
fn outward_four<F: NttField, L: Lanes>(
    [a, b, c, d]: [Packed<F, L>; 4],
    upper: &SplatConstant<L>,
    left: &SplatConstant<L>,
    right: &SplatConstant<L>,
) -> [Packed<F, L>; 4] {
    let (low, high) = (a.add_lazy(b), c.add_lazy(d));
    let [b, d] = NttElement::mul_shoup(
        [a.sub_plus_multiple(b, 4), c.sub_plus_multiple(d, 4)],
        [left, right],
    );
    let [third, fourth] = NttElement::mul_shoup(
        [low.sub_plus_multiple(high, 8), b.sub_plus_multiple(d, 2)],
        [upper, upper],
    );
    [low.add_lazy(high).reduce_to_4p(), b.add_lazy(d), third, fourth]
}

/// The same for the first block, whose factors are 1 but for the last: settled values come out below `16p`.
#[inline(always)]
pub(super) fn outward_first<F: NttField, L: Lanes>(
    [a, b, c, d]: [Packed<F, L>; 4],
    right: &SplatConstant<L>,
) -> [Packed<F, L>; 4] {
    let (low, high) = (a.add_lazy(b), c.add_lazy(d));
    let b = a.sub_plus_multiple(b, 4);
    let [d] = NttElement::mul_shoup([c.sub_plus_multiple(d, 4)], [right]);
    [low.add_lazy(high), b.add_lazy(d), low.sub_plus_multiple(high, 8), b.sub_plus_multiple(d, 2)]
}

/// One level of block number `block` on the way in.
#[inline(always)]
fn inward_one<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    factors: &[ShoupConstant],
) {
    let factor = SplatConstant::new(&factors[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let first = Packed::<F, L>::load(a);
        let [product] = NttElement::mul_shoup([Packed::<F, L>::load(b)], [&factor]);
        first.add_lazy(product).store(a);
        first.sub_plus_multiple(product, 2).store(b);
    }
}

/// The same on the way out, from settled values to such.
#[inline(always)]
fn outward_one<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    factors: &[ShoupConstant],
) {
    let factor = SplatConstant::new(&factors[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let (first, second) = (Packed::<F, L>::load(a), Packed::<F, L>::load(b));
        let [product] = NttElement::mul_shoup([first.sub_plus_multiple(second, 4)], [&factor]);
        first.add_lazy(second).reduce_to_4p().store(a);
        product.store(b);
    }
}

#[inline(always)]
pub(super) fn load_four<F: NttField, L: Lanes>(four: &[&mut ScalarVector; 4]) -> [Packed<F, L>; 4] {
    let [a, b, c, d] = four;
    [
        Packed::<F, L>::load(a),
        Packed::<F, L>::load(b),
        Packed::<F, L>::load(c),
        Packed::<F, L>::load(d),
    ]
}

#[inline(always)]
pub(super) fn store_four<F: NttField, L: Lanes>(
    four: [Packed<F, L>; 4],
    into: [&mut ScalarVector; 4],
) {
    let ([a, b, c, d], [into_a, into_b, into_c, into_d]) = (four, into);
    a.store(into_a);
    b.store(into_b);
    c.store(into_c);
    d.store(into_d);
}

/// One vector from each quarter after the other.
pub(super) fn quarters(
    values: &mut [ScalarVector],
) -> impl Iterator<Item = [&mut ScalarVector; 4]> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    let pairs = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
    pairs.map(|((a, b), (c, d))| [a, b, c, d])
}
