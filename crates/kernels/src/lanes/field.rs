//! Field elements in lanes: 52-bit limbs, Montgomery form with `R' = 2^(52·limbs)`.
//!
//! Elements are kept loosely, for `R'` is at least 84 times `p`. Carries between limbs are put off: an element
//! is a sum of products' columns, of which some may be negative. What is multiplied is made a
//! [factor](Element::Operand) first, which takes the carries; nothing else needs them, and so a product that is
//! only added to something never has them taken.
//!
//! A factor is below `8p`, a product below `3p`, for one of its factors is a product itself. Of a stored point
//! the first coordinate is between 0 and `2p` and a little (a sixth of `p`), and the second between a little below 0
//! and `3p` and a little (a fiftieth): a difference is folded back by looking at its highest limb only, before
//! carries.
//! Additions of points never compare with `p`; who needs the exact value reduces it outside lanes.

use std::marker::PhantomData;

use ark_ff::MontConfig;

use super::{LIMB, Lanes, MASK, each};

/// Eight elements of a base field or of its quadratic extension.
pub trait Element<L: Lanes>: Copy + Send + Sync + 'static {
    /// Eight elements to be multiplied.
    type Operand: Copy + Send + Sync + 'static;

    /// 64-bit words of one element.
    const WORDS: usize;
    /// Limbs of one element.
    const LIMBS: usize;
    /// Products that take their steps by turns: as many as there are registers for.
    const INTERLEAVE: usize;

    /// Zero in all lanes.
    fn zero() -> Self;
    /// The same element in all lanes, from its limbs.
    fn splat(limbs: &[u64]) -> Self;
    /// Reads what [`Element::write`] wrote.
    fn read(limbs: &[[u64; 8]]) -> Self;
    /// Writes the limbs as they are, [`Element::LIMBS`] of them.
    fn write(self, limbs: &mut [[u64; 8]]);
    /// From columns of 64-bit words, [`Element::WORDS`] of them.
    fn from_words(words: &[L]) -> Self;
    /// To columns of 64-bit words, once the carries are taken.
    fn to_words(self, words: &mut [L]);
    /// A stored element brought to between 0 and `2p` and a little, with its carries taken; zeros stay zeros.
    fn normalized(self) -> Self;
    /// Takes the carries.
    fn to_operand(self) -> Self::Operand;
    /// Products that do not depend on each other; see [`Element::INTERLEAVE`].
    fn mul_interleaved<const K: usize>(a: [&Self::Operand; K], b: [&Self::Operand; K])
    -> [Self; K];
    /// The squares of products, and the products as factors.
    fn square_interleaved<const K: usize>(
        a: [&Self; K],
        factors: &mut [Self::Operand; K],
    ) -> [Self; K];
    /// Twice the modulus minus the element, which is at most that and a little, in lanes that are all ones in the
    /// mask.
    fn conditional_negate(self, mask: L) -> Self;
    /// The difference of stored elements.
    fn sub_to_operand(self, other: Self) -> Self::Operand;
    /// A product minus a stored second coordinate, to be stored as one.
    fn sub_lazy(self, other: Self) -> Self;
    /// A product minus two stored first coordinates, to be stored as one, with its carries taken.
    fn sub_two_reduced(self, first: Self, second: Self) -> Self;
}

/// More than the limbs below the highest take away by their carries. Each addition to a point puts off those of
/// the second coordinate, which are below `2^5`, and a sum of a window's buckets is less than 32 additions deep.
const POINT_CARRY_BOUND: u64 = 1 << 10;

/// `W` words as `N` limbs.
pub(super) const fn words_to_limbs<const W: usize, const N: usize>(words: [u64; W]) -> [u64; N] {
    let mut limbs = [0; N];
    let mut i = 0;
    while i < N {
        let (word, shift) = (LIMB as usize * i / 64, LIMB as usize * i % 64);
        if word < W {
            limbs[i] = words[word] >> shift;
        }
        if shift > 12 && word + 1 < W {
            limbs[i] |= words[word + 1] << (64 - shift);
        }
        limbs[i] &= MASK;
        i += 1;
    }
    limbs
}

