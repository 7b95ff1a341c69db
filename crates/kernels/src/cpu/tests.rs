//! The CPU device against arkworks: same sums, same products, same quotients.

use ark_ec::{CurveGroup, VariableBaseMSM, models::short_weierstrass::Affine};
use ark_ff::{Field, One, UniformRand, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::{rand::Rng, test_rng};

use super::*;
use crate::{Bls12_381, Bn254, MatrixBuilder, Slab};

/// The lengths at which chunking, windows and tails differ.
const LENGTHS: [usize; 12] = [0, 1, 2, 3, 7, 31, 32, 33, 127, 129, 255, 1025];

fn words<F: PrimeField<BigInt = ark_ff::BigInt<4>>>(values: &[F]) -> Scalars {
    Scalars::new(values.iter().map(|value| value.into_bigint().0).collect())
}

/// Scalars that take every shortcut: 0, 1, r-1, small ones, sparse ones, repeated and random ones.
fn scalars<F: PrimeField>(kind: usize, len: usize, rng: &mut impl Rng) -> Vec<F> {
    let repeated = F::rand(rng);
    (0..len)
        .map(|i| match kind {
            0 => F::rand(rng),
            1 => F::zero(),
            2 => F::one(),
            3 => -F::one(),
            4 => F::from(rng.gen_range(0..100u64)),
            5 => F::from(2).pow([rng.gen_range(0..253u64)]),
            6 => repeated,
            _ => match i % 5 {
                0 => F::zero(),
                1 => F::one(),
                2 => -F::one(),
                3 => F::from(i as u64),
                _ => F::rand(rng),
            },
        })
        .collect()
}

/// Points that break incomplete addition: equal, opposite, infinite.
fn points<P: Group>(kind: usize, len: usize, rng: &mut impl Rng) -> Vec<Affine<P>> {
    let fixed = Projective::<P>::rand(rng).into_affine();
    (0..len)
        .map(|i| match kind {
            0 => Projective::<P>::rand(rng).into_affine(),
            1 => fixed,
            2 if i % 2 == 0 => fixed,
            2 => -fixed,
            3 => Affine::identity(),
            _ => match i % 4 {
                0 => fixed,
                1 => -fixed,
                2 => Affine::identity(),
                _ => (fixed * P::ScalarField::from(i as u64)).into_affine(),
            },
        })
        .collect()
}

fn encoded<P: Group>(points: &[Affine<P>]) -> Slab {
    let mut words = vec![0; points.len() * P::POINT_WORDS];
    encode(points, &mut words);
    Slab::from_words(&words).unwrap()
}

fn msm_equals_arkworks<P: Group>()
where
    P::ScalarField: PrimeField<BigInt = ark_ff::BigInt<4>>,
{
    let rng = &mut test_rng();
    for len in LENGTHS {
        for (scalar_kind, point_kind) in (0..8).flat_map(|s| (0..5).map(move |p| (s, p))) {
            if len > 300 && scalar_kind != 0 && scalar_kind != point_kind {
                continue;
            }
            let points = points::<P>(point_kind, len, rng);
            let scalars = scalars::<P::ScalarField>(scalar_kind, len, rng);
            let expected = Projective::<P>::msm(&points, &scalars).unwrap();
            let bases = Bases { points: encoded(&points), scalars: ScalarsOf::From(0) };
            let got = msm_bases::<P>(&bases, &words(&scalars)).unwrap();
            assert_eq!(got, expected, "{len} points, kinds {scalar_kind} and {point_kind}");
        }
    }
}

#[test]
fn msm_equals_arkworks_on_bn254() {
    msm_equals_arkworks::<<Bn254 as Curve>::G1Config>();
    msm_equals_arkworks::<<Bn254 as Curve>::G2Config>();
}

#[test]
fn msm_equals_arkworks_on_bls12_381() {
    msm_equals_arkworks::<<Bls12_381 as Curve>::G1Config>();
    msm_equals_arkworks::<<Bls12_381 as Curve>::G2Config>();
}

#[test]
fn a_listed_point_takes_the_scalar_it_names() {
    type P = <Bn254 as Curve>::G1Config;
    let rng = &mut test_rng();
    let points = points::<P>(0, 3, rng);
    let scalars = scalars::<ark_bn254::Fr>(0, 8, rng);
    let list = ScalarsOf::Listed(Slab::from_u32s(&[1, 4, 6]).unwrap());
    let bases = Bases { points: encoded(&points), scalars: list };
    let expected = points[0] * scalars[1] + points[1] * scalars[4] + points[2] * scalars[6];
    assert_eq!(msm_bases::<P>(&bases, &words(&scalars)).unwrap(), expected);
    let from = Bases { scalars: ScalarsOf::From(5), ..bases.clone() };
    let expected = points[0] * scalars[5] + points[1] * scalars[6] + points[2] * scalars[7];
    assert_eq!(msm_bases::<P>(&from, &words(&scalars)).unwrap(), expected);
    let error = msm_bases::<P>(&bases, &words(&scalars[..6])).unwrap_err();
    assert!(matches!(error, DeviceError::Shape { expected: 7, got: 6, .. }));
}

fn evaluation_equals_the_plain_sum<C: Curve>() {
    let rng = &mut test_rng();
    let witness: Vec<C::Fr> = scalars(7, 50, rng);
    let rows: Vec<Vec<(u32, C::Fr)>> = (0..30)
        .map(|row| {
            scalars::<C::Fr>(7, row % 9, rng)
                .into_iter()
                .map(|coefficient| (rng.gen_range(0..50), coefficient))
                .collect()
        })
        .collect();
    let mut builder = MatrixBuilder::new(50);
    rows.iter().for_each(|row| builder.push_row(row.iter().copied()).unwrap());
    let matrix = builder.build().unwrap();
    let domain = Device::<C>::prepare_domain(&Cpu, Domain::new(5).unwrap()).unwrap();
    let values = Device::<C>::evaluate(&Cpu, &matrix, &words(&witness), &domain).unwrap();
    for (row, value) in values.0.iter().enumerate() {
        let empty = Vec::new();
        let entries = rows.get(row).unwrap_or(&empty);
        let expected: C::Fr = entries.iter().map(|&(column, c)| c * witness[column as usize]).sum();
        assert_eq!(*value, expected, "row {row}");
    }
}

#[test]
fn evaluation_equals_the_plain_sum_on_both_curves() {
    evaluation_equals_the_plain_sum::<Bn254>();
    evaluation_equals_the_plain_sum::<Bls12_381>();
}

/// Both quotients, from polynomials that arkworks interpolates, divides and evaluates.
fn quotients_equal_arkworks<C: Curve>(domain: Domain<C::Fr>) {
    let rng = &mut test_rng();
    let size = domain.size();
    // arkworks' domain with our generator, since tools differ in their choice of root.
    let mut plain = Radix2EvaluationDomain::<C::Fr>::new(size).unwrap();
    plain.group_gen = domain.omega();
    plain.group_gen_inv = domain.omega().inverse().unwrap();
    let coset = plain.get_coset(domain.eta()).unwrap();
    let (a, b): (Vec<C::Fr>, Vec<C::Fr>) = (scalars(7, size, rng), scalars(0, size, rng));
    let c: Vec<C::Fr> = a.iter().zip(&b).map(|(a, b)| *a * b).collect();
    let on_coset = |values: &[C::Fr]| coset.fft(&plain.ifft(values));
    let odd: Vec<C::Fr> = on_coset(&a)
        .iter()
        .zip(on_coset(&b))
        .zip(on_coset(&c))
        .map(|((a, b), c)| *a * b - c)
        .collect();
    assert_eq!(domain.eta().pow([size as u64]) - C::Fr::one(), -C::Fr::from(2));
    let divided: Vec<C::Fr> =
        odd.iter().map(|value| *value * (-C::Fr::from(2)).inverse().unwrap()).collect();
    let coefficients = coset.ifft(&divided);
    assert!(size == 1 || coefficients[size - 1].is_zero(), "the quotient has degree n - 2");
    let resident = Device::<C>::prepare_domain(&Cpu, domain).unwrap();
    for (quotient, expected) in [(Quotient::OddCoset, odd), (Quotient::Coefficients, coefficients)]
    {
        let (a, b) = (Values(a.clone()), Values(b.clone()));
        let got = Device::<C>::quotient(&Cpu, &resident, quotient, a, b).unwrap();
        assert_eq!(got[..], words(&expected)[..], "{quotient:?} of {size}");
    }
}

#[test]
fn quotients_equal_arkworks_for_every_root_and_size() {
    for log_size in [0, 1, 2, 3, 6, 9, 12] {
        quotients_equal_arkworks::<Bn254>(Domain::new(log_size).unwrap());
        quotients_equal_arkworks::<Bls12_381>(Domain::new(log_size).unwrap());
        quotients_equal_arkworks::<Bls12_381>(Domain::snarkjs(log_size).unwrap());
    }
}
