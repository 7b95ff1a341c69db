//! Butterflies in lanes.
//!
//! No closure here touches lanes: it would be a function of its own, without the instructions.

use std::marker::PhantomData;

use super::factors::{Direction, Limbs, Shifts};
use crate::lanes::{
    Lanes, Task,
    field::Element,
    residue::{Eight, Residue, Transformed},
};

type Of<F, L> = <F as Transformed>::InLanes<L>;

/// Levels of a block on the way in, down to blocks of `stop` vectors.
pub(super) fn inward<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    stop: usize,
    factors: &[Limbs],
) {
    let (mut len, mut first) = (values.len(), block);
    while len >= 4 * stop {
        for (i, values) in values.chunks_exact_mut(len).enumerate() {
            L::enable(InwardTwo::<F> { values, block: first + i, factors, field: PhantomData });
        }
        (len, first) = (len / 4, first * 4);
    }
    if len == 2 * stop {
        let factors = &factors[first..];
        L::enable(InwardOne::<F> { values, stop, factors, field: PhantomData });
    }
}

/// Levels of a block on the way out, up from blocks of `stop` vectors.
pub(super) fn outward<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    stop: usize,
    factors: &[Limbs],
) {
    let mut len = stop;
    if (values.len() / stop).ilog2() % 2 == 1 {
        len = 2 * stop;
        let factors = &factors[block * (values.len() / len)..];
        L::enable(OutwardOne::<F> { values, stop, factors, field: PhantomData });
    }
    while len < values.len() {
        len *= 4;
        let first = block * (values.len() / len);
        for (i, values) in values.chunks_exact_mut(len).enumerate() {
            L::enable(OutwardTwo::<F> { values, block: first + i, factors, field: PhantomData });
        }
    }
}

/// The three levels inside each of eight vectors on the way in, the coset shift, and if wanted the same
/// levels on the way out: eight blocks of eight elements, turned so that each has a lane.
pub(super) struct Inside<'a, F> {
    pub(super) values: &'a mut [Eight; 8],
    pub(super) group: usize,
    pub(super) inverse: &'a Direction,
    pub(super) shifts: &'a Shifts,
    pub(super) forward: Option<&'a Direction>,
    pub(super) field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for Inside<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, group, inverse, shifts, forward, .. } = self;
        Of::<F, L>::transpose(values);
        let [upper, left, right, last @ ..] = narrow::<F, L>(inverse, group);
        for i in 0..2 {
            let [a, b, c, d] = [i, i + 2, i + 4, i + 6];
            let four = [
                Of::<F, L>::load(&values[a]),
                Of::<F, L>::load(&values[b]),
                Of::<F, L>::load(&values[c]),
                Of::<F, L>::load(&values[d]),
            ];
            let four = inward_four::<F, L>(four, &upper, &left, &right);
            four[0].store(&mut values[a]);
            four[1].store(&mut values[b]);
            four[2].store(&mut values[c]);
            four[3].store(&mut values[d]);
        }
        for (pair, factor) in values.as_chunks_mut::<2>().0.iter_mut().zip(&last) {
            let [a, b] = pair;
            inward_one::<F, L>(a, b, factor);
        }
        let first = Of::<F, L>::load(&shifts.firsts[group]);
        let steps = shifts.steps.as_chunks::<2>().0;
        for ([a, b], [left, right]) in values.as_chunks_mut::<2>().0.iter_mut().zip(steps) {
            let [left, right] = [Of::<F, L>::splat(left), Of::<F, L>::splat(right)];
            let [left, right] = L::products([&first, &first], [&left, &right]);
            let both = [Of::<F, L>::load(a), Of::<F, L>::load(b)];
            let [first, second] = L::products([&both[0], &both[1]], [&left, &right]);
            first.store(a);
            second.store(b);
        }
        if let Some(forward) = forward {
            let [upper, left, right, last @ ..] = narrow::<F, L>(forward, group);
            for (pair, factor) in values.as_chunks_mut::<2>().0.iter_mut().zip(&last) {
                let [a, b] = pair;
                outward_one::<F, L>(a, b, factor);
            }
            for i in 0..2 {
                let [a, b, c, d] = [i, i + 2, i + 4, i + 6];
                let four = [
                    Of::<F, L>::load(&values[a]),
                    Of::<F, L>::load(&values[b]),
                    Of::<F, L>::load(&values[c]),
                    Of::<F, L>::load(&values[d]),
                ];
                let four = outward_four::<F, L>(four, &upper, &left, &right);
                four[0].store(&mut values[a]);
                four[1].store(&mut values[b]);
                four[2].store(&mut values[c]);
                four[3].store(&mut values[d]);
            }
        }
        Of::<F, L>::transpose(values);
    }
}

