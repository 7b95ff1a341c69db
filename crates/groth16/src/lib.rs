//! Groth16 (eprint 2016/260): keys, prover, verifier and file formats, generic over a compute device.

pub mod formats;
mod key;
mod r1cs;

pub use key::{Proof, VerifyingKey};
pub use r1cs::{R1cs, Rows};
