//! Base-field elements in lanes, with lazy reduction. Their extension is in [`quadratic`](super::quadratic).
//!
//! An element is `N` limbs of 52 bits in 64-bit words, in Montgomery form with radix
//! `R' = 2^(52·N)`: `N` is 5 for BN254 and 8 for BLS12-381. `R'` is at least 84 times the modulus
//! `p`, so values grow to several times `p` before they are reduced, and nothing here compares with
//! `p`. Exact values are computed outside lanes
//! ([`PackedField::from_limbs`](super::packed_field::PackedField::from_limbs)).
//!
//! # Value kinds
//!
//! `B = 2^(52·(N-1))` is the weight of the top limb. A *lazy* value has limbs that are signed
//! 64-bit numbers with carries still pending. A *carried* value has limbs 0 to `N - 2` in
//! `[0, 2^52)`; its top limb has the sign of the value. `δ = p/50` bounds the error of a decision
//! that looks at an uncarried top limb: `2·POINT_CARRY_BOUND·B < δ`.
//!
//! | Kind | Value | Limbs | Made by | Accepted by |
//! |---|---|---|---|---|
//! | canonical | `[0, p)` | carried | [`from_words`](Element::from_words) of a key's points, [`splat`](Element::splat) | everything |
//! | operand | `[0, 8p)` | carried, in the multiplier's format | [`to_operand`](Element::to_operand), [`sub_to_operand`](Element::sub_to_operand), [`Lanes::mul_operand`] | [`mul_interleaved`](Element::mul_interleaved) |
//! | product | `[0, 3p)` | lazy | [`mul_interleaved`](Element::mul_interleaved), [`square_interleaved`](Element::square_interleaved) | `to_operand`, `square_interleaved`, first argument of `sub_lazy` and `sub_two_reduced` |
//! | x coordinate | `[0, 2p + p/6)` | carried | [`sub_two_reduced`](Element::sub_two_reduced) | `sub_to_operand`, `sub_two_reduced`, `to_words` |
//! | y coordinate | `[-δ, 3p + δ)` | lazy | [`sub_lazy`](Element::sub_lazy) | `sub_to_operand`, `sub_lazy`, `normalized` |
//! | normalized | `[0, 2p + δ)` | carried | [`normalized`](Element::normalized), [`from_words`](Element::from_words) of stored sums | `to_words`, as a y coordinate |
//! | negated | `[-δ, 2p]` | lazy | [`conditional_negate`](Element::conditional_negate) of a normalized value | as a y coordinate |
//!
//! The operand `c0 + c1` of an [extension element](super::quadratic) is the one exception: it is below `16p`, which is
//! still below `R'`.

use std::marker::PhantomData;

use ark_ff::MontConfig;

use super::{LIMB, Lanes, MASK, each};

/// Eight elements of a base field or of its quadratic extension. The ranges are those of the [table
/// of value kinds](self).
pub trait Element<L: Lanes>: Copy + Send + Sync + 'static {
    /// Eight elements as inputs of a multiplication: carried limbs in the format of the multiplier.
    type Operand: Copy + Send + Sync + 'static;

    /// 64-bit words of one element.
    const WORDS: usize;
    /// Limbs of one element.
    const LIMBS: usize;
    /// Independent products that [`Element::mul_interleaved`] should get at a time: as many as have
    /// their columns in registers.
    const INTERLEAVE: usize;

    /// Zero in all lanes.
    fn zero() -> Self;
    /// The same element in all lanes, from its limbs.
    fn splat(limbs: &[u64]) -> Self;
    /// Reads what [`Element::write`] wrote.
    fn read(limbs: &[[u64; 8]]) -> Self;
    /// Writes the limbs as they are, [`Element::LIMBS`] of them.
    fn write(self, limbs: &mut [[u64; 8]]);
    /// Converts 64-bit words, one column for each of the [`Element::WORDS`] words. Any words are
    /// accepted; the limbs are carried.
    fn from_words(words: &[L]) -> Self;
    /// Converts to 64-bit words, one column for each. The input must be carried and not negative,
    /// and fit [`Element::WORDS`] words.
    fn to_words(self, words: &mut [L]);
    /// Reduces a y coordinate in `[-δ, 3p + δ)` to a normalized value in `[0, 2p + δ)`. An input
    /// whose limbs are all zero gives limbs that are all zero, which stand for infinity.
    fn normalized(self) -> Self;
    /// Propagates carries and converts to the format of the multiplier. The input must be in
    /// `[0, R')`; the value does not change.
    fn to_operand(self) -> Self::Operand;
    /// Montgomery products `a·b/R'` modulo `p` of `K` independent pairs, their steps interleaved.
    /// Inputs in `[0, 8p)`, outputs in `[0, 3p)`, lazy.
    fn mul_interleaved<const K: usize>(a: [&Self::Operand; K], b: [&Self::Operand; K])
    -> [Self; K];
    /// Montgomery squares `a²/R'` modulo `p` of products in `[0, 3p)`; `operands` receives the
    /// inputs as operands. Outputs are lazy and below `2p + p/4`; for the slopes of point additions
    /// they are below `2p + p/6`.
    fn square_interleaved<const K: usize>(
        a: [&Self; K],
        operands: &mut [Self::Operand; K],
    ) -> [Self; K];
    /// `2p - self` in lanes where `mask` is all ones, `self` in lanes where it is zero. For a
    /// normalized input the result is in `[-δ, 2p]`, lazy.
    fn conditional_negate(self, mask: L) -> Self;
    /// `self - other + 4p` of two x or two y coordinates, as an operand: the result is in
    /// `(0, 8p)`, since each coordinate is in `[-δ, 3p + δ)`.
    fn sub_to_operand(self, other: Self) -> Self::Operand;
    /// `self - other`, plus `3p` where that is or may be negative. `self` is a product in `[0, 3p)`
    /// and `other` a y coordinate; the result is a y coordinate in `[-δ, 3p + δ)`, lazy.
    fn sub_lazy(self, other: Self) -> Self;
    /// `self - first - second`, reduced once. `self` is a square below `2p + p/6`, `first` and
    /// `second` are x coordinates; the result is an x coordinate in `[0, 2p + p/6)`, carried.
    fn sub_two_reduced(self, first: Self, second: Self) -> Self;
}