/// The factors of eight blocks of eight elements: of the two upper levels, and of the last one's pairs.
/// In bit-reversed order, factor `2i` squared is factor `i`, and factor `2i + 1` is factor `2i` times a
/// root of unity that does not depend on `i`.
#[inline(always)]
fn narrow<F: Transformed, L: Lanes>(direction: &Direction, group: usize) -> [Of<F, L>; 7] {
    let fourth = Of::<F, L>::splat(&direction.roots[0]);
    let eighth = Of::<F, L>::splat(&direction.roots[1]);
    let first = Of::<F, L>::load(&direction.narrow[group]);
    let left = L::product(&first, &first);
    let third = L::product(&first, &eighth);
    [
        L::product(&left, &left),
        left,
        L::product(&left, &fourth),
        first,
        L::product(&first, &fourth),
        third,
        L::product(&third, &fourth),
    ]
}

#[inline(always)]
fn inward_one<F: Transformed, L: Lanes>(a: &mut Eight, b: &mut Eight, factor: &Of<F, L>) {
    let (first, second) = (Of::<F, L>::load(a), Of::<F, L>::load(b));
    let product = L::product(&second, factor);
    first.plus(product).keep().store(a);
    first.minus(product, 2).keep().store(b);
}

#[inline(always)]
fn outward_one<F: Transformed, L: Lanes>(a: &mut Eight, b: &mut Eight, factor: &Of<F, L>) {
    let (first, second) = (Of::<F, L>::load(a), Of::<F, L>::load(b));
    first.plus(second).keep().store(a);
    L::product(&first.minus(second, 4).carry(), factor).store(b);
}

/// Two levels of block number `block` on the way in.
struct InwardTwo<'a, F> {
    values: &'a mut [Eight],
    block: usize,
    factors: &'a [Limbs],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for InwardTwo<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, block, factors, .. } = self;
        let right = Of::<F, L>::splat(&factors[2 * block + 1]);
        if block == 0 {
            // The first block's factors are 1 but for the last.
            for [a, b, c, d] in quarters(values) {
                let four = [
                    Of::<F, L>::load(a),
                    Of::<F, L>::load(b),
                    Of::<F, L>::load(c),
                    Of::<F, L>::load(d),
                ];
                let four = inward_first::<F, L>(four, &right);
                four[0].store(a);
                four[1].store(b);
                four[2].store(c);
                four[3].store(d);
            }
            return;
        }
        let upper = Of::<F, L>::splat(&factors[block]);
        let left = Of::<F, L>::splat(&factors[2 * block]);
        for [a, b, c, d] in quarters(values) {
            let four = [
                Of::<F, L>::load(a),
                Of::<F, L>::load(b),
                Of::<F, L>::load(c),
                Of::<F, L>::load(d),
            ];
            let four = inward_four::<F, L>(four, &upper, &left, &right);
            four[0].store(a);
            four[1].store(b);
            four[2].store(c);
            four[3].store(d);
        }
    }
}

/// Two levels on the way in of four kept elements, to four kept elements.
#[inline(always)]
fn inward_four<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    upper: &Of<F, L>,
    left: &Of<F, L>,
    right: &Of<F, L>,
) -> [Of<F, L>; 4] {
    let [c, d] = L::products([&c, &d], [upper, upper]);
    let (sum, difference) = (b.plus(d).carry(), b.minus(d, 2).carry());
    let [sum, difference] = L::products([&sum, &difference], [left, right]);
    let (low, high) = (a.plus(c), a.minus(c, 2));
    [
        low.plus(sum).keep(),
        low.minus(sum, 2).keep(),
        high.plus(difference).keep(),
        high.minus(difference, 2).keep(),
    ]
}

