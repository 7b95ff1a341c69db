//! Inputs of benchmarks: reproducible, uniform, and cheap to generate.

use ark_ec::{
    CurveGroup, PrimeGroup,
    models::short_weierstrass::{Affine, Projective},
};
use ark_ff::{BigInt, PrimeField};

use crate::{
    Bases, Domain, Group, Path, Resident, SCALAR_WORDS, Scalar, Scalars, ScalarsOf, Slab,
    cpu::{self, CpuDomain},
    lanes::ntt_field::NttField,
};

/// `n` uniform elements from a seed.
pub fn scalars<F: PrimeField>(n: usize, seed: u64) -> Vec<F> {
    let mut state = seed;
    let mut word = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut element = || {
        let bytes: Vec<u8> = (0..6).flat_map(|_| word().to_le_bytes()).collect();
        F::from_le_bytes_mod_order(&bytes)
    };
    (0..n).map(|_| element()).collect()
}

/// `n` distinct points from a seed: a chain whose step grows by the same point each time.
pub fn points<P: Group>(n: usize, seed: u64) -> Vec<Affine<P>> {
    let start = scalars::<P::ScalarField>(3, seed);
    let [mut point, mut step, growth] =
        [start[0], start[1], start[2]].map(|scalar| Projective::<P>::generator() * scalar);
    let chain: Vec<Projective<P>> = (0..n)
        .map(|_| {
            step += growth;
            point += step;
            point
        })
        .collect();
    Projective::normalize_batch(&chain)
}

/// A multi-scalar multiplication to measure.
pub struct Msm<P: Group> {
    /// The points.
    pub points: Vec<Affine<P>>,
    /// The scalars.
    pub scalars: Vec<P::ScalarField>,
    resident: cpu::Points,
    canonical: Scalars,
    path: Path,
}

impl<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>> Msm<P> {
    /// Uniform scalars, on the path of the process.
    pub fn dense(n: usize) -> Self {
        Self::new(Path::chosen(), points(n, 1), scalars(n, 2), 0)
    }

    /// The same sum on another path, if the processor supports it.
    pub fn on(&self, path: Path) -> Option<Self> {
        let sum = || Self::new(path, self.points.clone(), self.scalars.clone(), 0);
        path.available().then(sum)
    }

    /// The same sum with precomputed multiples in at most `budget` bytes.
    pub fn with_tables(&self, budget: usize) -> Self {
        Self::new(self.path, self.points.clone(), self.scalars.clone(), budget)
    }

    /// Bytes of the precomputed multiples.
    pub fn table_bytes(&self) -> usize {
        self.resident.table_bytes()
    }

    /// Scalars like those of a circuit over bits: two of a hundred are uniform, the others are 0 or
    /// 1.
    pub fn bits(n: usize) -> Self {
        let bit = |(i, scalar): (usize, P::ScalarField)| match i % 50 {
            0 => scalar,
            _ => P::ScalarField::from(scalar.into_bigint().0[0] & 1),
        };
        Self::new(
            Path::chosen(),
            points(n, 1),
            scalars(n, 2).into_iter().enumerate().map(bit).collect(),
            0,
        )
    }

    fn new(
        path: Path,
        points: Vec<Affine<P>>,
        scalars: Vec<P::ScalarField>,
        budget: usize,
    ) -> Self {
        let mut words = vec![0; points.len() * P::POINT_WORDS];
        cpu::encode(path, &points, &mut words);
        let slab = Slab::from_words(&words).expect("points fit in memory twice");
        let bases = Bases { points: slab, scalars: ScalarsOf::From(0) };
        let resident = cpu::Points::new::<P>(path, bases, budget).expect("tables fit in memory");
        let canonical: Vec<Scalar> = scalars.iter().map(|scalar| scalar.into_bigint().0).collect();
        Self { points, scalars, resident, canonical: Scalars::new(canonical), path }
    }

    /// Computes the sum.
    pub fn run(&self) -> Projective<P> {
        cpu::sum::<P>(self.path, &self.resident, &self.canonical)
            .expect("as many scalars as points")
    }
}

/// A transform to measure: from a domain to its odd coset.
pub struct Ntt<F: NttField> {
    /// The domain.
    pub domain: Domain<F>,
    /// The values, transformed in place.
    pub values: Vec<F>,
    resident: CpuDomain<F>,
}

impl<F: NttField> Ntt<F> {
    /// Uniform values on a domain of `2^log_size` points, on the path of the process.
    pub fn new(log_size: u32) -> Self {
        let domain = Domain::new(log_size).expect("a measured domain exists");
        Self::on_available(Path::chosen(), domain, scalars(domain.size(), 3))
    }

    /// The same transform on another path, if the processor supports it.
    pub fn on(&self, path: Path) -> Option<Self> {
        path.available().then(|| Self::on_available(path, self.domain, self.values.clone()))
    }

    fn on_available(path: Path, domain: Domain<F>, values: Vec<F>) -> Self {
        Self { domain, values, resident: CpuDomain::new(path, domain) }
    }

    /// The path of the transform; small domains use the portable path.
    pub fn path(&self) -> Path {
        self.resident.path()
    }

    /// Transforms the values, converting from and to arkworks' form.
    pub fn run(&mut self) {
        let mut values = self.resident.values(&self.values);
        self.resident.to_odd_coset(&mut values);
        self.resident.read(&values, &mut self.values);
    }
}
