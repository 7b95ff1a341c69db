//! What a proof is, and the key that verifies it.

use athanor_kernels::Curve;

/// A proof: `(A, B, C)` of eprint 2016/260, section 3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<C: Curve> {
    /// `A` in G1.
    pub a: C::G1Affine,
    /// `B` in G2.
    pub b: C::G2Affine,
    /// `C` in G1.
    pub c: C::G1Affine,
}

/// The key that verifies proofs of one circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey<C: Curve> {
    /// `α` in G1.
    pub alpha_g1: C::G1Affine,
    /// `β` in G2.
    pub beta_g2: C::G2Affine,
    /// `γ` in G2.
    pub gamma_g2: C::G2Affine,
    /// `δ` in G2.
    pub delta_g2: C::G2Affine,
    /// `(β·A_i + α·B_i + C_i) / γ` in G1: for the constant one, then for each public signal.
    pub ic: Vec<C::G1Affine>,
}

impl<C: Curve> VerifyingKey<C> {
    /// Number of public signals, the constant one left out.
    pub fn public_signals(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }
}
