//! SIMD arithmetic: eight field elements at a time, in 52-bit limbs.
//!
//! A [`Lanes`] type is a vector of eight 64-bit numbers with a multiplication of 52-bit numbers.
//! Field elements, their quadratic extension and point additions are written once above it and run
//! on each implementation:
//!
//! - [`ifma`]: AVX-512 with the integer multiply-add of 52-bit numbers (IFMA).
//! - [`fma`]: AVX-512 without IFMA; the 52-bit product comes from double-precision fused
//!   multiply-adds.
//! - `portable`: plain 64-bit words, the reference in tests.
//!
//! A 52-bit limb leaves 12 bits of a word free, so products are added up by columns and carries are
//! propagated once at the end. The value ranges are tabulated in [`field`] for base fields and in
//! [`ntt_field`] for scalar fields.

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
pub(crate) mod quadratic;
pub(crate) mod shoup;

use self::field::Element;

/// Unrolls a loop: evaluates the body for each index below `$count`, at most 8. With a loop counter
/// the compiler may not see constant indices, and then keeps the indexed array in memory instead of
/// registers.
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

/// `2^52 - 1`, the largest limb.
pub(crate) const MASK: u64 = (1 << LIMB) - 1;

/// A computation in lanes, for [`Lanes::enable`].
pub trait Task<L> {
    /// The result.
    type Output;
    /// Runs the computation. Implementations must be `#[inline(always)]`: a separate function would
    /// be compiled without the processor features.
    fn run(self) -> Self::Output;
}

/// A vector of eight 64-bit numbers with wrapping arithmetic.
///
/// A type may stand for instructions that not every processor has. Its methods other than
/// [`Lanes::enable`] may be called only inside [`Lanes::enable`], and that only on a processor that
/// has the instructions.
pub trait Lanes: Copy + Send + Sync + 'static {
    /// A vector of 52-bit numbers in the multiplier's format.
    type Operand: Copy + Send + Sync + 'static;

    /// Runs a task inside a function compiled with the processor features. The processor must have
    /// them.
    fn enable<T: Task<Self>>(task: T) -> T::Output;
    /// The same number in all lanes.
    fn splat(value: u64) -> Self;
    /// Loads one number for each lane.
    fn load(words: &[u64; 8]) -> Self;
    /// Loads one 32-bit number for each lane and extends it with zeros.
    fn load_half_words(words: &[u32; 8]) -> Self;
    /// Stores each lane's number.
    fn store(self, words: &mut [u64; 8]);
    /// Adds lane by lane, modulo `2^64`.
    fn add(self, other: Self) -> Self;
    /// Subtracts lane by lane, modulo `2^64`.
    fn sub(self, other: Self) -> Self;
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// Shifts each lane left.
    fn shl(self, bits: u32) -> Self;
    /// Logical right shift of each lane.
    fn shr(self, bits: u32) -> Self;
    /// Arithmetic right shift of each lane.
    fn sar(self, bits: u32) -> Self;
    /// All ones in lanes that are negative as signed numbers, zero in the others.
    #[inline(always)]
    fn sign_mask(self) -> Self {
        self.sar(63)
    }
    /// Bitwise selection by this mask: bits of `first` where the mask has ones, bits of `second`
    /// where it has zeros.
    fn select(self, first: Self, second: Self) -> Self;
    /// Looks up each lane's lowest four bits in a table.
    fn lookup(self, table: &[u64; 16]) -> Self;
    /// Adds `number` in lanes where `sign` is negative as a signed number.
    fn add_where_negative(self, sign: Self, number: u64) -> Self;
    /// Whether any lane is zero.
    fn any_zero(self) -> bool;
    /// Transposes an 8 by 8 matrix: lane `i` of row `j` becomes lane `j` of row `i`.
    fn transpose(rows: &mut [Self; 8]);

    /// Converts the low 52 bits of each lane to the multiplier's format.
    fn to_operand(self) -> Self::Operand;
    /// Initial value of an accumulator column that will receive `low` low halves and `high` high
    /// halves of products and must total `more` above their sum. Implementations whose products
    /// carry extra bits (the exponents of floating-point numbers) subtract those bits here, modulo
    /// `2^64`.
    fn biased_column(low: u64, high: u64, more: u64) -> Self;
    /// Adds the low 52 bits of `a·b` to `low` and the high 52 bits to `high`.
    fn mul_add(a: Self::Operand, b: Self::Operand, low: Self, high: Self) -> (Self, Self);
    /// Adds the low 52 bits of `a·b` to `low`.
    fn mul_add_low(a: Self::Operand, b: Self::Operand, low: Self) -> Self;
    /// Adds the high 52 bits of `a·b` to `high`.
    fn mul_add_high(a: Self::Operand, b: Self::Operand, high: Self) -> Self;
    /// [`Element::mul_interleaved`] with products converted to operands, out of line: a dozen
    /// inlined copies in one loop would exceed the processor's cache of decoded instructions. The
    /// results go to memory of the caller, since a returned array would be copied there.
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
        operands: &mut [E::Operand; K],
        squares: &mut [E; K],
    );
    /// [`Lanes::mul_operand_into`] by value.
    #[inline(always)]
    fn mul_operand<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
    ) -> [E::Operand; K] {
        let mut products = [*a[0]; K];
        Self::mul_operand_into::<E, K>(a, b, &mut products);
        products
    }
    /// [`Lanes::mul_into`] by value.
    #[inline(always)]
    fn mul<E: Element<Self>, const K: usize>(a: [&E::Operand; K], b: [&E::Operand; K]) -> [E; K] {
        let mut products = [E::zero(); K];
        Self::mul_into(a, b, &mut products);
        products
    }
    /// The low 52 bits of `(self + 1)·by`, in the multiplier's format.
    fn increment_mul_low(self, by: Self::Operand) -> Self::Operand;
}
