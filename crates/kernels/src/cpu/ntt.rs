//! Number-theoretic transforms between a domain and its odd coset, in portable code.
//!
//! The inverse transform takes natural order to bit-reversed order, and the forward transform takes
//! bit-reversed order to natural order, so nothing is permuted. The inverse transform splits
//! polynomials modulo `X^m - w²` into those modulo `X^(m/2) - w` and `X^(m/2) + w` (Cooley-Tukey);
//! the forward transform reverses that (Gentleman-Sande). One twiddle serves a whole block, and one
//! table in bit-reversed order, read front to back, serves every level. Two levels are processed at
//! a time. Large transforms recurse into quarters until one fits the second-level cache; there the
//! inverse transform ends, the coset shift is applied, and the forward transform begins in the same
//! pass.

use std::sync::OnceLock;

use ark_ff::PrimeField;
use rayon::prelude::*;

use crate::Domain;

/// Elements of a block that stays in the second-level cache: 256 KiB.
const BLOCK: usize = 1 << 13;

/// Elements of a quarter that one task processes.
const ELEMENTS_PER_TASK: usize = 1 << 10;

/// The twiddles of a domain's transforms, in the order in which they are read.
pub(super) struct Twiddles<F> {
    domain: Domain<F>,
    /// Powers of `ω` in bit-reversed order, `n / 2` of them.
    forward: Vec<F>,
    /// Powers of `1/ω` in bit-reversed order.
    inverse: Vec<F>,
    /// `η^i / n`, bit-reversed: shifts coefficients to the odd coset.
    to_coset: OnceLock<Vec<F>>,
    /// `η^-i`, bit-reversed: shifts them back.
    off_coset: OnceLock<Vec<F>>,
}

