//! Many proofs in one command.

use std::fs;

use crate::support::{CURVES, Place};

/// Distinct proofs of one statement, as files `N.proof.json` and `N.public.json` in `many`.
fn many(place: &Place, count: usize) {
    fs::create_dir(place.path("many")).unwrap();
    for index in 0..count {
        place.prove(&place.given("final.zkey"), &place.given("witness.wtns")).ok();
        for name in ["proof", "public"] {
            let to = place.path(&format!("many/{index}.{name}.json"));
            fs::rename(place.path(&format!("{name}.json")), to).unwrap();
        }
    }
}

#[test]
fn all_proofs_of_a_directory_are_verified_and_the_bad_one_is_named() {
    for curve in CURVES {
        let place = Place::new(curve);
        many(&place, 5);
        // And one below, from snarkjs.
        fs::create_dir(place.path("many/theirs")).unwrap();
        for name in ["proof.json", "public.json"] {
            fs::copy(place.given(name), place.path("many/theirs").join(name)).unwrap();
        }
        let vkey = place.given("verification_key.json").into_os_string().into_string().unwrap();
        let all = ["verify", "--vkey", &vkey, "--all", "many"];
        assert_eq!(place.run(all).ok().stdout, "all 6 proofs are valid\n");
        let answer = place.run(all.iter().chain(&["--json"])).ok().json();
        assert_eq!((&answer["verified"], &answer["proofs"]), (&true.into(), &6.into()));

        let public = fs::read_to_string(place.path("many/3.public.json")).unwrap();
        place.write("many/3.public.json", public.replacen("\"7\"", "\"8\"", 1));
        let ended = place.run(all);
        ended.fails(20, "1 of 6 proofs are not accepted");
        ended.fails(20, "many/3.proof.json: the proof does not verify");
        place.write("many/3.public.json", "[]");
        place.run(all).fails(22, "3.proof.json: the key is for 3 public signals");
        fs::remove_file(place.path("many/3.public.json")).unwrap();
        place.run(all).fails(30, "3.public.json");
    }
}

#[test]
fn proofs_and_signals_are_paired_in_order() {
    let place = Place::new("bn128");
    many(&place, 2);
    let vkey = place.given("verification_key.json").into_os_string().into_string().unwrap();
    let fixed = ["verify", "--vkey", &vkey];
    let two = "--proof many/0.proof.json --public many/0.public.json \
               --public many/1.public.json --proof many/1.proof.json";
    let run = |args: &str| place.run(fixed.into_iter().chain(args.split_whitespace()));
    assert_eq!(run(two).ok().stdout, "all 2 proofs are valid\n");
    run("--proof many/0.proof.json --proof many/1.proof.json --public many/0.public.json")
        .fails(21, "2 proofs and 1 files of public signals");
    fs::create_dir(place.path("empty")).unwrap();
    run("--all empty").fails(21, "has no proof");
    assert_eq!(run("--all many --proof x").code, 2);
}
