//! Butterflies in lanes: what one visit to a block does, in one place of the cache.

use super::factors::{Direction, Limbs, Shifts};
use crate::lanes::{
    Lanes,
    residue::{Eight, Residue, Transformed},
};

type Of<F, L> = <F as Transformed>::InLanes<L>;

/// Levels of a block on the way in, down to blocks of `stop` vectors.
#[inline(always)]
pub(super) fn inward<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    stop: usize,
    factors: &[Limbs],
) {
    let (mut len, mut first) = (values.len(), block);
    while len >= 4 * stop {
        for (i, part) in values.chunks_exact_mut(len).enumerate() {
            inward_two::<F, L>(part, first + i, factors);
        }
        (len, first) = (len / 4, first * 4);
    }
    if len == 2 * stop {
        for (pair, factor) in values.chunks_exact_mut(len).zip(&factors[first..]) {
            let factor = Of::<F, L>::splat(factor);
            let (low, high) = pair.split_at_mut(stop);
            low.iter_mut().zip(high).for_each(|(a, b)| inward_one::<F, L>(a, b, &factor));
        }
    }
}

/// Levels of a block on the way out, up from blocks of `stop` vectors.
#[inline(always)]
pub(super) fn outward<F: Transformed, L: Lanes>(
    values: &mut [Eight],
    block: usize,
    stop: usize,
    factors: &[Limbs],
) {
    let mut len = stop;
    if (values.len() / stop).ilog2() % 2 == 1 {
        len = 2 * stop;
        let first = block * (values.len() / len);
        for (pair, factor) in values.chunks_exact_mut(len).zip(&factors[first..]) {
            let factor = Of::<F, L>::splat(factor);
            let (low, high) = pair.split_at_mut(stop);
            low.iter_mut().zip(high).for_each(|(a, b)| outward_one::<F, L>(a, b, &factor));
        }
    }
    while len < values.len() {
        len *= 4;
        let first = block * (values.len() / len);
        for (i, part) in values.chunks_exact_mut(len).enumerate() {
            outward_two::<F, L>(part, first + i, factors);
        }
    }
}

/// The three levels inside each of eight vectors on the way in, the coset shift, and if wanted the same
/// levels on the way out: eight blocks of eight elements, turned so that each has a lane.
#[inline(always)]
pub(super) fn inside<F: Transformed, L: Lanes>(
    values: &mut [Eight; 8],
    group: usize,
    inverse: &Direction,
    shifts: &Shifts,
    forward: Option<&Direction>,
) {
    Of::<F, L>::transpose(values);
    let [upper, left, right, last @ ..] = narrow::<F, L>(inverse, group);
    for i in 0..2 {
        let four = [&values[i], &values[i + 2], &values[i + 4], &values[i + 6]];
        let sums = inward_four::<F, L>(four.map(Of::<F, L>::load), &upper, &left, &right);
        sums.into_iter().enumerate().for_each(|(part, sum)| sum.store(&mut values[i + 2 * part]));
    }
    for (pair, factor) in values.as_chunks_mut::<2>().0.iter_mut().zip(&last) {
        let [a, b] = pair;
        inward_one::<F, L>(a, b, factor);
    }
    let first = Of::<F, L>::load(&shifts.firsts[group]);
    for (i, value) in values.iter_mut().enumerate() {
        let shift =
            if i == 0 { first } else { L::product(&first, &Of::<F, L>::splat(&shifts.steps[i])) };
        L::product(&Of::<F, L>::load(value), &shift).store(value);
    }
    if let Some(forward) = forward {
        let [upper, left, right, last @ ..] = narrow::<F, L>(forward, group);
        for (pair, factor) in values.as_chunks_mut::<2>().0.iter_mut().zip(&last) {
            let [a, b] = pair;
            outward_one::<F, L>(a, b, factor);
        }
        for i in 0..2 {
            let four = [&values[i], &values[i + 2], &values[i + 4], &values[i + 6]];
            let sums = outward_four::<F, L>(four.map(Of::<F, L>::load), &upper, &left, &right);
            sums.into_iter()
                .enumerate()
                .for_each(|(part, sum)| sum.store(&mut values[i + 2 * part]));
        }
    }
    Of::<F, L>::transpose(values);
}