impl<F: PrimeField> Twiddles<F> {
    pub(super) fn new(domain: Domain<F>) -> Self {
        let (omega, levels) = (domain.omega(), domain.log_size().saturating_sub(1));
        Self {
            domain,
            forward: reversed_powers(F::one(), omega, levels),
            inverse: reversed_powers(F::one(), inverse(omega), levels),
            to_coset: OnceLock::new(),
            off_coset: OnceLock::new(),
        }
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order.
    pub(super) fn to_odd_coset(&self, values: &mut [F]) {
        let shifts = self.to_coset.get_or_init(|| {
            let over_size = inverse(F::from(self.domain.size() as u64));
            reversed_powers(over_size, self.domain.eta(), self.domain.log_size())
        });
        self.transform(values, 0, true, &|values, block| {
            inverse_levels(values, block, &self.inverse);
            multiply(values, &shifts[block * values.len()..]);
            forward_levels(values, block, &self.forward);
        });
    }

    /// From evaluations on the domain to coefficients times its size, in bit-reversed order.
    pub(super) fn to_coefficients(&self, values: &mut [F]) {
        self.transform(values, 0, false, &|values, block| {
            inverse_levels(values, block, &self.inverse)
        });
    }

    /// From evaluations on the odd coset to coefficients times the size of the domain, in
    /// bit-reversed order.
    pub(super) fn off_odd_coset(&self, values: &mut [F]) {
        let shifts = self.off_coset.get_or_init(|| {
            reversed_powers(F::one(), inverse(self.domain.eta()), self.domain.log_size())
        });
        self.transform(values, 0, false, &|values, block| {
            inverse_levels(values, block, &self.inverse);
            multiply(values, &shifts[block * values.len()..]);
        });
    }

    /// Visits every block that fits the cache. The levels above are inverse levels before and, with
    /// `with_forward`, forward levels after the visit.
    fn transform(
        &self,
        values: &mut [F],
        block: usize,
        with_forward: bool,
        visit: &(impl Fn(&mut [F], usize) + Sync),
    ) {
        if values.len() <= BLOCK {
            return visit(values, block);
        }
        for_each_part(values, |quarters| inverse_radix4(quarters, block, &self.inverse));
        values.par_chunks_exact_mut(values.len() / 4).enumerate().for_each(|(i, quarter)| {
            self.transform(quarter, 4 * block + i, with_forward, visit);
        });
        if with_forward {
            for_each_part(values, |quarters| forward_radix4(quarters, block, &self.forward));
        }
    }
}

pub(super) fn inverse<F: PrimeField>(value: F) -> F {
    value.inverse().expect("neither a root of unity nor a power of two is zero")
}

/// `scale · base^i` for `i` below `2^levels`, in bit-reversed order.
pub(super) fn reversed_powers<F: PrimeField>(scale: F, base: F, levels: u32) -> Vec<F> {
    let mut steps: Vec<F> = std::iter::successors(Some(base), |step| Some(step.square()))
        .take(levels as usize)
        .collect();
    let mut powers = vec![F::zero(); 1 << levels];
    powers[0] = scale;
    for level in 0..levels {
        let step = steps.pop().expect("one step a level");
        let (done, next) = powers.split_at_mut(1 << level);
        next[..done.len()]
            .par_iter_mut()
            .with_min_len(ELEMENTS_PER_TASK)
            .zip(done)
            .for_each(|(next, done)| *next = *done * step);
    }
    powers
}

fn multiply<F: PrimeField>(values: &mut [F], factors: &[F]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

/// Rows and columns of a tile: 512 bytes in a row.
const TILE: usize = 16;

/// Moves each value to the index with its bits reversed.
pub(super) fn reverse_bits<F: Send>(values: &mut [F]) {
    let count = values.len();
    let mut swap = |place: usize| {
        let other = reversed(place, count);
        if place < other {
            values.swap(place, other);
        }
    };
    let tiles = count / (TILE * TILE);
    if tiles < 2 {
        return (0..count).for_each(swap);
    }
    // An index consists of a row of a tile, the tile, and a column. Each tile is exchanged with the
    // tile whose number has its bits reversed, so that memory is accessed in runs; some tiles stay
    // in place.
    for tile in (0..tiles).filter(|&tile| reversed(tile, tiles) == tile) {
        let places = (0..TILE).map(|row| (row * tiles + tile) * TILE);
        places.flat_map(|first| first..first + TILE).for_each(&mut swap);
    }
    let mut parts: Vec<Vec<&mut [F]>> = (0..tiles).map(|_| Vec::with_capacity(TILE)).collect();
    for row in values.chunks_exact_mut(tiles * TILE) {
        for (tile, part) in parts.iter_mut().zip(row.chunks_exact_mut(TILE)) {
            tile.push(part);
        }
    }
    let pairs: Vec<_> = (0..tiles)
        .filter(|&tile| tile < reversed(tile, tiles))
        .map(|tile| [tile, reversed(tile, tiles)].map(|tile| std::mem::take(&mut parts[tile])))
        .collect();
    pairs.into_par_iter().for_each(|[mut tile, mut other]| {
        for (row, values) in tile.iter_mut().enumerate() {
            for (column, value) in values.iter_mut().enumerate() {
                std::mem::swap(value, &mut other[reversed(column, TILE)][reversed(row, TILE)]);
            }
        }
    });
}

/// `place` with its bits reversed, below `count`, a power of two.
fn reversed(place: usize, count: usize) -> usize {
    // Two shifts, because with `count = 1` there are no bits to keep.
    place.reverse_bits() >> 1 >> (usize::BITS - 1 - count.trailing_zeros())
}

/// The four quarters of a block, or equal parts of them.
type Quarters<'a, F> = [&'a mut [F]; 4];

fn quarters<F>(values: &mut [F]) -> Quarters<'_, F> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (first, second) = low.split_at_mut(low.len() / 2);
    let (third, fourth) = high.split_at_mut(high.len() / 2);
    [first, second, third, fourth]
}

