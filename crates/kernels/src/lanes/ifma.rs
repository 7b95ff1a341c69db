//! AVX-512 IFMA: the processor multiplies 52-bit numbers and adds either half.
//!
//! The instructions take the low 52 bits of what they are given. (Gueron and Krasnov, "Accelerating big
//! integer arithmetic using Intel IFMA extensions", ARITH 2016.)

use std::arch::x86_64::*;

use super::{
    Task,
    avx512::{Avx512, Multiply},
    field::Element,
};

/// Eight words, multiplied by integer multiply-add.
pub(crate) type Ifma = Avx512<ByIntegers>;

/// Multiplication by integer multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct ByIntegers;

/// Whether the processor has the instructions.
pub(crate) fn available() -> bool {
    super::fma::available() && is_x86_feature_detected!("avx512ifma")
}

// SAFETY of every block here but that of `enable`: the caller runs below it, which is what `Lanes` asks.
impl Multiply for ByIntegers {
    type Factor = __m512i;

    fn enable<T: Task<Ifma>>(task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        fn enabled<T: Task<Ifma>>(task: T) -> T::Output {
            task.run()
        }
        // SAFETY: the processor has them, which the caller knows.
        unsafe { enabled(task) }
    }

    #[inline(always)]
    fn multiply<E: Element<Ifma>>(a: &E, b: &E, product: &mut E) {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        #[inline(never)]
        fn multiply<E: Element<Ifma>>(a: &E, b: &E, product: &mut E) {
            *product = a.mul(*b);
        }
        // SAFETY: as above.
        unsafe { multiply(a, b, product) }
    }

    #[inline(always)]
    fn multiply_two<E: Element<Ifma>>(a: [&E; 2], b: [&E; 2], products: &mut [E; 2]) {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        #[inline(never)]
        fn multiply_two<E: Element<Ifma>>(a: [&E; 2], b: [&E; 2], products: &mut [E; 2]) {
            *products = E::mul_two(a, b);
        }
        // SAFETY: as above.
        unsafe { multiply_two(a, b, products) }
    }

    #[inline(always)]
    fn square_two<E: Element<Ifma>>(a: [&E; 2], squares: &mut [E; 2]) {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
        #[inline(never)]
        fn square_two<E: Element<Ifma>>(a: [&E; 2], squares: &mut [E; 2]) {
            *squares = E::square_two(a);
        }
        // SAFETY: as above.
        unsafe { square_two(a, squares) }
    }

    #[inline(always)]
    fn factor(limb: __m512i) -> __m512i {
        limb
    }

    #[inline(always)]
    fn column(_low: u64, _high: u64) -> u64 {
        0
    }

    #[inline(always)]
    fn mul_add(a: __m512i, b: __m512i, low: __m512i, high: __m512i) -> (__m512i, __m512i) {
        (Self::mul_add_low(a, b, low), Self::mul_add_high(a, b, high))
    }

    #[inline(always)]
    fn mul_add_low(a: __m512i, b: __m512i, low: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_madd52lo_epu64(low, a, b) }
    }

    #[inline(always)]
    fn mul_add_high(a: __m512i, b: __m512i, high: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_madd52hi_epu64(high, a, b) }
    }

    #[inline(always)]
    fn mul_low(limb: __m512i, by: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_madd52lo_epu64(_mm512_setzero_si512(), limb, by) }
    }
}