/// The factors of eight blocks of eight elements: of the two upper levels, and of the last one's pairs.
/// In bit-reversed order, factor `2i` squared is factor `i`, and factor `2i + 1` is factor `2i` times a
/// root of unity that does not depend on `i`.
#[inline(always)]
fn narrow<F: Transformed, L: Lanes>(direction: &Direction, group: usize) -> [Of<F, L>; 7] {
    let [fourth, eighth] = direction.roots.each_ref().map(Of::<F, L>::splat);
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
#[inline(always)]
fn inward_two<F: Transformed, L: Lanes>(values: &mut [Eight], block: usize, factors: &[Limbs]) {
    if block == 0 {
        // The first block's factors are 1 but for the last.
        let right = Of::<F, L>::splat(&factors[1]);
        return each_four(values, |four| {
            let [a, b, c, d] = four.map(|eight| Of::<F, L>::load(eight));
            let b_and_d = b.plus(d).keep();
            let d = L::product(&b.minus(d, 4).carry(), &right);
            let (low, high) = (a.plus(c).keep(), a.minus(c, 4).keep());
            [
                low.plus(b_and_d).keep(),
                low.minus(b_and_d, 4).keep(),
                high.plus(d).keep(),
                high.minus(d, 2).keep(),
            ]
        });
    }
    let [upper, left, right] =
        [factors[block], factors[2 * block], factors[2 * block + 1]].map(|f| Of::<F, L>::splat(&f));
    each_four(values, |four| {
        inward_four::<F, L>(four.map(|eight| Of::<F, L>::load(eight)), &upper, &left, &right)
    });
}

/// Two levels on the way in of four kept elements, to four kept elements.
#[inline(always)]
fn inward_four<F: Transformed, L: Lanes>(
    [a, b, c, d]: [Of<F, L>; 4],
    upper: &Of<F, L>,
    left: &Of<F, L>,
    right: &Of<F, L>,
) -> [Of<F, L>; 4] {
    let (c, d) = (L::product(&c, upper), L::product(&d, upper));
    let sum = L::product(&b.plus(d).carry(), left);
    let difference = L::product(&b.minus(d, 2).carry(), right);
    let (low, high) = (a.plus(c), a.minus(c, 2));
    [
        low.plus(sum).keep(),
        low.minus(sum, 2).keep(),
        high.plus(difference).keep(),
        high.minus(difference, 2).keep(),
    ]
}

/// Two levels of block number `block` on the way out.
#[inline(always)]
fn outward_two<F: Transformed, L: Lanes>(values: &mut [Eight], block: usize, factors: &[Limbs]) {
    if block == 0 {
        let right = Of::<F, L>::splat(&factors[1]);
        return each_four(values, |four| {
            let [a, b, c, d] = four.map(|eight| Of::<F, L>::load(eight));
            let (low, high) = (a.plus(b).keep(), c.plus(d).keep());
            let b = a.minus(b, 4).keep();
            let d = L::product(&c.minus(d, 4).carry(), &right);
            [
                low.plus(high).keep(),
                b.plus(d).keep(),
                low.minus(high, 4).keep(),
                b.minus(d, 2).keep(),
            ]
        });
    }
    let [upper, left, right] =
        [factors[block], factors[2 * block], factors[2 * block + 1]].map(|f| Of::<F, L>::splat(&f));
    each_four(values, |four| {
        outward_four::<F, L>(four.map(|eight| Of::<F, L>::load(eight)), &upper, &left, &right)
    });
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
    let b = L::product(&a.minus(b, 4).carry(), left);
    let d = L::product(&c.minus(d, 4).carry(), right);
    [
        low.plus(high).keep(),
        b.plus(d).carry(),
        L::product(&low.minus(high, 4).carry(), upper),
        L::product(&b.minus(d, 2).carry(), upper),
    ]
}

/// Takes one vector from each quarter after the other.
#[inline(always)]
fn each_four<L: Lanes, R: Residue<L>>(
    values: &mut [Eight],
    butterfly: impl Fn([&Eight; 4]) -> [R; 4],
) {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    for (((a, b), c), d) in first.iter_mut().zip(second).zip(third).zip(fourth) {
        let [e, f, g, h] = butterfly([a, b, c, d]);
        e.store(a);
        f.store(b);
        g.store(c);
        h.store(d);
    }
}
