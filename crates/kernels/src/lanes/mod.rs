//! Eight field elements side by side, in 52-bit limbs.
//!
//! A [`Lanes`] type holds eight 64-bit numbers and multiplies 52-bit ones: that is all a processor has
//! to offer. Everything above it (field elements, extension, additions of points) is written once and
//! runs on each of them:
//!
//! - [`ifma`]: AVX-512 with integer multiply-add of 52-bit numbers.
//! - [`fma`]: AVX-512 without it. The product of two 52-bit numbers comes from
//!   double-precision fused multiply-adds: rounding toward zero after adding `2^104` leaves the high
//!   half in the significand, and a second one leaves the low half exactly.
//! - [`portable`]: plain 64-bit words, which say what the others must equal.
//!
//! Limbs of 52 bits leave 12 bits free in each word, so that products are summed by columns and
//! carries are taken once at the end.

#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod field;
#[cfg(target_arch = "x86_64")]
pub(crate) mod fma;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
pub(crate) mod ntt_field;
pub(crate) mod packed_field;
#[cfg(test)]
pub(crate) mod portable;
pub(crate) mod shoup;

use self::field::Element;

/// Does something for each index below `$count`, written out: an index that the compiler does not see
/// through would put the array it indexes into memory.
macro_rules! each {
    ($count:expr, |$i:ident| $body:expr) => {
        $crate::lanes::each!(@ $count, $i, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $count:expr, $i:ident, $body:expr, $($index:literal)*) => {
        $(if $index < $count { let $i = $index; $body; })*
    };
}
pub(crate) use each;

/// Bits of a limb.
pub(crate) const LIMB: u32 = 52;

/// The largest limb.
pub(crate) const MASK: u64 = (1 << LIMB) - 1;

/// Work that is done in lanes.
pub trait Task<L> {
    /// What comes of it.
    type Output;
    /// Does it. To be inlined always: a function of its own would lack the instructions.
    fn run(self) -> Self::Output;
}

/// Eight 64-bit numbers; sums and differences wrap.
///
/// Where a type stands for instructions that not every processor has, its other methods may be called
/// only below [`Lanes::enable`], and that only where the processor has them.
pub trait Lanes: Copy + Send + Sync + 'static {
    /// A number of 52 bits, ready to be multiplied.
    type Operand: Copy + Send + Sync + 'static;

    /// Does work below a function that enables the instructions; the processor must have them.
    fn enable<T: Task<Self>>(task: T) -> T::Output;
    /// The same number in all lanes.
    fn splat(value: u64) -> Self;
    /// Reads one number for each lane.
    fn load(words: &[u64; 8]) -> Self;
    /// Reads one number of half a word for each lane.
    fn load_half_words(words: &[u32; 8]) -> Self;
    /// Writes each lane's number.
    fn store(self, words: &mut [u64; 8]);
    /// Lane by lane.
    fn add(self, other: Self) -> Self;
    /// Lane by lane.
    fn sub(self, other: Self) -> Self;
    /// Lane by lane.
    fn and(self, other: Self) -> Self;
    /// Lane by lane.
    fn or(self, other: Self) -> Self;
    /// Shifts left.
    fn shl(self, bits: u32) -> Self;
    /// Shifts right and fills with zeros.
    fn shr(self, bits: u32) -> Self;
    /// Shifts right and fills with the sign.
    fn sar(self, bits: u32) -> Self;
    /// All ones in lanes that are negative, zero in the others.
    #[inline(always)]
    fn sign_mask(self) -> Self {
        self.sar(63)
    }
    /// Of each bit that is set the first's, of the others the second's.
    fn select(self, first: Self, second: Self) -> Self;
    /// The entry of a table that the lane's lowest four bits name.
    fn lookup(self, table: &[u64; 16]) -> Self;
    /// Adds a number in lanes where another is negative.
    fn add_where_negative(self, sign: Self, number: u64) -> Self;
    /// Whether any lane is zero.
    fn any_zero(self) -> bool;
    /// Takes row `i` of eight rows as lane `i` of eight columns.
    fn transpose(rows: &mut [Self; 8]);

    /// Makes the number's low 52 bits a factor.
    fn to_operand(self) -> Self::Operand;
    /// What a column starts from that is to hold a number more than the so many low and high halves of products
    /// that it will take.
    fn biased_column(low: u64, high: u64, more: u64) -> Self;
    /// Adds the low 52 bits of a product to one column and the high 52 bits to another.
    fn mul_add(a: Self::Operand, b: Self::Operand, low: Self, high: Self) -> (Self, Self);
    /// Adds the low 52 bits alone.
    fn mul_add_low(a: Self::Operand, b: Self::Operand, low: Self) -> Self;
    /// Adds the high 52 bits alone.
    fn mul_add_high(a: Self::Operand, b: Self::Operand, high: Self) -> Self;
    /// [`Element::mul_interleaved`] made factors, out of line: a dozen copies in one loop would not fit the cache that
    /// feeds the processor's decoder. Into places of the caller's, for what is returned is copied there.
    fn mul_operand_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E::Operand; K],
    );
    /// [`Element::mul_interleaved`], out of line.
    fn mul_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E; K],
    );
    /// [`Element::square_interleaved`], out of line.
    fn square_into<E: Element<Self>, const K: usize>(
        a: [&E; K],
        factors: &mut [E::Operand; K],
        squares: &mut [E; K],
    );
    /// What [`Lanes::mul_operand_into`] gives.
    #[inline(always)]
    fn mul_operand<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
    ) -> [E::Operand; K] {
        let mut products = [*a[0]; K];
        Self::mul_operand_into::<E, K>(a, b, &mut products);
        products
    }
    /// What [`Lanes::mul_into`] gives.
    #[inline(always)]
    fn mul<E: Element<Self>, const K: usize>(a: [&E::Operand; K], b: [&E::Operand; K]) -> [E; K] {
        let mut products = [E::zero(); K];
        Self::mul_into(a, b, &mut products);
        products
    }
    /// The low 52 bits of the product of the next number with a factor, as a factor.
    fn increment_mul_low(self, by: Self::Operand) -> Self::Operand;
}
