//! The readers and writers against files that snarkjs and circom made; see
//! `tests/data/README.md`.

use std::io::Cursor;

use ark_ff::{One, PrimeField, Zero};
use athanor_groth16::formats::{
    json,
    r1cs::{R1csFile, write_r1cs},
    sym::WireNames,
    wtns::{read_wtns, write_wtns},
    zkey::{Factor, G1Query, ZkeyError, ZkeyFile},
};
use athanor_kernels::{Bls12_381, Bn254, Curve};

use crate::support::{Zkey, data, rewritten, text, zkey};

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
    assert_eq!(initial.contribution_count().unwrap(), Some(0));
    let mut last = zkey::<C>("final.zkey");
    assert!(!last.header_points().delta_is_gamma());
    let after = last.contributions().unwrap().unwrap();
    assert_eq!(last.contribution_count().unwrap(), Some(2));
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

fn r1cs_round_trip<C: Curve>() {
    let bytes = data::<C>("circuit.r1cs");
    let mut file = R1csFile::open(Cursor::new(&bytes)).unwrap();
    let header = *file.header();
    let (r1cs, labels) = (file.constraints::<C>().unwrap(), file.labels().unwrap());
    assert_eq!((header.outputs, header.public_inputs, header.private_inputs), (2, 1, 2));
    assert_eq!((r1cs.wires, r1cs.public, r1cs.constraints()), (6, 3, 2));
    let mut written = Vec::new();
    write_r1cs::<C>(&mut written, &header, &r1cs, &labels).unwrap();
    assert_eq!(written, bytes);

    let witness = read_wtns(Cursor::new(data::<C>("witness.wtns"))).unwrap();
    let value =
        |wire: u32| C::Fr::from_bigint(ark_ff::BigInt(witness.values[wire as usize])).unwrap();
    let dot = |row: &[(u32, C::Fr)]| row.iter().map(|&(wire, k)| k * value(wire)).sum::<C::Fr>();
    for row in 0..r1cs.constraints() {
        let [a, b, c] = [&r1cs.a, &r1cs.b, &r1cs.c].map(|matrix| dot(matrix.row(row)));
        assert!(a * b == c && !c.is_zero(), "the witness satisfies constraint {row}");
    }

    let mut entries: Vec<_> = zkey::<C>("initial.zkey")
        .coefficients()
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| (entry.row as usize) < r1cs.constraints())
        .map(|entry| (entry.factor == Factor::B, entry.row as usize, entry.wire, entry.value))
        .collect();
    for (is_b, matrix) in [(false, &r1cs.a), (true, &r1cs.b)] {
        for (row, terms) in matrix.iter().enumerate() {
            for &(wire, coefficient) in terms {
                let entry = (is_b, row, wire, coefficient);
                let at = entries.iter().position(|other| *other == entry);
                entries.swap_remove(at.expect("the key has every term of the circuit"));
            }
        }
    }
    assert!(entries.is_empty(), "the key has no other terms");
}

#[test]
fn r1cs_agrees_with_witness_and_key_and_writes_back_to_the_byte() {
    r1cs_round_trip::<Bn254>();
    r1cs_round_trip::<Bls12_381>();
}

#[test]
fn wires_have_the_names_of_the_circuit() {
    let names = WireNames::read(&data::<Bn254>("circuit.sym")[..]).unwrap();
    let header = *R1csFile::open(Cursor::new(data::<Bn254>("circuit.r1cs"))).unwrap().header();
    let expected = [None, Some("main.c"), Some("main.d"), Some("main.k"), Some("main.a")];
    assert_eq!([0, 1, 2, 3, 4].map(|wire| names.get(wire)), expected);
    let inputs: Vec<_> = names.inputs(&header).into_iter().map(|input| input.name).collect();
    assert_eq!(inputs, ["k", "a", "b"]);
}

#[test]
fn keys_write_back_to_the_byte() {
    for name in ["initial.zkey", "final.zkey"] {
        assert_eq!(rewritten::<Bn254>(&data::<Bn254>(name), None), data::<Bn254>(name));
        assert_eq!(rewritten::<Bls12_381>(&data::<Bls12_381>(name), None), data::<Bls12_381>(name));
    }
}

#[test]
fn chunks_are_numbered_and_complete_whatever_their_size() {
    let mut zkey = zkey::<Bn254>("final.zkey");
    let points = |chunk: usize, zkey: &mut Zkey<Bn254>| {
        let mut all = Vec::new();
        zkey.g1_points(G1Query::H, chunk, |first, points| {
            assert_eq!(first, all.len());
            assert!(points.len() <= chunk.max(1));
            all.extend_from_slice(points);
            Ok::<_, ZkeyError>(())
        })
        .unwrap();
        all
    };
    let whole = points(usize::MAX, &mut zkey);
    assert_eq!(whole.len(), 8);
    for chunk in [0, 1, 3, 8, 9] {
        assert_eq!(points(chunk, &mut zkey), whole);
    }
}

#[test]
fn a_note_is_read_back_and_files_without_one_have_none() {
    let mut from = zkey::<Bn254>("initial.zkey");
    assert_eq!(from.note().unwrap(), None);
    let written = rewritten::<Bn254>(&data::<Bn254>("initial.zkey"), Some("a key for development"));
    let file = ZkeyFile::open(Cursor::new(written)).unwrap();
    let note = file.read_as::<Bn254>().unwrap().note().unwrap();
    assert_eq!(note.as_deref(), Some("a key for development"));
}
