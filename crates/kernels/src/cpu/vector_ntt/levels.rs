//! The levels above vectors of eight, where one twiddle serves all lanes.
//!
//! Inputs are below `4p`. In the inverse transform, values grow by at most `4p` in two levels; sums
//! in the first block grow faster and are reduced at once. In the forward transform only one sum in
//! four grows, and is reduced at once.
//!
//! No closure here uses lanes: a closure is a separate function, compiled without the processor
//! features.

use std::marker::PhantomData;

use super::prefetch::VectorPrefetch;
use crate::lanes::{
    Lanes, Task,
    ntt_field::{NttElement, NttField, ScalarVector, ShoupConstant},
    shoup::SplatConstant,
};

pub(super) type Packed<F, L> = <F as NttField>::PackedScalar<L>;

/// Levels of a block in one direction, between the whole block and blocks of `min_len` vectors.
pub(super) struct Levels<'a, F> {
    pub(super) values: &'a mut [ScalarVector],
    /// The number of this block among the blocks of its size in the domain.
    pub(super) block: usize,
    pub(super) min_len: usize,
    pub(super) twiddles: &'a [ShoupConstant],
    /// Vectors to prefetch for the next block.
    pub(super) next: VectorPrefetch,
    pub(super) field: PhantomData<F>,
}

/// Inverse transform, from natural to bit-reversed order: values below `4p` become values below
/// `28p` in up to eleven levels.
pub(super) struct InverseLevels<'a, F>(pub(super) Levels<'a, F>);

/// Reduces values to `[0, 4p)`, so that more levels can follow.
pub(super) struct ReduceTo4p<'a, F>(pub(super) &'a mut [ScalarVector], pub(super) PhantomData<F>);

/// Forward transform, from bit-reversed to natural order: values are below `4p` before and after.
pub(super) struct ForwardLevels<'a, F>(pub(super) Levels<'a, F>);

impl<F: NttField, L: Lanes> Task<L> for InverseLevels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Levels { values, block, min_len, twiddles, mut next, .. } = self.0;
        let (mut len, mut first) = (values.len(), block);
        while len >= 4 * min_len {
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                inverse_radix4::<F, L>(values, first + i, twiddles, &mut next);
            }
            (len, first) = (len / 4, first * 4);
        }
        if len == 2 * min_len {
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                inverse_radix2::<F, L>(values, first + i, twiddles);
            }
        }
    }
}

impl<F: NttField, L: Lanes> Task<L> for ReduceTo4p<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.0 {
            Packed::<F, L>::load(value).reduce_to_4p().store(value);
        }
    }
}

impl<F: NttField, L: Lanes> Task<L> for ForwardLevels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Levels { values, block, min_len, twiddles, mut next, .. } = self.0;
        let mut len = min_len;
        if (values.len() / min_len).ilog2() % 2 == 1 {
            len = 2 * min_len;
            let first = block * (values.len() / len);
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                forward_radix2::<F, L>(values, first + i, twiddles);
            }
        }
        while len < values.len() {
            len *= 4;
            let first = block * (values.len() / len);
            for (i, values) in values.chunks_exact_mut(len).enumerate() {
                forward_radix4::<F, L>(values, first + i, twiddles, &mut next);
            }
        }
    }
}

/// Two levels of block number `block` in the inverse transform.
#[inline(always)]
fn inverse_radix4<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    twiddles: &[ShoupConstant],
    next: &mut VectorPrefetch,
) {
    let right = SplatConstant::new(&twiddles[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.prefetch();
            let [a, b, c, d] = inverse_first_butterfly::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>([a.reduce_to_4p(), b.reduce_to_4p(), c, d], four);
        }
        return;
    }
    let (upper, left) =
        (SplatConstant::new(&twiddles[block]), SplatConstant::new(&twiddles[2 * block]));
    for four in quarters(values) {
        next.prefetch();
        let done = inverse_butterfly::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels of the inverse transform (Cooley-Tukey butterflies). Each value grows by at most
/// `4p`.
#[inline(always)]
fn inverse_butterfly<F: NttField, L: Lanes>(
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

/// Two levels of the inverse transform in the first block, whose twiddles are 1 except the last.
/// For inputs below `4p` the first two outputs are below `16p` and the others below `10p`.
#[inline(always)]
pub(super) fn inverse_first_butterfly<F: NttField, L: Lanes>(
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

/// Two levels of block number `block` in the forward transform.
#[inline(always)]
fn forward_radix4<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    twiddles: &[ShoupConstant],
    next: &mut VectorPrefetch,
) {
    let right = SplatConstant::new(&twiddles[2 * block + 1]);
    if block == 0 {
        for four in quarters(values) {
            next.prefetch();
            let [a, b, c, d] = forward_first_butterfly::<F, L>(load_four::<F, L>(&four), &right);
            store_four::<F, L>(
                [a.reduce_to_4p(), b.reduce_to_4p(), c.reduce_to_4p(), d.reduce_to_4p()],
                four,
            );
        }
        return;
    }
    let (upper, left) =
        (SplatConstant::new(&twiddles[block]), SplatConstant::new(&twiddles[2 * block]));
    for four in quarters(values) {
        next.prefetch();
        let done = forward_butterfly::<F, L>(load_four::<F, L>(&four), &upper, &left, &right);
        store_four::<F, L>(done, four);
    }
}

/// Two levels of the forward transform (Gentleman-Sande butterflies), from values below `4p` to
/// values below `4p`.
#[inline(always)]
fn forward_butterfly<F: NttField, L: Lanes>(
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

/// Two levels of the forward transform in the first block, whose twiddles are 1 except the last.
/// For inputs below `4p` the outputs are below `16p`.
#[inline(always)]
pub(super) fn forward_first_butterfly<F: NttField, L: Lanes>(
    [a, b, c, d]: [Packed<F, L>; 4],
    right: &SplatConstant<L>,
) -> [Packed<F, L>; 4] {
    let (low, high) = (a.add_lazy(b), c.add_lazy(d));
    let b = a.sub_plus_multiple(b, 4);
    let [d] = NttElement::mul_shoup([c.sub_plus_multiple(d, 4)], [right]);
    [low.add_lazy(high), b.add_lazy(d), low.sub_plus_multiple(high, 8), b.sub_plus_multiple(d, 2)]
}

/// One level of block number `block` in the inverse transform. Each value grows by at most `2p`.
#[inline(always)]
fn inverse_radix2<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    twiddles: &[ShoupConstant],
) {
    let twiddle = SplatConstant::new(&twiddles[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let first = Packed::<F, L>::load(a);
        let [product] = NttElement::mul_shoup([Packed::<F, L>::load(b)], [&twiddle]);
        first.add_lazy(product).store(a);
        first.sub_plus_multiple(product, 2).store(b);
    }
}

/// One level of block number `block` in the forward transform, from values below `4p` to values
/// below `4p`.
#[inline(always)]
fn forward_radix2<F: NttField, L: Lanes>(
    values: &mut [ScalarVector],
    block: usize,
    twiddles: &[ShoupConstant],
) {
    let twiddle = SplatConstant::new(&twiddles[block]);
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        let (first, second) = (Packed::<F, L>::load(a), Packed::<F, L>::load(b));
        let [product] = NttElement::mul_shoup([first.sub_plus_multiple(second, 4)], [&twiddle]);
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

/// Iterates over the four quarters in parallel: one vector of each at a time.
pub(super) fn quarters(
    values: &mut [ScalarVector],
) -> impl Iterator<Item = [&mut ScalarVector; 4]> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    let pairs = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
    pairs.map(|((a, b), (c, d))| [a, b, c, d])
}
