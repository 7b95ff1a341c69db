//! Each failure has its own code and message, and leaves no files.

use std::fs;

use crate::support::{CURVES, Place};

/// Field of a binary file: contents of the section with the given id.
fn section(file: &[u8], id: u32) -> std::ops::Range<usize> {
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut at = 12;
    loop {
        let length = u64::from_le_bytes(file[at + 4..at + 12].try_into().unwrap()) as usize;
        if u32_at(at) == id {
            return at + 12..at + 12 + length;
        }
        at += 12 + length;
    }
}

#[test]
fn a_broken_key_is_refused_by_kind() {
    for curve in CURVES {
        let place = Place::new(curve);
        let wtns = place.given("witness.wtns");
        let good = fs::read(place.given("final.zkey")).unwrap();
        let refused = |name: &str, bytes: &[u8], code, words: &str| {
            let zkey = place.write(name, bytes);
            place.prove(&zkey, &wtns).fails(code, words);
        };
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        refused("empty", b"", 10, "empty");
        refused("truncated", &good[..good.len() - 10], 10, "truncated");
        refused("magic", &changed(0, b'X'), 10, "magic");
        refused("protocol", &changed(section(&good, 1).start, 2), 12, "PLONK");
        let prime = section(&good, 2).start + 4;
        refused("prime", &changed(prime, good[prime] ^ 2), 12, "prime");
        let a = section(&good, 5);
        let first = a.clone().find(|&at| good[at] != 0).unwrap();
        refused("point", &changed(first, good[first] ^ 1), 11, "curve");
        let mut oversize = good.clone();
        let length = section(&good, 2).start - 8;
        oversize[length..length + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        refused("oversize", &oversize, 10, "oversize");
        assert!(!place.path("proof.json").exists() && !place.path("public.json").exists());
    }
}

#[test]
fn a_bad_witness_is_refused_by_kind() {
    for curve in CURVES {
        let place = Place::new(curve);
        let zkey = place.given("final.zkey");
        let good = fs::read(place.given("witness.wtns")).unwrap();
        let values = section(&good, 2);
        let refused = |name: &str, bytes: &[u8], code, words: &str| {
            place.prove(&zkey, &place.write(name, bytes)).fails(code, words);
        };
        refused("truncated", &good[..good.len() - 1], 13, "truncated");
        let mut first = good.clone();
        first[values.start] = 2;
        refused("first", &first, 14, "wire 0 is not 1");
        let mut large = good.clone();
        large[values.end - 32..values.end].fill(0xff);
        refused("large", &large, 14, "not below");
        let mut unsatisfied = good.clone();
        unsatisfied[values.end - 32] ^= 1;
        refused("unsatisfied", &unsatisfied, 16, "does not satisfy");
        let mut short = good[..good.len() - 32].to_vec();
        let count = section(&good, 1).end - 4;
        short[count] -= 1;
        let length = (values.len() as u64 - 32).to_le_bytes();
        short[values.start - 8..values.start].copy_from_slice(&length);
        refused("short", &short, 15, "different circuits");
        assert!(!place.path("proof.json").exists() && !place.path("public.json").exists());
    }
}

#[test]
fn a_witness_of_the_other_curve_is_refused() {
    let (place, other) = (Place::new("bn128"), Place::new("bls12381"));
    place.prove(&place.given("final.zkey"), &other.given("witness.wtns")).fails(12, "bls12-381");
}

#[test]
fn the_broken_constraint_is_named_where_constraints_and_names_are_given() {
    let place = Place::new("bn128");
    let mut bytes = fs::read(place.given("witness.wtns")).unwrap();
    let last = section(&bytes, 2).end - 32;
    bytes[last] ^= 1;
    let wtns = place.write("unsatisfied", bytes);
    let (zkey, r1cs, sym) =
        (place.given("final.zkey"), place.given("circuit.r1cs"), place.given("circuit.sym"));
    let flags = ["prove", "--zkey", zkey.to_str().unwrap(), "--wtns", wtns.to_str().unwrap()];
    let with_r1cs = [&flags[..], &["--r1cs", r1cs.to_str().unwrap()]].concat();
    place.run(&with_r1cs).fails(16, "violates constraint 0, over wire");
    let with_names = [&with_r1cs[..], &["--sym", sym.to_str().unwrap()]].concat();
    place.run(&with_names).fails(16, "main.");
}

#[test]
fn an_output_that_cannot_be_written_leaves_no_half_result() {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let prove = |proof: &str, public: &str| {
        place.run(["prove", zkey.to_str().unwrap(), wtns.to_str().unwrap(), proof, public])
    };
    prove("no/such/place", "public.json").fails(31, "no/such/place");
    prove("proof.json", "no/such/place").fails(31, "no/such/place");
    fs::create_dir(place.path("directory")).unwrap();
    prove("proof.json", "directory").fails(31, "directory");
    assert_eq!(place.files(), ["directory"]);
}

#[test]
fn a_missing_file_and_a_directory_are_unreadable() {
    let place = Place::new("bn128");
    let wtns = place.given("witness.wtns");
    place.prove(&place.path("none.zkey"), &wtns).fails(30, "none.zkey");
    place.prove(&place.given("."), &wtns).fails(30, "directory");
    place.prove(&place.given("final.zkey"), &place.path("none.wtns")).fails(30, "none.wtns");
}

#[test]
fn verify_refuses_what_is_not_a_valid_proof_of_these_signals() {
    for curve in CURVES {
        let place = Place::new(curve);
        let [vkey, public, proof] = ["verification_key.json", "public.json", "proof.json"]
            .map(|name| fs::read_to_string(place.given(name)).unwrap());
        let verify = |vkey: &str, public: &str, proof: &str| {
            let vkey = place.write("vkey", vkey);
            place.verify(&vkey, &place.write("public", public), &place.write("proof", proof))
        };
        verify(&vkey, &public, &proof).ok();

        let mut signals: Vec<String> = serde_json::from_str(&public).unwrap();
        let rest = signals.split_off(1);
        verify(&vkey, &serde_json::to_string(&signals).unwrap(), &proof)
            .fails(22, "public signals");
        signals[0] = "12345".into();
        signals.extend(rest);
        verify(&vkey, &serde_json::to_string(&signals).unwrap(), &proof).fails(20, "not verify");

        let mut swapped: serde_json::Value = serde_json::from_str(&proof).unwrap();
        swapped["pi_a"] = swapped["pi_c"].clone();
        verify(&vkey, &public, &swapped.to_string()).fails(20, "not verify");
        let mut off: serde_json::Value = serde_json::from_str(&proof).unwrap();
        off["pi_a"][0] = "1".into();
        verify(&vkey, &public, &off.to_string()).fails(21, "curve");
        verify(&vkey, "[1,", &proof).fails(21, "public");
        verify("{}", &public, &proof).fails(21, "vkey");
        verify(&vkey.replace("groth16", "plonk"), &public, &proof).fails(12, "plonk");
        verify(&vkey.replace(curve, "secp256k1"), &public, &proof).fails(12, "secp256k1");
    }
}

#[test]
fn a_path_of_the_kernels_that_is_forced_in_vain_is_refused_by_every_command() {
    let place = Place::new("bn128");
    let wtns = place.given("witness.wtns");
    let zkey = place.given("final.zkey");
    let prove = ["prove", "--zkey", zkey.to_str().unwrap(), "--wtns", wtns.to_str().unwrap()];
    for args in [&prove[..], &["bench", "kernels"]] {
        let forced = [("ATHANOR_KERNELS", "neon")];
        place.run_with(forced, args).fails(12, "use portable, avx512 or ifma");
    }
    assert!(!place.path("proof.json").exists());
    place.run_with([("ATHANOR_KERNELS", "portable")], prove).ok();
}
