//! Field elements in lanes: 52-bit limbs, Montgomery form with `R' = 2^(52·limbs)`.
//!
//! Elements are kept loosely, for `R'` is at least 84 times `p`: a stored element is below `2p` and a
//! little (`2^-13` of it), a product of factors below `6p` is below `2p`. A difference is folded back by
//! looking at its highest limb only, before its carries are taken.
//! Additions of points never compare with `p`; who needs the exact value reduces it outside lanes.

use std::marker::PhantomData;

use ark_ff::MontConfig;

use super::{LIMB, Lanes, MASK, each};

/// Eight elements of a base field or of its quadratic extension.
pub trait Element<L: Lanes>: Copy + Send + Sync + 'static {
    /// 64-bit words of one element.
    const WORDS: usize;
    /// Limbs of one element.
    const LIMBS: usize;
    /// Whether two products take their steps by turns: there are registers for both.
    const BY_TURNS: bool = false;

    /// Zero in all lanes.
    fn zero() -> Self;
    /// The same element in all lanes, from its limbs.
    fn splat(limbs: &[u64]) -> Self;
    /// Reads what [`Element::write`] wrote.
    fn read(limbs: &[[u64; 8]]) -> Self;
    /// Writes carried limbs, [`Element::LIMBS`] of them.
    fn write(self, limbs: &mut [[u64; 8]]);
    /// From columns of 64-bit words, [`Element::WORDS`] of them.
    fn from_words(words: &[L]) -> Self;
    /// To columns of 64-bit words.
    fn to_words(self, words: &mut [L]);
    /// The product, below `2p`, of elements below `6p`.
    fn mul(self, other: Self) -> Self;
    /// Two products that do not depend on each other; see [`Element::BY_TURNS`].
    #[inline(always)]
    fn mul_two(a: [&Self; 2], b: [&Self; 2]) -> [Self; 2] {
        [a[0].mul(*b[0]), a[1].mul(*b[1])]
    }
    /// The squares of two products.
    fn square_two(a: [&Self; 2]) -> [Self; 2];
    /// Twice the modulus minus the element, which is at most that, in lanes that are all ones in the mask.
    fn negated_where(self, mask: L) -> Self;
    /// The difference of stored elements, below `6p`.
    fn sub(self, other: Self) -> Self;
    /// A product minus a stored element, to be stored.
    fn sub_one(self, other: Self) -> Self;
    /// A product minus two stored elements, to be stored.
    fn sub_two(self, first: Self, second: Self) -> Self;
}

