//! AVX-512F and DQ: products from double-precision fused multiply-add.
//!
//! For `a`, `b` below `2^52`, `fma(a, b, 2^104)` rounded toward zero is `2^104 + h·2^52`: its
//! significand's bits are `h`, the product's high half. Then `a·b - h·2^52` is below `2^52`, and adding
//! `2^52` puts it into the significand's bits in the same way. Columns add up the bits as they are,
//! exponents included; they start from minus what the exponents will add up to. (Gueron and Krasnov,
//! "Accelerating big integer arithmetic using Intel IFMA extensions", ARITH 2016, describe the integer
//! instructions this stands in for; the trick is known from Emmart and others for GPUs.)

use std::arch::x86_64::*;

use super::{
    MASK, Task,
    avx512::{Avx512, MultiplyAdd, out_of_line},
    field::Element,
};

const TRUNCATE: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
const TWO_52: f64 = (1u64 << 52) as f64;
const TWO_104: f64 = TWO_52 * TWO_52;

/// Eight words, multiplied by floating point.
pub(crate) type Fma = Avx512<FloatMultiplyAdd>;

/// Multiplication by floating point.
#[derive(Clone, Copy)]
pub(crate) struct FloatMultiplyAdd;

/// Whether the processor has the instructions.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

// SAFETY of every block here but that of `enable`: the caller runs below it, which is what `Lanes` asks.
impl MultiplyAdd for FloatMultiplyAdd {
    type Operand = __m512d;

    fn enable<T: Task<Fma>>(task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq")]
        fn enabled<T: Task<Fma>>(task: T) -> T::Output {
            task.run()
        }
        // SAFETY: the processor has them, which the caller knows.
        unsafe { enabled(task) }
    }

    out_of_line!(Fma, "avx512f,avx512dq");

    #[inline(always)]
    fn to_operand(limb: __m512i) -> __m512d {
        // SAFETY: as above.
        unsafe {
            let exponent = _mm512_set1_pd(TWO_52);
            let limb = _mm512_and_si512(limb, _mm512_set1_epi64(MASK as i64));
            let biased = _mm512_or_si512(limb, _mm512_castpd_si512(exponent));
            _mm512_sub_pd(_mm512_castsi512_pd(biased), exponent)
        }
    }

    #[inline(always)]
    fn biased_column(low: u64, high: u64, more: u64) -> u64 {
        let low = low.wrapping_mul(TWO_52.to_bits());
        let high = high.wrapping_mul(TWO_104.to_bits());
        more.wrapping_sub(low.wrapping_add(high))
    }

    #[inline(always)]
    fn mul_add(a: __m512d, b: __m512d, low: __m512i, high: __m512i) -> (__m512i, __m512i) {
        // SAFETY: as above.
        unsafe {
            let (l, h) = halves(a, b);
            let low = _mm512_add_epi64(low, _mm512_castpd_si512(l));
            (low, _mm512_add_epi64(high, _mm512_castpd_si512(h)))
        }
    }

    #[inline(always)]
    fn mul_add_low(a: __m512d, b: __m512d, low: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi64(low, _mm512_castpd_si512(halves(a, b).0)) }
    }

    #[inline(always)]
    fn mul_add_high(a: __m512d, b: __m512d, high: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi64(high, _mm512_castpd_si512(high_half(a, b))) }
    }

    #[inline(always)]
    fn increment_mul_low(limb: __m512i, by: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe {
            let next = Self::to_operand(_mm512_add_epi64(limb, _mm512_set1_epi64(1)));
            _mm512_sub_pd(halves(next, by).0, _mm512_set1_pd(TWO_52))
        }
    }
}

/// `2^52` plus the low half, and `2^104` plus `2^52` times the high half.
///
/// # Safety
/// As for every block here.
#[inline(always)]
unsafe fn halves(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller's.
    unsafe {
        let high = high_half(a, b);
        let rest = _mm512_sub_pd(_mm512_set1_pd(TWO_104 + TWO_52), high);
        (_mm512_fmadd_round_pd::<TRUNCATE>(a, b, rest), high)
    }
}

/// `2^104` plus `2^52` times the high half.
///
/// # Safety
/// As for every block here.
#[inline(always)]
unsafe fn high_half(a: __m512d, b: __m512d) -> __m512d {
    // SAFETY: the caller's.
    unsafe { _mm512_fmadd_round_pd::<TRUNCATE>(a, b, _mm512_set1_pd(TWO_104)) }
}
