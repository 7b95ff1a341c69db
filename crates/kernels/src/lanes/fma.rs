//! AVX-512F and DQ: 52-bit products from double-precision fused multiply-add.
//!
//! For `a` and `b` below `2^52`, `fma(a, b, 2^104)` rounded toward zero is `2^104 + h·2^52`: the
//! bits of its significand are `h`, the high half of the product. The rest `a·b - h·2^52` is below
//! `2^52`, and adding `2^52` puts it into the bits of a significand in the same way. Columns add
//! these bit patterns including the exponents;
//! [`Lanes::biased_column`](super::Lanes::biased_column) starts them at minus the sum of the
//! exponents. (Gueron and Krasnov, "Accelerating big integer arithmetic using Intel IFMA
//! extensions", ARITH 2016, describe the integer instructions that this replaces; Emmart and others
//! use the method on GPUs.)

use std::arch::x86_64::*;

use super::{
    MASK, Task,
    avx512::{Avx512, MultiplyAdd, out_of_line},
    field::Element,
};

const TRUNCATE: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
const TWO_52: f64 = (1u64 << 52) as f64;
const TWO_104: f64 = TWO_52 * TWO_52;

/// Eight words, multiplied with floating point.
pub(crate) type Fma = Avx512<FloatMultiplyAdd>;

/// Multiplication with double-precision fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct FloatMultiplyAdd;

/// Whether the processor has the instructions.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

impl MultiplyAdd for FloatMultiplyAdd {
    type Operand = __m512d;

    fn enable<T: Task<Fma>>(task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq")]
        fn enabled<T: Task<Fma>>(task: T) -> T::Output {
            task.run()
        }
        // SAFETY: the caller of `Lanes::enable` guarantees that the processor has AVX-512F and DQ.
        unsafe { enabled(task) }
    }

    out_of_line!(Fma, "avx512f,avx512dq");

    #[inline(always)]
    fn to_operand(limb: __m512i) -> __m512d {
        // SAFETY: AVX-512F and DQ are enabled: this runs only inside `MultiplyAdd::enable`. The
        // operations touch registers only.
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
        // SAFETY: AVX-512F is enabled: this runs only inside `MultiplyAdd::enable`. `halves`
        // requires nothing else.
        unsafe {
            let (l, h) = halves(a, b);
            let low = _mm512_add_epi64(low, _mm512_castpd_si512(l));
            (low, _mm512_add_epi64(high, _mm512_castpd_si512(h)))
        }
    }

    #[inline(always)]
    fn mul_add_low(a: __m512d, b: __m512d, low: __m512i) -> __m512i {
        // SAFETY: AVX-512F is enabled: this runs only inside `MultiplyAdd::enable`. `halves`
        // requires nothing else.
        unsafe { _mm512_add_epi64(low, _mm512_castpd_si512(halves(a, b).0)) }
    }

    #[inline(always)]
    fn mul_add_high(a: __m512d, b: __m512d, high: __m512i) -> __m512i {
        // SAFETY: AVX-512F is enabled: this runs only inside `MultiplyAdd::enable`. `high_half`
        // requires nothing else.
        unsafe { _mm512_add_epi64(high, _mm512_castpd_si512(high_half(a, b))) }
    }

    #[inline(always)]
    fn increment_mul_low(limb: __m512i, by: __m512d) -> __m512d {
        // SAFETY: AVX-512F is enabled: this runs only inside `MultiplyAdd::enable`. `halves`
        // requires nothing else.
        unsafe {
            let next = Self::to_operand(_mm512_add_epi64(limb, _mm512_set1_epi64(1)));
            _mm512_sub_pd(halves(next, by).0, _mm512_set1_pd(TWO_52))
        }
    }
}

/// `2^52` plus the low half of `a·b`, and `2^104` plus `2^52` times the high half, for `a` and `b`
/// in `[0, 2^52)`.
///
/// # Safety
/// The caller runs in a function that enables AVX-512F.
#[inline(always)]
unsafe fn halves(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller guarantees AVX-512F, which is what `high_half` requires too.
    unsafe {
        let high = high_half(a, b);
        let rest = _mm512_sub_pd(_mm512_set1_pd(TWO_104 + TWO_52), high);
        (_mm512_fmadd_round_pd::<TRUNCATE>(a, b, rest), high)
    }
}

/// `2^104` plus `2^52` times the high half.
///
/// # Safety
/// The caller runs in a function that enables AVX-512F.
#[inline(always)]
unsafe fn high_half(a: __m512d, b: __m512d) -> __m512d {
    // SAFETY: the caller guarantees AVX-512F, and the operation touches registers only.
    unsafe { _mm512_fmadd_round_pd::<TRUNCATE>(a, b, _mm512_set1_pd(TWO_104)) }
}
