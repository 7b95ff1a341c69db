//! Groth16 (eprint 2016/260): keys, prover, verifier and file formats, generic over a compute device.

mod convert;
pub mod formats;
mod key;
mod keyfile;
mod native;
mod prover;
mod r1cs;
mod setup;
pub mod synthetic;
mod to_zkey;
mod verifier;
mod witness;

pub use convert::ConvertError;
pub use key::{Proof, Standing, VerifyingKey};
pub use keyfile::{KeyFileError, digest_of};
pub use native::{NativeKey, Origin, QueryBuilder, RawKey};
pub use prover::{ProveError, Proved, ProvingKey, Stages, Unverified};
pub use r1cs::{R1cs, Rows};
pub use setup::{SetupError, development_setup};
pub use verifier::{PointFault, Verifier, VerifyError};
pub use witness::{Witness, WitnessError};
