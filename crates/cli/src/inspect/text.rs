//! JSON files and Circom's signal names (`.sym`).

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use athanor_groth16::{
    Verifier,
    formats::{
        JsonError, SymError,
        json::{curve_of, parse_proof, parse_public, parse_verifying_key},
        sym::read_sym,
    },
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};
use serde_json::Value;

use super::Facts;
use crate::{
    failure::{Failure, Kind},
    keys,
    verify::{MAX_JSON, bad_json},
};

pub(super) fn facts(path: &Path, file: File) -> Result<Facts, Failure> {
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json(path),
        Some(byte) if byte.is_ascii_digit() => sym(path, file),
        _ => Err(unknown(path)),
    }
}

fn unknown(path: &Path) -> Failure {
    let message = "is none of .zkey, .ptau, .r1cs, .wtns, .sym, or the JSON of a proof, public \
                   signals or verifying key";
    Failure::at(Kind::BadProofFile, path, message)
}

fn json(path: &Path) -> Result<Facts, Failure> {
    let text = keys::read_text(path, MAX_JSON, Kind::BadProofFile)?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::at(Kind::BadProofFile, path, format_args!("not JSON: {error}"))
    })?;
    let bad = |error| bad_json(path, error);
    if value.is_array() {
        return public(&text).map_err(bad);
    }
    let has = |name| value.get(name).is_some();
    if !has("vk_alpha_1") && !has("pi_a") {
        // A key or proof of another proof system: name that system in the error.
        curve_of(&text).map_err(bad)?;
        return Err(unknown(path));
    }
    // Proofs of old tools have no curve name; they are over BN254.
    match curve_of(&text).map_err(bad)?.unwrap_or(CurveId::Bn254) {
        CurveId::Bn254 => object::<Bn254>(&text, has("pi_a")),
        CurveId::Bls12_381 => object::<Bls12_381>(&text, has("pi_a")),
    }
    .map_err(bad)
}

fn object<C: Curve>(text: &str, is_proof: bool) -> Result<Facts, JsonError> {
    if is_proof {
        parse_proof::<C>(text)?;
        let mut facts = Facts::new("proof (JSON)");
        facts.add("curve", C::ID.to_string());
        facts.add("protocol", "groth16");
        facts.add(
            "use",
            "verifies with `athanor verify`; `athanor export calldata` makes a contract call of it",
        );
        facts.add("checked", "every point is on its curve, in its subgroup, and not at infinity");
        return Ok(facts);
    }
    let key = parse_verifying_key::<C>(text)?;
    let mut facts = Facts::new("verifying key (JSON)");
    facts.add("curve", C::ID.to_string());
    facts.add("protocol", "groth16");
    facts.add("public_signals", key.public_signals());
    facts.add("standing", keys::standing_name(key.standing()));
    facts.add(
        "use",
        match Verifier::new(&key) {
            Err(error) => error.to_string(),
            Ok(_) if key.delta_g2 == key.gamma_g2 => {
                "verifies, but ANYONE CAN FORGE PROOFS: nobody contributed to its key".to_owned()
            }
            Ok(_) => "verifies proofs; `athanor export solidity` makes a contract of it".to_owned(),
        },
    );
    facts.add("checked", "every point is on its curve and in its subgroup");
    Ok(facts)
}

fn public(text: &str) -> Result<Facts, JsonError> {
    let curves = [
        (CurveId::Bn254, parse_public::<Bn254>(text)),
        (CurveId::Bls12_381, parse_public::<Bls12_381>(text)),
    ];
    let signals = curves[0].1.as_ref().or(curves[1].1.as_ref()).map(Vec::len);
    let Ok(signals) = signals else {
        // The larger field's error holds for both fields.
        let [_, (_, error)] = curves;
        return Err(error.expect_err("both failed"));
    };
    let mut facts = Facts::new("public signals (JSON)");
    facts.add("public_signals", signals);
    let fits = curves.iter().filter(|(_, parsed)| parsed.is_ok());
    facts.add("canonical_for", fits.map(|(curve, _)| curve.to_string()).collect::<Vec<_>>());
    facts.add("use", "verifies with its proof in `athanor verify`");
    Ok(facts)
}

fn sym(path: &Path, file: BufReader<File>) -> Result<Facts, Failure> {
    let bad = |error: SymError| {
        let kind = match &error {
            SymError::Io { .. } => Kind::Unreadable,
            _ => Kind::BadConstraints,
        };
        Failure::at(kind, path, error)
    };
    let (mut signals, mut wires, mut components, mut highest) = (0u64, 0u64, 0u64, 0u32);
    for symbol in read_sym(file) {
        let symbol = symbol.map_err(bad)?;
        signals += 1;
        if let Some(wire) = symbol.wire {
            wires += 1;
            highest = highest.max(wire);
        }
        components = components.max(u64::from(symbol.component) + 1);
    }
    let mut facts = Facts::new("names of signals (.sym)");
    facts.add("signals", signals);
    facts.add("signals_with_a_wire", wires);
    facts.add("highest_wire", highest);
    facts.add("components", components);
    facts.add("use", "names signals in errors, with --sym");
    Ok(facts)
}
