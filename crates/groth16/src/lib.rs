//! Groth16 (eprint 2016/260): keys, prover, verifier and file formats, generic over a compute device.
//!
//! Three types matter: a [`ProvingKey`], resident on a device, makes a proof from a [`Witness`], and a
//! [`Verifier`] verifies it. An example with generated constraints:
//!
//! ```
//! use athanor_groth16::{Claim, ProvingKey, Verifier, Witness, development_setup, synthetic};
//! use athanor_kernels::{Bn254, Quotient, cpu::Cpu};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let example = synthetic::dense::<Bn254>(20, 1);
//! // For development only; keys for production come from a ceremony.
//! let key = development_setup::<Bn254>(&example.r1cs, Quotient::OddCoset)?;
//! let key = ProvingKey::load(Cpu, key.to_native(&Cpu)?)?;
//!
//! let witness = Witness::<Bn254>::new(example.witness)?;
//! let public = witness.public(1).to_vec();
//! let proof = key.prove(witness)?.proof;
//!
//! let verifier = Verifier::new(key.verifying_key())?;
//! verifier.verify(&public, &proof)?;
//! // A batch of many proofs under one key costs about a third per proof.
//! verifier.verify_batch(&[Claim { public: &public, proof: &proof }])?;
//! # Ok(())
//! # }
//! ```
//!
//! Overview:
//!
//! | you have or need | see |
//! |---|---|
//! | a `.zkey` of snarkjs | [`formats::zkey`], then [`NativeKey::from_zkey`]; `examples/embed.rs` is a complete example |
//! | a key that loads fast | [`NativeKey::store`] and [`NativeKey::open`] |
//! | many circuits, loaded on demand | [`KeyOutline`] |
//! | parameters of bellman or bellperson | [`formats::bellman`], then [`NativeKey::from_bellman`] |
//! | a `.wtns`, `.r1cs`, `.sym`, `.ptau`, JSON | [`formats`] |
//! | a witness from an input | the crate `athanor-circom` |
//! | a key from a ceremony | [`ceremony`] |
//! | verification on Ethereum | [`evm`] |
//!
//! No input causes a panic: each failure is a variant of a typed error. Witnesses are wiped when
//! dropped. All parallel work runs in the caller's rayon pool. Circuits and witness generators are
//! outside this crate.

mod batch;
pub mod ceremony;
mod convert;
mod digested;
mod endomorphism;
pub mod evm;
pub mod formats;
mod key;
mod keyfile;
mod native;
mod outline;
mod prover;
mod r1cs;
mod setup;
mod subgroup;
pub mod synthetic;
mod to_zkey;
mod verifier;
mod witness;

pub use batch::{BatchError, Claim, Refusal};
pub use convert::ConvertError;
pub use key::{Proof, Standing, VerifyingKey};
pub use keyfile::{KeyFileError, digest_of};
pub use native::{NativeKey, Origin, QueryBuilder, RawKey};
pub use outline::{KeyOutline, OutlineError};
pub use prover::{ProveError, Proved, ProvingKey, Stages, Unverified};
pub use r1cs::{R1cs, Rows};
pub use setup::{SetupError, development_setup, development_setup_on};
pub use verifier::{PointFault, Verifier, VerifyError};
pub use witness::{Witness, WitnessError};
