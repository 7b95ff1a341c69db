//! Circom circuits: the witness from an input, by way of the wasm that Circom 2 makes.
//!
//! [`WitnessCalculator`] runs a circuit's `.wasm`; [`Inputs`] is what it runs on, read as snarkjs
//! reads it. The result is a list of canonical field elements, the same that
//! `snarkjs wtns calculate` writes.
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
//! The wasm is taken for hostile: it runs without files, network or clock, under bounds on memory,
//! stack and time, and what it hands back is checked. It sees the input, though, and chooses the
//! witness, so it can put a secret into a public signal: run no circuit that you would not tell
//! the secret. Inputs, the module's memory and the witness are wiped after use; registers, thread
//! stacks and numbers on their way between them are not.
//!
//! The arithmetic of circom's modules is slow as it is written; where a module still has its names,
//! its field routines are replaced by faster ones that were compared with them first, and
//! [`WitnessCalculator::field_code`] says so.
//!
//! wasmtime with Cranelift does the running. An interpreter would need no compilation and no
//! machine code on disk, but large circuits compute for seconds even when compiled; circom's C++
//! is faster still and wants a C++ toolchain for each circuit.

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
