//! The files of Circom and snarkjs (`.zkey`, `.ptau`, `.wtns`, `.r1cs`, `.sym` and JSON) and the
//! parameters of bellman.
//!
//! Every reader assumes a hostile file. Lengths are compared with the file's size before an
//! allocation. Values that are not canonical are refused, never reduced. Every point must lie on its
//! curve and in its subgroup. Each failure is a variant of the format's error type; no input panics.
//!
//! The binary formats share one container ([`binfile`]). Sections are read as a stream, in chunks of
//! the caller's size, so a key of gigabytes is converted without loading it whole.

pub mod bellman;
pub mod binfile;
mod field;
pub mod json;
mod params;
pub mod ptau;
pub mod r1cs;
pub mod sym;
pub mod wtns;
pub mod zkey;

pub use bellman::BellmanError;
pub use binfile::BinFileError;
pub use field::{DecimalError, PrimeError};
pub use json::JsonError;
pub use ptau::PtauError;
pub use r1cs::R1csError;
pub use sym::SymError;
pub use wtns::WtnsError;
pub use zkey::ZkeyError;
