//! The quadratic extension of a base field in lanes. Each coordinate follows the table of value kinds of
//! [`field`](super::field).

use ark_ff::MontConfig;

use super::{
    Lanes, each,
    field::{Element, Prime},
};

/// Eight elements `c0 + c1·u` of a quadratic extension with `u² = -1`.
#[derive(Clone, Copy)]
pub struct Quadratic<E> {
    c0: E,
    c1: E,
}

/// An extension element as an operand.
#[derive(Clone, Copy)]
pub struct QuadraticOperand<F> {
    c0: F,
    c1: F,
    /// `c0 + c1`.
    sum: F,
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Element<L>
    for Quadratic<Prime<L, T, W, N>>
{
    type Operand = QuadraticOperand<[L::Operand; N]>;

    const WORDS: usize = 2 * W;
    const LIMBS: usize = 2 * N;
    const INTERLEAVE: usize = 1;

    #[inline(always)]
    fn zero() -> Self {
        Self { c0: Prime::zero(), c1: Prime::zero() }
    }

    #[inline(always)]
    fn splat(limbs: &[u64]) -> Self {
        Self { c0: Prime::splat(&limbs[..N]), c1: Prime::splat(&limbs[N..]) }
    }

    #[inline(always)]
    fn read(limbs: &[[u64; 8]]) -> Self {
        Self { c0: Prime::read(&limbs[..N]), c1: Prime::read(&limbs[N..2 * N]) }
    }

    #[inline(always)]
    fn write(self, limbs: &mut [[u64; 8]]) {
        self.c0.write(&mut limbs[..N]);
        self.c1.write(&mut limbs[N..2 * N]);
    }

    #[inline(always)]
    fn from_words(words: &[L]) -> Self {
        Self { c0: Prime::from_words(&words[..W]), c1: Prime::from_words(&words[W..]) }
    }

    #[inline(always)]
    fn to_words(self, words: &mut [L]) {
        self.c0.to_words(&mut words[..W]);
        self.c1.to_words(&mut words[W..]);
    }

    #[inline(always)]
    fn normalized(self) -> Self {
        Self { c0: self.c0.normalized(), c1: self.c1.normalized() }
    }

    #[inline(always)]
    fn to_operand(self) -> Self::Operand {
        let sum = self.c0.add_lazy(self.c1);
        QuadraticOperand {
            c0: self.c0.carried_operand(),
            c1: self.c1.carried_operand(),
            sum: sum.carried_operand(),
        }
    }

    /// Karatsuba: three double-width products and two reductions.
    ///
    /// `c0 = a0·b0 - a1·b1 + p·R'` and `c1 = (a0 + a1)(b0 + b1) - a0·b0 - a1·b1`, both reduced.
    /// With coordinates below `8p`, each product is below `64p² < p·R'`, so `c0` is not negative
    /// before its reduction and below `3p` after it; `c1` is below `128p²/R' + p < 3p`.
    #[inline(always)]
    fn mul_interleaved<const K: usize>(
        a: [&Self::Operand; K],
        b: [&Self::Operand; K],
    ) -> [Self; K] {
        let mut products = [Self::zero(); K];
        each!(K, |k| products[k] = Self::product(a[k], b[k]));
        products
    }

    /// `(c0 + c1)(c0 - c1 + 4p)` and `2·c0·c1`. With coordinates below `3p` the first is below
    /// `42p²/R' + p < 2p`. The second is below `2·(c0·c1/R' + p)`; for the slope of an addition,
    /// whose coordinates are below `2.3p` and `1.6p`, that is below `2p + p/6`.
    #[inline(always)]
    fn square_interleaved<const K: usize>(
        a: [&Self; K],
        operands: &mut [Self::Operand; K],
    ) -> [Self; K] {
        let mut squares = [Self::zero(); K];
        each!(K, |k| {
            operands[k] = a[k].to_operand();
            let (QuadraticOperand { c0, c1, sum }, less) =
                (&operands[k], a[k].c0.sub_to_operand(a[k].c1));
            let ([real], [other]) = if Prime::<L, T, W, N>::INTERLEAVE == 2 {
                let [real, other] = Prime::mul_interleaved([sum, c0], [&less, c1]);
                ([real], [other])
            } else {
                (Prime::mul_interleaved([sum], [&less]), Prime::mul_interleaved([c0], [c1]))
            };
            squares[k] = Self { c0: real, c1: other.add_lazy(other) };
        });
        squares
    }

    #[inline(always)]
    fn conditional_negate(self, mask: L) -> Self {
        Self { c0: self.c0.conditional_negate(mask), c1: self.c1.conditional_negate(mask) }
    }

    #[inline(always)]
    fn sub_to_operand(self, other: Self) -> Self::Operand {
        Self { c0: self.c0.sub_plus_4p(other.c0), c1: self.c1.sub_plus_4p(other.c1) }.to_operand()
    }

    #[inline(always)]
    fn sub_lazy(self, other: Self) -> Self {
        Self { c0: self.c0.sub_lazy(other.c0), c1: self.c1.sub_lazy(other.c1) }
    }

    #[inline(always)]
    fn sub_two_reduced(self, first: Self, second: Self) -> Self {
        Self {
            c0: self.c0.sub_two_reduced(first.c0, second.c0),
            c1: self.c1.sub_two_reduced(first.c1, second.c1),
        }
    }
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Quadratic<Prime<L, T, W, N>> {
    #[inline(always)]
    fn product(
        a: &QuadraticOperand<[L::Operand; N]>,
        b: &QuadraticOperand<[L::Operand; N]>,
    ) -> Self {
        let [mut first] = Prime::<L, T, W, N>::column_products([&a.c0], [&b.c0], 0, 0);
        // Subtracted from both other products, this one starts with the negative of what they would
        // need; `p` more keeps `c0` from being negative.
        let [second] = Prime::<L, T, W, N>::column_products([&a.c1], [&b.c1], u64::MAX, 1);
        let [mut cross] = Prime::<L, T, W, N>::column_products([&a.sum], [&b.sum], 0, 0);
        each!(N, |i| {
            cross[i] = cross[i].sub(first[i]).sub(second[i]);
            cross[i + N] = cross[i + N].sub(first[i + N]).sub(second[i + N]);
        });
        each!(N, |i| {
            first[i] = first[i].sub(second[i]);
            first[i + N] = first[i + N].sub(second[i + N]);
        });
        if Prime::<L, T, W, N>::INTERLEAVE == 2 {
            let [c1, c0] = Prime::montgomery_reduce([cross, first]);
            return Self { c0, c1 };
        }
        let ([c1], [c0]) = (Prime::montgomery_reduce([cross]), Prime::montgomery_reduce([first]));
        Self { c0, c1 }
    }
}
