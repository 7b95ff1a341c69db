//! Circom.
