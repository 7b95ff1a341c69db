//! Filecoin's proof of replication (PoRep): the outputs of C1 in, verified seal proofs out, one
//! partition at a time.
//!
//! A sector's proof is ten Groth16 proofs of one circuit (two, or one, for small sectors). The stock
//! prover synthesises all of them first, then proves them in phases, all in memory at once. Here each
//! partition is a job of its own to the engine: its vanilla proofs are checked, its witness computed
//! ([`synthesis`]), proven by `groth16` on a device, verified; and the assembled bytes pass the stock
//! stack's own verifier before anyone sees them.
//!
//! ```text
//!  C1 ─► input ─► porep (stock circuits) ─► synthesis ─► witness ─┐
//!                  │ blank circuit, once                           ├─► groth16 ─► check ─► verify_seal
//!                  └─► constraints (A, B, C on disk) ─► params ─► key ┘
//! ```
//!
//! [`FilecoinBackend`] opens circuits of a catalog; [`open`] opens one of a parameter file.
//!
//! **The stock stack is 194 packages**, so all of this stands behind the feature `stock`, and without
//! it the crate is empty: a workspace's own commands compile nothing of the stack, yet one lock file
//! pins it, and `--features stock` builds and tests it. The road not taken, a workspace of its own,
//! would have a second lock file to keep in step.
//!
//! **What is process-wide in the stack** (the number of partitions of each size, and verifying keys
//! cached by size alone) is not used: both travel with the circuit ([`Sector`]). Only sealing and
//! `verify_seal` want them, and run in processes of their own ([`SealVerifier`]).
// An empty crate keeps this page, but has nothing for its links to name.
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
