//! Circuits added to a catalog, listed, and proven by name.

use std::fs;

use crate::support::{CURVES, Place};

#[test]
fn a_circuit_is_added_with_a_verified_proof_and_proves_by_name() {
    for curve in CURVES {
        let place = Place::new(curve);
        let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
        let (zkey, wtns) = (zkey.to_str().unwrap(), wtns.to_str().unwrap());
        let add = ["circuits", "add", "tiny", "--zkey", zkey, "--dir", "circuits", "--json"];
        let with_input = [&add[..], &["--input", wtns]].concat();
        let answer = place.run(&with_input).ok().json();
        assert_eq!(answer["verified"], true);
        let manifest = fs::read_to_string(place.path("circuits/tiny/circuit.toml")).unwrap();
        for word in
            ["proof-system = \"groth16\"", "[files.zkey]", "blake3", "[stages.prove]", "peak"]
        {
            assert!(manifest.contains(word), "{word} in {manifest}");
        }
        let again = with_input.iter().filter(|word| **word != "--json");
        place.run(again).fails(24, "already exists");
        assert_eq!(place.files(), ["circuits"], "nothing half-written is left");

        let list = place.run(["circuits", "list", "--dir", "circuits", "--json"]).ok().json();
        assert_eq!(list["circuits"][0]["name"], "tiny");
        // The default catalog of a service.
        let by_name = ["prove", "--circuit", "tiny", "--wtns", wtns];
        place.run(by_name).ok();
        let vkey = place.given("verification_key.json");
        place.verify(&vkey, &place.path("public.json"), &place.path("proof.json")).ok();
    }
}

#[test]
fn a_circuit_that_cannot_prove_its_input_is_not_added() {
    let place = Place::new("bn128");
    let zkey = place.given("final.zkey");
    let other = Place::new("bls12381").given("witness.wtns");
    let mut spoilt = fs::read(place.given("witness.wtns")).unwrap();
    let at = spoilt.len() - 32;
    spoilt[at] ^= 1;
    let spoilt = place.write("spoilt.wtns", spoilt);
    for (input, code) in [(&other, 12), (&spoilt, 16)] {
        let (zkey, input) = (zkey.to_str().unwrap(), input.to_str().unwrap());
        let add =
            ["circuits", "add", "tiny", "--zkey", zkey, "--input", input, "--dir", "circuits"];
        place.run(add).fails(code, "");
        assert_eq!(fs::read_dir(place.path("circuits")).unwrap().count(), 0);
    }
    let zkey = zkey.to_str().unwrap();
    place
        .run(["circuits", "add", "../x", "--zkey", zkey, "--dir", "c"])
        .fails(24, "not a valid circuit name");
}

#[test]
fn a_changed_file_of_a_catalog_is_refused_by_name() {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let (zkey, wtns) = (zkey.to_str().unwrap(), wtns.to_str().unwrap());
    place
        .run(["circuits", "add", "tiny", "--zkey", zkey, "--input", wtns, "--dir", "circuits"])
        .ok();
    let kept = place.path("circuits/tiny/zkey.zkey");
    let mut bytes = fs::read(&kept).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&kept, &bytes).unwrap();
    let prove = ["prove", "--circuit", "tiny", "--dir", "circuits", "--wtns", wtns];
    place.run(prove).fails(10, "digest differs");
    fs::write(&kept, &bytes[1..]).unwrap();
    place.run(prove).fails(24, "length differs");
    place
        .run(["prove", "--circuit", "none", "--dir", "circuits", "--wtns", wtns])
        .fails(24, "no circuit");
    place.run(["prove", "--zkey", "k", "--wtns", wtns, "--dir", "c"]).fails(2, "--dir");
}