/// `W` words as `N` limbs.
pub(super) const fn split<const W: usize, const N: usize>(words: [u64; W]) -> [u64; N] {
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
pub(super) fn join<const W: usize, const N: usize>(limbs: [u64; N]) -> [u64; W] {
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
    pub(super) const P: [u64; N] = split(T::MODULUS.0);
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

    #[inline(always)]
    fn factors(&self) -> [L::Factor; N] {
        let mut factors = [self.0[0].factor(); N];
        each!(N, |i| factors[i] = self.0[i].factor());
        factors
    }

    /// How many low halves of an `N` by `N` product fall into a column; of high halves, as many as of
    /// low halves into the column before.
    pub(super) const fn halves(column: usize) -> u64 {
        if column < N { column as u64 + 1 } else { (2 * N).saturating_sub(column + 1) as u64 }
    }

    /// How many squares of limbs have their low halves in a column.
    const fn own(column: usize) -> u64 {
        (column.is_multiple_of(2) && column / 2 < N) as u64
    }

    /// What a column starts from that will take so many low halves, and so many that the one before takes.
    #[inline(always)]
    fn start(column: usize, low: impl Fn(usize) -> u64) -> L {
        L::column(low(column), if column == 0 { 0 } else { low(column - 1) })
    }

    /// What a column starts from that will take so many products' halves.
    #[inline(always)]
    fn column(column: usize, products: u64) -> L {
        Self::start(column, |column| products * Self::halves(column))
    }

    /// Products, to each of which `more` products will be added. All of them take each step by turns: a
    /// product is a chain of steps that wait for each other, too long for the processor to look past.
    #[inline(always)]
    fn wide<const K: usize>(
        a: &[[L::Factor; N]; K],
        b: &[[L::Factor; N]; K],
        more: u64,
    ) -> [Columns<L>; K] {
        let mut columns = [[L::splat(0); 16]; K];
        each!(N, |i| each!(K, |k| {
            columns[k][i] = Self::column(i, 1 + more);
            columns[k][i + N] = Self::column(i + N, 1 + more);
        }));
        each!(N, |i| each!(N, |j| each!(K, |k| {
            (columns[k][i + j], columns[k][i + j + 1]) =
                L::mul_add(a[k][i], b[k][j], columns[k][i + j], columns[k][i + j + 1]);
        })));
        columns
    }

    /// Squares, to each of which one product will be added: products of different limbs are made once and
    /// doubled.
    #[inline(always)]
    fn wide_squares<const K: usize>(a: &[[L::Factor; N]; K]) -> [Columns<L>; K] {
        let twice = |column: usize| (Self::halves(column) - Self::own(column)) / 2;
        let mut columns = [[L::splat(0); 16]; K];
        each!(N, |i| each!(K, |k| {
            columns[k][i] = Self::start(i, twice);
            columns[k][i + N] = Self::start(i + N, twice);
        }));
        each!(N, |i| each!(N, |j| each!(K, |k| if i < j {
            (columns[k][i + j], columns[k][i + j + 1]) =
                L::mul_add(a[k][i], a[k][j], columns[k][i + j], columns[k][i + j + 1]);
        })));
        let rest = |column: usize| Self::halves(column) + Self::own(column);
        each!(N, |i| each!(K, |k| {
            columns[k][i] = columns[k][i].add(columns[k][i]).add(Self::start(i, rest));
            columns[k][i + N] =
                columns[k][i + N].add(columns[k][i + N]).add(Self::start(i + N, rest));
        }));
        each!(N, |i| each!(K, |k| {
            (columns[k][2 * i], columns[k][2 * i + 1]) =
                L::mul_add(a[k][i], a[k][i], columns[k][2 * i], columns[k][2 * i + 1]);
        }));
        columns
    }

    /// Divides by `R'`, adding multiples of `p` that clear the low limbs. The columns have been started
    /// for one more product; limbs come out before their carries.
    #[inline(always)]
    fn reduce<const K: usize>(mut columns: [Columns<L>; K]) -> [[L; N]; K] {
        let inverse = L::splat(Self::NEGATIVE_INVERSE).factor();
        each!(N, |i| {
            let mut multiples = [inverse; K];
            each!(K, |k| multiples[k] = columns[k][i].mul_low(inverse));
            each!(N, |j| each!(K, |k| {
                let factor = L::splat(Self::P[j]).factor();
                (columns[k][i + j], columns[k][i + j + 1]) =
                    L::mul_add(multiples[k], factor, columns[k][i + j], columns[k][i + j + 1]);
            }));
            each!(K, |k| columns[k][i + 1] = columns[k][i + 1].add(columns[k][i].sar(LIMB)));
        });
        let mut limbs = [[L::splat(0); N]; K];
        each!(N, |i| each!(K, |k| limbs[k][i] = columns[k][N + i]));
        limbs
    }

    /// Products, all of which take each step by turns.
    #[inline(always)]
    fn multiply<const K: usize>(a: [&Self; K], b: [&Self; K]) -> [Self; K] {
        let (mut a_factors, mut b_factors) = ([a[0].factors(); K], [b[0].factors(); K]);
        each!(K, |k| (a_factors[k], b_factors[k]) = (a[k].factors(), b[k].factors()));
        Self::finished(Self::wide(&a_factors, &b_factors, 1))
    }

    /// Squares, all of which take each step by turns.
    #[inline(always)]
    fn squares<const K: usize>(a: [&Self; K]) -> [Self; K] {
        let mut factors = [a[0].factors(); K];
        each!(K, |k| factors[k] = a[k].factors());
        Self::finished(Self::wide_squares(&factors))
    }

    #[inline(always)]
    fn finished<const K: usize>(columns: [Columns<L>; K]) -> [Self; K] {
        let limbs = Self::reduce(columns);
        let mut products = [Self::new(limbs[0]); K];
        each!(K, |k| products[k] = Self::carried(limbs[k]));
        products
    }

    /// Takes the carries; the value is not negative.
    #[inline(always)]
    pub(super) fn carried(mut limbs: [L; N]) -> Self {
        let mask = L::splat(MASK);
        each!(N - 1, |i| {
            limbs[i + 1] = limbs[i + 1].add(limbs[i].sar(LIMB));
            limbs[i] = limbs[i].and(mask);
        });
        Self::new(limbs)
    }

    /// Bits of the highest limb below those that tell about how many times `p` a value is.
    pub(super) const HIGH: u32 = Self::P[N - 1].ilog2();

    /// Limbs of the multiples of `p` that make a value positive and less than `2p`, by the highest four bits
    /// that count.
    const LIFTS: [[u64; 16]; N] = {
        let (mut lifts, mut sixteenth) = ([[0; 16]; N], 8u64);
        while sixteenth < 16 {
            let lack = (16 - sixteenth) << Self::HIGH;
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

    /// Brings a value between `-4p` (and twice a little less) and `2p` to between 0 and `2p` and a little.
    #[inline(always)]
    fn stored(mut limbs: [L; N]) -> Self {
        // The limbs below take at most 16 away by their carries.
        let (lifts, high) =
            (const { &Self::LIFTS }, limbs[N - 1].sub(L::splat(16)).sar(Self::HIGH));
        each!(N, |i| limbs[i] = limbs[i].add(high.look_up(&lifts[i])));
        Self::carried(limbs)
    }

    /// `self + other`, carried.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].add(other.0[i]));
        Self::carried(limbs)
    }
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Element<L> for Prime<L, T, W, N> {
    const WORDS: usize = W;
    const LIMBS: usize = N;
    // More limbs have more columns than there are registers.
    const BY_TURNS: bool = N <= 5;

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
    fn mul(self, other: Self) -> Self {
        let [product] = Self::multiply([&self], [&other]);
        product
    }

    #[inline(always)]
    fn mul_two(a: [&Self; 2], b: [&Self; 2]) -> [Self; 2] {
        if !Self::BY_TURNS {
            return [a[0].mul(*b[0]), a[1].mul(*b[1])];
        }
        Self::multiply(a, b)
    }

    #[inline(always)]
    fn square_two(a: [&Self; 2]) -> [Self; 2] {
        if !Self::BY_TURNS {
            let ([first], [second]) = (Self::squares([a[0]]), Self::squares([a[1]]));
            return [first, second];
        }
        Self::squares(a)
    }

    #[inline(always)]
    fn negated_where(mut self, mask: L) -> Self {
        let two = const { Self::multiple(2) };
        each!(N, |i| self.0[i] = mask.choose(L::splat(two[i]).sub(self.0[i]), self.0[i]));
        Self::carried(self.0)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let three = const { Self::multiple(3) };
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].sub(other.0[i]).add(L::splat(three[i])));
        Self::carried(limbs)
    }

    #[inline(always)]
    fn sub_one(self, other: Self) -> Self {
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].sub(other.0[i]));
        Self::stored(limbs)
    }

    #[inline(always)]
    fn sub_two(self, first: Self, second: Self) -> Self {
        let mut limbs = self.0;
        each!(N, |i| limbs[i] = limbs[i].sub(first.0[i]).sub(second.0[i]));
        Self::stored(limbs)
    }
}

