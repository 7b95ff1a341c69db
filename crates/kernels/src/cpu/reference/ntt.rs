//! Transforms by their definition: one multiplication for every pair of input and output.

use ark_ff::PrimeField;

use crate::Domain;

/// From evaluations on the domain to coefficients.
pub(in crate::cpu) fn coefficients<F: PrimeField>(domain: &Domain<F>, values: &[F]) -> Vec<F> {
    let inverse = domain.omega().inverse().expect("a root of unity is not zero");
    let over_n = F::from(values.len() as u64).inverse().expect("2^k is not zero in the field");
    (0..values.len() as u64).map(|i| over_n * evaluate(values, inverse.pow([i]))).collect()
}

/// From evaluations on the domain to evaluations on its odd coset.
pub(in crate::cpu) fn to_odd_coset<F: PrimeField>(domain: &Domain<F>, values: &[F]) -> Vec<F> {
    let coefficients = coefficients(domain, values);
    (0..values.len() as u64)
        .map(|i| evaluate(&coefficients, domain.eta().pow([2 * i + 1])))
        .collect()
}

/// From evaluations on the odd coset to coefficients.
pub(in crate::cpu) fn from_odd_coset<F: PrimeField>(domain: &Domain<F>, values: &[F]) -> Vec<F> {
    let shift = domain.eta().inverse().expect("a root of unity is not zero");
    let shifted = coefficients(domain, values);
    shifted.iter().zip(0u64..).map(|(value, i)| *value * shift.pow([i])).collect()
}

fn evaluate<F: PrimeField>(coefficients: &[F], at: F) -> F {
    coefficients.iter().rev().fold(F::zero(), |sum, coefficient| sum * at + coefficient)
}
