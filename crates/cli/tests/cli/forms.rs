//! Command line forms of other tools, and their output files.

use std::fs;

use serde_json::json;

use crate::support::{CURVES, Place};

#[test]
fn a_proof_from_snarkjs_files_verifies_and_its_public_signals_are_snarkjs_bytes() {
    for curve in CURVES {
        let place = Place::new(curve);
        let ended = place.prove(&place.given("final.zkey"), &place.given("witness.wtns")).ok();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "quiet in a pipe");
        assert_eq!(place.files(), ["proof.json", "public.json"]);
        let public = fs::read(place.path("public.json")).unwrap();
        assert_eq!(public, fs::read(place.given("public.json")).unwrap());
        let (vkey, proof) = (place.given("verification_key.json"), place.path("proof.json"));
        place.verify(&vkey, &place.path("public.json"), &proof).ok();
        // snarkjs's proof is also valid; a proof of a different statement is not.
        place.verify(&vkey, &place.given("public.json"), &place.given("proof.json")).ok();
    }
}

#[test]
fn rapidsnarks_form_does_the_same() {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let args = ["prove".as_ref(), zkey.as_os_str(), wtns.as_os_str(), "p".as_ref(), "q".as_ref()];
    place.run(args).ok();
    assert_eq!(place.files(), ["p", "q"]);
    place.verify(&place.given("verification_key.json"), &place.path("q"), &place.path("p")).ok();
}

#[test]
fn json_tells_stages_sizes_and_that_the_proof_was_verified() {
    let place = Place::new("bls12381");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let args = |threads| {
        let fixed = ["--json", "--threads", threads, "--zkey"].map(Into::into);
        let rest = [zkey.clone().into_os_string(), "--wtns".into(), wtns.clone().into()];
        [vec!["prove".into()], fixed.to_vec(), rest.to_vec()].concat()
    };
    for (threads, source) in [("1", "converted"), ("2", "cached")] {
        let answer = place.run(args(threads)).ok().json();
        assert_eq!(answer["verified"], true);
        assert_eq!(answer["curve"], "bls12-381");
        assert_eq!(answer["constraints"], 2);
        assert_eq!(answer["threads"], threads.parse::<u64>().unwrap());
        assert_eq!(answer["key"]["source"], source);
        assert_eq!(answer["key"]["standing"], "contributed");
        assert!(answer["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
        for stage in ["key", "witness", "evaluate", "quotient", "msm_h", "prove", "check", "total"]
        {
            assert!(answer["stages"][stage].as_f64().is_some(), "{stage}");
        }
    }
}

#[test]
fn a_damaged_cached_key_is_named_and_converted_again() {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    place.prove(&zkey, &wtns).ok();
    let cached: Vec<_> = fs::read_dir(place.path("cache/keys")).unwrap().collect();
    let [Ok(cached)] = &cached[..] else { panic!("one key is cached, not {cached:?}") };
    let mut bytes = fs::read(cached.path()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(cached.path(), &bytes).unwrap();
    let ended = place.prove(&zkey, &wtns).ok();
    assert!(ended.stderr.contains("converting again"), "{:?}", ended.stderr);
    assert_eq!(place.prove(&zkey, &wtns).ok().stderr, "");
}

#[cfg(unix)]
#[test]
fn the_cache_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("bn128");
    fs::create_dir(place.path("cache")).unwrap();
    fs::set_permissions(place.path("cache"), fs::Permissions::from_mode(0o777)).unwrap();
    place.prove(&place.given("final.zkey"), &place.given("witness.wtns")).ok();
    for directory in ["cache", "cache/keys"] {
        let mode = fs::metadata(place.path(directory)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{directory}");
    }
}

#[test]
fn a_key_without_contribution_is_named_by_every_command() {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("initial.zkey"), place.given("witness.wtns"));
    let ended = place.prove(&zkey, &wtns).ok();
    assert!(ended.stderr.contains("ANYONE CAN FORGE"), "{:?}", ended.stderr);
    let text = fs::read_to_string(place.given("verification_key.json")).unwrap();
    let mut vkey: serde_json::Value = serde_json::from_str(&text).unwrap();
    vkey["vk_delta_2"] = vkey["vk_gamma_2"].clone();
    let vkey = place.write("vkey.json", vkey.to_string());
    let ended = place.verify(&vkey, &place.path("public.json"), &place.path("proof.json")).ok();
    assert!(ended.stderr.contains("ANYONE CAN FORGE"), "{:?}", ended.stderr);
}

#[test]
fn a_failure_with_json_is_one_object_and_the_same_code() {
    let place = Place::new("bn128");
    let args = ["prove", "--json", "--zkey", "none", "--wtns", "none"];
    let ended = place.run(args);
    assert_eq!(ended.code, 30);
    let error = json!({ "kind": "unreadable", "exit_code": 30, "message": ended.json()["error"]["message"] });
    assert_eq!(ended.json(), json!({ "verified": false, "error": error }));
}

#[test]
fn command_lines_that_make_no_sense_exit_with_two() {
    let place = Place::new("bn128");
    for args in [
        &["prove"][..],
        &["prove", "--zkey", "k"],
        &["prove", "--zkey", "k", "--wasm", "w"],
        &["prove", "--zkey", "k", "--wasm", "w", "--input", "i", "--wtns", "w"],
        &["prove", "k", "w", "p"],
        &["prove", "k", "w", "p", "q", "--zkey", "k"],
        &["prove", "--zkey", "k", "--wtns", "w", "--threads", "0"],
        &["verify", "--vkey", "v"],
        &["bench", "groth16", "--zkey", "k"],
        &["bench", "kernels", "--sizes", "40"],
        &["nonsense"],
    ] {
        assert_eq!(place.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let place = Place::new("bn128");
    assert!(place.run(["completions", "bash"]).ok().stdout.contains("athanor"));
    let manual = place.run(["man"]).ok().stdout;
    assert!(manual.contains(".TH athanor") && manual.contains("unsatisfied"));
}
