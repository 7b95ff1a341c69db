//! The formats against files that snarkjs and circom made, against damaged and forged ones, and
//! against snarkjs itself.

mod arbitrary;
mod ceremony;
mod corpus;
mod forged;
mod json;
mod node;
mod real;
mod snarkjs;
mod support;
mod truncated;
