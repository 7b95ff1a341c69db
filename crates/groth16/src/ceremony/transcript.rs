//! The transcript of a ceremony: BLAKE2b over uncompressed big-endian points.

use ark_ec::{AffineRepr, models::short_weierstrass::Affine};
use ark_ff::{BigInteger, Field, PrimeField};
use athanor_kernels::{Curve, Group};
use blake2::{Blake2b512, Digest};

use crate::formats::zkey::{Contribution, Contributions};

/// A BLAKE2b hash.
pub type Hash = [u8; 64];

/// A hash state.
#[derive(Clone)]
pub(super) struct Transcript(Blake2b512);

impl Transcript {
    pub(super) fn new() -> Self {
        Self(Blake2b512::new())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.0.update((count as u32).to_be_bytes());
    }

    /// Appends points: `x`, then `y`, each big-endian with its highest part first; infinity is all zeros.
    pub(super) fn points<G: Group>(&mut self, points: &[Affine<G>]) {
        let mut bytes = Vec::with_capacity(points.len() * G::POINT_WORDS * 8);
        for point in points {
            match point.xy() {
                None => bytes.resize(bytes.len() + G::POINT_WORDS * 8, 0),
                Some((x, y)) => {
                    for coordinate in [x, y] {
                        let parts: Vec<_> = coordinate.to_base_prime_field_elements().collect();
                        for part in parts.iter().rev() {
                            bytes.extend(part.into_bigint().to_bytes_be());
                        }
                    }
                }
            }
        }
        self.0.update(bytes);
    }

    /// Appends a contribution's public part.
    pub(super) fn contribution<C: Curve>(&mut self, contribution: &Contribution<C>) {
        let Contribution { delta_after, s, sx, spx, transcript, .. } = contribution;
        self.points(&[*delta_after, *s, *sx]);
        self.points(&[*spx]);
        self.bytes(transcript);
    }

    pub(super) fn end(self) -> Hash {
        self.0.finalize().into()
    }

    /// The transcript of the circuit's hash and all contributions.
    pub(super) fn of_history<C: Curve>(history: &Contributions<C>) -> Self {
        let mut transcript = Self::new();
        transcript.bytes(&history.circuit_hash);
        history.contributions.iter().for_each(|made| transcript.contribution(made));
        transcript
    }
}

/// The hash that identifies a contribution; its contributor publishes it.
pub fn contribution_hash<C: Curve>(contribution: &Contribution<C>) -> Hash {
    let mut transcript = Transcript::new();
    transcript.contribution(contribution);
    transcript.end()
}

/// A hash as the sixteen words that snarkjs prints.
pub fn hash_words(hash: &Hash) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    hash.chunks(4).map(hex).collect::<Vec<_>>().join(" ")
}
