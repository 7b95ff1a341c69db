//! Modular inversion by division steps, sixty-two at a time.
//!
//! A division step depends only on the lowest bits of two numbers, so sixty-two steps are computed
//! on single words and then applied to the whole numbers as one matrix. The running time depends on
//! the value, as it does in arkworks. (Bernstein and Yang, "Fast constant-time gcd computation and
//! modular inversion", CHES 2019, sections 8 and 11; consecutive halving steps are taken together.)

use ark_ff::MontConfig;

/// Bits of a limb. Limbs are signed.
const BITS: u32 = 62;
const LOW: u64 = (1 << BITS) - 1;
/// Limbs of the longest field, which has six words.
const MOST: usize = 7;

type Limbs = [i64; MOST];

/// The Montgomery form of the inverse of an element in Montgomery form; `None` for zero.
pub(crate) fn inverse<T: MontConfig<N>, const N: usize>(value: &[u64; N]) -> Option<[u64; N]> {
    // The sign takes one bit more than the words.
    const { assert!(64 * N < 62 * MOST) };
    if value.iter().all(|&word| word == 0) {
        return None;
    }
    let modulus = limbs(&T::MODULUS.0);
    let (mut f, mut g) = (modulus, limbs(value));
    // Invariant: `f = value·d` and `g = value·e` modulo the modulus, times the square of `R`.
    let (mut d, mut e) = ([0; MOST], limbs(&T::R2.0));
    let (mut len, full) = ((64 * N) / BITS as usize + 1, (64 * N) / BITS as usize + 1);
    let mut delta = 1;
    while g[..len].iter().any(|&limb| limb != 0) {
        let low = |x: &Limbs| x[0] as u64 | (if len > 1 { x[1] as u64 } else { 0 }) << BITS;
        let steps = Steps::take(&mut delta, low(&f), low(&g));
        steps.apply(&mut f, &mut g, len);
        steps.apply_modulo(&mut d, &mut e, &modulus, T::INV, full);
        while len > 1 && [f[len - 1], g[len - 1]].iter().all(|&limb| limb == 0 || limb == -1) {
            // The sign moves to the limb below, whose two highest bits are free.
            len -= 1;
            f[len - 1] |= f[len] << BITS;
            g[len - 1] |= g[len] << BITS;
        }
    }
    // `f` is 1 or -1 now, because the modulus is prime.
    let sign = f[0].signum();
    d[..full].iter_mut().for_each(|limb| *limb *= sign);
    Some(words(d, &modulus, full))
}

/// The matrix of sixty-two division steps: `(f, g)` becomes `(u·f + v·g, q·f + r·g) / 2^62`.
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

impl Steps {
    fn take(delta: &mut i64, mut f: u64, mut g: u64) -> Self {
        let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
        let mut left = BITS;
        loop {
            // While `g` is even, a step halves it. The bit set above the remaining steps ends the
            // count.
            let zeros = (g | u64::MAX << left).trailing_zeros();
            g >>= zeros;
            u <<= zeros;
            v <<= zeros;
            *delta += i64::from(zeros);
            left -= zeros;
            if left == 0 {
                return Self { u: u as i64, v: v as i64, q: q as i64, r: r as i64 };
            }
            if *delta > 0 {
                *delta = -*delta;
                (f, g) = (g, f.wrapping_neg());
                (u, q) = (q, u.wrapping_neg());
                (v, r) = (r, v.wrapping_neg());
            }
            // The multiple of `f` that clears as many low bits of `g` as there are steps before the
            // next exchange, at most six. The inverse of `f` modulo 64 follows from `f·f = 1`
            // modulo 8.
            let bits = (1 - *delta).min(i64::from(left)).min(6) as u32;
            let inverse = f.wrapping_mul(2u64.wrapping_sub(f.wrapping_mul(f)));
            let multiple = g.wrapping_mul(inverse).wrapping_neg() & ((1 << bits) - 1);
            g = g.wrapping_add(f.wrapping_mul(multiple));
            q = q.wrapping_add(u.wrapping_mul(multiple));
            r = r.wrapping_add(v.wrapping_mul(multiple));
        }
    }

    #[inline(always)]
    fn rows(&self, f: i64, g: i64) -> [i128; 2] {
        let dot = |x: i64, y: i64| i128::from(x) * i128::from(f) + i128::from(y) * i128::from(g);
        [dot(self.u, self.v), dot(self.q, self.r)]
    }

