//! Lanes on AVX-512: everything except the multiplication, which [`MultiplyAdd`] provides.

use std::{arch::x86_64::*, marker::PhantomData};

use super::{Lanes, Task, field::Element};

/// Multiplication of vectors of 52-bit numbers.
pub(crate) trait MultiplyAdd: Copy + Send + Sync + 'static {
    /// See [`Lanes::Operand`].
    type Operand: Copy + Send + Sync + 'static;

    /// See [`Lanes::enable`].
    fn enable<T: Task<Avx512<Self>>>(task: T) -> T::Output;
    /// See [`Lanes::mul_operand_into`].
    fn mul_operand_into<E: Element<Avx512<Self>>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E::Operand; K],
    );
    /// See [`Lanes::mul_into`].
    fn mul_into<E: Element<Avx512<Self>>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E; K],
    );
    /// See [`Lanes::square_into`].
    fn square_into<E: Element<Avx512<Self>>, const K: usize>(
        a: [&E; K],
        operands: &mut [E::Operand; K],
        squares: &mut [E; K],
    );
    /// See [`Lanes::to_operand`].
    fn to_operand(limb: __m512i) -> Self::Operand;
    /// See [`Lanes::biased_column`].
    fn biased_column(low: u64, high: u64, more: u64) -> u64;
    /// See [`Lanes::mul_add`].
    fn mul_add(
        a: Self::Operand,
        b: Self::Operand,
        low: __m512i,
        high: __m512i,
    ) -> (__m512i, __m512i);
    /// See [`Lanes::mul_add_low`].
    fn mul_add_low(a: Self::Operand, b: Self::Operand, low: __m512i) -> __m512i;
    /// See [`Lanes::mul_add_high`].
    fn mul_add_high(a: Self::Operand, b: Self::Operand, high: __m512i) -> __m512i;
    /// See [`Lanes::increment_mul_low`].
    fn increment_mul_low(limb: __m512i, by: Self::Operand) -> Self::Operand;
}

/// Defines the out-of-line functions of [`MultiplyAdd`] for a lane type and its processor features.
macro_rules! out_of_line {
    ($lanes:ty, $features:literal) => {
        #[inline(always)]
        fn mul_operand_into<E: Element<$lanes>, const K: usize>(
            a: [&E::Operand; K],
            b: [&E::Operand; K],
            products: &mut [E::Operand; K],
        ) {
            #[target_feature(enable = $features)]
            #[inline(never)]
            fn mul_operand_into<E: Element<$lanes>, const K: usize>(
                a: [&E::Operand; K],
                b: [&E::Operand; K],
                products: &mut [E::Operand; K],
            ) {
                let made = E::mul_interleaved(a, b);
                $crate::lanes::each!(K, |k| products[k] = made[k].to_operand());
            }
            // SAFETY: this runs only inside `MultiplyAdd::enable`, which enables the same processor
            // features.
            unsafe { mul_operand_into::<E, K>(a, b, products) }
        }

        #[inline(always)]
        fn mul_into<E: Element<$lanes>, const K: usize>(
            a: [&E::Operand; K],
            b: [&E::Operand; K],
            products: &mut [E; K],
        ) {
            #[target_feature(enable = $features)]
            #[inline(never)]
            fn mul_into<E: Element<$lanes>, const K: usize>(
                a: [&E::Operand; K],
                b: [&E::Operand; K],
                products: &mut [E; K],
            ) {
                *products = E::mul_interleaved(a, b);
            }
            // SAFETY: this runs only inside `MultiplyAdd::enable`, which enables the same processor
            // features.
            unsafe { mul_into::<E, K>(a, b, products) }
        }

        #[inline(always)]
        fn square_into<E: Element<$lanes>, const K: usize>(
            a: [&E; K],
            operands: &mut [E::Operand; K],
            squares: &mut [E; K],
        ) {
            #[target_feature(enable = $features)]
            #[inline(never)]
            fn square_into<E: Element<$lanes>, const K: usize>(
                a: [&E; K],
                operands: &mut [E::Operand; K],
                squares: &mut [E; K],
            ) {
                *squares = E::square_interleaved(a, operands);
            }
            // SAFETY: this runs only inside `MultiplyAdd::enable`, which enables the same processor
            // features.
            unsafe { square_into::<E, K>(a, operands, squares) }
        }
    };
}
pub(super) use out_of_line;

/// Eight 64-bit words in a vector register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<M>(__m512i, PhantomData<M>);

impl<M> Avx512<M> {
    #[inline(always)]
    fn new(vector: __m512i) -> Self {
        Self(vector, PhantomData)
    }
}

