//! `inspect`, `export` and `setup`.

use std::fs;

use crate::support::{CURVES, Place};

fn text(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_kind_of_file_is_told_in_words_and_in_json() {
    for (curve, name) in CURVES.into_iter().zip(["bn254", "bls12-381"]) {
        let place = Place::new(curve);
        let json = |file: &str| {
            let ended = place.run(["inspect", &text(&place.given(file)), "--json"]).ok();
            assert_eq!(ended.json()["bytes"], fs::metadata(place.given(file)).unwrap().len());
            assert_eq!(ended.json()["blake3"].as_str().unwrap().len(), 64);
            ended.json()
        };
        let zkey = json("final.zkey");
        assert_eq!(zkey["curve"], name);
        assert_eq!((&zkey["constraints"], &zkey["public_signals"]), (&2.into(), &3.into()));
        assert_eq!(zkey["contributions"][0]["name"], "first contribution");
        assert_eq!(zkey["contributions"][1]["kind"], "beacon");
        assert_eq!(zkey["coefficients"]["in_b"], 3);
        assert_eq!(zkey["points_at_infinity"]["h"], 0);
        assert!(json("initial.zkey")["use"].as_str().unwrap().contains("ANYONE CAN FORGE"));
        let r1cs = json("circuit.r1cs");
        assert_eq!((&r1cs["constraints"], &r1cs["wires"]), (&2.into(), &6.into()));
        assert_eq!(r1cs["powers_of_tau_needed"], 3);
        assert_eq!(json("witness.wtns")["wires"], 6);
        assert_eq!(json("circuit.sym")["signals"], 5);
        assert_eq!(json("proof.json")["kind"], "proof (JSON)");
        assert_eq!(json("public.json")["public_signals"], 3);
        let vkey = json("verification_key.json");
        assert_eq!((&vkey["public_signals"], &vkey["curve"]), (&3.into(), &name.into()));

        let words = place.run(["inspect", &text(&place.given("final.zkey"))]).ok().stdout;
        for part in ["public signals", "contributions 2", "first contribution", name] {
            assert!(words.contains(part), "{words}");
        }
    }
}

#[test]
fn files_that_are_none_of_ours_or_damaged_are_refused_by_kind() {
    let place = Place::new("bn128");
    let inspect = |name: &str, bytes: &[u8]| {
        place.write(name, bytes);
        place.run(["inspect", name])
    };
    inspect("empty", b"").fails(21, "is none of");
    inspect("text", b"hello").fails(21, "is none of");
    inspect("object", b"{}").fails(21, "is none of");
    inspect("plonk", br#"{"protocol": "plonk", "curve": "bn128"}"#).fails(12, "plonk");
    inspect("numbers", b"[1]").fails(21, "public signals");
    inspect("names", b"1,2").fails(19, "line 1");
    for (file, code) in [("final.zkey", 10), ("witness.wtns", 13), ("circuit.r1cs", 19)] {
        let bytes = fs::read(place.given(file)).unwrap();
        inspect(file, &bytes[..bytes.len() - 1]).fails(code, "truncated");
    }
    // A name with an escape sequence does not reach the terminal.
    let mut zkey = fs::read(place.given("final.zkey")).unwrap();
    let at = zkey.windows(5).position(|bytes| bytes == b"first").unwrap();
    zkey[at..at + 5].copy_from_slice(b"\x1b[31m");
    place.write("red.zkey", zkey);
    let told = place.run(["inspect", "red.zkey"]).ok().stdout;
    assert!(told.contains("\\u{1b}[31m") && !told.contains('\x1b'), "{told}");
}

#[test]
fn exports_are_what_snarkjs_made_and_what_a_contract_takes() {
    for curve in CURVES {
        let place = Place::new(curve);
        let zkey = text(&place.given("final.zkey"));
        place.run(["export", "vkey", "--zkey", &zkey, "--out", "v.json"]).ok();
        let expected = fs::read(place.given("verification_key.json")).unwrap();
        assert_eq!(fs::read(place.path("v.json")).unwrap(), expected);

        let [proof, public] = ["proof.json", "public.json"].map(|name| text(&place.given(name)));
        let call =
            ["export", "calldata", "--proof", &proof, "--public", &public, "--vkey", "v.json"];
        let lists = place.run(call).ok().stdout;
        assert!(serde_json::from_str::<serde_json::Value>(&format!("[{lists}]")).is_ok());
        let raw = place.run(call.iter().chain(&["--raw"])).ok().stdout;
        let words = if curve == "bn128" { 8 } else { 16 };
        assert_eq!(raw.trim().len(), 2 + 8 + 64 * (words + 3));
        place.write("other.json", r#"["1", "2", "3"]"#);
        let other =
            ["export", "calldata", "--proof", &proof, "--public", "other.json", "--vkey", "v.json"];
        place.run(other).fails(20, "does not verify");

        let from_zkey = place.run(["export", "solidity", "--zkey", &zkey]).ok().stdout;
        let from_vkey = place.run(["export", "solidity", "--vkey", "v.json"]).ok().stdout;
        assert_eq!(from_zkey, from_vkey);
        assert!(from_zkey.contains("contract Groth16Verifier {"), "{from_zkey}");
        place
            .run(["export", "solidity", "--vkey", "v.json", "--name", "1"])
            .fails(12, "not a valid contract name");
        let initial = text(&place.given("initial.zkey"));
        let ended = place.run(["export", "solidity", "--zkey", &initial]).ok();
        assert!(ended.stderr.contains("ANYONE CAN FORGE") && ended.stdout.contains("NOT FOR USE"));
    }
}

#[test]
fn a_ceremony_runs_from_the_command_line_and_snarkjs_verifies_it() {
    const TEST: &str = "a_ceremony_runs_from_the_command_line_and_snarkjs_verifies_it";
    let Some(snarkjs) = athanor_testkit::snarkjs(TEST) else { return };
    let Some(powers) = athanor_testkit::powers_of_tau(TEST, "bn128", 5) else { return };
    let place = Place::new("bn128");
    let (r1cs, ptau) = (text(&place.given("circuit.r1cs")), text(&powers.join("prepared.ptau")));
    let run = |args: &str| place.run(args.split_whitespace());
    let from = format!("--r1cs {r1cs} --ptau {ptau}");
    let made = run(&format!("setup new {from} --zkey 0.zkey")).ok();
    assert!(made.stderr.contains("ANYONE CAN FORGE"), "{}", made.stderr);
    assert!(run(&format!("setup verify {from} --zkey 0.zkey")).ok().stderr.contains("nobody"));
    let one = run("setup contribute --zkey 0.zkey --out 1.zkey --name one --json").ok().json();
    run("setup beacon --zkey 1.zkey --out 2.zkey --beacon 0102 --name end --vkey v.json").ok();
    let verified = run(&format!("setup verify {from} --zkey 2.zkey --json")).ok().json();
    assert_eq!(verified["contributions"][0]["hash"], one["contribution_hash"]);
    assert_eq!(verified["contributions"][1]["beacon"], "0102");
    let key = run("export vkey --zkey 2.zkey").ok().stdout;
    assert_eq!(key.trim_end(), fs::read_to_string(place.path("v.json")).unwrap());
    snarkjs.run(&place.path("."), &["zkey", "verify", &r1cs, &ptau, "2.zkey"]);
    // The key proves.
    place.prove(&place.path("2.zkey"), &place.given("witness.wtns")).ok();
    place.verify(&place.path("v.json"), &place.path("public.json"), &place.path("proof.json")).ok();
    let told = place.run(["inspect", &ptau, "--json"]).ok().json();
    assert_eq!((&told["power"], &told["prepared_for_circuits"]), (&5.into(), &true.into()));

    run("setup beacon --zkey 1.zkey --out x --beacon 012").fails(28, "hexadecimal");
    assert_eq!(run("setup beacon --zkey 1.zkey --out x --beacon 01 --iterations 33").code, 2);
    run(&format!("setup new --r1cs {r1cs} --ptau {r1cs} --zkey x")).fails(28, "not a .ptau");
    run("setup dev --r1cs R --zkey x").fails(30, "R");
    let dev = format!("setup dev --r1cs {r1cs} --zkey dev.zkey");
    run(&dev).ok();
    run("setup contribute --zkey dev.zkey --out x").fails(28, "key for development");
    run(&format!("setup verify {from} --zkey dev.zkey")).fails(28, "key for development");
    run(&format!("setup verify {from} --zkey {}", text(&place.given("final.zkey"))))
        .fails(28, "does not come from this circuit");
    assert!(!place.path("x").exists());
}
