//! Shoup multiplication: products with constants that are known in advance.
//!
//! For a constant `w < p` the quotient `w' = ⌊w·R'/p⌋` is stored beside it. For a value `x < R'`,
//! `q = ⌊x·w'/R'⌋` is the quotient `⌊x·w/p⌋` or one less, and `x·w - q·p` needs only the limbs
//! below `R'`. That takes 84 half products of limbs instead of the 105 of a Montgomery product, and
//! no limb waits for the reduction of another. (V. Shoup's NTL; Harvey, "Faster arithmetic for
//! number-theoretic transforms", 2014.)

use ark_ff::MontConfig;

use super::{LIMB, Lanes, MASK, each, field::Prime};
use crate::SCALAR_WORDS;

/// Limbs of a scalar.
pub(crate) const SCALAR_LIMBS: usize = 5;

/// Added to the top limb of a product before its multiples of `2^52` are removed. It is more than
/// the carry that limbs 0 to `N - 3` still send through limb `N - 2`.
const CARRY_SLACK: u64 = 4;

/// A constant `w < p` and its quotient `⌊w·R'/p⌋`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShoupConstant {
    number: [u64; SCALAR_LIMBS],
    quotient: [u64; SCALAR_LIMBS],
}

impl ShoupConstant {
    /// From `w·R'` modulo `p`, the modulus, and `-1/p` modulo `2^52`.
    ///
    /// A Montgomery reduction of `w·R' mod p` adds `m·p` and gives `w`; that `m` is the quotient.
    pub(super) fn new(
        mut rest: [u64; SCALAR_LIMBS],
        p: [u64; SCALAR_LIMBS],
        negative_inverse: u64,
    ) -> Self {
        let mut quotient = [0; SCALAR_LIMBS];
        for multiple in &mut quotient {
            *multiple = rest[0].wrapping_mul(negative_inverse) & MASK;
            let mut carry = 0;
            for (limb, p) in rest.iter_mut().zip(p) {
                let sum = u128::from(*multiple) * u128::from(p) + u128::from(*limb) + carry;
                (*limb, carry) = (sum as u64 & MASK, sum >> LIMB);
            }
            rest.rotate_left(1);
            rest[SCALAR_LIMBS - 1] = carry as u64;
        }
        Self { number: rest, quotient }
    }
}

/// A constant in all lanes, as operands.
pub struct SplatConstant<L: Lanes> {
    number: [L::Operand; SCALAR_LIMBS],
    quotient: [L::Operand; SCALAR_LIMBS],
}

impl<L: Lanes> Clone for SplatConstant<L> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Lanes> Copy for SplatConstant<L> {}

impl<L: Lanes> SplatConstant<L> {
    /// The constant in all lanes.
    #[inline(always)]
    pub(crate) fn new(constant: &ShoupConstant) -> Self {
        let zero = L::splat(0).to_operand();
        let (mut number, mut quotient) = ([zero; SCALAR_LIMBS], [zero; SCALAR_LIMBS]);
        each!(SCALAR_LIMBS, |i| number[i] = L::splat(constant.number[i]).to_operand());
        each!(SCALAR_LIMBS, |i| quotient[i] = L::splat(constant.quotient[i]).to_operand());
        Self { number, quotient }
    }
}

impl<L: Lanes, T: MontConfig<SCALAR_WORDS>> Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS> {
    /// `R' - p`: adding `q` times it subtracts `q·p` modulo `R'`.
    const MINUS_P: [u64; SCALAR_LIMBS] = {
        let mut limbs = Self::P;
        let mut i = 0;
        while i < SCALAR_LIMBS {
            limbs[i] = MASK - limbs[i] + (i == 0) as u64;
            i += 1;
        }
        limbs
    };

    /// Shoup products of `K` values with constants, interleaved.
    ///
    /// - Input: values in `[0, R')`, lazy.
    /// - Output: `x·w - q·p`, below `p·(1 + x/R' + 2^-49)` and so below `2p`; lazy, with the
    ///   multiples of `R'` removed.
    /// - Quotient: the columns of `x·w'` below column `N - 1` are left out. They hold at most 7
    ///   halves in column `N - 2`, less than `7·2^(52·(N-1))` in total, which is less than
    ///   `2^-49·R'`. So `q` is at most one less than `⌊x·w'/R'⌋`.
    /// - Overflow: a column receives at most `2N` halves below `2^52` from `x·w` or `x·w'`, as many
    ///   from `q·(R' - p)`, and a carry; with `N = 5` that is below `2^57`.
    #[inline(always)]
    pub(super) fn shoup_products<const K: usize>(
        values: [Self; K],
        by: [&SplatConstant<L>; K],
    ) -> [Self; K] {
        const N: usize = SCALAR_LIMBS;
        let mut operands = [by[0].number; K];
        each!(K, |k| operands[k] = values[k].carried_operand());
        // The columns of the quotients from `N - 1` on; those below change the quotient by one at
        // most.
        let mut high = [[L::splat(0); N + 1]; K];
        let mut low = [[L::splat(0); N]; K];
        each!(N + 1, |i| each!(K, |k| {
            let column = i + N - 1;
            high[k][i] =
                L::biased_column(Self::low_halves(column), Self::low_halves(column - 1), 0);
        }));
        each!(N, |i| each!(K, |k| low[k][i] =
            L::biased_column(2 * (i as u64 + 1), 2 * i as u64, 0)));
        each!(N, |i| each!(N, |j| each!(K, |k| {
            let (number, quotient) = (by[k].number[j], by[k].quotient[j]);
            let column = i + j;
            if column + 2 == N {
                high[k][0] = L::mul_add_high(operands[k][i], quotient, high[k][0]);
            }
            if column + 1 == N {
                low[k][column] = L::mul_add_low(operands[k][i], number, low[k][column]);
            }
            if column + 1 < N {
                (low[k][column], low[k][column + 1]) =
                    L::mul_add(operands[k][i], number, low[k][column], low[k][column + 1]);
            } else {
                let at = column + 1 - N;
                (high[k][at], high[k][at + 1]) =
                    L::mul_add(operands[k][i], quotient, high[k][at], high[k][at + 1]);
            }
        })));
        let mut quotients = operands;
        each!(N, |i| each!(K, |k| {
            high[k][i + 1] = high[k][i + 1].add(high[k][i].sar(LIMB));
            quotients[k][i] = high[k][i + 1].to_operand();
        }));
        each!(N, |i| each!(N, |j| each!(K, |k| {
            let (minus, column) = (L::splat(Self::MINUS_P[j]).to_operand(), i + j);
            if column + 1 == N {
                low[k][column] = L::mul_add_low(quotients[k][i], minus, low[k][column]);
            }
            if column + 1 < N {
                (low[k][column], low[k][column + 1]) =
                    L::mul_add(quotients[k][i], minus, low[k][column], low[k][column + 1]);
            }
        })));
        let mut products = values;
        each!(K, |k| {
            // The product is below `2p`, so its top limb is less than `2^52 - CARRY_SLACK`. What
            // stands above 52 bits in the top limb, counting the carry into it, is a multiple of
            // `R'` and is removed. The carry is not moved.
            let last = low[k][N - 1];
            let above =
                last.add(low[k][N - 2].sar(LIMB)).add(L::splat(CARRY_SLACK)).and(L::splat(!MASK));
            low[k][N - 1] = last.sub(above);
            products[k] = Self::new(low[k]);
        });
        products
    }
}
