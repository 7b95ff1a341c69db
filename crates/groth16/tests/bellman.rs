//! bellman's parameter files: written files are read back and prove; damaged ones are refused.

use std::io::Cursor;

use ark_bls12_381::Fr;
use athanor_groth16::{
    NativeKey, ProvingKey, RawKey, Verifier, Witness, development_setup_on,
    formats::bellman::{self, BellmanError, BellmanReader, Density, Query, Trust},
    synthetic::{Example, bits, dense},
};
use athanor_kernels::{Bls12_381, Domain, Quotient, cpu::Cpu};

fn key_of(example: &Example<Fr>) -> RawKey<Bls12_381> {
    let rows = example.r1cs.constraints() + example.r1cs.public + 1;
    let domain = Domain::new(rows.next_power_of_two().ilog2()).unwrap();
    development_setup_on(&example.r1cs, Quotient::Coefficients, domain).unwrap()
}

fn written(key: &RawKey<Bls12_381>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bellman::write(key, &mut bytes).unwrap();
    bytes
}

fn convert(
    key: &RawKey<Bls12_381>,
    bytes: &[u8],
    trust: Trust,
) -> Result<NativeKey<Bls12_381>, BellmanError> {
    let mut reader = BellmanReader::open(Cursor::new(bytes))?;
    let matrices = (key.a.clone(), key.b.clone());
    NativeKey::from_bellman(&Cpu, &mut reader, matrices, trust, [7; 32])
}

#[test]
fn a_key_that_went_through_the_file_gives_the_same_proof() {
    for example in [bits::<Bls12_381>(400, 3), dense::<Bls12_381>(60, 3)] {
        let key = key_of(&example);
        let bytes = written(&key);
        let again = convert(&key, &bytes, Trust::Foreign).unwrap();
        let (r, s) = (Fr::from(11), Fr::from(12));
        let witness = Witness::<Bls12_381>::new(example.witness.clone()).unwrap();
        let prove = |native| {
            let key = ProvingKey::load(Cpu, native).unwrap();
            key.prove_with_randomness(witness.clone(), r, s).unwrap()
        };
        let proof = prove(again);
        assert_eq!(proof, prove(key.to_native(&Cpu).unwrap()));
        let verifier = Verifier::new(&key.verifying).unwrap();
        verifier.verify(witness.public(example.r1cs.public), &proof).unwrap();
        assert_eq!(bellman::proof_bytes(&proof)[0] & 0x80, 0x80);
    }
}

#[test]
fn density_is_the_statement_and_the_wires_that_occur() {
    let example = bits::<Bls12_381>(400, 3);
    let key = key_of(&example);
    let density = Density::of(&key.a, &key.b);
    assert_eq!(density.a[..2], [0, 1], "the statement is bound by rows of its own");
    let reader = BellmanReader::open(Cursor::new(written(&key))).unwrap();
    assert_eq!(density.a.len(), reader.points(Query::A));
    assert_eq!(density.b.len(), reader.points(Query::B2));
    assert!(density.b.len() < key.b.columns());
}

#[test]
fn files_that_are_cut_short_or_too_long_are_refused_before_their_counts_are_believed() {
    let key = key_of(&dense::<Bls12_381>(20, 1));
    let bytes = written(&key);
    for length in (0..bytes.len()).step_by(41) {
        let error = convert(&key, &bytes[..length], Trust::Vouched).unwrap_err();
        assert!(matches!(error, BellmanError::Length { .. }), "{length}: {error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(convert(&key, &longer, Trust::Vouched), Err(BellmanError::Length { .. })));
    // A count of four billion points, in a small file.
    let mut boast = bytes.clone();
    let ic_count = 3 * 96 + 3 * 192;
    boast[ic_count..ic_count + 4].fill(0xff);
    assert!(matches!(convert(&key, &boast, Trust::Vouched), Err(BellmanError::Length { .. })));
}

#[test]
fn points_off_the_curve_and_keys_of_other_constraints_are_refused() {
    let key = key_of(&dense::<Bls12_381>(20, 1));
    let bytes = written(&key);
    let h = 3 * 96 + 3 * 192 + 4 + key.verifying.ic.len() * 96 + 4;
    let mut off = bytes.clone();
    off[h + 96 + 50] ^= 1;
    match convert(&key, &off, Trust::Vouched).unwrap_err() {
        BellmanError::Point { section: "h", index: 1, fault: Some(_) } => {}
        other => panic!("{other}"),
    }
    let mut large = bytes.clone();
    large[h] = 0x1f;
    large[h + 1..h + 48].fill(0xff);
    match convert(&key, &large, Trust::Vouched).unwrap_err() {
        BellmanError::Point { index: 0, fault: None, .. } => {}
        other => panic!("{other}"),
    }
    let other = key_of(&dense::<Bls12_381>(21, 1));
    let error = convert(&other, &bytes, Trust::Vouched).unwrap_err();
    assert!(matches!(error, BellmanError::OtherCircuit { .. }), "{error}");
}
