//! The formats against files that snarkjs and circom made; see `tests/data/README.md`.

use std::io::Cursor;

use ark_ff::{One, PrimeField, Zero};
use athanor_groth16::formats::{
    json,
    wtns::{read_wtns, write_wtns},
    zkey::{Factor, ZkeyFile, ZkeyReader},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};

type Reader<C> = ZkeyReader<C, Cursor<Vec<u8>>>;

/// The folder that snarkjs's name for a curve gives.
fn folder(curve: CurveId) -> &'static str {
    match curve {
        CurveId::Bn254 => "bn128",
        CurveId::Bls12_381 => "bls12381",
    }
}

fn data<C: Curve>(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{}/{name}", env!("CARGO_MANIFEST_DIR"), folder(C::ID));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text<C: Curve>(name: &str) -> String {
    String::from_utf8(data::<C>(name)).unwrap()
}

fn zkey<C: Curve>(name: &str) -> Reader<C> {
    let file = ZkeyFile::open(Cursor::new(data::<C>(name))).unwrap();
    assert_eq!(file.curve(), C::ID);
    file.read_as::<C>().unwrap()
}

fn json_is_snarkjs_to_the_byte<C: Curve>() {
    let key = json::parse_verifying_key::<C>(&text::<C>("verification_key.json")).unwrap();
    assert_eq!(json::write_verifying_key(&key), text::<C>("verification_key.json"));
    assert_eq!(zkey::<C>("final.zkey").verifying_key().unwrap(), key);
    let proof = json::parse_proof::<C>(&text::<C>("proof.json")).unwrap();
    assert_eq!(json::write_proof(&proof), text::<C>("proof.json"));
    let public = json::parse_public::<C>(&text::<C>("public.json")).unwrap();
    assert_eq!(json::write_public::<C>(&public), text::<C>("public.json"));
    assert_eq!(public.len(), key.public_signals());
    for name in ["verification_key.json", "proof.json"] {
        assert_eq!(json::curve_of(&text::<C>(name)).unwrap(), Some(C::ID));
    }
}

#[test]
fn what_was_read_from_json_is_written_as_snarkjs_wrote_it() {
    json_is_snarkjs_to_the_byte::<Bn254>();
    json_is_snarkjs_to_the_byte::<Bls12_381>();
}

fn witness_round_trip<C: Curve>() {
    let bytes = data::<C>("witness.wtns");
    let witness = read_wtns(Cursor::new(&bytes)).unwrap();
    assert_eq!(witness.curve, C::ID);
    let public = json::parse_public::<C>(&text::<C>("public.json")).unwrap();
    assert_eq!(witness.values[1..=public.len()], public);
    let mut written = Vec::new();
    write_wtns(&mut written, C::ID, &witness.values).unwrap();
    assert_eq!(written, bytes);
}

#[test]
fn witnesses_agree_with_public_json_and_write_back_to_the_byte() {
    witness_round_trip::<Bn254>();
    witness_round_trip::<Bls12_381>();
}

/// The circuit says `a·b = c - 3` and `(c - k)·(5a - b) = d`; the compiler may put signs on
/// either side. With the coefficients' scaling wrong, no row would agree with the witness.
fn coefficients_are_the_circuits<C: Curve>() {
    let mut zkey = zkey::<C>("final.zkey");
    let header = *zkey.header();
    assert_eq!((header.wires, header.public), (6, 3));
    let witness = read_wtns(Cursor::new(data::<C>("witness.wtns"))).unwrap();
    let value =
        |wire: u32| C::Fr::from_bigint(ark_ff::BigInt(witness.values[wire as usize])).unwrap();
    let mut rows = vec![[C::Fr::zero(); 2]; header.domain_size as usize];
    let mut biggest = Vec::new();
    for entry in zkey.coefficients().unwrap() {
        let entry = entry.unwrap();
        let column = usize::from(entry.factor == Factor::B);
        rows[entry.row as usize][column] += entry.value * value(entry.wire);
        biggest.push(entry.value);
    }
    let [c, d, k, a, b] = [1, 2, 3, 4, 5].map(value);
    let five = C::Fr::from(5);
    assert!(biggest.contains(&five) || biggest.contains(&-five), "5 stands in the file as 5");
    let products: Vec<_> = rows.iter().map(|[a, b]| *a * b).collect();
    let sign = |x: C::Fr, y: C::Fr| x == y || x == -y;
    assert!(sign(products[0], a * b) && sign(a * b, c - C::Fr::from(3)));
    assert!(sign(products[1], d) && sign(d, (c - k) * (five * a - b)));
    // The rows of the constant one and the public signals.
    for public in 0..=header.public {
        assert_eq!(rows[2 + public as usize], [value(public), C::Fr::zero()]);
    }
    assert_eq!(value(0), C::Fr::one());
}

#[test]
fn coefficients_lose_their_scaling_and_include_the_public_rows() {
    coefficients_are_the_circuits::<Bn254>();
    coefficients_are_the_circuits::<Bls12_381>();
}

fn history<C: Curve>() {
    let mut initial = zkey::<C>("initial.zkey");
    assert!(initial.header_points().delta_is_gamma());
    let before = initial.contributions().unwrap().unwrap();
    assert!(before.contributions.is_empty());
    let mut last = zkey::<C>("final.zkey");
    assert!(!last.header_points().delta_is_gamma());
    let after = last.contributions().unwrap().unwrap();
    assert_eq!(after.circuit_hash, before.circuit_hash);
    let names: Vec<_> = after.contributions.iter().map(|c| c.name.as_deref()).collect();
    assert_eq!(names, [Some("first contribution"), Some("beacon")]);
    let beacon = &after.contributions[1];
    assert_eq!((beacon.kind, beacon.iterations_log), (1, Some(10)));
    assert_eq!(beacon.beacon.as_deref(), Some(&(1..=32).collect::<Vec<u8>>()[..]));
    assert_eq!(beacon.delta_after, last.header_points().delta_g1);
}

#[test]
fn contributions_are_told_and_a_key_without_any_is_known() {
    history::<Bn254>();
    history::<Bls12_381>();
}
