//! halo2curves 0.10, feature `asm`: BN254 only.

use std::hint::black_box;

use ark_ec::models::short_weierstrass::Affine;
use athanor_kernels::{Bn254, Curve, Domain, Group, Words};
use halo2curves::{
    CurveAffine,
    bn256::{Fr, G1Affine, G2Affine},
    fft::best_fft,
    msm::msm_best,
    serde::SerdeObject,
};

type OurFr = <Bn254 as Curve>::Fr;

/// Both keep four words in Montgomery form with the same R.
fn converted<T: SerdeObject>(words: &[u64]) -> T {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    T::from_raw_bytes(&bytes).expect("the same field, in the same form")
}

pub(super) fn scalar(scalar: &OurFr) -> Fr {
    let mut words = [0; OurFr::WORDS];
    scalar.write_words(&mut words);
    converted(&words)
}

fn points<P: Group, A: SerdeObject>(points: &[Affine<P>]) -> Vec<A> {
    let mut words = vec![0; P::POINT_WORDS];
    let mut convert = |point| {
        P::write_point(point, &mut words);
        converted(&words)
    };
    points.iter().map(&mut convert).collect()
}

pub(super) fn g1(given: &[Affine<<Bn254 as Curve>::G1Config>]) -> Vec<G1Affine> {
    points(given)
}

pub(super) fn g2(given: &[Affine<<Bn254 as Curve>::G2Config>]) -> Vec<G2Affine> {
    points(given)
}

pub(super) fn msm<A: CurveAffine<ScalarExt = Fr>>(points: &[A], scalars: &[Fr]) -> A {
    msm_best(scalars, points).into()
}

/// Two transforms, with the shift to the odd coset between them.
pub(super) struct Ntt {
    log_size: u32,
    omega: Fr,
    inverse: Fr,
    shifts: Vec<Fr>,
    values: Vec<Fr>,
}

impl Ntt {
    pub(super) fn new(domain: &Domain<OurFr>, values: &[OurFr]) -> Self {
        let [omega, eta] = [domain.omega(), domain.eta()].map(|root| scalar(&root));
        let inverse: Option<Fr> = halo2curves::ff::Field::invert(&omega).into();
        let over_n: Option<Fr> =
            halo2curves::ff::Field::invert(&Fr::from(domain.size() as u64)).into();
        let first = over_n.expect("2^k is not zero in the field");
        Self {
            log_size: domain.log_size(),
            omega,
            inverse: inverse.expect("a root of unity is not zero"),
            shifts: std::iter::successors(Some(first), |shift| Some(shift * eta))
                .take(domain.size())
                .collect(),
            values: values.iter().map(scalar).collect(),
        }
    }

    pub(super) fn run(&mut self) {
        best_fft(&mut self.values, self.inverse, self.log_size);
        for (value, shift) in self.values.iter_mut().zip(&self.shifts) {
            *value *= shift;
        }
        best_fft(&mut self.values, self.omega, self.log_size);
        black_box(&mut self.values);
    }

    pub(super) fn values(&self) -> &[Fr] {
        &self.values
    }
}
