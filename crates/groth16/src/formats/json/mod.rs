//! snarkjs's JSON: `proof.json`, `public.json` and `verification_key.json`.
//!
//! Numbers are decimal texts; points are projective, with a third coordinate that is one, or zero
//! at infinity (`["0", "1", "0"]`). Writing gives the bytes that snarkjs's command line writes:
//! one space for each level, no newline at the end, an empty list broken in two lines.
//!
//! Reading is stricter than snarkjs. A coordinate at or above the modulus is refused, since it would
//! be a second text for one point. A point is refused off its curve, outside its subgroup, or at
//! infinity where no sound key or proof has it. `vk_alphabeta_12` is written but ignored when read:
//! it follows from the points, and a verifier that used it would accept proofs that the key's author
//! forged.

mod layout;
mod points;

use ark_ec::pairing::PairingOutput;
use ark_ff::PrimeField;
use athanor_kernels::{Curve, CurveId, Scalar};
use serde::{Deserialize, Serialize};

use self::{
    layout::Snarkjs,
    points::{G1Json, G2Json, Place, g1_json, g2_json},
};
use super::field::DecimalError;
use crate::{Proof, Verifier, VerifyingKey};

/// Why a JSON file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The file is not JSON, or not of the structure that snarkjs writes.
    #[error("{file}: {source}")]
    Shape {
        /// Kind of the file.
        file: &'static str,
        /// The expected value, with line and column.
        source: serde_json::Error,
    },
    /// The file is for a different proof system.
    #[error("{file}: the protocol is {protocol:?}; only \"groth16\" is supported")]
    Protocol {
        /// Kind of the file.
        file: &'static str,
        /// Name of the proof system in the file.
        protocol: String,
    },
    /// The curve is not supported.
    #[error("{file}: the curve {name:?} is not supported; \"bn128\" and \"bls12381\" are")]
    UnknownCurve {
        /// Kind of the file.
        file: &'static str,
        /// Name of the curve in the file.
        name: String,
    },
    /// The file is for a different curve than the expected one.
    #[error("{file}: the curve is {found}, expected {expected}")]
    WrongCurve {
        /// Kind of the file.
        file: &'static str,
        /// The expected curve.
        expected: CurveId,
        /// The curve of the file.
        found: CurveId,
    },
    /// A text does not represent a field element.
    #[error("{file}: {place} {source}")]
    Number {
        /// Kind of the file.
        file: &'static str,
        /// Place of the text.
        place: String,
        /// The fault.
        source: DecimalError,
    },
    /// A third coordinate is neither one nor zero.
    #[error("{file}: {place} is not normalised: its third coordinate is neither 1 nor 0")]
    NotAffine {
        /// Kind of the file.
        file: &'static str,
        /// Name of the point.
        place: String,
    },
    /// A point is off its curve.
    #[error("{file}: {place} is not on the curve")]
    NotOnCurve {
        /// Kind of the file.
        file: &'static str,
        /// Name of the point.
        place: String,
    },
    /// A point is on the curve, but outside the subgroup of prime order.
    #[error("{file}: {place} is outside the subgroup")]
    NotInSubgroup {
        /// Kind of the file.
        file: &'static str,
        /// Name of the point.
        place: String,
    },
    /// A point is at infinity, which no sound key or proof has in this place.
    #[error("{file}: {place} is the point at infinity")]
    Infinity {
        /// Kind of the file.
        file: &'static str,
        /// Name of the point.
        place: String,
    },
    /// `nPublic` and the length of IC contradict each other.
    #[error("{file}: nPublic is {public}, but IC has {points} points instead of {public} + 1")]
    PublicCount {
        /// Kind of the file.
        file: &'static str,
        /// Value of `nPublic`.
        public: u64,
        /// Number of points in IC.
        points: usize,
    },
}

const PROOF: &str = "proof";
const PUBLIC: &str = "public signals";
const KEY: &str = "verification key";

type Fq6Json = [[String; 2]; 3];

#[derive(Serialize, Deserialize)]
struct ProofJson {
    pi_a: G1Json,
    pi_b: G2Json,
    pi_c: G1Json,
    protocol: String,
    /// Older provers omit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeyJson {
    protocol: String,
    curve: String,
    #[serde(rename = "nPublic")]
    public: u64,
    vk_alpha_1: G1Json,
    vk_beta_2: G2Json,
    vk_gamma_2: G2Json,
    vk_delta_2: G2Json,
    #[serde(skip_deserializing)]
    vk_alphabeta_12: [Fq6Json; 2],
    #[serde(rename = "IC")]
    ic: Vec<G1Json>,
}

/// Protocol and curve that a file declares; other fields are ignored.
#[derive(Deserialize)]
struct Named {
    protocol: Option<String>,
    curve: Option<String>,
}

/// The curve of a verifying key or a proof, which determines the type for parsing. `None` if a
/// proof has no curve name.
pub fn curve_of(text: &str) -> Result<Option<CurveId>, JsonError> {
    named_curve("proof or verification key", text)
}

/// Reads protocol and curve first, so that a key of another proof system is refused by its protocol
/// and not by its structure.
fn named_curve(file: &'static str, text: &str) -> Result<Option<CurveId>, JsonError> {
    let named: Named = parse(file, text)?;
    match named.protocol {
        Some(protocol) if protocol != "groth16" => Err(JsonError::Protocol { file, protocol }),
        _ => named.curve.map(|name| curve_named(file, &name)).transpose(),
    }
}

/// Parses a Groth16 file whose curve is `C` or not named.
fn parse_for<'a, C: Curve, T: Deserialize<'a>>(
    file: &'static str,
    text: &'a str,
) -> Result<T, JsonError> {
    match named_curve(file, text)? {
        Some(found) if found != C::ID => {
            Err(JsonError::WrongCurve { file, expected: C::ID, found })
        }
        _ => parse(file, text),
    }
}

