//! Number-theoretic transforms between a domain and its odd coset.

use ark_ff::PrimeField;
use rayon::prelude::*;

use crate::Domain;

/// The powers of `ω` and of its inverse that the butterflies take, and `1/n`.
pub(super) struct Twiddles<F> {
    forward: Vec<F>,
    inverse: Vec<F>,
    one_over_n: F,
}

impl<F: PrimeField> Twiddles<F> {
    pub(super) fn new(domain: &Domain<F>) -> Self {
        let omega = domain.omega();
        let inverse = omega.inverse().expect("a root of unity is not zero");
        let size = F::from(domain.size() as u64);
        Self {
            forward: powers(omega, domain.size() / 2),
            inverse: powers(inverse, domain.size() / 2),
            one_over_n: size.inverse().expect("2^k is not zero in the field"),
        }
    }
}

fn powers<F: PrimeField>(base: F, count: usize) -> Vec<F> {
    std::iter::successors(Some(F::one()), |power| Some(*power * base)).take(count).collect()
}

/// From evaluations on the domain to evaluations on its odd coset, both in natural order.
pub(super) fn to_odd_coset<F: PrimeField>(
    domain: &Domain<F>,
    twiddles: &Twiddles<F>,
    values: &mut [F],
) {
    decimate_in_frequency(values, &twiddles.inverse);
    scale_reversed(values, twiddles.one_over_n, domain.eta());
    decimate_in_time(values, &twiddles.forward);
}

/// From evaluations on the odd coset to coefficients, both in natural order.
pub(super) fn from_odd_coset<F: PrimeField>(
    domain: &Domain<F>,
    twiddles: &Twiddles<F>,
    values: &mut [F],
) {
    decimate_in_frequency(values, &twiddles.inverse);
    let shift = domain.eta().inverse().expect("a root of unity is not zero");
    scale_reversed(values, twiddles.one_over_n, shift);
    reverse_bits(values);
}

/// Multiplies the value at bit-reversed position of `i` by `factor · base^i`.
fn scale_reversed<F: PrimeField>(values: &mut [F], factor: F, base: F) {
    let bits = values.len().trailing_zeros();
    let powers = powers(base, values.len());
    values.par_iter_mut().enumerate().for_each(|(position, value)| {
        *value *= powers[reversed(position, bits)] * factor;
    });
}

fn reversed(position: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { position.reverse_bits() >> (usize::BITS - bits) }
}

fn reverse_bits<F>(values: &mut [F]) {
    let bits = values.len().trailing_zeros();
    for position in 0..values.len() {
        let other = reversed(position, bits);
        if position < other {
            values.swap(position, other);
        }
    }
}

/// Natural order in, bit-reversed order out.
fn decimate_in_frequency<F: PrimeField>(values: &mut [F], twiddles: &[F]) {
    let mut half = values.len() / 2;
    while half > 0 {
        let stride = twiddles.len() / half;
        values.par_chunks_exact_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), twiddle) in
                low.iter_mut().zip(high).zip(twiddles.iter().step_by(stride))
            {
                let difference = *low - *high;
                *low += *high;
                *high = difference * twiddle;
            }
        });
        half /= 2;
    }
}

/// Bit-reversed order in, natural order out.
fn decimate_in_time<F: PrimeField>(values: &mut [F], twiddles: &[F]) {
    let mut half = 1;
    while half < values.len() {
        let stride = twiddles.len() / half;
        values.par_chunks_exact_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), twiddle) in
                low.iter_mut().zip(high).zip(twiddles.iter().step_by(stride))
            {
                let product = *high * twiddle;
                *high = *low - product;
                *low += product;
            }
        });
        half *= 2;
    }
}