/// The same for the first block.
#[inline(always)]
fn inward_first<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    right: &Of<F, L>,
) -> [Of<F, L>; 4] {
    let sum = b.plus(d).keep();
    let difference = L::product(&b.minus(d, 4).carry(), right);
    let (low, high) = (a.plus(c).keep(), a.minus(c, 4).keep());
    [
        low.plus(sum).keep(),
        low.minus(sum, 4).keep(),
        high.plus(difference).keep(),
        high.minus(difference, 2).keep(),
    ]
}

/// Two levels of block number `block` on the way out.
struct OutwardTwo<'a, F> {
    values: &'a mut [Eight],
    block: usize,
    factors: &'a [Limbs],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for OutwardTwo<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, block, factors, .. } = self;
        let right = Of::<F, L>::splat(&factors[2 * block + 1]);
        if block == 0 {
            // The first block's factors are 1 but for the last.
            for [a, b, c, d] in quarters(values) {
                let four = [
                    Of::<F, L>::load(a),
                    Of::<F, L>::load(b),
                    Of::<F, L>::load(c),
                    Of::<F, L>::load(d),
                ];
                let four = outward_first::<F, L>(four, &right);
                four[0].store(a);
                four[1].store(b);
                four[2].store(c);
                four[3].store(d);
            }
            return;
        }
        let upper = Of::<F, L>::splat(&factors[block]);
        let left = Of::<F, L>::splat(&factors[2 * block]);
        for [a, b, c, d] in quarters(values) {
            let four = [
                Of::<F, L>::load(a),
                Of::<F, L>::load(b),
                Of::<F, L>::load(c),
                Of::<F, L>::load(d),
            ];
            let four = outward_four::<F, L>(four, &upper, &left, &right);
            four[0].store(a);
            four[1].store(b);
            four[2].store(c);
            four[3].store(d);
        }
    }
}

/// Two levels on the way out of four kept elements, to four kept elements.
#[inline(always)]
fn outward_four<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    upper: &Of<F, L>,
    left: &Of<F, L>,
    right: &Of<F, L>,
) -> [Of<F, L>; 4] {
    let (low, high) = (a.plus(b).keep(), c.plus(d).keep());
    let (b, d) = (a.minus(b, 4).carry(), c.minus(d, 4).carry());
    let [b, d] = L::products([&b, &d], [left, right]);
    let (differences, other) = (low.minus(high, 4).carry(), b.minus(d, 2).carry());
    let [third, fourth] = L::products([&differences, &other], [upper, upper]);
    [low.plus(high).keep(), b.plus(d).carry(), third, fourth]
}

/// The same for the first block.
#[inline(always)]
fn outward_first<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    right: &Of<F, L>,
) -> [Of<F, L>; 4] {
    let (low, high) = (a.plus(b).keep(), c.plus(d).keep());
    let b = a.minus(b, 4).keep();
    let d = L::product(&c.minus(d, 4).carry(), right);
    [low.plus(high).keep(), b.plus(d).keep(), low.minus(high, 4).keep(), b.minus(d, 2).keep()]
}

/// The level of pairs of blocks of `stop` vectors on the way in.
struct InwardOne<'a, F> {
    values: &'a mut [Eight],
    stop: usize,
    factors: &'a [Limbs],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for InwardOne<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, stop, factors, .. } = self;
        for (pair, factor) in values.chunks_exact_mut(2 * stop).zip(factors) {
            let factor = Of::<F, L>::splat(factor);
            let (low, high) = pair.split_at_mut(stop);
            for (a, b) in low.iter_mut().zip(high) {
                inward_one::<F, L>(a, b, &factor);
            }
        }
    }
}

/// The same on the way out.
struct OutwardOne<'a, F> {
    values: &'a mut [Eight],
    stop: usize,
    factors: &'a [Limbs],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for OutwardOne<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, stop, factors, .. } = self;
        for (pair, factor) in values.chunks_exact_mut(2 * stop).zip(factors) {
            let factor = Of::<F, L>::splat(factor);
            let (low, high) = pair.split_at_mut(stop);
            for (a, b) in low.iter_mut().zip(high) {
                outward_one::<F, L>(a, b, &factor);
            }
        }
    }
}

/// One vector from each quarter after the other.
fn quarters(values: &mut [Eight]) -> impl Iterator<Item = [&mut Eight; 4]> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    let pairs = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
    pairs.map(|((a, b), (c, d))| [a, b, c, d])
}
