//! arkworks 0.6, feature `asm`.

use std::hint::black_box;

use ark_ec::{
    VariableBaseMSM,
    models::short_weierstrass::{Affine, Projective},
};
use ark_ff::PrimeField;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use athanor_kernels::{Domain, Group};

/// Computes the MSM.
pub(super) fn msm<P: Group>(points: &[Affine<P>], scalars: &[P::ScalarField]) -> Projective<P> {
    Projective::msm(points, scalars).expect("as many scalars as points")
}

/// Transforms from a domain to its odd coset.
pub(super) struct Ntt<F: PrimeField> {
    plain: Radix2EvaluationDomain<F>,
    coset: Radix2EvaluationDomain<F>,
    values: Vec<F>,
}

impl<F: PrimeField> Ntt<F> {
    pub(super) fn new(domain: &Domain<F>, values: Vec<F>) -> Self {
        let mut plain = Radix2EvaluationDomain::new(domain.size()).expect("the domain exists");
        plain.group_gen = domain.omega();
        plain.group_gen_inv = domain.omega().inverse().expect("a root of unity is not zero");
        let coset = plain.get_coset(domain.eta()).expect("a root of unity is not zero");
        Self { plain, coset, values }
    }

    pub(super) fn run(&mut self) {
        self.plain.ifft_in_place(&mut self.values);
        self.coset.fft_in_place(&mut self.values);
        black_box(&mut self.values);
    }

    pub(super) fn values(&self) -> &[F] {
        &self.values
    }
}
