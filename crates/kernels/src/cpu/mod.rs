//! The CPU as a compute device.

pub(crate) mod compiled;
mod evaluate;
mod msm;
mod ntt;
mod quotient;
#[cfg(test)]
mod reference;
mod vector_ntt;

use ark_ec::models::short_weierstrass::{Affine, Projective};
use ark_ff::{BigInt, PrimeField};
use rayon::prelude::*;

pub use self::{
    compiled::Kernels,
    evaluate::first_unsatisfied,
    quotient::{CpuDomain, Values},
};
use crate::{
    Bases, Curve, Device, DeviceError, Domain, Group, Layout, Matrix, Path, Quotient, Resident,
    SCALAR_WORDS, Scalar, Scalars, ScalarsOf, counters,
};

/// The CPU: parallel work runs in the caller's rayon pool, data is in host memory.
///
/// It uses the path of the process, [`Path::chosen`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

/// The CPU on a given path, to compare paths.
#[derive(Clone, Copy, Debug)]
pub struct CpuOn(Path);

impl CpuOn {
    /// The CPU on this path; `None` if the processor does not support it.
    pub fn path(path: Path) -> Option<Self> {
        path.available().then_some(Self(path))
    }
}

mod on_path {
    /// A CPU on a path. Only this module implements it, so no path runs that the processor does not
    /// support.
    pub trait OnPath: Send + Sync + 'static {
        /// The path.
        fn path(&self) -> crate::Path;
    }
}

use on_path::OnPath;

impl OnPath for Cpu {
    fn path(&self) -> Path {
        Path::chosen()
    }
}

impl OnPath for CpuOn {
    fn path(&self) -> Path {
        self.0
    }
}

/// Points in host memory, and precomputed multiples of them if there is memory for those.
#[derive(Debug)]
pub struct Points {
    bases: Bases,
    tables: Option<msm::Tables>,
}

impl Points {
    /// Makes points resident in a path's layout, with tables in at most `budget` bytes. The path
    /// must be available.
    pub(crate) fn new<P: Group>(
        path: Path,
        bases: Bases,
        table_budget: usize,
    ) -> Result<Self, DeviceError> {
        let tables = msm::tables::<P>(path, bases.points.words(), table_budget)?;
        Ok(Self { bases, tables })
    }
}

impl Resident for Points {
    fn table_bytes(&self) -> usize {
        self.tables.as_ref().map_or(0, msm::Tables::bytes)
    }
}

/// `Σ scalar(i) · point(i)`. The path must be available, and the points must be in its layout.
pub(crate) fn sum<P: Group<ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>>>(
    path: Path,
    Points { bases, tables }: &Points,
    scalars: &[Scalar],
) -> Result<Projective<P>, DeviceError> {
    let count = bases.points.words().len() / P::POINT_WORDS;
    let needed = match &bases.scalars {
        ScalarsOf::From(offset) => offset + count,
        ScalarsOf::Listed(list) => list.u32s().last().map_or(0, |&last| last as usize + 1),
    };
    if needed > scalars.len() {
        let (expected, got) = (needed, scalars.len());
        return Err(DeviceError::Shape { what: "scalars for the points", expected, got });
    }
    let tally = msm::Tally::default();
    let sum = msm::msm::<P>(path, bases, tables.as_ref(), scalars, count, &tally);
    counters::count_msm(path, tally.additions(), tally.inversions());
    Ok(sum)
}

impl<C: Curve, D: OnPath> Device<C> for D {
    type G1 = Points;
    type G2 = Points;
    type Matrix = Matrix<C::Fr>;
    type Domain = CpuDomain<C::Fr>;
    type Scalars = Scalars;
    type Values = Values<C::Fr>;

    fn layout(&self) -> Layout {
        Layout {
            name: match self.path() {
                Path::Portable => "montgomery-64x",
                // Both multiply 52-bit limbs, so they share the format and its keys.
                Path::Avx512 | Path::Ifma => "montgomery-52x",
            },
            g1_words: C::G1Config::POINT_WORDS,
            g2_words: C::G2Config::POINT_WORDS,
        }
    }

    fn encode_g1(&self, points: &[C::G1Affine], out: &mut [u64]) {
        (C::kernels().encode_g1)(self.path(), points, out);
    }