/// Processes equal parts of the quarters of a large block in parallel.
fn for_each_part<F: Send>(values: &mut [F], work: impl Fn(Quarters<'_, F>) + Sync) {
    let [first, second, third, fourth] = quarters(values);
    first
        .par_chunks_mut(ELEMENTS_PER_TASK)
        .zip(second.par_chunks_mut(ELEMENTS_PER_TASK))
        .zip(third.par_chunks_mut(ELEMENTS_PER_TASK).zip(fourth.par_chunks_mut(ELEMENTS_PER_TASK)))
        .for_each(|((first, second), (third, fourth))| work([first, second, third, fourth]));
}

/// All inverse levels of a block.
fn inverse_levels<F: PrimeField>(values: &mut [F], block: usize, twiddles: &[F]) {
    let (mut len, mut first) = (values.len(), block);
    while len >= 4 {
        for (i, block) in values.chunks_exact_mut(len).enumerate() {
            inverse_radix4(quarters(block), first + i, twiddles);
        }
        (len, first) = (len / 4, first * 4);
    }
    if len == 2 {
        for (pair, twiddle) in values.chunks_exact_mut(2).zip(&twiddles[first..]) {
            let product = pair[1] * twiddle;
            (pair[0], pair[1]) = (pair[0] + product, pair[0] - product);
        }
    }
}

/// All forward levels of a block.
fn forward_levels<F: PrimeField>(values: &mut [F], block: usize, twiddles: &[F]) {
    let levels = values.len().trailing_zeros();
    let mut len = 1;
    if levels % 2 == 1 {
        let first = block * (values.len() / 2);
        for (pair, twiddle) in values.chunks_exact_mut(2).zip(&twiddles[first..]) {
            let difference = pair[0] - pair[1];
            (pair[0], pair[1]) = (pair[0] + pair[1], difference * twiddle);
        }
        len = 2;
    }
    while len < values.len() {
        len *= 4;
        let first = block * (values.len() / len);
        for (i, block) in values.chunks_exact_mut(len).enumerate() {
            forward_radix4(quarters(block), first + i, twiddles);
        }
    }
}

/// Two inverse levels of block number `block`.
fn inverse_radix4<F: PrimeField>(quarters: Quarters<'_, F>, block: usize, twiddles: &[F]) {
    let [upper, left, right] = [twiddles[block], twiddles[2 * block], twiddles[2 * block + 1]];
    for_each_butterfly(quarters, |[a, b, c, d]| {
        // The first block's twiddles are 1 except the last.
        let (c, d) = if block == 0 { (c, d) } else { (c * upper, d * upper) };
        let (sum, other) = (b + d, b - d);
        let b = if block == 0 { sum } else { sum * left };
        let d = other * right;
        let (low, high) = (a + c, a - c);
        [low + b, low - b, high + d, high - d]
    });
}

/// Two forward levels of block number `block`.
fn forward_radix4<F: PrimeField>(quarters: Quarters<'_, F>, block: usize, twiddles: &[F]) {
    let [upper, left, right] = [twiddles[block], twiddles[2 * block], twiddles[2 * block + 1]];
    for_each_butterfly(quarters, |[a, b, c, d]| {
        let (low, high) = (a + b, c + d);
        let b = if block == 0 { a - b } else { (a - b) * left };
        let d = (c - d) * right;
        let (c, e) = (low - high, b - d);
        let (c, e) = if block == 0 { (c, e) } else { (c * upper, e * upper) };
        [low + high, b + d, c, e]
    });
}

#[inline(always)]
fn for_each_butterfly<F: Copy>(quarters: Quarters<'_, F>, butterfly: impl Fn([F; 4]) -> [F; 4]) {
    let [first, second, third, fourth] = quarters;
    for (((a, b), c), d) in first.iter_mut().zip(second).zip(third).zip(fourth) {
        [*a, *b, *c, *d] = butterfly([*a, *b, *c, *d]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_moves_to_its_bit_reversed_index() {
        for log_size in 0..16u32 {
            let count = 1usize << log_size;
            let mut values: Vec<usize> = (0..count).collect();
            reverse_bits(&mut values);
            for (place, value) in values.into_iter().enumerate() {
                let bit = |of: usize, bit: u32| of >> bit & 1;
                assert!(
                    (0..log_size).all(|i| bit(place, i) == bit(value, log_size - 1 - i)),
                    "{value} at {place} of {count}"
                );
            }
        }
    }
}
