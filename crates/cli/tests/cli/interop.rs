//! Interoperation with snarkjs on third-party circuits and keys. Needs Node; skipped with a message without it.

use std::{fs, path::Path};

use athanor_testkit::{Tool, circom2, semaphore, snarkjs};

use crate::support::Place;

/// Both tools prove with the same key and input; each accepts the other's proof, and the public
/// signals are the same bytes.
fn each_accepts_the_other(place: &Place, snarkjs: &Tool, zkey: &Path, wasm: &Path, vkey: &Path) {
    let here = place.path(".");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (zkey, wasm) = (text(zkey), text(wasm));
    let ours = ["prove", "--zkey", &zkey, "--wasm", &wasm, "--input", "input.json"];
    place.run(ours).ok();
    let theirs =
        ["groth16", "fullprove", "input.json", &wasm, &zkey, "theirs.json", "signals.json"];
    snarkjs.run(&here, &theirs);
    let public = fs::read(place.path("public.json")).unwrap();
    assert!(public == fs::read(place.path("signals.json")).unwrap(), "the same bytes");
    snarkjs.run(&here, &["groth16", "verify", &text(vkey), "public.json", "proof.json"]);
    place.verify(vkey, &place.path("signals.json"), &place.path("theirs.json")).ok();
    // Also from snarkjs's witness, with rapidsnark's command line.
    snarkjs.run(&here, &["wtns", "calculate", &wasm, "input.json", "w.wtns"]);
    place.run(["prove", &zkey, "w.wtns", "p.json", "q.json"]).ok();
    snarkjs.run(&here, &["groth16", "verify", &text(vkey), "q.json", "p.json"]);
}

/// An input of the semaphore circuit of that depth.
fn semaphore_input(depth: usize) -> String {
    let siblings: Vec<String> = (0..depth).map(|level| format!("\"{}\"", level + 7)).collect();
    format!(
        r#"{{"secret": "12345678901234567890", "merkleProofLength": {depth},
            "merkleProofIndex": 5, "merkleProofSiblings": [{}], "message": "-1", "scope": 3}}"#,
        siblings.join(",")
    )
}

#[test]
fn a_circuit_of_a_catalog_computes_its_witness_and_proves_like_its_files() {
    const TEST: &str = "a_circuit_of_a_catalog_computes_its_witness_and_proves_like_its_files";
    let Some(files) = semaphore(TEST, 10) else { return };
    let place = Place::new("bn128");
    place.write("input.json", semaphore_input(10));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (zkey, wasm) = (text(&files.zkey), text(&files.wasm));
    let from = ["--zkey", &zkey, "--wasm", &wasm, "--input", "input.json"];
    place.run([&["circuits", "add", "semaphore-10", "--dir", "circuits"][..], &from].concat()).ok();
    let prove = ["prove", "--circuit", "semaphore-10", "--dir", "circuits"];
    place.run([&prove[..], &["--input", "input.json"]].concat()).ok();
    place.verify(&files.vkey, &place.path("public.json"), &place.path("proof.json")).ok();
    let manifest = fs::read_to_string(place.path("circuits/semaphore-10/circuit.toml")).unwrap();
    assert!(manifest.contains("[stages.witness]"), "{manifest}");
}

#[test]
fn semaphore_proofs_cross_verify_with_snarkjs() {
    const TEST: &str = "semaphore_proofs_cross_verify_with_snarkjs";
    let Some(snarkjs) = snarkjs(TEST) else { return };
    for depth in [10, 20] {
        let Some(files) = semaphore(TEST, depth) else { return };
        let place = Place::new("bn128");
        place.write("input.json", semaphore_input(depth));
        each_accepts_the_other(&place, &snarkjs, &files.zkey, &files.wasm, &files.vkey);
    }
}

#[test]
fn a_bls12_381_circuit_made_here_cross_verifies_with_snarkjs() {
    const TEST: &str = "a_bls12_381_circuit_made_here_cross_verifies_with_snarkjs";
    let (Some(snarkjs), Some(circom)) = (snarkjs(TEST), circom2(TEST)) else { return };
    let place = Place::new("bls12381");
    let here = place.path(".");
    let circuit = "pragma circom 2.0.0;
        template Powers(n) {
            signal input x; signal input y; signal output out; signal power[n];
            power[0] <== x * y;
            for (var i = 1; i < n; i++) { power[i] <== power[i - 1] * power[i - 1] + i * x; }
            out <== power[n - 1] + y;
        }
        component main { public [y] } = Powers(20);";
    place.write("powers.circom", circuit);
    circom.run(&here, &["powers.circom", "--r1cs", "--wasm", "--prime", "bls12381"]);
    let run = |args: &str| {
        snarkjs.run(&here, &args.split(' ').collect::<Vec<_>>());
    };
    run("powersoftau new bls12381 6 zero.ptau");
    run("powersoftau contribute zero.ptau one.ptau --name=one -e=test");
    run("powersoftau prepare phase2 one.ptau final.ptau");
    run("groth16 setup powers.r1cs final.ptau initial.zkey");
    run("zkey contribute initial.zkey final.zkey --name=one -e=test");
    run("zkey export verificationkey final.zkey vkey.json");
    place.write("input.json", r#"{"x": "-3", "y": "0xffffffffffffffffffffffffffff"}"#);
    let [zkey, vkey] = ["final.zkey", "vkey.json"].map(|name| place.path(name));
    let wasm = place.path("powers_js/powers.wasm");
    each_accepts_the_other(&place, &snarkjs, &zkey, &wasm, &vkey);
}

#[test]
fn a_development_key_made_here_serves_snarkjs_on_both_curves() {
    const TEST: &str = "a_development_key_made_here_serves_snarkjs_on_both_curves";
    let (Some(snarkjs), Some(circom)) = (snarkjs(TEST), circom2(TEST)) else { return };
    for prime in ["bn128", "bls12381"] {
        let place = Place::new(prime);
        let circuit = "pragma circom 2.0.0;
            template Product() {
                signal input x; signal input y; signal output out;
                out <== 3 * x * y - 7;
            }
            component main { public [y] } = Product();";
        place.write("product.circom", circuit);
        circom.run(&place.path("."), &["product.circom", "--r1cs", "--wasm", "--prime", prime]);
        let made = place.run([
            "setup",
            "dev",
            "--r1cs",
            "product.r1cs",
            "--zkey",
            "k.zkey",
            "--vkey",
            "v.json",
            "--json",
        ]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        assert_eq!(made.json()["constraints"], 1);
        assert!(made.stderr.contains("could forge"), "{}", made.stderr);
        place.write("input.json", r#"{"x": "5", "y": "11"}"#);
        let [zkey, vkey] = ["k.zkey", "v.json"].map(|name| place.path(name));
        each_accepts_the_other(
            &place,
            &snarkjs,
            &zkey,
            &place.path("product_js/product.wasm"),
            &vkey,
        );
    }
}
