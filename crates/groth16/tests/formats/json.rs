//! JSON that snarkjs does not write.

use std::str::FromStr;

use ark_ec::{AffineRepr, models::short_weierstrass::SWCurveConfig};
use ark_ff::{BigInteger, Field, PrimeField};
use athanor_groth16::formats::{
    DecimalError, JsonError,
    json::{curve_of, parse_proof, parse_public, parse_verifying_key, write_public},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};
use serde_json::{Value, json};

use crate::support::{outside_the_subgroup, text};

fn value<C: Curve>(name: &str) -> Value {
    serde_json::from_str(&text::<C>(name)).unwrap()
}

/// The file with one value replaced.
fn with<C: Curve>(name: &str, pointer: &str, new: Value) -> String {
    let mut file = value::<C>(name);
    *file.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = new;
    file.to_string()
}

fn proof_error<C: Curve>(pointer: &str, new: Value) -> JsonError {
    parse_proof::<C>(&with::<C>("proof.json", pointer, new)).unwrap_err()
}

fn key_error<C: Curve>(pointer: &str, new: Value) -> JsonError {
    parse_verifying_key::<C>(&with::<C>("verification_key.json", pointer, new)).unwrap_err()
}

/// A point as snarkjs would write it.
fn point<G: SWCurveConfig>(point: ark_ec::models::short_weierstrass::Affine<G>) -> Value {
    let parts = |element: G::BaseField| -> Value {
        let parts: Vec<_> = element
            .to_base_prime_field_elements()
            .map(|part| part.into_bigint().to_string())
            .collect();
        if parts.len() == 1 { json!(parts[0]) } else { json!(parts) }
    };
    let one = G::BaseField::ONE;
    json!([parts(point.x), parts(point.y), parts(one)])
}

fn coordinates_have_one_text<C: Curve>() {
    let x = value::<C>("proof.json")["pi_a"][0].as_str().unwrap().to_owned();
    let q = <C::BaseField as PrimeField>::MODULUS;
    let mut x_plus_q = C::BaseField::from_str(&x).ok().unwrap().into_bigint();
    assert!(!x_plus_q.add_with_carry(&q));
    let x_plus_q = x_plus_q.to_string();
    for bad in [x_plus_q, q.to_string(), "9".repeat(400)] {
        let error = proof_error::<C>("/pi_a/0", json!(bad));
        let source = DecimalError::NotCanonical;
        assert!(matches!(&error, JsonError::Number { source: s, .. } if *s == source), "{error}");
    }
    for bad in [format!("0{x}"), format!("+{x}"), format!("{x} "), "0x1".into(), "".into()] {
        let error = proof_error::<C>("/pi_a/0", json!(bad));
        let source = DecimalError::NotDecimal;
        assert!(matches!(&error, JsonError::Number { source: s, .. } if *s == source), "{error}");
    }
}

#[test]
fn a_coordinate_over_the_modulus_is_refused_not_reduced() {
    coordinates_have_one_text::<Bn254>();
    coordinates_have_one_text::<Bls12_381>();
}

fn points_of_every_kind<C: Curve>() {
    let infinity = (json!(["0", "1", "0"]), json!([["0", "0"], ["1", "0"], ["0", "0"]]));
    let stray = point(outside_the_subgroup::<C::G2Config>());
    for place in ["/pi_a", "/pi_c"] {
        assert!(matches!(proof_error::<C>(place, infinity.0.clone()), JsonError::Infinity { .. }));
        let off = json!(["1", "1", "1"]);
        assert!(matches!(proof_error::<C>(place, off), JsonError::NotOnCurve { .. }));
        let scaled = proof_error::<C>(&format!("{place}/2"), json!("2"));
        assert!(matches!(scaled, JsonError::NotAffine { .. }));
    }
    assert!(matches!(proof_error::<C>("/pi_b", infinity.1.clone()), JsonError::Infinity { .. }));
    assert!(matches!(proof_error::<C>("/pi_b", stray.clone()), JsonError::NotInSubgroup { .. }));
    let scaled = proof_error::<C>("/pi_b/2/1", json!("1"));
    assert!(matches!(scaled, JsonError::NotAffine { .. }), "{scaled}");
    for place in ["/vk_beta_2", "/vk_gamma_2", "/vk_delta_2"] {
        assert!(matches!(key_error::<C>(place, infinity.1.clone()), JsonError::Infinity { .. }));
        assert!(matches!(key_error::<C>(place, stray.clone()), JsonError::NotInSubgroup { .. }));
    }
    let error = key_error::<C>("/vk_alpha_1", infinity.0.clone());
    assert!(matches!(error, JsonError::Infinity { .. }));
    // The verifier refuses such a key; the file's format is valid.
    let text = with::<C>("verification_key.json", "/IC/1", infinity.0);
    assert!(parse_verifying_key::<C>(&text).unwrap().ic[1].is_zero());
    let error = key_error::<C>("/IC/1", json!(["1", "1", "1"]));
    assert!(matches!(error, JsonError::NotOnCurve { place, .. } if place == "IC[1]"));
    if C::ID == CurveId::Bls12_381 {
        let stray = point(outside_the_subgroup::<C::G1Config>());
        assert!(matches!(
            proof_error::<C>("/pi_a", stray.clone()),
            JsonError::NotInSubgroup { .. }
        ));
        assert!(matches!(key_error::<C>("/IC/0", stray), JsonError::NotInSubgroup { .. }));
    }
}

