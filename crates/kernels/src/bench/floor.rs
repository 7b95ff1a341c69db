//! Lower bounds from the hardware: the least time that a count of products or of bytes allows.
//!
//! A Montgomery product takes `2n² + n` products of limbs (P. Montgomery, "Modular multiplication
//! without trial division", 1985, operand scanning). A product in the quadratic extension takes
//! three times `n²`, by Karatsuba's method, and two reductions of `n² + n`. Where a product of
//! limbs comes in two halves, the reduction's multiplier needs only low halves and the low halves
//! that clear a limb are not needed, so a reduction is `n²`. The rate of limb products is measured
//! here: independent chains in registers, with the accumulation of the path and nothing else.
//! Everything that is not a multiplication counts as free.

use std::hint::black_box;

use super::clock::medians;
use crate::{
    Curve, Path, Words,
    lanes::{LIMB, Lanes, Task, each},
};

/// Rounds of which the median is taken.
const ROUNDS: usize = 5;
/// Independent chains.
const CHAINS: usize = 8;
/// Products of each chain in a round.
const PRODUCTS: u64 = 1 << 20;
/// Bytes read in a round: more than caches hold.
const BYTES: usize = 1 << 28;

/// Nanoseconds of one thread for one product, if only the multiplier counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// In the base field, over which G1 is defined.
    pub base: f64,
    /// In its quadratic extension, over which G2 is defined.
    pub extension: f64,
    /// In the scalar field.
    pub scalar: f64,
}

impl Floor {
    /// Measures the path, which must be available.
    pub fn measure<C: Curve>(path: Path) -> Self {
        let limb = limb_product_ns(path);
        let limbs = |words: usize| match path {
            Path::Portable => words as f64,
            Path::Avx512 | Path::Ifma => (64 * words).div_ceil(LIMB as usize) as f64,
        };
        let base = limbs(<C::G1Affine as ark_ec::AffineRepr>::BaseField::WORDS);
        let scalar = limbs(C::Fr::WORDS);
        let reduction = |n: f64| match path {
            Path::Portable => n * n + n,
            Path::Avx512 | Path::Ifma => n * n,
        };
        Self {
            base: limb * (base * base + reduction(base)),
            extension: limb * (3.0 * base * base + 2.0 * reduction(base)),
            scalar: limb * (scalar * scalar + reduction(scalar)),
        }
    }
}

/// Nanoseconds of one thread to read a byte of memory, sequentially.
pub fn read_ns_per_byte() -> f64 {
    let words = vec![1u64; BYTES / 8];
    let read = || _ = black_box(black_box(&words).iter().fold(0u64, |sum, word| sum ^ word));
    let median = medians(ROUNDS, &mut [&mut { read }])[0];
    median.as_secs_f64() * 1e9 / BYTES as f64
}

/// Nanoseconds for one product of limbs; for eight in a vector, an eighth of their time.
fn limb_product_ns(path: Path) -> f64 {
    let (at_once, mut run): (f64, Box<dyn FnMut()>) = match path {
        Path::Portable => (1.0, Box::new(in_words)),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => (8.0, Box::new(in_lanes::<crate::lanes::fma::Fma>)),
        #[cfg(target_arch = "x86_64")]
        Path::Ifma => (8.0, Box::new(in_lanes::<crate::lanes::ifma::Ifma>)),
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("a path that the processor lacks is never measured"),
    };
    let median = medians(ROUNDS, &mut [&mut *run])[0];
    median.as_secs_f64() * 1e9 / (PRODUCTS as f64 * CHAINS as f64 * at_once)
}

fn in_words() {
    let mut sums: [u64; CHAINS] = black_box([3; CHAINS]);
    for turn in 0..PRODUCTS {
        for sum in &mut sums {
            let product = u128::from(*sum | 1) * u128::from(turn | 1 << 63);
            *sum = (product >> 64) as u64 ^ product as u64;
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
fn in_lanes<L: Lanes>() {
    struct Products;
    impl<L: Lanes> Task<L> for Products {
        type Output = [u64; 8];

        #[inline(always)]
        fn run(self) -> [u64; 8] {
            let start = black_box([3; 8]);
            let factor = L::load(&start).to_operand();
            let (mut low, mut high) = ([L::load(&start); CHAINS], [L::load(&start); CHAINS]);
            for turn in 0..PRODUCTS {
                // A different operand each time, or the compiler could compute the product once.
                let other = L::splat(turn).to_operand();
                each!(8, |i| (low[i], high[i]) = L::mul_add(factor, other, low[i], high[i]));
            }
            let mut sum = L::splat(0);
            each!(8, |i| sum = sum.add(low[i]).add(high[i]));
            let mut words = [0; 8];
            sum.store(&mut words);
            words
        }
    }
    black_box(L::enable(Products));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bls12_381, Bn254};

    #[test]
    fn larger_fields_have_higher_floors() {
        let (bn, bls) =
            (Floor::measure::<Bn254>(Path::Portable), Floor::measure::<Bls12_381>(Path::Portable));
        assert!(0.0 < bn.base && bn.base < bn.extension);
        // Ratios of counts, which do not depend on the rate: 4 words and 6.
        let ratio = |floor: Floor| floor.extension / floor.base;
        assert!((ratio(bn) - 88.0 / 36.0).abs() < 1e-9 && (ratio(bls) - 192.0 / 78.0).abs() < 1e-9);
    }
}
