//! The cache of converted keys and compiled modules.

use std::{fs, path::PathBuf};

use crate::{
    service::{self, Service},
    support::Place,
};

#[test]
fn the_cache_is_listed_cleaned_and_kept_within_its_limit() {
    let place = Place::new("bn128");
    let (final_key, initial) = (place.given("final.zkey"), place.given("initial.zkey"));
    let wtns = place.given("witness.wtns");
    place.prove(&final_key, &wtns).ok();
    place.prove(&initial, &wtns).ok();
    let list = || place.run(["cache", "list", "--json"]).ok().json();
    let listed = list();
    let keys = listed["parts"]["keys"]["entries"].as_array().unwrap().len();
    assert_eq!(keys, 2, "{listed}");
    assert!(place.run(["cache", "list"]).ok().stdout.contains("2 entries"));

    // At the next conversion the limit is large enough for only one key.
    place.run(["cache", "clean", "--keep", "0"]).ok();
    place.prove(&final_key, &wtns).ok();
    let one = list()["parts"]["keys"]["bytes"].as_u64().unwrap();
    assert!(one > 0);
    let limit = (one + one / 2).to_string();
    let ended = place.run_with(
        [("ATHANOR_CACHE_LIMIT", &*limit)],
        ["prove", "--zkey", initial.to_str().unwrap(), "--wtns", wtns.to_str().unwrap()],
    );
    ended.ok();
    let listed = list();
    let left = listed["parts"]["keys"]["entries"].as_array().unwrap();
    assert_eq!(left.len(), 1, "the key used longest ago is gone");

    let cleaned = place.run(["cache", "clean", "--json"]).ok().json();
    assert_eq!(cleaned["removed"], 1);
    assert_eq!(list()["bytes"], 0);
    assert_eq!(place.run(["cache", "clean", "--part", "nonsense"]).code, 2);
    let ended = place.run_with([("ATHANOR_CACHE_LIMIT", "much")], ["cache", "list"]);
    ended.fails(12, "ATHANOR_CACHE_LIMIT");
}

#[test]
fn a_service_reads_the_outline_of_a_key_from_the_cache_and_replaces_a_damaged_one() {
    let (place, witness) = service::place();
    let start = || Service::start(&place, None).ready("tiny");
    start().stop();
    let listed = place.run(["cache", "list", "--json"]).ok().json();
    let keys = &listed["parts"]["keys"];
    let outlines: Vec<&str> = keys["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .filter(|name| name.ends_with(".outline"))
        .collect();
    assert_eq!(outlines.len(), 1, "{listed}");
    let path = PathBuf::from(keys["directory"].as_str().unwrap()).join(outlines[0]);
    let whole = fs::read(&path).unwrap();

    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let service = start();
    assert_eq!(service.said(".outline in the key cache is unusable").len(), 1);
    assert_eq!(fs::read(&path).unwrap(), whole, "it was made again");
    service.stop();

    let service = start();
    assert!(service.said(".outline").is_empty());
    let id = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service::verifies(&place, &service.result(&id).is(200).json());
}
