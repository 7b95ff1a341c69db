//! Proofs and verifying keys.

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

/// A verifying key: verifies proofs of one circuit.
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
    /// `(β·A_i + α·B_i + C_i) / γ` in G1, for the constant one and each public signal.
    pub ic: Vec<C::G1Affine>,
}

impl<C: Curve> VerifyingKey<C> {
    /// Number of public signals, without the constant one.
    pub fn public_signals(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }

    /// Whether the key shows that anyone contributed to it.
    pub fn standing(&self) -> Standing {
        if self.delta_g2 == self.gamma_g2 {
            Standing::NoContribution
        } else {
            Standing::Contributed
        }
    }
}

/// Whether anyone contributed randomness to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `δ = γ`, as after `setup new`: nobody contributed, and **anyone can forge proofs**.
    NoContribution,
    /// `δ ≠ γ`: at least one contribution. The key does not show whether its secret was discarded.
    Contributed,
}