/// Strict bound on the carry that the lower limbs of a value here can still move into the top limb,
/// in either direction.
///
/// The carry of one product is below `2^5`. Each addition of points adds one product's pending
/// carries to the y coordinate, and a bucket's sum is less than 32 additions deep.
const POINT_CARRY_BOUND: u64 = 1 << 10;

/// Splits `W` words of 64 bits into `N` limbs of 52 bits.
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

/// Joins `N` limbs in `[0, 2^52)` into `W` words of 64 bits; bits above the last word are dropped.
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

/// Accumulator columns of a double-width product, before carries: `2N` are used.
type Columns<L> = [L; 16];

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Prime<L, T, W, N> {
    pub(super) const P: [u64; N] = words_to_limbs(T::MODULUS.0);
    /// `-1/p` modulo `2^52`; arkworks has it modulo `2^64`.
    const NEGATIVE_INVERSE: u64 = T::INV & MASK;

    /// `k` times the modulus, for small `k`.
    pub(super) const fn multiple_of_p(k: u64) -> [u64; N] {
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

    /// Propagates carries and converts each limb to an operand, which takes its low 52 bits. The
    /// value must be in `[0, R')`, so that nothing is lost above the top limb.
    #[inline(always)]
    pub(super) fn carried_operand(&self) -> [L::Operand; N] {
        let (mut limb, mut operands) = (self.0[0], [self.0[0].to_operand(); N]);
        each!(N, |i| {
            if i > 0 {
                limb = self.0[i].add(limb.sar(LIMB));
                operands[i] = limb.to_operand();
            }
        });
        operands
    }

    /// Number of low halves of an `N` by `N` limb product that fall into a column. The high halves
    /// in a column are as many as the low halves in the column before.
    pub(super) const fn low_halves(column: usize) -> u64 {
        if column < N { column as u64 + 1 } else { (2 * N).saturating_sub(column + 1) as u64 }
    }

    /// Number of squares of single limbs whose low halves fall into a column: 0 or 1.
    const fn square_halves(column: usize) -> u64 {
        (column.is_multiple_of(2) && column / 2 < N) as u64
    }

    /// Initial value of an accumulator column.
    ///
    /// - `low(c)`: low halves of products that column `c` will receive. The same products send as
    ///   many high halves into column `c + 1`.
    /// - `reductions`: [Montgomery reductions](Self::montgomery_reduce) of the columns: 0 for
    ///   columns that are only added to others, 1 for columns that are reduced, `u64::MAX` (that
    ///   is, -1) for columns that are subtracted from others that are reduced, so that the initial
    ///   values cancel.
    /// - `more`: multiple of `p` by which each reduced value is raised.
    ///
    /// For a reduction, columns below `N` start `2^52 - 1` above their sum; see
    /// [`Self::montgomery_reduce`].
    #[inline(always)]
    fn initial_column(column: usize, low: impl Fn(usize) -> u64, reductions: u64, more: u64) -> L {
        let take = |column: usize| {
            low(column).wrapping_add(reductions.wrapping_mul(Self::low_halves(column)))
        };
        let high = if column == 0 { 0 } else { take(column - 1) };
        if column < N {
            // A reduction does not add the low half that clears the limb.
            return L::biased_column(
                take(column).wrapping_sub(reductions),
                high,
                reductions.wrapping_mul(MASK),
            );
        }
        L::biased_column(take(column), high, reductions.wrapping_mul(more * Self::P[column - N]))
    }

    /// Schoolbook products of `K` independent pairs in columns that [start](Self::initial_column)
    /// for the given `reductions`. The `K` products are interleaved, because the steps of one
    /// product depend on each other.
    ///
    /// Inputs: limbs in `[0, 2^52)`. A column receives at most `2N - 1` halves below `2^52`, so
    /// products are below `2^56`, and the sums and differences that follow fit 64 signed bits.
    #[inline(always)]
    pub(super) fn column_products<const K: usize>(
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

    /// Squares of `K` independent elements, in columns that start for one reduction. Products of
    /// different limbs are computed once and doubled. The bounds are those of
    /// [`Self::column_products`].
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

    /// Montgomery reduction: adds a multiple `m·p` that makes the `N` low limbs zero, and divides
    /// by `R'`. Product scanning, one limb of `m` at a time (Montgomery, "Modular multiplication
    /// without trial division", 1985).
    ///
    /// - Input: columns of a value `v`, `0 ≤ v`, that [start](Self::initial_column) for one
    ///   reduction.
    /// - Output: `(v + m·p)/R'` with `m < R'`, so below `v/R' + p`, lazy. For `v < 64p²` that is
    ///   below `2p`, as `R' ≥ 84p`.
    /// - Overflow: a column receives at most `2N - 1` halves below `2^52` from `m·p` beside those
    ///   of `v`, and a carry. With `N ≤ 8` the sum stays below `2^59` in absolute value.
    ///
    /// Columns below `N` hold `2^52 - 1` more than their value. Adding the low half of `m·p` would
    /// make a column a multiple of `2^52`, so its carry is the value divided by `2^52`, rounded up;
    /// the extra `2^52 - 1` makes the arithmetic shift round up, and the low half is never added.
    /// For the same reason `m` is computed from the column plus one.
    #[inline(always)]
    pub(super) fn montgomery_reduce<const K: usize>(mut columns: [Columns<L>; K]) -> [Self; K] {
        let inverse = L::splat(Self::NEGATIVE_INVERSE).to_operand();
        each!(N, |i| {
            let mut multiples = [inverse; K];
            each!(K, |k| multiples[k] = columns[k][i].increment_mul_low(inverse));
            each!(K, |k| columns[k][i + 1] = columns[k][i + 1].add(columns[k][i].sar(LIMB)));
            each!(N, |j| each!(K, |k| {
                let p_limb = L::splat(Self::P[j]).to_operand();
                if j == 0 {
                    columns[k][i + 1] = L::mul_add_high(multiples[k], p_limb, columns[k][i + 1]);
                } else {
                    (columns[k][i + j], columns[k][i + j + 1]) =
                        L::mul_add(multiples[k], p_limb, columns[k][i + j], columns[k][i + j + 1]);
                }
            }));
        });
        let mut reduced = [Self::new([L::splat(0); N]); K];
        each!(N, |i| each!(K, |k| reduced[k].0[i] = columns[k][N + i]));
        reduced
    }

    /// Propagates carries. Limbs 0 to `N - 2` of the result are in `[0, 2^52)`; the top limb has
    /// the sign of the value. Limbs may have any sign; their sums with a carry must fit 64 signed
    /// bits.
    #[inline(always)]
    pub(super) fn carry_limbs(mut limbs: [L; N]) -> Self {
        let mask = L::splat(MASK);
        each!(N - 1, |i| {
            limbs[i + 1] = limbs[i + 1].add(limbs[i].sar(LIMB));
            limbs[i] = limbs[i].and(mask);
        });
        Self::new(limbs)
    }

    /// `floor(log2(top limb of p))`: shifting a top limb right by it gives the value in units of
    /// `p/2` to `p`.
    pub(super) const TOP_SHIFT: u32 = Self::P[N - 1].ilog2();

    /// Limbs of the multiple of `p` to add, by the top limb shifted by [`Self::TOP_SHIFT`] and
    /// taken modulo 16. Indices 0 to 7 are values that are not negative: nothing is added. Index
    /// `16 - k` is a value of at least `-k·2^TOP_SHIFT·B`: the least multiple of `p` that makes it
    /// positive is added.
    const LIFT_TABLE: [[u64; 16]; N] = {
        let (mut lifts, mut sixteenth) = ([[0; 16]; N], 8u64);
        while sixteenth < 16 {
            let lack = (16 - sixteenth) << Self::TOP_SHIFT;
            let multiple = Self::multiple_of_p(lack.div_ceil(Self::P[N - 1]));
            let mut i = 0;
            while i < N {
                lifts[i][sixteenth as usize] = multiple[i];
                i += 1;
            }
            sixteenth += 1;
        }
        lifts
    };

    /// Reduces a value in `[-13p/3, 2p + p/6)` to `[0, 2p + p/6)` by one table look-up on the top
    /// limb, and propagates carries.
    ///
    /// The top limb is taken before carries and less `POINT_CARRY_BOUND`, so a value that is not
    /// looked up as negative is not negative. A negative value is at least `-k·2^TOP_SHIFT·B` and
    /// gets the least multiple of `p` that is as large by its top limb; the result is below
    /// `p + 2^TOP_SHIFT·B + δ`, which is at most `2p + δ`. The index is unique because
    /// `8·2^TOP_SHIFT·B` exceeds `13p/3` in both fields.
    #[inline(always)]
    fn reduced_once(mut limbs: [L; N]) -> Self {
        let (lifts, high) = (
            const { &Self::LIFT_TABLE },
            limbs[N - 1].sub(L::splat(POINT_CARRY_BOUND)).sar(Self::TOP_SHIFT),
        );
        each!(N, |i| limbs[i] = limbs[i].add(high.lookup(&lifts[i])));
        Self::carry_limbs(limbs)
    }

    /// `self - other + 4p`, lazy: positive where `other` is less than `self + 4p`.
    #[inline(always)]
    pub(super) fn sub_plus_4p(mut self, other: Self) -> Self {
        let four = const { Self::multiple_of_p(4) };
        each!(N, |i| self.0[i] = self.0[i].sub(other.0[i]).add(L::splat(four[i])));
        self
    }

    #[inline(always)]
    pub(super) fn add_lazy(mut self, other: Self) -> Self {
        each!(N, |i| self.0[i] = self.0[i].add(other.0[i]));
        self
    }
}

impl<L: Lanes, T: MontConfig<W>, const W: usize, const N: usize> Element<L> for Prime<L, T, W, N> {
    type Operand = [L::Operand; N];

    const WORDS: usize = W;
    const LIMBS: usize = N;
    // The columns of two products with more limbs do not fit the 32 vector registers.
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
        let (one, two) = (const { Self::multiple_of_p(1) }, const { Self::multiple_of_p(2) });
        // Once carries are propagated, the top limb has the sign of the value.
        self = Self::carry_limbs(self.0);
        let high = self.0[N - 1];
        each!(N, |i| self.0[i] = self.0[i].add_where_negative(high, one[i]));
        each!(N, |i| self.0[i] = self.0[i].sub(L::splat(two[i])));
        let high = self.0[N - 1].sub(L::splat(POINT_CARRY_BOUND));
        // Zero returns to limbs that are all zero, which stand for infinity.
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
        operands: &mut [Self::Operand; K],
    ) -> [Self; K] {
        each!(K, |k| operands[k] = a[k].carried_operand());
        Self::montgomery_reduce(Self::column_squares(operands.each_ref()))
    }

    #[inline(always)]
    fn conditional_negate(mut self, mask: L) -> Self {
        let two = const { Self::multiple_of_p(2) };
        each!(N, |i| self.0[i] = mask.select(L::splat(two[i]).sub(self.0[i]), self.0[i]));
        self
    }

    #[inline(always)]
    fn sub_to_operand(self, other: Self) -> Self::Operand {
        self.sub_plus_4p(other).carried_operand()
    }

    #[inline(always)]
    fn sub_lazy(self, other: Self) -> Self {
        let three = const { Self::multiple_of_p(3) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::portable::PortableLanes;

    /// The inequalities that the documented ranges depend on, in units of the top limb's weight.
    fn bounds_hold<T: MontConfig<W>, const W: usize, const N: usize>() {
        let p_top = Prime::<PortableLanes, T, W, N>::P[N - 1];
        assert!(84 * (p_top + 1) <= 1 << LIMB, "R' is at least 84p");
        assert!(
            50 * 2 * POINT_CARRY_BOUND < p_top,
            "an uncarried top limb is off by less than p/50"
        );
        let unit = 1 << Prime::<PortableLanes, T, W, N>::TOP_SHIFT;
        assert!(13 * (p_top + 1) <= 3 * (8 * unit - 2 * POINT_CARRY_BOUND), "-13p/3 has an index");
    }

    #[test]
    fn documented_bounds_hold() {
        bounds_hold::<ark_bn254::FqConfig, 4, 5>();
        bounds_hold::<ark_bls12_381::FqConfig, 6, 8>();
    }
}