    fn apply(&self, f: &mut Limbs, g: &mut Limbs, len: usize) {
        let [mut first, mut second] = self.rows(f[0], g[0]).map(|sum| sum >> BITS);
        for i in 1..len {
            let [more, other] = self.rows(f[i], g[i]);
            (first, second) = (first + more, second + other);
            (f[i - 1], g[i - 1]) = (first as i64 & LOW as i64, second as i64 & LOW as i64);
            (first, second) = (first >> BITS, second >> BITS);
        }
        (f[len - 1], g[len - 1]) = (first as i64, second as i64);
    }

    /// Like [`Self::apply`], with a multiple of the modulus added that makes the sums divisible by
    /// `2^62`. Each call increases the values by at most half the modulus.
    fn apply_modulo(&self, d: &mut Limbs, e: &mut Limbs, modulus: &Limbs, inv: u64, len: usize) {
        let sums = self.rows(d[0], e[0]);
        let [times, times_e] = sums.map(|sum| {
            let multiple = (sum as u64).wrapping_mul(inv) << (64 - BITS);
            i128::from(multiple as i64 >> (64 - BITS))
        });
        let of = |i: usize| i128::from(modulus[i]);
        let mut first = (sums[0] + times * of(0)) >> BITS;
        let mut second = (sums[1] + times_e * of(0)) >> BITS;
        for i in 1..len {
            let [more, other] = self.rows(d[i], e[i]);
            first += more + times * of(i);
            second += other + times_e * of(i);
            (d[i - 1], e[i - 1]) = (first as i64 & LOW as i64, second as i64 & LOW as i64);
            (first, second) = (first >> BITS, second >> BITS);
        }
        (d[len - 1], e[len - 1]) = (first as i64, second as i64);
    }
}

fn limbs<const N: usize>(words: &[u64; N]) -> Limbs {
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    std::array::from_fn(|limb| {
        let (at, shift) = (limb * BITS as usize / 64, limb * BITS as usize % 64);
        ((word(at) >> shift | word(at + 1) << 1 << (63 - shift)) & LOW) as i64
    })
}

/// Reduces a value of a few times the modulus, of either sign, to words below the modulus.
fn words<const N: usize>(mut value: Limbs, modulus: &Limbs, len: usize) -> [u64; N] {
    let mut add = |times: i64| {
        let mut carry = 0;
        for i in 0..len {
            let sum = i128::from(value[i]) + i128::from(times * modulus[i]) + carry;
            value[i] = if i + 1 < len { sum as i64 & LOW as i64 } else { sum as i64 };
            carry = sum >> BITS;
        }
        value[len - 1] < 0
    };
    if !add(0) {
        while !add(-1) {}
    }
    while add(1) {}
    std::array::from_fn(|word| {
        let (at, shift) = (64 * word / BITS as usize, 64 * word % BITS as usize);
        let next = value.get(at + 1).copied().unwrap_or(0) as u64;
        let third = value.get(at + 2).copied().unwrap_or(0) as u64;
        let past = 2 * BITS - shift as u32;
        let low = value[at] as u64 >> shift | next << (BITS - shift as u32);
        if past < 64 { low | third << past } else { low }
    })
}

#[cfg(test)]
mod tests {
    use ark_ff::{AdditiveGroup, BigInteger, Field, Fp, MontBackend, PrimeField, UniformRand};
    use ark_std::test_rng;

    use super::*;

    fn inverses_equal_arkworks<T: MontConfig<N>, const N: usize>() {
        type Of<T, const N: usize> = Fp<MontBackend<T, N>, N>;
        let rng = &mut test_rng();
        assert_eq!(inverse::<T, N>(&[0; N]), None);
        let mut half = T::MODULUS;
        half.div2();
        let edges = (0..64 * N as u64 - 1).map(|bit| Of::<T, N>::from(2u64).pow([bit]));
        let small = (1..40u64).map(Of::<T, N>::from);
        let raw = [T::R2, half].map(Of::<T, N>::new_unchecked);
        let random = (0..2_000).map(|_| Of::<T, N>::rand(rng));
        for value in edges.chain(small).chain(raw).chain(random).flat_map(|value| [value, -value]) {
            let expected = Field::inverse(&value).map(|inverse| inverse.0.0);
            assert_eq!(inverse::<T, N>(&value.0.0), expected, "{}", value.into_bigint());
        }
        assert_eq!(Of::<T, N>::ZERO.0.0, [0; N]);
    }

    #[test]
    fn inverses_equal_arkworks_in_every_field() {
        inverses_equal_arkworks::<ark_bn254::FqConfig, 4>();
        inverses_equal_arkworks::<ark_bn254::FrConfig, 4>();
        inverses_equal_arkworks::<ark_bls12_381::FqConfig, 6>();
        inverses_equal_arkworks::<ark_bls12_381::FrConfig, 4>();
    }
}
