//! Field elements in lanes: 52-bit limbs, Montgomery form with `R' = 2^(52·limbs)`.
//!
//! Elements are kept loosely, for `R'` is at least 84 times `p`: a stored element is below `2p` and a
//! little (`2^-13` of it), a product of factors below `6p` is below `2p`. A difference is folded back by
//! looking at its highest limb only, before its carries are taken; the little is what that look misses.
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
    /// Two products that do not depend on each other. A product is a chain of steps that wait for each
    /// other, too long for the processor to look past: another one in between fills the waits, where
    /// there are registers for both.
    #[inline(always)]
    fn mul_two(a: [&Self; 2], b: [&Self; 2]) -> [Self; 2] {
        [a[0].mul(*b[0]), a[1].mul(*b[1])]
    }
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
    const P: [u64; N] = split(T::MODULUS.0);
    /// `-1/p` modulo `2^52`; arkworks has it modulo `2^64`.
    const NEGATIVE_INVERSE: u64 = T::INV & MASK;
    /// What an unfinished highest limb can be wrong by.
    const SLACK: u64 = 128;

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
    const fn halves(column: usize) -> u64 {
        if column < N { column as u64 + 1 } else { (2 * N).saturating_sub(column + 1) as u64 }
    }

    /// What a column starts from that will take so many products' halves.
    #[inline(always)]
    fn column(column: usize, products: u64) -> L {
        let high = if column == 0 { 0 } else { Self::halves(column - 1) };
        L::column(products * Self::halves(column), products * high)
    }

    /// The product, to which `more` products will be added.
    #[inline(always)]
    fn wide(a: &[L::Factor; N], b: &[L::Factor; N], more: u64) -> Columns<L> {
        let mut columns = [L::splat(0); 16];
        each!(N, |i| {
            columns[i] = Self::column(i, 1 + more);
            columns[i + N] = Self::column(i + N, 1 + more);
        });
        Self::accumulate(&mut columns, a, b);
        columns
    }

    #[inline(always)]
    fn accumulate(columns: &mut Columns<L>, a: &[L::Factor; N], b: &[L::Factor; N]) {
        each!(N, |i| each!(N, |j| {
            (columns[i + j], columns[i + j + 1]) =
                L::mul_add(a[i], b[j], columns[i + j], columns[i + j + 1]);
        }));
    }

    /// Divides by `R'`, adding multiples of `p` that clear the low limbs. The columns have been started
    /// for one more product; limbs come out before their carries.
    #[inline(always)]
    fn reduce(mut columns: Columns<L>) -> [L; N] {
        let inverse = L::splat(Self::NEGATIVE_INVERSE).factor();
        each!(N, |i| {
            let multiple = columns[i].mul_low(inverse);
            each!(N, |j| {
                let factor = L::splat(Self::P[j]).factor();
                (columns[i + j], columns[i + j + 1]) =
                    L::mul_add(multiple, factor, columns[i + j], columns[i + j + 1]);
            });
            columns[i + 1] = columns[i + 1].add(columns[i].sar(LIMB));
        });
        let mut limbs = [columns[N]; N];
        each!(N, |i| limbs[i] = columns[N + i]);
        limbs
    }

    /// [`Prime::accumulate`] of two products by turns.
    #[inline(always)]
    fn accumulate_two(
        columns: &mut [Columns<L>; 2],
        a: [&[L::Factor; N]; 2],
        b: [&[L::Factor; N]; 2],
    ) {
        each!(N, |i| each!(N, |j| each!(2, |k| {
            (columns[k][i + j], columns[k][i + j + 1]) =
                L::mul_add(a[k][i], b[k][j], columns[k][i + j], columns[k][i + j + 1]);
        })));
    }

    /// [`Prime::reduce`] of two products by turns.
    #[inline(always)]
    fn reduce_two(mut columns: [Columns<L>; 2]) -> [[L; N]; 2] {
        let inverse = L::splat(Self::NEGATIVE_INVERSE).factor();
        each!(N, |i| {
            let multiple = [columns[0][i].mul_low(inverse), columns[1][i].mul_low(inverse)];
            each!(N, |j| each!(2, |k| {
                let factor = L::splat(Self::P[j]).factor();
                (columns[k][i + j], columns[k][i + j + 1]) =
                    L::mul_add(multiple[k], factor, columns[k][i + j], columns[k][i + j + 1]);
            }));
            each!(2, |k| columns[k][i + 1] = columns[k][i + 1].add(columns[k][i].sar(LIMB)));
        });
        let mut limbs = [[columns[0][N]; N]; 2];
        each!(N, |i| each!(2, |k| limbs[k][i] = columns[k][N + i]));
        limbs
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

    /// Adds `k·p` in lanes whose highest limb is below `limit`.
    #[inline(always)]
    fn fold(limbs: &mut [L; N], k: u64, limit: i64) {
        let multiple =
            const { [Self::multiple(0), Self::multiple(1), Self::multiple(2), Self::multiple(3)] };
        let below = limbs[N - 1].sub(L::splat(limit as u64)).sar(63);
        each!(N, |i| limbs[i] = limbs[i].add(below.and(L::splat(multiple[k as usize][i]))));
    }

    /// Brings a value between `-4p` (and twice a little less) and `2p` to between 0 and `2p` and a little.
    #[inline(always)]
    fn stored(mut limbs: [L; N]) -> Self {
        let most = Self::P[N - 1] as i64;
        Self::fold(&mut limbs, 3, -most * 3 / 2);
        Self::fold(&mut limbs, 2, 4);
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
        Self::carried(Self::reduce(Self::wide(&self.factors(), &other.factors(), 1)))
    }

    #[inline(always)]
    fn mul_two(a: [&Self; 2], b: [&Self; 2]) -> [Self; 2] {
        // More limbs have more columns than there are registers.
        if N > 5 {
            return [a[0].mul(*b[0]), a[1].mul(*b[1])];
        }
        let mut columns = [[L::splat(0); 16]; 2];
        each!(N, |i| each!(2, |k| {
            columns[k][i] = Self::column(i, 2);
            columns[k][i + N] = Self::column(i + N, 2);
        }));
        let (a, b) = ([a[0].factors(), a[1].factors()], [b[0].factors(), b[1].factors()]);
        Self::accumulate_two(&mut columns, [&a[0], &a[1]], [&b[0], &b[1]]);
        let [first, second] = Self::reduce_two(columns);
        [Self::carried(first), Self::carried(second)]
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
        let mut first = Prime::<L, T, W, N>::wide(&a0, &b0, 0);
        let second = Prime::<L, T, W, N>::wide(&a1, &b1, 0);
        let (a, b) = (self.c0.add(self.c1).factors(), other.c0.add(other.c1).factors());
        let mut cross = Prime::<L, T, W, N>::wide(&a, &b, 1);
        each!(N, |i| {
            cross[i] = cross[i].sub(first[i]).sub(second[i]);
            cross[i + N] = cross[i + N].sub(first[i + N]).sub(second[i + N]);
        });
        let c1 = Prime::carried(Prime::<L, T, W, N>::reduce(cross));
        each!(N, |i| {
            let more = [Prime::<L, T, W, N>::column(i, 1), Prime::<L, T, W, N>::column(i + N, 1)];
            first[i] = first[i].sub(second[i]).add(more[0]);
            first[i + N] = first[i + N].sub(second[i + N]).add(more[1]);
        });
        // Between minus a half and one and a half times `p`.
        let mut c0 = Prime::<L, T, W, N>::reduce(first);
        Prime::<L, T, W, N>::fold(&mut c0, 1, Prime::<L, T, W, N>::SLACK as i64);
        Self { c0: Prime::carried(c0), c1 }
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