/// Reads `verification_key.json`. Points of IC may be at infinity here, others not.
pub fn parse_verifying_key<C: Curve>(text: &str) -> Result<VerifyingKey<C>, JsonError> {
    let key: KeyJson = parse_for::<C, _>(KEY, text)?;
    let points = key.ic.len();
    if key.public.checked_add(1) != Some(points as u64) {
        return Err(JsonError::PublicCount { file: KEY, public: key.public, points });
    }
    let at = |name| Place { file: KEY, name };
    let ic = key.ic.iter().enumerate().map(|(index, point)| {
        Place { file: KEY, name: &format!("IC[{index}]") }.g1_or_infinity::<C>(point)
    });
    Ok(VerifyingKey {
        alpha_g1: at("vk_alpha_1").g1::<C>(&key.vk_alpha_1)?,
        beta_g2: at("vk_beta_2").g2::<C>(&key.vk_beta_2)?,
        gamma_g2: at("vk_gamma_2").g2::<C>(&key.vk_gamma_2)?,
        delta_g2: at("vk_delta_2").g2::<C>(&key.vk_delta_2)?,
        ic: ic.collect::<Result<_, _>>()?,
    })
}

/// Writes `verification_key.json`.
pub fn write_verifying_key<C: Curve>(key: &VerifyingKey<C>) -> String {
    write_key(key, &C::pairing(key.alpha_g1, key.beta_g2))
}

/// As [`write_verifying_key`], with the pairing `e(α, β)` from an existing verifier.
pub fn write_verifying_key_of<C: Curve>(key: &VerifyingKey<C>, verifier: &Verifier<C>) -> String {
    write_key(key, &verifier.alpha_beta)
}

fn write_key<C: Curve>(key: &VerifyingKey<C>, alpha_beta: &PairingOutput<C>) -> String {
    write(&KeyJson {
        protocol: "groth16".into(),
        curve: curve_name(C::ID).into(),
        public: key.public_signals() as u64,
        vk_alpha_1: g1_json::<C>(&key.alpha_g1),
        vk_beta_2: g2_json::<C>(&key.beta_g2),
        vk_gamma_2: g2_json::<C>(&key.gamma_g2),
        vk_delta_2: g2_json::<C>(&key.delta_g2),
        vk_alphabeta_12: alpha_beta_json(alpha_beta),
        ic: key.ic.iter().map(g1_json::<C>).collect(),
    })
}

/// Reads `proof.json`. No point may be at infinity.
pub fn parse_proof<C: Curve>(text: &str) -> Result<Proof<C>, JsonError> {
    let proof: ProofJson = parse_for::<C, _>(PROOF, text)?;
    let at = |name| Place { file: PROOF, name };
    Ok(Proof {
        a: at("pi_a").g1::<C>(&proof.pi_a)?,
        b: at("pi_b").g2::<C>(&proof.pi_b)?,
        c: at("pi_c").g1::<C>(&proof.pi_c)?,
    })
}

/// Writes `proof.json`.
pub fn write_proof<C: Curve>(proof: &Proof<C>) -> String {
    write(&ProofJson {
        pi_a: g1_json::<C>(&proof.a),
        pi_b: g2_json::<C>(&proof.b),
        pi_c: g1_json::<C>(&proof.c),
        protocol: "groth16".into(),
        curve: Some(curve_name(C::ID).into()),
    })
}

/// Reads `public.json`: the public signals, each below the group order.
pub fn parse_public<C: Curve>(text: &str) -> Result<Vec<Scalar>, JsonError> {
    let texts: Vec<String> = parse(PUBLIC, text)?;
    let signals = texts.iter().enumerate().map(|(index, text)| {
        let at = Place { file: PUBLIC, name: &format!("signal {index}") };
        at.number::<C::Fr>(text).map(|number| number.into_bigint().0)
    });
    signals.collect()
}

/// Writes `public.json`. The signals are canonical.
pub fn write_public<C: Curve>(signals: &[Scalar]) -> String {
    let texts: Vec<String> =
        signals.iter().map(|&signal| ark_ff::BigInt(signal).to_string()).collect();
    write(&texts)
}

fn parse<'a, T: Deserialize<'a>>(file: &'static str, text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|source| JsonError::Shape { file, source })
}

/// JSON text as snarkjs's command line writes it.
fn write(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Snarkjs::default());
    value.serialize(&mut serializer).expect("texts and lists serialise into memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Compares names as snarkjs does: case and punctuation are ignored.
fn curve_named(file: &'static str, name: &str) -> Result<CurveId, JsonError> {
    let plain = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    match plain.to_ascii_uppercase().as_str() {
        "BN128" | "BN254" | "ALTBN128" => Ok(CurveId::Bn254),
        "BLS12381" => Ok(CurveId::Bls12_381),
        _ => Err(JsonError::UnknownCurve { file, name: name.into() }),
    }
}

fn curve_name(curve: CurveId) -> &'static str {
    match curve {
        CurveId::Bn254 => "bn128",
        CurveId::Bls12_381 => "bls12381",
    }
}

/// `e(α, β)` as snarkjs writes it: nested coordinates of the tower `Fq12` over `Fq6` over `Fq2`.
fn alpha_beta_json<C: Curve>(PairingOutput(value): &PairingOutput<C>) -> [Fq6Json; 2] {
    let mut parts = points::parts(value);
    let mut next = || parts.next().expect("an element of Fq12 has twelve parts");
    std::array::from_fn(|_| std::array::from_fn(|_| std::array::from_fn(|_| next())))
}
