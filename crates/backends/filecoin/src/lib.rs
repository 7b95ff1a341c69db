//! Filecoin's proof of replication (PoRep): makes verified seal proofs from C1 outputs, one partition at
//! a time.
//!
//! A sector's proof is ten Groth16 proofs of one circuit (one or two for small sectors). The stock
//! prover synthesises all of them first and proves them in phases, all in memory at once. Here the
//! engine schedules each partition separately: it checks the vanilla proofs, computes the witness
//! ([`synthesis`]), proves it with `groth16` on a device and verifies the proof. The stock stack's
//! verifier checks the assembled bytes before they are returned.
//!
//! ```text
//!  C1 ─► input ─► porep (stock circuits) ─► synthesis ─► witness ─┐
//!                  │ blank circuit, once                           ├─► groth16 ─► check ─► verify_seal
//!                  └─► constraints (A, B, C on disk) ─► params ─► key ┘
//! ```
//!
//! [`FilecoinBackend`] opens circuits of a catalog; [`open`] opens a circuit from a parameter file.
//!
//! **The stock stack is 194 packages**, so this code is behind the feature `stock`; without it the crate
//! is empty. Commands of the workspace do not compile the stack, one lock file pins it, and
//! `--features stock` builds and tests it. The alternative, a separate workspace, would need a second
//! lock file.
//!
//! **Process-wide state of the stack** (the number of partitions of each sector size, and verifying keys
//! cached by sector size) is not used: both are part of the circuit ([`Sector`]). Only sealing and
//! `verify_seal` need this state; they run in separate processes ([`SealVerifier`]).
// Without the feature the crate is empty, and the links of this page have no targets.
#![cfg_attr(not(feature = "stock"), allow(rustdoc::broken_intra_doc_links))]
#![cfg(feature = "stock")]

mod backend;
mod c1;
mod circuit;
pub mod constraints;
mod fault;
mod field;
pub mod input;
pub mod params;
pub mod porep;
mod result;
mod sector;
mod settings;
pub mod synthesis;
mod verify;

pub use backend::{BACKEND, FilecoinBackend, names, porep_of};
pub use c1::seal;
pub use circuit::{JSON, open};
pub use fault::Fault;
pub use porep::{MinerId, Porep, Statement, Vanilla};
pub use result::{CheckedBy, SealProof};
pub use sector::Sector;
pub use settings::{OnKept, Settings};
pub use synthesis::{Constraints, Sizes};
pub use verify::{SealVerifier, serve_verifier, set_partitions};
