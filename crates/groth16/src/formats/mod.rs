//! The files of Circom and snarkjs (`.zkey`, `.ptau`, `.wtns`, `.r1cs`, `.sym` and JSON) and the
//! parameters of bellman.
//!
//! Every reader assumes a hostile file. Lengths are compared with the file's size before anything
//! is allocated by them; values are refused where they are not canonical, never reduced; a point
//! is a point only if it lies on its curve and in its subgroup. Each way to fail is a variant of
//! the format's own error, and none is a panic.
//!
//! The binary formats share one container ([`binfile`]). Sections are read in a stream, in chunks
//! the caller chooses, so that a key of gigabytes is converted without being held.

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
