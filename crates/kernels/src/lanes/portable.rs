//! Lanes in portable code: the reference that the vector instructions must match.

use super::{LIMB, Lanes, MASK, Task, field::Element};

/// Eight words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortableLanes([u64; 8]);

impl PortableLanes {
    fn map(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| op(self.0[lane], other.0[lane])))
    }
}

impl Lanes for PortableLanes {
    type Operand = Self;

    fn enable<T: Task<Self>>(task: T) -> T::Output {
        task.run()
    }

    fn splat(value: u64) -> Self {
        Self([value; 8])
    }

    fn load(words: &[u64; 8]) -> Self {
        Self(*words)
    }

    fn load_half_words(words: &[u32; 8]) -> Self {
        Self(words.map(u64::from))
    }

    fn store(self, words: &mut [u64; 8]) {
        *words = self.0;
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        self.map(other, u64::wrapping_add)
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        self.map(other, u64::wrapping_sub)
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        self.map(other, |a, b| a & b)
    }

    #[inline(never)]
    fn or(self, other: Self) -> Self {
        self.map(other, |a, b| a | b)
    }

    #[inline(never)]
    fn shl(self, bits: u32) -> Self {
        Self(self.0.map(|word| word << bits))
    }

    #[inline(never)]
    fn shr(self, bits: u32) -> Self {
        Self(self.0.map(|word| word >> bits))
    }

    #[inline(never)]
    fn sar(self, bits: u32) -> Self {
        Self(self.0.map(|word| (word as i64 >> bits) as u64))
    }

    fn select(self, first: Self, second: Self) -> Self {
        self.and(first).or(Self(self.0.map(|word| !word)).and(second))
    }

    fn lookup(self, table: &[u64; 16]) -> Self {
        Self(self.0.map(|word| table[word as usize % 16]))
    }

    fn add_where_negative(self, sign: Self, number: u64) -> Self {
        let add = |(word, sign): (u64, u64)| word.wrapping_add(number * (sign >> 63));
        Self(std::array::from_fn(|lane| add((self.0[lane], sign.0[lane]))))
    }

    fn any_zero(self) -> bool {
        self.0.contains(&0)
    }

    fn transpose(rows: &mut [Self; 8]) {
        let given = *rows;
        *rows = std::array::from_fn(|row| Self(std::array::from_fn(|lane| given[lane].0[row])));
    }

    #[inline(never)]
    fn to_operand(self) -> Self {
        self.and(Self::splat(MASK))
    }

    fn biased_column(_low: u64, _high: u64, more: u64) -> Self {
        Self::splat(more)
    }

    // Out of line, because inlined copies would make the reference a hundred times larger than the
    // code it checks.
    #[inline(never)]
    fn mul_add(a: Self, b: Self, low: Self, high: Self) -> (Self, Self) {
        let product = |lane: usize| u128::from(a.0[lane]) * u128::from(b.0[lane]);
        let (lows, highs) = (
            Self(std::array::from_fn(|lane| product(lane) as u64 & MASK)),
            Self(std::array::from_fn(|lane| (product(lane) >> LIMB) as u64)),
        );
        (low.add(lows), high.add(highs))
    }

    fn mul_add_low(a: Self, b: Self, low: Self) -> Self {
        Self::mul_add(a, b, low, low).0
    }

    fn mul_add_high(a: Self, b: Self, high: Self) -> Self {
        Self::mul_add(a, b, high, high).1
    }

    #[inline(never)]
    fn mul_operand_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E::Operand; K],
    ) {
        *products = E::mul_interleaved(a, b).map(E::to_operand);
    }

    #[inline(never)]
    fn mul_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E; K],
    ) {
        *products = E::mul_interleaved(a, b);
    }

    #[inline(never)]
    fn square_into<E: Element<Self>, const K: usize>(
        a: [&E; K],
        operands: &mut [E::Operand; K],
        squares: &mut [E; K],
    ) {
        *squares = E::square_interleaved(a, operands);
    }

    fn increment_mul_low(self, by: Self) -> Self {
        self.map(by, |a, b| a.wrapping_add(1).wrapping_mul(b) & MASK)
    }
}
