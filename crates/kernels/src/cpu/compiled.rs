//! The kernels of each curve, compiled only here.
//!
//! Generic code is compiled again in every crate that calls it, and the kernels take minutes to
//! compile. So each curve has a table of function pointers to this crate's instances, and the
//! generic code above the tables is small.

use ark_ec::models::short_weierstrass::Affine;

use super::{CpuDomain, Points, Values, encode, sum};
use crate::{
    Bases, Bls12_381, Bn254, Curve, DeviceError, Domain, Matrix, Path, Quotient, Scalar, Scalars,
};

/// One curve's kernels; see the module.
#[derive(Debug)]
#[expect(clippy::type_complexity, reason = "signatures, which stand best where they are")]
pub struct Kernels<C: Curve> {
    pub(super) encode_g1: fn(Path, &[Affine<C::G1Config>], &mut [u64]),
    pub(super) encode_g2: fn(Path, &[Affine<C::G2Config>], &mut [u64]),
    pub(super) points_g1: fn(Path, Bases, usize) -> Result<Points, DeviceError>,
    pub(super) points_g2: fn(Path, Bases, usize) -> Result<Points, DeviceError>,
    pub(super) sum_g1: fn(Path, &Points, &[Scalar]) -> Result<C::G1, DeviceError>,
    pub(super) sum_g2: fn(Path, &Points, &[Scalar]) -> Result<C::G2, DeviceError>,
    pub(super) domain: fn(Path, Domain<C::Fr>) -> CpuDomain<C::Fr>,
    pub(super) evaluate: fn(&CpuDomain<C::Fr>, &Matrix<C::Fr>, &[Scalar]) -> Values<C::Fr>,
    pub(super) quotient: fn(&CpuDomain<C::Fr>, Quotient, Values<C::Fr>, Values<C::Fr>) -> Scalars,
}

impl<C: Curve> Kernels<C> {
    const fn new() -> Self {
        Self {
            encode_g1: encode::<C::G1Config>,
            encode_g2: encode::<C::G2Config>,
            points_g1: Points::new::<C::G1Config>,
            points_g2: Points::new::<C::G2Config>,
            sum_g1: sum::<C::G1Config>,
            sum_g2: sum::<C::G2Config>,
            domain: CpuDomain::new,
            evaluate: CpuDomain::evaluate,
            quotient: CpuDomain::quotient,
        }
    }
}

/// For BN254.
pub(crate) static BN254: Kernels<Bn254> = Kernels::new();
/// For BLS12-381.
pub(crate) static BLS12_381: Kernels<Bls12_381> = Kernels::new();
