//! The CPU device against arkworks and against reference implementations: equal sums, products and
//! quotients.

use ark_ec::{CurveGroup, PrimeGroup, models::short_weierstrass::Affine};
use ark_ff::{AdditiveGroup, Field, One, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::{rand::Rng, test_rng};

use super::*;
use crate::{Bls12_381, Bn254, MatrixBuilder, Slab, bench, sparse::montgomery_r};

/// Lengths at which chunks, windows, tails and the path for few points differ.
const LENGTHS: [usize; 12] = [0, 1, 2, 3, 7, 31, 32, 33, 127, 129, 255, 1025];

fn words<F: PrimeField<BigInt = ark_ff::BigInt<4>>>(values: &[F]) -> Scalars {
    Scalars::new(values.iter().map(|value| value.into_bigint().0).collect())
}

/// Every path that this processor supports, or the forced one.
fn paths() -> impl Iterator<Item = Path> {
    let forced = Path::forced().unwrap();
    Path::ALL.into_iter().filter(move |path| forced.map_or(path.available(), |it| it == *path))
}

/// On a processor without IFMA, runs the tests of the IFMA path in an emulator.
#[test]
fn device_tests_pass_on_an_emulated_ifma_processor() {
    athanor_testkit::again_on_ifma(&[
        "equal_arkworks",
        "equal_the_reference",
        "equals_the_plain_sum",
        "take_a_quadratic_path",
        "that_served_is_counted",
    ]);
}

/// Scalars for every special case: 0, 1, r-1, small, sparse, repeated and random.
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

/// Points with known logarithms: all distinct, all equal, alternately opposite, infinite, and a
/// mixture.
struct Points<P: Group> {
    points: Vec<Affine<P>>,
    logarithms: Vec<P::ScalarField>,
}

impl<P: Group> Points<P> {
    fn distinct(len: usize) -> Self {
        let (mut point, mut logarithm) = (Projective::<P>::generator(), P::ScalarField::ONE);
        let (chain, logarithms): (Vec<_>, Vec<_>) = (0..len)
            .map(|i| {
                // Not an arithmetic progression, in which sums of different pairs would be equal.
                point = if i % 3 == 0 { point.double() } else { point + Projective::generator() };
                logarithm =
                    if i % 3 == 0 { logarithm.double() } else { logarithm + P::ScalarField::ONE };
                (point, logarithm)
            })
            .unzip();
        Self { points: Projective::normalize_batch(&chain), logarithms }
    }

    /// The first `len` points, changed to exercise exceptional additions.
    fn of_kind(&self, kind: usize, len: usize) -> Self {
        let chosen = |i: usize| match (kind, i % 4) {
            (0, _) | (4, 3) => (self.points[i], self.logarithms[i]),
            (1, _) | (2, 0 | 2) | (4, 0) => (self.points[0], self.logarithms[0]),
            (2, _) | (4, 1) => (-self.points[0], -self.logarithms[0]),
            _ => (Affine::identity(), P::ScalarField::ZERO),
        };
        let (points, logarithms) = (0..len).map(chosen).unzip();
        Self { points, logarithms }
    }

    /// The sum that arkworks computes.
    fn expected(&self, scalars: &[P::ScalarField]) -> Projective<P> {
        let sum: P::ScalarField = self.logarithms.iter().zip(scalars).map(|(a, b)| *a * b).sum();
        Projective::generator() * sum
    }

    fn bases(&self, path: Path) -> Bases {
        let mut words = vec![0; self.points.len() * P::POINT_WORDS];
        encode(path, &self.points, &mut words);
        Bases { points: Slab::from_words(&words).unwrap(), scalars: ScalarsOf::From(0) }
    }
}

/// The sum without tables.
fn sum<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>(
    path: Path,
    bases: &Bases,
    scalars: &[Scalar],
) -> Result<Projective<P>, DeviceError> {
    super::sum::<P>(path, &super::Points::new::<P>(path, bases.clone(), 0)?, scalars)
}

fn sums_equal_arkworks<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>() {
    let rng = &mut test_rng();
    let distinct = Points::<P>::distinct(1025);
    for len in LENGTHS {
        for (scalar_kind, point_kind) in (0..8).flat_map(|s| (0..5).map(move |p| (s, p))) {
            if len > 200 && scalar_kind != 0 && scalar_kind != point_kind {
                continue;
            }
            let points = distinct.of_kind(point_kind, len);
            let scalars = scalars::<P::ScalarField>(scalar_kind, len, rng);
            let expected = points.expected(&scalars);
            for path in paths() {
                let got = sum::<P>(path, &points.bases(path), &words(&scalars)).unwrap();
                let what = format!("{path}: {len} points, kinds {scalar_kind} and {point_kind}");
                assert_eq!(got, expected, "{what}");
            }
        }
    }
    let points = distinct.of_kind(4, 33);
    let scalars = words(&scalars::<P::ScalarField>(7, 33, rng));
    let bases = points.bases(Path::Portable);
    let plain = reference::msm::msm::<P>(bases.points.words(), &scalars);
    assert_eq!(sum::<P>(Path::Portable, &bases, &scalars).unwrap(), plain, "the reference");
}

#[test]
fn sums_equal_arkworks_on_bn254() {
    sums_equal_arkworks::<<Bn254 as Curve>::G1Config>();
    sums_equal_arkworks::<<Bn254 as Curve>::G2Config>();
}

#[test]
fn sums_equal_arkworks_on_bls12_381() {
    sums_equal_arkworks::<<Bls12_381 as Curve>::G1Config>();
    sums_equal_arkworks::<<Bls12_381 as Curve>::G2Config>();
}

/// Tables of all multiples, of a few, and of two, in pools with fewer and with more threads than
/// bucket sets.
fn sums_with_tables_equal_arkworks<
    P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>,
>() {
    let (rng, len) = (&mut test_rng(), 130);
    let distinct = Points::<P>::distinct(len);
    let pools = [1, 7].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for (path, point_kind) in paths().flat_map(|path| [(path, 0), (path, 4)]) {
        let points = distinct.of_kind(point_kind, len);
        let bases = points.bases(path);
        let bytes = bases.points.len();
        for copies in [2, 7, 1000] {
            let resident = super::Points::new::<P>(path, bases.clone(), copies * bytes).unwrap();
            let taken = resident.table_bytes();
            assert!((2 * bytes..=copies * bytes).contains(&taken), "{taken} for {copies} copies");
            for scalar_kind in 0..8 {
                let scalars = scalars::<P::ScalarField>(scalar_kind, len, rng);
                let (expected, words) = (points.expected(&scalars), words(&scalars));
                for pool in &pools {
                    let got = pool.install(|| super::sum::<P>(path, &resident, &words)).unwrap();
                    let what =
                        format!("{path}: kinds {scalar_kind}, {point_kind}; {copies} copies");
                    assert_eq!(got, expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn sums_with_tables_equal_arkworks_on_both_curves() {
    sums_with_tables_equal_arkworks::<<Bn254 as Curve>::G1Config>();
    sums_with_tables_equal_arkworks::<<Bn254 as Curve>::G2Config>();
    sums_with_tables_equal_arkworks::<<Bls12_381 as Curve>::G1Config>();
    sums_with_tables_equal_arkworks::<<Bls12_381 as Curve>::G2Config>();
}

#[test]
fn tables_save_additions_and_a_zero_budget_makes_none() {
    type P = <Bn254 as Curve>::G1Config;
    let (path, len) = (Path::chosen(), 1 << 11);
    let bases = Points::<P>::distinct(len).bases(path);
    let scalars = words(&bench::scalars::<ark_bn254::Fr>(len, 7));
    let additions = |budget: usize| {
        let resident = super::Points::new::<P>(path, bases.clone(), budget).unwrap();
        let tally = msm::Tally::default();
        let _sum = msm::msm::<P>(path, &bases, resident.tables.as_ref(), &scalars, len, &tally);
        (resident.table_bytes(), tally.additions())
    };
    let ((none, alone), (all, with)) = (additions(0), additions(usize::MAX));
    assert!(none == 0 && all > 10 * bases.points.len());
    assert!(10 * with < 8 * alone, "{with} additions where {alone} are usual");
}

/// Runs that span tiles, in pools of one thread and of more threads than windows.
#[test]
fn long_runs_are_summed_completely_by_any_number_of_threads() {
    type P = <Bn254 as Curve>::G1Config;
    let rng = &mut test_rng();
    let len = 9_001;
    let distinct = Points::<P>::distinct(len);
    for (scalar_kind, point_kind) in [(2, 0), (2, 1), (2, 2), (6, 0), (6, 4), (0, 0)] {
        let points = distinct.of_kind(point_kind, len);
        let scalars = scalars::<ark_bn254::Fr>(scalar_kind, len, rng);
        let (expected, words) = (points.expected(&scalars), words(&scalars));
        for (threads, path) in [1, 40].into_iter().flat_map(|t| paths().map(move |p| (t, p))) {
            let bases = points.bases(path);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let got = pool.install(|| sum::<P>(path, &bases, &words)).unwrap();
            assert_eq!(got, expected, "{path}: kinds {scalar_kind} and {point_kind}");
        }
    }
}

/// The cost of a run depends on its number of points, not on which scalars repeat.
#[test]
fn no_scalars_take_a_quadratic_path() {
    paths().for_each(no_scalars_take_a_quadratic_path_on);
}

fn no_scalars_take_a_quadratic_path_on(path: Path) {
    type P = <Bn254 as Curve>::G1Config;
    type Fr = ark_bn254::Fr;
    let len = 1 << 12;
    let bases = Points::<P>::distinct(len).bases(path);
    let random: Vec<Fr> = bench::scalars(len, 7);
    let cost = |scalar: &dyn Fn(usize) -> Fr| {
        let scalars = words(&(0..len).map(scalar).collect::<Vec<Fr>>());
        let tally = msm::Tally::default();
        let _sum = msm::msm::<P>(path, &bases, None, &scalars, len, &tally);
        (tally.additions(), tally.inversions())
    };
    let (additions, inversions) = cost(&|i| random[i]);
    assert!(additions > 20 * len as u64, "uniform scalars take an addition a window");
    let top = Fr::from(2).pow([253]);
    let adversarial: [(&str, &dyn Fn(usize) -> Fr); 7] = [
        ("all equal", &|_| random[0]),
        ("two values", &|i| random[i % 2]),
        ("only the top bits", &|i| top * Fr::from(i as u64 % 3)),
        ("one digit in every window", &|_| Fr::from(2).pow([250]) / Fr::from(7)),
        ("powers of two", &|i| Fr::from(2).pow([i as u64 % 253])),
        ("small and negative", &|i| Fr::from(i as u64) - Fr::from(len as u64 / 2)),
        ("ones", &|_| Fr::ONE),
    ];
    for (what, scalar) in adversarial {
        let (most_additions, most_inversions) = (additions, inversions);
        let (additions, inversions) = cost(scalar);
        assert!(additions <= most_additions, "{what}: {additions} of {most_additions}");
        assert!(inversions <= 2 * most_inversions, "{what}: {inversions} of {most_inversions}");
    }
}

#[test]
fn a_listed_point_takes_the_scalar_it_names() {
    paths().for_each(a_listed_point_takes_the_scalar_it_names_on);
}

fn a_listed_point_takes_the_scalar_it_names_on(path: Path) {
    type P = <Bn254 as Curve>::G1Config;
    let rng = &mut test_rng();
    let Points { points, .. } = Points::<P>::distinct(3);
    let scalars = scalars::<ark_bn254::Fr>(0, 8, rng);
    let list = ScalarsOf::Listed(Slab::from_u32s(&[1, 4, 6]).unwrap());
    let all = Points { points: points.clone(), logarithms: Vec::new() }.bases(path);
    let bases = Bases { scalars: list, ..all };
    let expected = points[0] * scalars[1] + points[1] * scalars[4] + points[2] * scalars[6];
    assert_eq!(sum::<P>(path, &bases, &words(&scalars)).unwrap(), expected);
    let from = Bases { scalars: ScalarsOf::From(5), ..bases.clone() };
    let expected = points[0] * scalars[5] + points[1] * scalars[6] + points[2] * scalars[7];
    assert_eq!(sum::<P>(path, &from, &words(&scalars)).unwrap(), expected);
    let error = sum::<P>(path, &bases, &words(&scalars[..6])).unwrap_err();
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
    // A domain that every path serves in portable code, one with many unused rows, and one in
    // between.
    for (path, log_size) in paths().flat_map(|path| [5, 7, 11].map(|log_size| (path, log_size))) {
        let device = CpuOn(path);
        let domain = Domain::new(log_size).unwrap();
        let domain = Device::<C>::prepare_domain(&device, domain).unwrap();
        let values = Device::<C>::evaluate(&device, &matrix, &words(&witness), &domain).unwrap();
        let mut elements = vec![C::Fr::ZERO; domain.size()];
        domain.read(&values, &mut elements);
        let r = montgomery_r::<C::Fr>();
        for (row, value) in elements.iter().enumerate() {
            let empty = Vec::new();
            let entries = rows.get(row).unwrap_or(&empty);
            let expected: C::Fr =
                entries.iter().map(|&(column, c)| c * witness[column as usize]).sum();
            assert_eq!(*value * r, expected, "{path}: row {row}");
        }
    }
}

#[test]
fn evaluation_equals_the_plain_sum_on_both_curves() {
    evaluation_equals_the_plain_sum::<Bn254>();
    evaluation_equals_the_plain_sum::<Bls12_381>();
}

/// Compares both quotients with polynomials that arkworks interpolates, divides and evaluates.
fn quotients_equal_arkworks<C: Curve>(domain: Domain<C::Fr>) {
    let rng = &mut test_rng();
    let size = domain.size();
    // arkworks' domain with our generator, because tools choose different roots.
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
    let expected = [(Quotient::OddCoset, odd), (Quotient::Coefficients, coefficients)];
    for (path, (quotient, expected)) in paths().flat_map(|p| expected.iter().map(move |e| (p, e))) {
        let device = CpuOn(path);
        let resident = Device::<C>::prepare_domain(&device, domain).unwrap();
        let over_r = montgomery_r::<C::Fr>().inverse().unwrap();
        let [a, b] = [&a, &b].map(|values| {
            let values: Vec<C::Fr> = values.iter().map(|&value| value * over_r).collect();
            resident.values(&values)
        });
        let got = Device::<C>::quotient(&device, &resident, *quotient, a, b).unwrap();
        assert_eq!(got[..], words(expected)[..], "{path}: {quotient:?} of {size}");
    }
}

#[test]
fn quotients_equal_arkworks_for_every_root_and_size() {
    for log_size in [0, 1, 2, 3, 6, 7, 8, 9, 12] {
        quotients_equal_arkworks::<Bn254>(Domain::new(log_size).unwrap());
        quotients_equal_arkworks::<Bls12_381>(Domain::new(log_size).unwrap());
        quotients_equal_arkworks::<Bls12_381>(Domain::snarkjs(log_size).unwrap());
    }
}

/// A case that one coordinate in a million meets: a y coordinate is slightly below zero, which its
/// uncarried top limb does not show. A sum of 2^15 points of BLS12-381 meets it.
#[test]
fn large_sums_are_the_same_on_all_paths() {
    fn check<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>(log_size: u32) {
        let inputs = bench::Msm::<P>::dense(1 << log_size);
        let sums: Vec<_> = paths().map(|path| inputs.on(path).unwrap().run()).collect();
        assert!(sums.iter().all(|sum| *sum == sums[0]), "2^{log_size}");
    }
    check::<ark_bls12_381::g1::Config>(15);
    if std::env::var_os("ATHANOR_LONG_TESTS").is_some() {
        check::<ark_bls12_381::g1::Config>(20);
        check::<ark_bls12_381::g2::Config>(18);
        check::<ark_bn254::g1::Config>(20);
        check::<ark_bn254::g2::Config>(18);
    }
}

/// Large enough for stripes, with even and odd logarithm.
#[test]
fn large_transforms_equal_arkworks() {
    for log_size in [13, 14, 15] {
        quotients_equal_arkworks::<Bn254>(Domain::new(log_size).unwrap());
    }
    quotients_equal_arkworks::<Bls12_381>(Domain::new(16).unwrap());
}

/// Large enough for stripes within the rows of stripes: ten seconds in an optimised build
/// (`ATHANOR_LONG_TESTS=1 cargo test --release -p athanor-kernels stripes`).
#[test]
fn transforms_by_stripes_of_stripes_are_the_same_on_all_paths() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let rng = &mut test_rng();
    let domain = Domain::<ark_bls12_381::Fr>::new(23).unwrap();
    let values: Vec<ark_bls12_381::Fr> = scalars(0, domain.size(), rng);
    let mut expected = None;
    for path in paths() {
        let domain = CpuDomain::new(path, domain);
        let (mut there, mut elements) = (domain.values(&values), values.clone());
        domain.to_odd_coset(&mut there);
        domain.read(&there, &mut elements);
        assert!(elements != values);
        assert!(expected.get_or_insert_with(|| elements.clone()) == &elements, "{path}");
    }
}

#[test]
fn transforms_equal_the_reference() {
    let rng = &mut test_rng();
    for log_size in 0..7 {
        let domain = Domain::<ark_bls12_381::Fr>::snarkjs(log_size).unwrap();
        let twiddles = ntt::Twiddles::new(domain);
        let values: Vec<ark_bls12_381::Fr> = scalars(0, domain.size(), rng);
        let mut there = values.clone();
        twiddles.to_odd_coset(&mut there);
        assert_eq!(there, reference::ntt::to_odd_coset(&domain, &values), "2^{log_size}");
        let size = ark_bls12_381::Fr::from(domain.size() as u64);
        let natural = |mut coefficients: Vec<ark_bls12_381::Fr>| {
            ntt::reverse_bits(&mut coefficients);
            coefficients.iter_mut().for_each(|value| *value /= size);
            coefficients
        };
        let mut back = there.clone();
        twiddles.off_odd_coset(&mut back);
        let back = natural(back);
        assert_eq!(back, reference::ntt::from_odd_coset(&domain, &there), "2^{log_size}");
        assert_eq!(back, reference::ntt::coefficients(&domain, &values), "2^{log_size}");
        let mut direct = values.clone();
        twiddles.to_coefficients(&mut direct);
        assert_eq!(natural(direct), back, "2^{log_size}");
    }
}

#[test]
fn the_path_that_served_is_counted() {
    let before = counters::counters(Path::chosen());
    let path = Path::chosen();
    let domain = CpuDomain::<ark_bn254::Fr>::new(path, Domain::new(6).unwrap());
    let values = || domain.values(&[ark_bn254::Fr::ONE; 64]);
    Device::<Bn254>::quotient(&Cpu, &domain, Quotient::OddCoset, values(), values()).unwrap();
    let _sum = bench::Msm::<<Bn254 as Curve>::G1Config>::dense(64).run();
    let after = counters::counters(path);
    assert!(after.transforms >= before.transforms + 6);
    assert!(after.msms > before.msms && after.additions > before.additions + 64);
}

#[test]
fn a_scalar_list_that_is_not_ascending_is_refused() {
    type P = <Bn254 as Curve>::G1Config;
    let points = Slab::from_words(&[0; 3 * P::POINT_WORDS]).unwrap();
    for list in [[9, 1, 2], [0, 2, 2]] {
        let scalars = ScalarsOf::Listed(Slab::from_u32s(&list).unwrap());
        let bases = Bases { points: points.clone(), scalars };
        assert!(matches!(check_bases(bases, P::POINT_WORDS), Err(DeviceError::Shape { .. })));
    }
}
