//! Source text of the Solidity contracts.

use std::fmt::Write;

use ark_ec::{AffineRepr, CurveGroup, models::short_weierstrass::Affine};
use ark_ff::{BigInteger, PrimeField};
use athanor_kernels::{Curve, CurveId, Group};

use super::{hex, words};
use crate::{Verifier, VerifyError, VerifyingKey};

/// Maximum number of public signals of a contract, so that its code fits the chain's limit.
pub const MAX_SIGNALS: usize = 128;

/// Why no contract can be made for a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContractError {
    /// The verifying key has an invalid point.
    #[error(transparent)]
    Key(#[from] VerifyError),
    /// The key has too many public signals.
    #[error(
        "the key has {found} public signals, more than a contract of legal size can take ({most}); \
         hash them in the circuit and make the hash the only public signal"
    )]
    TooManySignals {
        /// Number of the key's public signals.
        found: usize,
        /// [`MAX_SIGNALS`].
        most: usize,
    },
    /// The name is not a Solidity identifier.
    #[error(
        "{name:?} is not a valid contract name: expected letters, digits and _, not starting with a digit"
    )]
    Name {
        /// The name.
        name: String,
    },
}

/// A contract in Solidity 0.8 that verifies proofs of a key.
pub fn solidity<C: Curve>(key: &VerifyingKey<C>, name: &str) -> Result<String, ContractError> {
    Verifier::new(key)?;
    let found = key.public_signals();
    if found > MAX_SIGNALS {
        return Err(ContractError::TooManySignals { found, most: MAX_SIGNALS });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain)
    {
        return Err(ContractError::Name { name: name.to_owned() });
    }
    let layout = Layout::of(C::ID, found);
    let mut text = String::new();
    header::<C>(&mut text, key, name, &layout);
    body(&mut text, key, &layout);
    Ok(text)
}

/// Sizes of a curve's call data and memory, in bytes.
struct Layout {
    curve: CurveId,
    signals: usize,
    /// A point of G1 and of G2.
    g1: usize,
    g2: usize,
}

impl Layout {
    fn of(curve: CurveId, signals: usize) -> Self {
        let (g1, g2) = match curve {
            CurveId::Bn254 => (64, 128),
            CurveId::Bls12_381 => (128, 256),
        };
        Self { curve, signals, g1, g2 }
    }
}

