//! Circom circuits: computes witnesses with the wasm that Circom 2 compiles, and proves them.
//!
//! [`WitnessCalculator`] runs a circuit's `.wasm` on [`Inputs`], which are parsed as snarkjs does. The
//! result is a list of canonical field elements, the same that `snarkjs wtns calculate` writes.
//!
//! ```no_run
//! use athanor_circom::{Inputs, Limits, ModuleCache, WitnessCalculator};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = Limits::default();
//! let cache = ModuleCache::open("/var/cache/athanor/modules")?;
//! let circuit = WitnessCalculator::new(&std::fs::read("circuit.wasm")?, Some(&cache), &limits)?;
//! let inputs = Inputs::parse(&std::fs::read("input.json")?, circuit.curve(), &limits)?;
//! let witness = circuit.calculate(&inputs, None)?;
//! # Ok(())
//! # }
//! ```
//!
//! The wasm is assumed to be hostile: it runs without files, network or clock, with limits on memory,
//! stack and time, and its results are checked. But it reads the input and computes the witness, so it
//! can put a secret into a public signal: run only circuits that you trust with the input. Inputs, the
//! module's memory and the witness are wiped after use; registers and thread stacks are not.
//!
//! The field arithmetic of circom's modules is slow. If a module has function names, its field routines
//! are replaced by faster ones after a comparison of both; [`WitnessCalculator::field_code`] returns
//! which are in use.
//!
//! Modules run in wasmtime with Cranelift. An interpreter would need no compilation and no machine
//! code on disk, but large circuits take seconds even when compiled. Circom's C++ generators are faster
//! but need a C++ toolchain for each circuit.

mod backend;
mod cache;
mod calculator;
pub mod circuit;
pub mod demo;
mod error;
mod fault;
mod input;
mod limits;
mod native;
mod number;
mod sandbox;
mod signal;
mod trusted;

pub use backend::{BACKEND, CircomBackend, files};
pub use cache::{CacheError, ModuleCache};
pub use calculator::{Origin, WitnessCalculator};
pub use error::{InputError, ModuleError, RunError, WitnessError};
pub use fault::{Fault, FaultKind};
pub use input::Inputs;
pub use limits::Limits;
pub use native::{AsWritten, FieldCode, WitnessCounts, witness_counts};
pub use number::NumberError;
pub use signal::signal_hash;
