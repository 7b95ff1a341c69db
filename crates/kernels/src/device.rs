//! The interface of compute devices.

use std::sync::Arc;

use zeroize::Zeroize;

use crate::{Curve, Domain, Matrix, SCALAR_WORDS, Slab, SlabError};

/// A scalar as a canonical integer below the group order: four 64-bit words, least first.
pub type Scalar = [u64; SCALAR_WORDS];

/// Scalars in host memory, shared between clones and wiped when the last one is dropped, because a
/// witness is secret.
#[derive(Clone, Default)]
pub struct Scalars(Arc<Wiped>);

#[derive(Default)]
struct Wiped(Vec<Scalar>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Scalars {
    /// Takes the scalars, which must be canonical (below the group order).
    pub fn new(scalars: Vec<Scalar>) -> Self {
        Self(Arc::new(Wiped(scalars)))
    }
}

impl std::ops::Deref for Scalars {
    type Target = [Scalar];

    fn deref(&self) -> &[Scalar] {
        &self.0.0
    }
}

impl std::fmt::Debug for Scalars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scalars({} hidden)", self.len())
    }
}

/// How a device stores points. Stored keys carry the name and can be used only by devices with the
/// same layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Names number format, word order and version. A change of meaning requires a new name.
    pub name: &'static str,
    /// 64-bit words of one stored G1 point.
    pub g1_words: usize,
    /// 64-bit words of one stored G2 point.
    pub g2_words: usize,
}

/// The fixed points of an MSM, in a device's layout, and which scalar multiplies each.
///
/// Keys leave out points at infinity (two thirds of a query in circuits over bits), so point `i`
/// is multiplied by scalar `scalar_of[i]`, or by scalar `offset + i` where there is no list.
#[derive(Clone, Debug)]
pub struct Bases {
    /// The points, one after the other.
    pub points: Slab,
    /// Which scalar multiplies each point.
    pub scalars: ScalarsOf,
}

/// Which scalar multiplies the `i`-th point.
#[derive(Clone, Debug)]
pub enum ScalarsOf {
    /// Scalar `offset + i`.
    From(usize),
    /// Scalar `list[i]`; 32-bit words, strictly increasing.
    Listed(Slab),
}

/// Which form of `a ∘ b - c` to compute, where `a` and `b` are evaluations on a domain and
/// `c = a ∘ b` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotient {
    /// snarkjs: the evaluations of `a·b - c` on the odd coset, for a key whose H points are in
    /// that basis and hold the division. `n` values.
    OddCoset,
    /// Classical (libsnark, bellman, arkworks): the coefficients of `(a·b - c) / (x^n - 1)`.
    /// `n` values, the last of them zero.
    Coefficients,
}

/// Why a device did not compute.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The shapes of operands do not match.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// Which operand.
        what: &'static str,
        /// The expected size.
        expected: usize,
        /// The given size.
        got: usize,
    },
    /// Not enough memory on the device or the host.
    #[error(transparent)]
    Memory(#[from] SlabError),
}

/// Points resident on a device.
pub trait Resident: Send + Sync {
    /// Bytes of precomputed multiples, not counting the points.
    fn table_bytes(&self) -> usize;
}

/// A compute device for one curve: resident data behind handles, and computation on it.
///
/// All results are exact: two devices agree bit for bit. Calls block until done, may run
/// concurrently, and do their parallel work in the caller's rayon pool.
pub trait Device<C: Curve>: Send + Sync + 'static {
    /// Resident G1 points.
    type G1: Resident;
    /// Resident G2 points.
    type G2: Resident;
    /// A resident constraint matrix.
    type Matrix: Send + Sync;
    /// A resident domain: roots of unity in the form of the device.
    type Domain: Send + Sync;
    /// Scalars where the device computes, wiped when dropped.
    type Scalars: Send + Sync;
    /// Evaluations on a domain where the device computes, wiped when dropped.
    type Values: Send + Sync;

    /// How this device stores points.
    fn layout(&self) -> Layout;

    /// Converts points to the layout; `out` takes `points.len() * layout().g1_words` words.
    fn encode_g1(&self, points: &[C::G1Affine], out: &mut [u64]);

    /// Converts points to the layout; `out` takes `points.len() * layout().g2_words` words.
    fn encode_g2(&self, points: &[C::G2Affine], out: &mut [u64]);

    /// Makes encoded G1 points resident. Precomputed multiples of them, which make sums faster, may
    /// take `table_budget` bytes more; computing them takes about as long as twenty sums.
    fn prepare_g1(&self, bases: Bases, table_budget: usize) -> Result<Self::G1, DeviceError>;

    /// Makes encoded G2 points resident; see [`Device::prepare_g1`].
    fn prepare_g2(&self, bases: Bases, table_budget: usize) -> Result<Self::G2, DeviceError>;

    /// Makes a matrix resident.
    fn prepare_matrix(&self, matrix: Matrix<C::Fr>) -> Result<Self::Matrix, DeviceError>;

    /// Makes a domain resident.
    fn prepare_domain(&self, domain: Domain<C::Fr>) -> Result<Self::Domain, DeviceError>;

    /// Transfers scalars to the device.
    fn upload(&self, scalars: Scalars) -> Result<Self::Scalars, DeviceError>;

    /// The matrix times the scalars, on a domain with at least as many points as the matrix has
    /// rows; values beyond its rows are zero.
    fn evaluate(
        &self,
        matrix: &Self::Matrix,
        scalars: &Self::Scalars,
        domain: &Self::Domain,
    ) -> Result<Self::Values, DeviceError>;

    /// The quotient of `a ∘ b - c`; see [`Quotient`].
    fn quotient(
        &self,
        domain: &Self::Domain,
        quotient: Quotient,
        a: Self::Values,
        b: Self::Values,
    ) -> Result<Self::Scalars, DeviceError>;

    /// `Σ scalar(i) · point(i)` over G1.
    fn msm_g1(&self, bases: &Self::G1, scalars: &Self::Scalars) -> Result<C::G1, DeviceError>;

    /// `Σ scalar(i) · point(i)` over G2.
    fn msm_g2(&self, bases: &Self::G2, scalars: &Self::Scalars) -> Result<C::G2, DeviceError>;
}
