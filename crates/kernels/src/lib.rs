//! Numbers, and nothing else: what a compute device is, and the CPU as one.
//!
//! A [`Device`] keeps fixed data resident (proving-key bases, constraint matrices, a transform's
//! domain) behind handles, and computes with it: sparse products, the quotient of a QAP, and
//! multi-scalar multiplications over G1 and G2 of [BN254](ark_bn254) and
//! [BLS12-381](ark_bls12_381). It knows no files, no circuits and no policy.
//!
//! Two decisions shape the seam:
//!
//! - **A key is converted once.** A device names its [`Layout`]; points are encoded to it
//!   beforehand and stored, so that making a stored key resident costs no arithmetic. The road not
//!   taken, handing arkworks points to every call, pays a conversion per proof and ties each
//!   device to one number format.
//! - **Data stays with the device between steps.** Scalars and evaluations are opaque associated
//!   types: the quotient's result goes into its MSM without a trip through a public format, so a
//!   vector unit keeps its limbs and an accelerator its memory.
//!
//! Everything parallel runs in the caller's [rayon] pool.

// Kernels are the one crate where `unsafe` may stand (vector instructions), a SAFETY line each.
#![allow(unsafe_code)]

pub mod bench;
pub mod counters;
pub mod cpu;
mod curve;
mod device;
mod domain;
mod inversion;
mod lanes;
mod memory;
mod path;
mod prefetch;
mod sparse;

pub use curve::{Bls12_381, Bn254, Curve, CurveId, Group, SCALAR_WORDS, Words};
pub use device::{
    Bases, Device, DeviceError, Layout, Quotient, Resident, Scalar, Scalars, ScalarsOf,
};
pub use domain::{Domain, DomainError};
pub use memory::{Slab, SlabError, SlabMut};
pub use path::{FORCE, Path, PathError};
pub use sparse::{Matrix, MatrixBuilder, MatrixError, MatrixParts};