/// `N` carried limbs as `W` words.
pub(super) fn limbs_to_words<const W: usize, const N: usize>(limbs: [u64; N]) -> [u64; W] {
    std::array::from_fn(|word| {
        // The word starts inside limb `first`.
        let (first, shift) = (64 * word / LIMB as usize, 64 * word % LIMB as usize);
        let limb = |i: usize| limbs.get(first + i).copied().unwrap_or(0);
        let (one, two) = (LIMB as usize - shift, 2 * LIMB as usize - shift);
        limb(0) >> shift | limb(1) << one | if two < 64 { limb(2) << two } else { 0 }
    })
}

/// Eight elements of a prime field of `W` words, in `N` limbs.
pub struct Prime<L, T, const W: usize, const N: usize>(pub(super) [L; N], PhantomData<T>);

impl<L: Copy, T, const W: usize, const N: usize> Clone for Prime<L, T, W, N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Copy, T, const W: usize, const N: usize> Copy for Prime<L, T, W, N> {}

/// Sums by columns: a product's limbs before its carries are taken.
type Columns<L> = [L; 16];

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Prime<L, T, W, N> {
    pub(super) const P: [u64; N] = words_to_limbs(T::MODULUS.0);
    /// `-1/p` modulo `2^52`; arkworks has it modulo `2^64`.
    const NEGATIVE_INVERSE: u64 = T::INV & MASK;

    /// `k` times the modulus, for small `k`.
    pub(super) const fn multiple(k: u64) -> [u64; N] {
        let (mut limbs, mut carry, mut i) = (Self::P, 0, 0);
        while i < N {
            let limb = limbs[i] * k + carry;
            (limbs[i], carry) = (limb & MASK, limb >> LIMB);
            i += 1;
        }
        limbs
    }

    #[inline(always)]
    pub(super) fn new(limbs: [L; N]) -> Self {
        Self(limbs, PhantomData)
    }

    /// The limbs after their carries, as factors: those take of a limb what is left of it.
    #[inline(always)]
    pub(super) fn carried_operand(&self) -> [L::Operand; N] {
        let (mut limb, mut factors) = (self.0[0], [self.0[0].to_operand(); N]);
        each!(N, |i| {
            if i > 0 {
                limb = self.0[i].add(limb.sar(LIMB));
                factors[i] = limb.to_operand();
            }
        });
        factors
    }

    /// How many low halves of an `N` by `N` product fall into a column; of high halves, as many as of
    /// low halves into the column before.
    pub(super) const fn low_halves(column: usize) -> u64 {
        if column < N { column as u64 + 1 } else { (2 * N).saturating_sub(column + 1) as u64 }
    }

    /// How many squares of limbs have their low halves in a column.
    const fn square_halves(column: usize) -> u64 {
        (column.is_multiple_of(2) && column / 2 < N) as u64
    }

    /// What a column starts from that will take so many low halves of products (as high ones, those of the column
    /// before), and so many [reductions](Self::montgomery_reduce); each reduced value is to be more by so many times `p`.
    /// What is to be subtracted from another counts `u64::MAX` reductions: it lacks them.
    #[inline(always)]
    fn initial_column(column: usize, low: impl Fn(usize) -> u64, reductions: u64, more: u64) -> L {
        let take = |column: usize| {
            low(column).wrapping_add(reductions.wrapping_mul(Self::low_halves(column)))
        };
        let high = if column == 0 { 0 } else { take(column - 1) };
        if column < N {
            // A reduction does not add what clears the limb.
            return L::biased_column(
                take(column).wrapping_sub(reductions),
                high,
                reductions.wrapping_mul(MASK),
            );
        }
        L::biased_column(take(column), high, reductions.wrapping_mul(more * Self::P[column - N]))
    }

    /// Products, in columns that [start](Self::initial_column) for so many reductions. All of them take each step by turns:
    /// a product is a chain of steps that wait for each other, too long for the processor to look past.
    #[inline(always)]
    fn column_products<const K: usize>(
        a: [&[L::Operand; N]; K],
        b: [&[L::Operand; N]; K],
        reductions: u64,
        more: u64,
    ) -> [Columns<L>; K] {
        let mut columns = [[L::splat(0); 16]; K];
        each!(N, |i| each!(K, |k| {
            columns[k][i] = Self::initial_column(i, Self::low_halves, reductions, more);
            columns[k][i + N] = Self::initial_column(i + N, Self::low_halves, reductions, more);
        }));
        each!(N, |i| each!(N, |j| each!(K, |k| {
            (columns[k][i + j], columns[k][i + j + 1]) =
                L::mul_add(a[k][i], b[k][j], columns[k][i + j], columns[k][i + j + 1]);
        })));
        columns
    }

    /// Squares that will be reduced: products of different limbs are made once and doubled.
    #[inline(always)]
    fn column_squares<const K: usize>(a: [&[L::Operand; N]; K]) -> [Columns<L>; K] {
        let twice = |column: usize| (Self::low_halves(column) - Self::square_halves(column)) / 2;
        let mut columns = [[L::splat(0); 16]; K];
        each!(N, |i| each!(K, |k| {
            columns[k][i] = Self::initial_column(i, twice, 0, 0);
            columns[k][i + N] = Self::initial_column(i + N, twice, 0, 0);
        }));
        each!(N, |i| each!(N, |j| each!(K, |k| if i < j {
            (columns[k][i + j], columns[k][i + j + 1]) =
                L::mul_add(a[k][i], a[k][j], columns[k][i + j], columns[k][i + j + 1]);
        })));
        each!(N, |i| each!(K, |k| {
            columns[k][i] = columns[k][i].add(columns[k][i]).add(Self::initial_column(
                i,
                Self::square_halves,
                1,
                0,
            ));
            columns[k][i + N] = columns[k][i + N].add(columns[k][i + N]).add(Self::initial_column(
                i + N,
                Self::square_halves,
                1,
                0,
            ));
        }));
        each!(N, |i| each!(K, |k| {
            (columns[k][2 * i], columns[k][2 * i + 1]) =
                L::mul_add(a[k][i], a[k][i], columns[k][2 * i], columns[k][2 * i + 1]);
        }));
        columns
    }

    /// Divides by `R'`, adding multiples of `p` that clear the low limbs. Limbs come out before their carries.
    ///
    /// The columns have been started for it: the low ones hold `2^52 - 1` more than their value. So what they
    /// carry is rounded up, which is what it comes to once they are cleared, and the low halves of the products
    /// that clear them need not be added.
    #[inline(always)]
    fn montgomery_reduce<const K: usize>(mut columns: [Columns<L>; K]) -> [Self; K] {
        let inverse = L::splat(Self::NEGATIVE_INVERSE).to_operand();
        each!(N, |i| {
            let mut multiples = [inverse; K];
            each!(K, |k| multiples[k] = columns[k][i].increment_mul_low(inverse));
            each!(K, |k| columns[k][i + 1] = columns[k][i + 1].add(columns[k][i].sar(LIMB)));
            each!(N, |j| each!(K, |k| {
                let factor = L::splat(Self::P[j]).to_operand();
                if j == 0 {
                    columns[k][i + 1] = L::mul_add_high(multiples[k], factor, columns[k][i + 1]);
                } else {
                    (columns[k][i + j], columns[k][i + j + 1]) =
                        L::mul_add(multiples[k], factor, columns[k][i + j], columns[k][i + j + 1]);
                }
            }));
        });
        let mut reduced = [Self::new([L::splat(0); N]); K];
        each!(N, |i| each!(K, |k| reduced[k].0[i] = columns[k][N + i]));
        reduced
    }

    /// Takes the carries; of a negative value the highest limb is negative.
    #[inline(always)]
    pub(super) fn carry_limbs(mut limbs: [L; N]) -> Self {
        let mask = L::splat(MASK);
        each!(N - 1, |i| {
            limbs[i + 1] = limbs[i + 1].add(limbs[i].sar(LIMB));
            limbs[i] = limbs[i].and(mask);
        });
        Self::new(limbs)
    }

    /// Bits of the highest limb below those that tell about how many times `p` a value is.
    pub(super) const TOP_SHIFT: u32 = Self::P[N - 1].ilog2();

    /// Limbs of the multiples of `p` that make a value positive and less than `2p`, by the highest four bits
    /// that count.
    const LIFT_TABLE: [[u64; 16]; N] = {
        let (mut lifts, mut sixteenth) = ([[0; 16]; N], 8u64);
        while sixteenth < 16 {
            let lack = (16 - sixteenth) << Self::TOP_SHIFT;
            let multiple = Self::multiple(lack.div_ceil(Self::P[N - 1]));
            let mut i = 0;
            while i < N {
                lifts[i][sixteenth as usize] = multiple[i];
                i += 1;
            }
            sixteenth += 1;
        }
        lifts
    };

    /// Brings a value between `-4p` (and twice a little less) and `2p` to between 0 and `2p` and a little, and
    /// takes the carries.
    #[inline(always)]
    fn reduced_once(mut limbs: [L; N]) -> Self {
        let (lifts, high) = (
            const { &Self::LIFT_TABLE },
            limbs[N - 1].sub(L::splat(POINT_CARRY_BOUND)).sar(Self::TOP_SHIFT),
        );
        each!(N, |i| limbs[i] = limbs[i].add(high.lookup(&lifts[i])));
        Self::carry_limbs(limbs)
    }

    /// The difference and `4p`, which makes it positive.
    #[inline(always)]
    fn sub_plus_4p(mut self, other: Self) -> Self {
        let four = const { Self::multiple(4) };
        each!(N, |i| self.0[i] = self.0[i].sub(other.0[i]).add(L::splat(four[i])));
        self
    }

    #[inline(always)]
    fn add_lazy(mut self, other: Self) -> Self {
        each!(N, |i| self.0[i] = self.0[i].add(other.0[i]));
        self
    }
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Element<L> for Prime<L, T, W, N> {
    type Operand = [L::Operand; N];

    const WORDS: usize = W;
    const LIMBS: usize = N;
    // More limbs have more columns than there are registers.
    const INTERLEAVE: usize = if N <= 5 { 2 } else { 1 };

    #[inline(always)]
    fn zero() -> Self {
        Self::new([L::splat(0); N])
    }

    #[inline(always)]
    fn splat(from: &[u64]) -> Self {
        let mut limbs = [L::splat(0); N];
        each!(N, |i| limbs[i] = L::splat(from[i]));
        Self::new(limbs)
    }

    #[inline(always)]
    fn read(from: &[[u64; 8]]) -> Self {
        let from = &from[..N];
        let mut limbs = [L::splat(0); N];
        each!(N, |i| limbs[i] = L::load(&from[i]));
        Self::new(limbs)
    }

    #[inline(always)]
    fn write(self, limbs: &mut [[u64; 8]]) {
        let limbs = &mut limbs[..N];
        each!(N, |i| self.0[i].store(&mut limbs[i]));
    }

    #[inline(always)]
    fn from_words(words: &[L]) -> Self {
        let mask = L::splat(MASK);
        let mut limbs = [words[0].and(mask); N];
        each!(N, |i| {
            let (word, shift) = (LIMB * i / 64, LIMB * i % 64);
            let mut limb = L::splat(0);
            if (word as usize) < W {
                limb = words[word as usize].shr(shift);
            }
            if shift > 12 && (word as usize) + 1 < W {
                limb = limb.or(words[word as usize + 1].shl(64 - shift));
            }
            limbs[i as usize] = limb.and(mask);
        });
        Self::new(limbs)
    }

    #[inline(always)]
    fn to_words(self, words: &mut [L]) {
        each!(W, |i| {
            // Word `i` starts inside limb `first`.
            let (first, shift) = (64 * i as u32 / LIMB, 64 * i as u32 % LIMB);
            let mut word = self.0[first as usize].shr(shift);
            if first as usize + 1 < N {
                word = word.or(self.0[first as usize + 1].shl(LIMB - shift));
            }
            if first as usize + 2 < N && 2 * LIMB - shift < 64 {
                word = word.or(self.0[first as usize + 2].shl(2 * LIMB - shift));
            }
            words[i] = word;
        });
    }

    #[inline(always)]
    fn normalized(mut self) -> Self {
        let (one, two) = (const { Self::multiple(1) }, const { Self::multiple(2) });
        // With its carries taken, the highest limb has the sign of the value.
        self = Self::carry_limbs(self.0);
        let high = self.0[N - 1];
        each!(N, |i| self.0[i] = self.0[i].add_where_negative(high, one[i]));
        each!(N, |i| self.0[i] = self.0[i].sub(L::splat(two[i])));
        let high = self.0[N - 1].sub(L::splat(POINT_CARRY_BOUND));
        // Zero comes back as zeros, which stand for infinity.
        each!(N, |i| self.0[i] = self.0[i].add_where_negative(high, two[i]));
        Self::carry_limbs(self.0)
    }

    #[inline(always)]
    fn to_operand(self) -> Self::Operand {
        self.carried_operand()
    }

    #[inline(always)]
    fn mul_interleaved<const K: usize>(
        a: [&Self::Operand; K],
        b: [&Self::Operand; K],
    ) -> [Self; K] {
        Self::montgomery_reduce(Self::column_products(a, b, 1, 0))
    }

    #[inline(always)]
    fn square_interleaved<const K: usize>(
        a: [&Self; K],
        factors: &mut [Self::Operand; K],
    ) -> [Self; K] {
        each!(K, |k| factors[k] = a[k].carried_operand());
        Self::montgomery_reduce(Self::column_squares(factors.each_ref()))
    }

    #[inline(always)]
    fn conditional_negate(mut self, mask: L) -> Self {
        let two = const { Self::multiple(2) };
        each!(N, |i| self.0[i] = mask.select(L::splat(two[i]).sub(self.0[i]), self.0[i]));
        self
    }

    #[inline(always)]
    fn sub_to_operand(self, other: Self) -> Self::Operand {
        self.sub_plus_4p(other).carried_operand()
    }

    #[inline(always)]
    fn sub_lazy(self, other: Self) -> Self {
        let three = const { Self::multiple(3) };
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].sub(other.0[i]));
        let high = limbs[N - 1].sub(L::splat(POINT_CARRY_BOUND));
        each!(N, |i| limbs[i] = limbs[i].add_where_negative(high, three[i]));
        Self::new(limbs)
    }

    #[inline(always)]
    fn sub_two_reduced(self, first: Self, second: Self) -> Self {
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].sub(first.0[i]).sub(second.0[i]));
        Self::reduced_once(limbs)
    }
}

/// Eight elements `c0 + c1·u` of a quadratic extension with `u² = -1`.
#[derive(Clone, Copy)]
pub struct Quadratic<E> {
    c0: E,
    c1: E,
}

/// The same to be multiplied.
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

    /// Three products and two reductions (Karatsuba).
    #[inline(always)]
    fn mul_interleaved<const K: usize>(
        a: [&Self::Operand; K],
        b: [&Self::Operand; K],
    ) -> [Self; K] {
        let mut products = [Self::zero(); K];
        each!(K, |k| products[k] = Self::product(a[k], b[k]));
        products
    }

    /// `(c0 + c1)(c0 - c1)` and `2·c0·c1`.
    #[inline(always)]
    fn square_interleaved<const K: usize>(
        a: [&Self; K],
        factors: &mut [Self::Operand; K],
    ) -> [Self; K] {
        let mut squares = [Self::zero(); K];
        each!(K, |k| {
            factors[k] = a[k].to_operand();
            let (QuadraticOperand { c0, c1, sum }, less) =
                (&factors[k], a[k].c0.sub_to_operand(a[k].c1));
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
        // Taken away from both others, this one lacks what they are to be started with; `p` more keeps the
        // first part positive.
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
