//! Products with constants that are known long before.
//!
//! Of a constant `w` below `p` the quotient `w' = ⌊w·R'/p⌋` is kept beside it. Then the high half of
//! `x·w'` says how many times `p` is in `x·w`, but for one, and the low halves alone say what is left: 84
//! half products of limbs instead of the 105 of a Montgomery product, and no limb waits for another's
//! multiple of `p`. (V. Shoup's NTL; Harvey, "Faster arithmetic for number-theoretic transforms", 2014.)

use ark_ff::MontConfig;

use super::{LIMB, Lanes, MASK, each, field::Prime};
use crate::SCALAR_WORDS;

/// Limbs of a scalar.
pub(crate) const SCALAR_LIMBS: usize = 5;

/// More than the limbs below the second highest add to that by their carries.
const CARRY_SLACK: u64 = 4;

/// A number below `p` and its quotient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShoupConstant {
    number: [u64; SCALAR_LIMBS],
    quotient: [u64; SCALAR_LIMBS],
}

impl ShoupConstant {
    /// From `R'` times the number modulo `p`, the modulus, and `-1/p` modulo `2^52`.
    ///
    /// What is added to that to make it a multiple of `R'` is the quotient times `p`.
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

/// A constant in all lanes.
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
    /// `R' - p`: adding so many of it takes away so many of `p`, modulo `R'`.
    const MINUS_P: [u64; SCALAR_LIMBS] = {
        let mut limbs = Self::P;
        let mut i = 0;
        while i < SCALAR_LIMBS {
            limbs[i] = MASK - limbs[i] + (i == 0) as u64;
            i += 1;
        }
        limbs
    };

    /// Products of values below `R'`, whose carries need not have been taken, with constants: below `p` and
    /// the value's share of `R'` of another `p`. All take each step by turns.
    #[inline(always)]
    pub(super) fn shoup_products<const K: usize>(
        values: [Self; K],
        by: [&SplatConstant<L>; K],
    ) -> [Self; K] {
        const N: usize = SCALAR_LIMBS;
        let mut factors = [by[0].number; K];
        each!(K, |k| factors[k] = values[k].carried_operand());
        // The quotients' columns from `N - 1` on: those before it can add one at most.
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
                high[k][0] = L::mul_add_high(factors[k][i], quotient, high[k][0]);
            }
            if column + 1 == N {
                low[k][column] = L::mul_add_low(factors[k][i], number, low[k][column]);
            }
            if column + 1 < N {
                (low[k][column], low[k][column + 1]) =
                    L::mul_add(factors[k][i], number, low[k][column], low[k][column + 1]);
            } else {
                let at = column + 1 - N;
                (high[k][at], high[k][at + 1]) =
                    L::mul_add(factors[k][i], quotient, high[k][at], high[k][at + 1]);
            }
        })));
        let mut quotients = factors;
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
            // Multiples of `R'` stand above the highest limb, which has room for what is not carried into it.
            let last = low[k][N - 1];
            let above =
                last.add(low[k][N - 2].sar(LIMB)).add(L::splat(CARRY_SLACK)).and(L::splat(!MASK));
            low[k][N - 1] = last.sub(above);
            products[k] = Self::new(low[k]);
        });
        products
    }
}
