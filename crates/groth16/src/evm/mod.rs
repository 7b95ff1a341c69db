//! Verification on Ethereum: a Solidity contract for a verifying key, and the calldata for it.
//!
//! BN254 uses the precompiles of EIP-196 and EIP-197 (6, 7, 8), BLS12-381 those of EIP-2537 (11, 12,
//! 15). Both contracts have one function, `verifyProof(a, b, c, signals)`, which returns whether the
//! proof is valid. For BN254 the parameter types are those of snarkjs's contracts, so callers need no
//! change; for BLS12-381 each coordinate is two words, the high one first.
//!
//! The contract refuses what the precompiles accept but a verifier must not: signals at or above the
//! group order, since one proof would then pass for two statements, and points at infinity, which an
//! honest prover never makes. The key's points are constants in the code. `α`, `γ` and `δ` are stored
//! negated, so that verification negates nothing.

mod contract;

use ark_ec::{AffineRepr, models::short_weierstrass::Affine};
use ark_ff::{BigInteger, Field, PrimeField};
use athanor_kernels::{Curve, CurveId, Group, Scalar};
use sha3::{Digest, Keccak256};

pub use contract::{ContractError, MAX_SIGNALS, solidity};

use crate::Proof;

/// A call's arguments: words of 256 bits, in the order of the contract's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    curve: CurveId,
    /// Words of `a`, `b`, `c`.
    proof: [Vec<[u8; 32]>; 3],
    signals: Vec<[u8; 32]>,
}

impl Call {
    /// The call that verifies a proof of these public signals. Signals are not checked.
    pub fn new<C: Curve>(proof: &Proof<C>, signals: &[Scalar]) -> Self {
        let word = |signal: &Scalar| {
            let bytes = ark_ff::BigInt(*signal).to_bytes_be();
            bytes.try_into().expect("a signal has 32 bytes")
        };
        Self {
            curve: C::ID,
            proof: [words(&proof.a), words(&proof.b), words(&proof.c)],
            signals: signals.iter().map(word).collect(),
        }
    }

    /// The function's signature, from which the selector is computed.
    pub fn signature(&self) -> String {
        signature(self.curve, self.signals.len())
    }

    /// Transaction data: the function's selector, then the arguments.
    pub fn data(&self) -> Vec<u8> {
        let selector = &Keccak256::digest(self.signature())[..4];
        let words = self.proof.iter().flatten().chain(&self.signals);
        selector.iter().chain(words.flatten()).copied().collect()
    }

    /// The arguments as JSON lists without their outer brackets, as
    /// `snarkjs zkey export soliditycalldata` prints them and wallets take them.
    pub fn json(&self) -> String {
        let listed = |words: &[[u8; 32]], between: &str| {
            let texts: Vec<String> =
                words.iter().map(|word| format!("\"{}\"", hex(word))).collect();
            format!("[{}]", texts.join(between))
        };
        let list = |words: &[[u8; 32]]| listed(words, ", ");
        let [a, b, c] = &self.proof;
        let b = match self.curve {
            CurveId::Bn254 => format!("[{},{}]", list(&b[..2]), list(&b[2..])),
            CurveId::Bls12_381 => list(b),
        };
        // As snarkjs prints it, byte for byte: no space between signals.
        format!("{},{b},{},{}", list(a), list(c), listed(&self.signals, ","))
    }
}

fn signature(curve: CurveId, signals: usize) -> String {
    match curve {
        CurveId::Bn254 => {
            format!("verifyProof(uint256[2],uint256[2][2],uint256[2],uint256[{signals}])")
        }
        CurveId::Bls12_381 => {
            format!("verifyProof(uint256[4],uint256[8],uint256[4],uint256[{signals}])")
        }
    }
}

/// A word in hexadecimal with the prefix 0x.
fn hex(word: &[u8; 32]) -> String {
    let digits: String = word.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// A point in the precompiles' encoding; infinity is all zeros. EIP-197 has the imaginary part of a
/// coordinate first; EIP-2537 has the real part first and pads 48-byte numbers to two words.
fn words<G: Group>(point: &Affine<G>) -> Vec<[u8; 32]> {
    let bytes =
        <G::BaseField as Field>::BasePrimeField::MODULUS_BIT_SIZE.div_ceil(256) as usize * 32;
    let Some((x, y)) = point.xy() else {
        return vec![[0; 32]; 2 * G::BaseField::extension_degree() as usize * bytes / 32];
    };
    let mut words = Vec::new();
    for coordinate in [x, y] {
        let mut parts: Vec<_> = coordinate.to_base_prime_field_elements().collect();
        if bytes == 32 {
            parts.reverse();
        }
        for part in parts {
            let number = part.into_bigint().to_bytes_be();
            let mut padded = vec![0; bytes - number.len()];
            padded.extend(number);
            words.extend(
                padded
                    .chunks_exact(32)
                    .map(|word| <[u8; 32]>::try_from(word).expect("chunks have 32 bytes")),
            );
        }
    }
    words
}