    fn encode_g2(&self, points: &[C::G2Affine], out: &mut [u64]) {
        (C::kernels().encode_g2)(self.path(), points, out);
    }

    fn prepare_g1(&self, bases: Bases, table_budget: usize) -> Result<Points, DeviceError> {
        let bases = check_bases(bases, C::G1Config::POINT_WORDS)?;
        (C::kernels().points_g1)(self.path(), bases, table_budget)
    }

    fn prepare_g2(&self, bases: Bases, table_budget: usize) -> Result<Points, DeviceError> {
        let bases = check_bases(bases, C::G2Config::POINT_WORDS)?;
        (C::kernels().points_g2)(self.path(), bases, table_budget)
    }

    fn prepare_matrix(&self, matrix: Matrix<C::Fr>) -> Result<Self::Matrix, DeviceError> {
        Ok(matrix)
    }

    fn prepare_domain(&self, domain: Domain<C::Fr>) -> Result<Self::Domain, DeviceError> {
        Ok((C::kernels().domain)(self.path(), domain))
    }

    fn upload(&self, scalars: Scalars) -> Result<Scalars, DeviceError> {
        Ok(scalars)
    }

    fn evaluate(
        &self,
        matrix: &Self::Matrix,
        scalars: &Scalars,
        domain: &Self::Domain,
    ) -> Result<Self::Values, DeviceError> {
        expect("scalars for the matrix", matrix.columns(), scalars.len())?;
        let size = domain.size();
        if matrix.rows() > size {
            let (expected, got) = (size, matrix.rows());
            return Err(DeviceError::Shape { what: "rows of the matrix", expected, got });
        }
        counters::count_evaluation(domain.path());
        Ok((C::kernels().evaluate)(domain, matrix, scalars))
    }

    fn quotient(
        &self,
        domain: &Self::Domain,
        quotient: Quotient,
        a: Self::Values,
        b: Self::Values,
    ) -> Result<Scalars, DeviceError> {
        domain.check(&a)?;
        domain.check(&b)?;
        counters::count_transforms(domain.path(), 6);
        Ok((C::kernels().quotient)(domain, quotient, a, b))
    }

    fn msm_g1(&self, points: &Points, scalars: &Scalars) -> Result<C::G1, DeviceError> {
        (C::kernels().sum_g1)(self.path(), points, scalars)
    }

    fn msm_g2(&self, points: &Points, scalars: &Scalars) -> Result<C::G2, DeviceError> {
        (C::kernels().sum_g2)(self.path(), points, scalars)
    }
}

/// Writes points in the path's layout.
pub(crate) fn encode<P: Group>(path: Path, points: &[Affine<P>], out: &mut [u64]) {
    assert_eq!(out.len(), points.len() * P::POINT_WORDS, "one slot for each point");
    out.par_chunks_exact_mut(P::POINT_WORDS).zip(points).for_each(|(out, point)| match path {
        Path::Portable => P::write_point(point, out),
        Path::Avx512 | Path::Ifma => msm::encode_limbs(point, out),
    });
}

fn check_bases(bases: Bases, words: usize) -> Result<Bases, DeviceError> {
    let count = bases.points.words().len() / words;
    if count > msm::MAX_POINTS {
        let (expected, got) = (msm::MAX_POINTS, count);
        return Err(DeviceError::Shape { what: "points of one sum, at most", expected, got });
    }
    expect("words of points", count * words, bases.points.words().len())?;
    if let ScalarsOf::Listed(list) = &bases.scalars {
        let list = list.u32s();
        expect("listed scalars", count, list.len())?;
        // The last index decides how many scalars a sum needs, so no earlier index may be larger.
        if let Some(at) = list.windows(2).position(|pair| pair[0] >= pair[1]) {
            let (expected, got) = (list[at] as usize + 1, list[at + 1] as usize);
            return Err(DeviceError::Shape { what: "ascending scalars, at least", expected, got });
        }
    }
    Ok(bases)
}

fn expect(what: &'static str, expected: usize, got: usize) -> Result<(), DeviceError> {
    if expected == got { Ok(()) } else { Err(DeviceError::Shape { what, expected, got }) }
}

#[cfg(test)]
mod tests;
