//! snarkjs reads the files that we write, and we read keys of a real ceremony.

use std::io::Cursor;

use ark_ff::{Field, PrimeField};
use athanor_groth16::{
    R1cs, Rows,
    formats::{
        json,
        r1cs::{self, write_r1cs},
        wtns::write_wtns,
        zkey::ZkeyFile,
    },
};
use athanor_kernels::{Bls12_381, Bn254, Curve};

use crate::{
    node::Snarkjs,
    support::{data, rewritten, text},
};

fn keys_we_wrote<C: Curve>(snarkjs: &Snarkjs, name: &str) {
    let original = data::<C>(name);
    let written = rewritten::<C>(&original, Some("a key for development"));
    assert_ne!(written, original);
    snarkjs.write("key.zkey", written);
    snarkjs.write("witness.wtns", data::<C>("witness.wtns"));
    snarkjs.must("zkey export verificationkey key.zkey vkey.json");
    let mut zkey = ZkeyFile::open(Cursor::new(original)).unwrap().read_as::<C>().unwrap();
    let vkey = zkey.verifying_key().unwrap();
    assert_eq!(snarkjs.read("vkey.json"), json::write_verifying_key(&vkey));

    snarkjs.must("groth16 prove key.zkey witness.wtns proof.json public.json");
    assert!(snarkjs.must("groth16 verify vkey.json public.json proof.json").contains("OK!"));
    let proof = json::parse_proof::<C>(&snarkjs.read("proof.json")).unwrap();
    assert_eq!(json::write_proof(&proof), snarkjs.read("proof.json"));
    assert_eq!(snarkjs.read("public.json"), text::<C>("public.json"));
}

#[test]
fn snarkjs_proves_with_keys_we_wrote_and_passes_over_their_note() {
    let test = "snarkjs_proves_with_keys_we_wrote_and_passes_over_their_note";
    let Some(snarkjs) = Snarkjs::find(test) else { return };
    // One without contributions, as a development key is, and one with.
    keys_we_wrote::<Bn254>(&snarkjs, "initial.zkey");
    keys_we_wrote::<Bls12_381>(&snarkjs, "final.zkey");
}

/// `x·x = y`, `(2x + 1)·(y - 3) = z`, for a public `z`: written here, checked by snarkjs.
fn systems_we_wrote<C: Curve>(snarkjs: &Snarkjs) {
    let n = |value: i64| {
        C::Fr::from(value.unsigned_abs()) * if value < 0 { -C::Fr::ONE } else { C::Fr::ONE }
    };
    let (z, x, y) = (1, 2, 3);
    let mut system =
        R1cs { wires: 4, public: 1, a: Rows::default(), b: Rows::default(), c: Rows::default() };
    system.a.push([(x, n(1))]);
    system.b.push([(x, n(1))]);
    system.c.push([(y, n(1))]);
    system.a.push([(0, n(1)), (x, n(2))]);
    system.b.push([(0, n(-3)), (y, n(1))]);
    system.c.push([(z, n(1))]);
    let header = r1cs::Header {
        curve: C::ID,
        wires: 4,
        outputs: 1,
        public_inputs: 0,
        private_inputs: 1,
        labels: 4,
        constraints: 2,
    };
    let mut bytes = Vec::new();
    write_r1cs::<C>(&mut bytes, &header, &system, &[0, 1, 2, 3]).unwrap();
    snarkjs.write("circuit.r1cs", bytes);
    for (values, holds) in [([1, 9 * 13, 4, 16], true), ([1, 9 * 13 + 1, 4, 16], false)] {
        let mut bytes = Vec::new();
        write_wtns(&mut bytes, C::ID, &values.map(|value| n(value).into_bigint().0)).unwrap();
        snarkjs.write("witness.wtns", bytes);
        let (_, said) = snarkjs.run("wtns check circuit.r1cs witness.wtns");
        assert_eq!(said.contains("WITNESS IS CORRECT"), holds, "{said}");
    }
}

#[test]
fn snarkjs_checks_witnesses_we_wrote_against_systems_we_wrote() {
    let test = "snarkjs_checks_witnesses_we_wrote_against_systems_we_wrote";
    let Some(snarkjs) = Snarkjs::find(test) else { return };
    systems_we_wrote::<Bn254>(&snarkjs);
    systems_we_wrote::<Bls12_381>(&snarkjs);
}

#[test]
fn keys_of_semaphores_ceremony_read_whole_and_write_back_to_the_byte() {
    let test = "keys_of_semaphores_ceremony_read_whole_and_write_back_to_the_byte";
    for depth in [1, 20] {
        let Some(semaphore) = athanor_testkit::semaphore(test, depth) else { return };
        let bytes = std::fs::read(&semaphore.zkey).unwrap();
        let file = ZkeyFile::open(Cursor::new(&bytes)).unwrap();
        let mut zkey = file.read_as::<Bn254>().unwrap();
        let published = std::fs::read_to_string(&semaphore.vkey).unwrap();
        let published = json::parse_verifying_key::<Bn254>(&published).unwrap();
        assert_eq!(zkey.verifying_key().unwrap(), published);
        let (a, b) = zkey.matrices().unwrap();
        assert_eq!(a.entries() + b.entries(), zkey.header().coefficients as usize);
        let history = zkey.contributions().unwrap().unwrap();
        assert!(history.contributions.len() > 100 && !zkey.header_points().delta_is_gamma());
        assert!(rewritten::<Bn254>(&bytes, None) == bytes, "depth {depth} writes back");
    }
}
