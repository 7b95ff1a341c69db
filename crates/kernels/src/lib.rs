//! Arithmetic kernels: the interface of compute devices, and the CPU as one.
//!
//! A [`Device`] keeps fixed data resident (proving-key bases, constraint matrices, transform
//! domains) behind handles, and computes with it: sparse products, the quotient of a QAP, and
//! multi-scalar multiplications over G1 and G2 of [BN254](ark_bn254) and
//! [BLS12-381](ark_bls12_381). It does not read files and knows neither circuits nor scheduling.
//!
//! Two decisions shape the interface:
//!
//! - **A key is converted once.** A device names its [`Layout`]; points are encoded to it in
//!   advance and stored, so making a stored key resident costs no arithmetic. The alternative,
//!   passing arkworks points to every call, needs a conversion for each proof and ties every device
//!   to one number format.
//! - **Data stays on the device between steps.** Scalars and evaluations are opaque associated
//!   types: the quotient's result goes into its MSM without conversion to a public format, so a
//!   vector unit keeps its limbs and an accelerator its memory.
//!
//! Parallel work runs in the caller's [rayon] pool.

// This crate may contain `unsafe` code (vector instructions); each block has a SAFETY comment.
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