#[test]
fn bad_points_are_refused_by_their_kind() {
    points_of_every_kind::<Bn254>();
    points_of_every_kind::<Bls12_381>();
}

#[test]
fn public_signals_are_canonical_decimal_texts() {
    let r = <Bn254 as Curve>::Fr::MODULUS;
    let over = json!([r.to_string()]).to_string();
    let error = parse_public::<Bn254>(&over).unwrap_err();
    assert!(matches!(&error, JsonError::Number { place, .. } if place == "signal 0"), "{error}");
    // The same number is a signal on the other curve, whose order is larger.
    assert_eq!(parse_public::<Bls12_381>(&over).unwrap(), [r.0]);
    for bad in ["[1]", "[-1]", "{}", "[null]", "[\"1\",]", "[\"1\"] x", "", "[[\"1\"]]"] {
        assert!(matches!(parse_public::<Bn254>(bad), Err(JsonError::Shape { .. })), "{bad}");
    }
}

#[test]
fn no_public_signals_are_written_as_snarkjs_writes_them() {
    assert_eq!(write_public::<Bn254>(&[]), "[\n]");
    assert_eq!(parse_public::<Bn254>("[\n]").unwrap(), [[0; 4]; 0]);
}

#[test]
fn other_systems_and_curves_are_named() {
    let error = proof_error::<Bn254>("/protocol", json!("plonk"));
    assert!(matches!(error, JsonError::Protocol { protocol, .. } if protocol == "plonk"));
    // The start of snarkjs's key for PLONK, which has a different structure.
    let plonk = json!({ "protocol": "plonk", "curve": "bn128", "nPublic": 1, "power": 3 });
    let error = parse_verifying_key::<Bn254>(&plonk.to_string()).unwrap_err();
    assert!(matches!(error, JsonError::Protocol { protocol, .. } if protocol == "plonk"));
    let error = key_error::<Bn254>("/curve", json!("bls12381"));
    let found = CurveId::Bls12_381;
    assert!(matches!(error, JsonError::WrongCurve { found: f, .. } if f == found));
    let error = key_error::<Bn254>("/curve", json!("secq256r1"));
    assert!(matches!(error, JsonError::UnknownCurve { name, .. } if name == "secq256r1"));
    for (name, curve) in
        [("BN254", CurveId::Bn254), ("alt_bn-128", CurveId::Bn254), ("BLS12-381", found)]
    {
        let text = json!({ "curve": name }).to_string();
        assert_eq!(curve_of(&text).unwrap(), Some(curve));
    }
}

#[test]
fn a_proof_that_does_not_name_its_curve_is_read_as_the_keys() {
    let mut proof = value::<Bn254>("proof.json");
    proof.as_object_mut().unwrap().remove("curve");
    assert_eq!(curve_of(&proof.to_string()).unwrap(), None);
    let named = parse_proof::<Bn254>(&text::<Bn254>("proof.json")).unwrap();
    assert_eq!(parse_proof::<Bn254>(&proof.to_string()).unwrap(), named);
}

#[test]
fn a_key_whose_count_of_signals_is_wrong_is_refused() {
    for public in [json!(2), json!(4), json!(0), json!(u64::MAX)] {
        let error = key_error::<Bn254>("/nPublic", public);
        assert!(matches!(error, JsonError::PublicCount { points: 4, .. }), "{error}");
    }
    for public in [json!(-1), json!("3"), json!(1.5)] {
        let error = key_error::<Bn254>("/nPublic", public);
        assert!(matches!(error, JsonError::Shape { .. }), "{error}");
    }
}

#[test]
fn a_false_pairing_in_a_key_is_ignored() {
    let honest = parse_verifying_key::<Bn254>(&text::<Bn254>("verification_key.json")).unwrap();
    let mut key = value::<Bn254>("verification_key.json");
    key["vk_alphabeta_12"] = json!("believe me");
    assert_eq!(parse_verifying_key::<Bn254>(&key.to_string()).unwrap(), honest);
    key.as_object_mut().unwrap().remove("vk_alphabeta_12");
    assert_eq!(parse_verifying_key::<Bn254>(&key.to_string()).unwrap(), honest);
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let proof = text::<Bn254>("proof.json");
    let twice = proof.replacen('{', "{\"protocol\": \"groth16\",", 1);
    assert!(matches!(parse_proof::<Bn254>(&twice), Err(JsonError::Shape { .. })));
}

#[test]
fn nesting_without_end_is_an_error() {
    let deep = "[".repeat(1 << 20);
    assert!(parse_public::<Bn254>(&deep).is_err());
    assert!(parse_proof::<Bn254>(&deep).is_err());
    assert!(curve_of(&format!("{{\"x\":{deep}")).is_err());
}