fn header<C: Curve>(text: &mut String, key: &VerifyingKey<C>, name: &str, layout: &Layout) {
    let (precompiles, types) = match layout.curve {
        CurveId::Bn254 => (
            "the precompiles of EIP-196 and EIP-197",
            ["uint256[2] calldata a", "uint256[2][2] calldata b", "uint256[2] calldata c"],
        ),
        CurveId::Bls12_381 => (
            "the precompiles of EIP-2537",
            ["uint256[4] calldata a", "uint256[8] calldata b", "uint256[4] calldata c"],
        ),
    };
    let standing = if key.delta_g2 == key.gamma_g2 {
        "/// @dev NOT FOR USE: nobody contributed to this key, so anyone can forge proofs for it.\n"
    } else {
        ""
    };
    let signals = layout.signals;
    let order = word_of(&C::Fr::MODULUS.to_bytes_be());
    let [a, b, c] = types;
    let signals_parameter = match signals {
        // Solidity has no empty array type: without signals the function has no fourth parameter.
        0 => String::new(),
        _ => format!(",\n        uint256[{signals}] calldata signals"),
    };
    write!(
        text,
        "// SPDX-License-Identifier: MIT OR Apache-2.0
// Made by athanor from a verifying key of Groth16 over {curve}.
pragma solidity >=0.8.4 <0.9.0;

/// @title Verifies proofs of one circuit, by {precompiles}.
{standing}contract {name} {{
    /// The order of the groups: a signal at or above it has a second reading and is refused.
    uint256 private constant ORDER = {order};

    /// @notice Whether a proof of these public signals is valid. Refuses points at infinity, off
    /// the curve or outside the subgroup, and signals that are not below the order, by false.
    function verifyProof(
        {a},
        {b},
        {c}{signals_parameter}
    ) external view returns (bool valid) {{
",
        curve = layout.curve,
    )
    .expect("a String takes everything");
}

fn word_of(bytes: &[u8]) -> String {
    hex(bytes.try_into().expect("a scalar's modulus has 32 bytes"))
}

/// Writes lines that store constants at consecutive addresses.
fn store(text: &mut String, at: usize, words: &[[u8; 32]]) {
    for (index, word) in words.iter().enumerate() {
        line(text, &format!("mstore(add(free, {:#05x}), {})", at + 32 * index, hex(word)));
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "            {line}").expect("a String takes everything");
}

fn body<C: Curve>(text: &mut String, key: &VerifyingKey<C>, layout: &Layout) {
    let pair = layout.g1 + layout.g2;
    let pairs = 4 * pair;
    let signals = if layout.signals == 0 { "" } else { "signals" };
    text.push_str("        assembly (\"memory-safe\") {\n");
    line(text, "let free := mload(0x40)");
    line(text, "valid := 1");
    if layout.signals > 0 {
        line(text, "// Signals are below the order.");
        for index in 0..layout.signals {
            let at = format!("calldataload(add({signals}, {:#05x}))", 32 * index);
            line(text, &format!("valid := and(valid, lt({at}, ORDER))"));
        }
    }
    line(text, "// No point is at infinity; the precompiles refuse other invalid points.");
    for (point, bytes) in [("a", layout.g1), ("b", layout.g2), ("c", layout.g1)] {
        let words =
            (0..bytes / 32).map(|word| format!("calldataload(add({point}, {:#05x}))", 32 * word));
        let any =
            words.reduce(|sum, word| format!("or({sum}, {word})")).expect("points have words");
        line(text, &format!("valid := and(valid, iszero(iszero({any})))"));
    }
    line(text, "// Four pairs: (a, b), (-alpha, beta), (statement, -gamma), (c, -delta).");
    line(text, &format!("calldatacopy(free, a, {:#05x})", layout.g1));
    line(text, &format!("calldatacopy(add(free, {:#05x}), b, {:#05x})", layout.g1, layout.g2));
    store(text, pair, &words(&minus(&key.alpha_g1)));
    store(text, pair + layout.g1, &words(&key.beta_g2));
    store(text, 2 * pair + layout.g1, &words(&minus(&key.gamma_g2)));
    line(text, &format!("calldatacopy(add(free, {:#05x}), c, {:#05x})", 3 * pair, layout.g1));
    store(text, 3 * pair + layout.g1, &words(&minus(&key.delta_g2)));
    match layout.curve {
        CurveId::Bn254 => statement_by_sums(text, key, layout, 2 * pair, pairs),
        CurveId::Bls12_381 => statement_by_msm(text, key, layout, 2 * pair, pairs),
    }
    let pairing = match layout.curve {
        CurveId::Bn254 => "0x08",
        CurveId::Bls12_381 => "0x0f",
    };
    line(text, "// Their product is one.");
    let call = format!("staticcall(gas(), {pairing}, free, {pairs:#05x}, free, 0x20)");
    line(text, &format!("valid := and(valid, {call})"));
    line(text, "valid := and(valid, eq(returndatasize(), 0x20))");
    line(text, "valid := and(valid, eq(mload(free), 1))");
    text.push_str("        }\n    }\n}\n");
}

/// Writes code for `IC_0 + Σ signal·IC_i` at address `at`: one multiplication and one addition per signal.
fn statement_by_sums<C: Curve>(
    text: &mut String,
    key: &VerifyingKey<C>,
    layout: &Layout,
    at: usize,
    scratch: usize,
) {
    line(text, "// The statement: the sum of the key's points, each times its signal.");
    store(text, at, &words(&key.ic[0]));
    for index in 0..layout.signals {
        store(text, scratch, &words(&key.ic[index + 1]));
        line(
            text,
            &format!(
                "mstore(add(free, {:#05x}), calldataload(add(signals, {:#05x})))",
                scratch + 64,
                32 * index
            ),
        );
        // The product is written beside the running sum; their sum replaces the running sum.
        line(
            text,
            &format!(
                "valid := and(valid, staticcall(gas(), 0x07, add(free, {scratch:#05x}), 0x60, \
                 add(free, {scratch:#05x}), 0x40))"
            ),
        );
        for word in [0, 32] {
            line(
                text,
                &format!(
                    "mstore(add(free, {:#05x}), mload(add(free, {:#05x})))",
                    scratch + 64 + word,
                    at + word
                ),
            );
        }
        line(
            text,
            &format!(
                "valid := and(valid, staticcall(gas(), 0x06, add(free, {scratch:#05x}), 0x80, \
                 add(free, {at:#05x}), 0x40))"
            ),
        );
    }
}

/// The same with one multi-scalar multiplication precompile call.
fn statement_by_msm<C: Curve>(
    text: &mut String,
    key: &VerifyingKey<C>,
    layout: &Layout,
    at: usize,
    scratch: usize,
) {
    if layout.signals == 0 {
        store(text, at, &words(&key.ic[0]));
        return;
    }
    line(text, "// The statement: the sum of the key's points, each times its signal.");
    let each = layout.g1 + 32;
    for (index, point) in key.ic.iter().enumerate() {
        let start = scratch + index * each;
        store(text, start, &words(point));
        let factor = match index {
            0 => "1".to_owned(),
            index => format!("calldataload(add(signals, {:#05x}))", 32 * (index - 1)),
        };
        line(text, &format!("mstore(add(free, {:#05x}), {factor})", start + layout.g1));
    }
    line(
        text,
        &format!(
            "valid := and(valid, staticcall(gas(), 0x0c, add(free, {scratch:#05x}), {:#05x}, \
             add(free, {at:#05x}), {:#05x}))",
            key.ic.len() * each,
            layout.g1
        ),
    );
}

fn minus<G: Group>(point: &Affine<G>) -> Affine<G> {
    (-point.into_group()).into_affine()
}
