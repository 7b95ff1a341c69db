//! AVX-512 IFMA: integer multiply-add of 52-bit numbers.
//!
//! The instructions multiply the low 52 bits of their inputs and add the low or the high 52 bits of
//! the product to a 64-bit accumulator. (Gueron and Krasnov, "Accelerating big integer arithmetic
//! using Intel IFMA extensions", ARITH 2016.)

use std::arch::x86_64::*;

use super::{
    Task,
    avx512::{Avx512, MultiplyAdd, out_of_line},
    field::Element,
};

/// Eight words, multiplied with integer multiply-add.
pub(crate) type Ifma = Avx512<IntegerMultiplyAdd>;

/// Multiplication with 52-bit integer multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct IntegerMultiplyAdd;

/// Whether the processor has the instructions.
pub(crate) fn available() -> bool {
    super::fma::available() && is_x86_feature_detected!("avx512ifma")
}

impl MultiplyAdd for IntegerMultiplyAdd {
    type Operand = __m512i;

    fn enable<T: Task<Ifma>>(task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        fn enabled<T: Task<Ifma>>(task: T) -> T::Output {
            task.run()
        }
        // SAFETY: the caller of `Lanes::enable` guarantees that the processor has AVX-512F, DQ and
        // IFMA.
        unsafe { enabled(task) }
    }

    out_of_line!(Ifma, "avx512f,avx512dq,avx512ifma");

    #[inline(always)]
    fn to_operand(limb: __m512i) -> __m512i {
        limb
    }

    #[inline(always)]
    fn biased_column(_low: u64, _high: u64, more: u64) -> u64 {
        more
    }

    #[inline(always)]
    fn mul_add(a: __m512i, b: __m512i, low: __m512i, high: __m512i) -> (__m512i, __m512i) {
        (Self::mul_add_low(a, b, low), Self::mul_add_high(a, b, high))
    }

    #[inline(always)]
    fn mul_add_low(a: __m512i, b: __m512i, low: __m512i) -> __m512i {
        // SAFETY: AVX-512 IFMA is enabled: this runs only inside `MultiplyAdd::enable`. The
        // operation touches registers only.
        unsafe { _mm512_madd52lo_epu64(low, a, b) }
    }

    #[inline(always)]
    fn mul_add_high(a: __m512i, b: __m512i, high: __m512i) -> __m512i {
        // SAFETY: AVX-512 IFMA is enabled: this runs only inside `MultiplyAdd::enable`. The
        // operation touches registers only.
        unsafe { _mm512_madd52hi_epu64(high, a, b) }
    }

    #[inline(always)]
    fn increment_mul_low(limb: __m512i, by: __m512i) -> __m512i {
        // SAFETY: AVX-512 IFMA is enabled: this runs only inside `MultiplyAdd::enable`. The result
        // may exceed 52 bits; an operand is read by its low 52 bits only.
        unsafe { _mm512_madd52lo_epu64(by, limb, by) }
    }
}