/// Eight elements `c0 + c1·u` of a quadratic extension with `u² = -1`.
#[derive(Clone, Copy)]
pub struct Quadratic<E> {
    c0: E,
    c1: E,
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Element<L>
    for Quadratic<Prime<L, T, W, N>>
{
    const WORDS: usize = 2 * W;
    const LIMBS: usize = 2 * N;

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

    /// Three products and two reductions (Karatsuba).
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (a0, a1) = (self.c0.factors(), self.c1.factors());
        let (b0, b1) = (other.c0.factors(), other.c1.factors());
        let [mut first] = Prime::<L, T, W, N>::wide(&[a0], &[b0], 0);
        let [second] = Prime::<L, T, W, N>::wide(&[a1], &[b1], 0);
        let (a, b) = (self.c0.add(self.c1).factors(), other.c0.add(other.c1).factors());
        let [mut cross] = Prime::<L, T, W, N>::wide(&[a], &[b], 1);
        each!(N, |i| {
            cross[i] = cross[i].sub(first[i]).sub(second[i]);
            cross[i + N] = cross[i + N].sub(first[i + N]).sub(second[i + N]);
        });
        each!(N, |i| {
            let more = [Prime::<L, T, W, N>::column(i, 1), Prime::<L, T, W, N>::column(i + N, 1)];
            first[i] = first[i].sub(second[i]).add(more[0]);
            first[i + N] = first[i + N].sub(second[i + N]).add(more[1]);
        });
        // Between minus a half and one and a half times `p`.
        let [c1, c0] = if Prime::<L, T, W, N>::BY_TURNS {
            Prime::<L, T, W, N>::reduce([cross, first])
        } else {
            let ([c1], [c0]) =
                (Prime::<L, T, W, N>::reduce([cross]), Prime::<L, T, W, N>::reduce([first]));
            [c1, c0]
        };
        Self { c0: Prime::stored(c0), c1: Prime::carried(c1) }
    }

    /// `(c0 + c1)(c0 - c1)` and `2·c0·c1`.
    #[inline(always)]
    fn square_two(a: [&Self; 2]) -> [Self; 2] {
        let mut squares = [*a[0]; 2];
        each!(2, |k| {
            let Self { c0, c1 } = *a[k];
            let [real, other] = Prime::mul_two([&c0.add(c1), &c0.add(c0)], [&c0.sub(c1), &c1]);
            squares[k] = Self { c0: real, c1: other };
        });
        squares
    }

    #[inline(always)]
    fn negated_where(self, mask: L) -> Self {
        Self { c0: self.c0.negated_where(mask), c1: self.c1.negated_where(mask) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { c0: self.c0.sub(other.c0), c1: self.c1.sub(other.c1) }
    }

    #[inline(always)]
    fn sub_one(self, other: Self) -> Self {
        Self { c0: self.c0.sub_one(other.c0), c1: self.c1.sub_one(other.c1) }
    }

    #[inline(always)]
    fn sub_two(self, first: Self, second: Self) -> Self {
        Self { c0: self.c0.sub_two(first.c0, second.c0), c1: self.c1.sub_two(first.c1, second.c1) }
    }
}