impl<M: MultiplyAdd> Lanes for Avx512<M> {
    type Operand = M::Operand;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_set1_epi64(value as i64) })
    }

    #[inline(always)]
    fn load(words: &[u64; 8]) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`. The array is 64 bytes
        // long, as is the vector that is read; the load needs no alignment.
        Self::new(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn load_half_words(words: &[u32; 8]) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`. The array is 32 bytes
        // long, as is the half vector that is read.
        Self::new(unsafe { _mm512_cvtepu32_epi64(_mm256_loadu_si256(words.as_ptr().cast())) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64; 8]) {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`. The array is 64 bytes
        // long, as is the vector that is written; the store needs no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn shl(self, bits: u32) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_sllv_epi64(self.0, _mm512_set1_epi64(bits.into())) })
    }

    #[inline(always)]
    fn shr(self, bits: u32) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_srlv_epi64(self.0, _mm512_set1_epi64(bits.into())) })
    }

    #[inline(always)]
    fn sar(self, bits: u32) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        Self::new(unsafe { _mm512_srav_epi64(self.0, _mm512_set1_epi64(bits.into())) })
    }

    #[inline(always)]
    fn select(self, first: Self, second: Self) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only. The immediate is the truth table of `mask ? first : second`.
        Self::new(unsafe { _mm512_ternarylogic_epi64::<0b1100_1010>(self.0, first.0, second.0) })
    }

    #[inline(always)]
    fn lookup(self, table: &[u64; 16]) -> Self {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`. The table is 128
        // bytes long, as are the two vectors that are read.
        Self::new(unsafe {
            let (first, second) = (table.as_ptr(), table[8..].as_ptr());
            let first = _mm512_loadu_si512(first.cast());
            _mm512_permutex2var_epi64(first, self.0, _mm512_loadu_si512(second.cast()))
        })
    }

    #[inline(always)]
    fn add_where_negative(self, sign: Self, number: u64) -> Self {
        // SAFETY: AVX-512F and DQ are enabled: this runs only inside `Lanes::enable`. The
        // operations touch registers only.
        Self::new(unsafe {
            let negative = _mm512_movepi64_mask(sign.0);
            _mm512_mask_add_epi64(self.0, negative, self.0, _mm512_set1_epi64(number as i64))
        })
    }

    #[inline(always)]
    fn any_zero(self) -> bool {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, and the operation
        // touches registers only.
        unsafe { _mm512_testn_epi64_mask(self.0, self.0) != 0 }
    }

    #[inline(always)]
    fn transpose(rows: &mut [Self; 8]) {
        // SAFETY: AVX-512F is enabled: this runs only inside `Lanes::enable`, which is what
        // `transpose` requires.
        unsafe { transpose(rows) }
    }

    fn enable<T: Task<Self>>(task: T) -> T::Output {
        M::enable(task)
    }

    #[inline(always)]
    fn mul_operand_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E::Operand; K],
    ) {
        M::mul_operand_into::<E, K>(a, b, products);
    }

    #[inline(always)]
    fn mul_into<E: Element<Self>, const K: usize>(
        a: [&E::Operand; K],
        b: [&E::Operand; K],
        products: &mut [E; K],
    ) {
        M::mul_into(a, b, products);
    }

    #[inline(always)]
    fn square_into<E: Element<Self>, const K: usize>(
        a: [&E; K],
        operands: &mut [E::Operand; K],
        squares: &mut [E; K],
    ) {
        M::square_into(a, operands, squares);
    }

    #[inline(always)]
    fn to_operand(self) -> M::Operand {
        M::to_operand(self.0)
    }

    #[inline(always)]
    fn biased_column(low: u64, high: u64, more: u64) -> Self {
        Self::splat(M::biased_column(low, high, more))
    }

    #[inline(always)]
    fn mul_add(a: M::Operand, b: M::Operand, low: Self, high: Self) -> (Self, Self) {
        let (low, high) = M::mul_add(a, b, low.0, high.0);
        (Self::new(low), Self::new(high))
    }

    #[inline(always)]
    fn mul_add_low(a: M::Operand, b: M::Operand, low: Self) -> Self {
        Self::new(M::mul_add_low(a, b, low.0))
    }

    #[inline(always)]
    fn mul_add_high(a: M::Operand, b: M::Operand, high: Self) -> Self {
        Self::new(M::mul_add_high(a, b, high.0))
    }

    #[inline(always)]
    fn increment_mul_low(self, by: M::Operand) -> M::Operand {
        M::increment_mul_low(self.0, by)
    }
}

/// Transposes in three rounds of exchanges: between neighbours, pairs and halves.
///
/// # Safety
/// The caller runs in a function that enables AVX-512F.
#[inline(always)]
unsafe fn transpose<M>(rows: &mut [Avx512<M>; 8]) {
    // SAFETY: the caller guarantees AVX-512F, and the operations touch registers only.
    unsafe {
        let mut a = [_mm512_setzero_si512(); 8];
        for i in 0..4 {
            a[2 * i] = _mm512_unpacklo_epi64(rows[2 * i].0, rows[2 * i + 1].0);
            a[2 * i + 1] = _mm512_unpackhi_epi64(rows[2 * i].0, rows[2 * i + 1].0);
        }
        // `a[2i + k]` holds columns k, k+2, k+4, k+6 of rows 2i and 2i+1, two words each.
        let mut b = [_mm512_setzero_si512(); 8];
        for k in 0..2 {
            for half in 0..2 {
                let (low, high) = (a[4 * half + k], a[4 * half + 2 + k]);
                b[4 * half + k] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, high);
                b[4 * half + 2 + k] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, high);
            }
        }
        // `b[4h + k]` holds columns k and k+4 of rows 4h, 4h+1, then of rows 4h+2, 4h+3; `b[4h + 2 + k]`
        // columns k+2 and k+6.
        for k in 0..4 {
            let (low, high) = (b[k], b[4 + k]);
            rows[k].0 = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, high);
            rows[k + 4].0 = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, high);
        }
    }
}
