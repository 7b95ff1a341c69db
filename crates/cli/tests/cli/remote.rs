//! The client's commands against a running service.

use serde_json::json;

use crate::service::{Service, place};

#[test]
fn what_the_service_proves_the_client_submits_watches_and_fetches() {
    let (place, _) = place();
    let service = Service::start(&place, None).ready("tiny");
    let url = format!("http://{}", service.address);
    let witness = place.given("witness.wtns");
    let witness = witness.to_str().unwrap();
    let run = |args: &[&str]| place.run_with([("ATHANOR_SERVER", url.as_str())], args);

    run(&["submit", "tiny", witness, "--wait", "--class", "high"]).ok();
    let vkey = place.given("verification_key.json");
    place.verify(&vkey, &place.path("public.json"), &place.path("proof.json")).ok();

    let key = ["--idempotency-key", "a b/c?&"];
    let submitted = run(&["submit", "tiny", witness, key[0], key[1]]).ok();
    let id = submitted.stdout.trim();
    assert_eq!(run(&["submit", "tiny", witness, key[0], key[1]]).ok().stdout.trim(), id);
    run(&["jobs", "watch", id]).ok();
    let shown = run(&["jobs", "show", id, "--json"]).ok().json();
    assert_eq!((&shown["state"], &shown["id"]), (&json!("complete"), &json!(id)));
    run(&["jobs", "result", id, "--proof", "p.json", "--public", "q.json"]).ok();
    place.verify(&vkey, &place.path("q.json"), &place.path("p.json")).ok();
    let list = run(&["jobs", "list", "--limit", "1", "--json"]).ok().json();
    assert_eq!(list["jobs"][0]["id"], *id);
    let next = list["next"].to_string();
    let older = run(&["jobs", "list", "--before", &next, "--json"]).ok().json();
    assert_eq!(older["jobs"].as_array().unwrap().len(), 1);
    assert!(run(&["jobs", "list"]).ok().stdout.contains("complete"));

    run(&["jobs", "show", "../status"]).fails(27, "no such job");
    run(&["jobs", "cancel", id]).fails(27, "nothing to cancel");
    run(&["submit", "none", witness]).fails(24, "none");
    run(&["submit", "tiny", "nowhere.wtns"]).fails(30, "nowhere.wtns");
    let short = std::fs::read(witness).unwrap();
    place.write("short.wtns", &short[..short.len() - 1]);
    run(&["submit", "tiny", "short.wtns"]).fails(17, "witness");

    let circuits = run(&["circuits", "list", "--json"]).ok().json();
    assert_eq!(circuits["circuits"][0]["state"], "ready");
    run(&["circuits", "unload", "tiny"]).ok();
    assert!(run(&["circuits", "list"]).ok().stdout.contains("unloaded"));
    run(&["circuits", "load", "tiny"]).ok();
    run(&["circuits", "load", "none"]).fails(24, "none");
    let service = service.ready("tiny");
    drop(service);
    run(&["jobs", "list"]).fails(27, "does not answer");
}

#[test]
fn a_job_that_fails_or_is_cancelled_says_why_and_can_be_revived() {
    let (place, witness) = place();
    let service = Service::start(&place, None).ready("tiny");
    let url = format!("http://{}", service.address);
    let run = |args: &[&str]| place.run_with([("ATHANOR_SERVER", url.as_str())], args);
    let mut spoilt = witness;
    let at = spoilt.len() - 32;
    spoilt[at] ^= 1;
    place.write("spoilt.wtns", spoilt);
    run(&["submit", "tiny", "spoilt.wtns", "--wait"]).fails(17, "satisfy");
    assert!(!place.path("proof.json").exists(), "nothing is written for a proof that is not there");
    let list = run(&["jobs", "list", "--json"]).ok().json();
    let id = list["jobs"][0]["id"].as_str().unwrap().to_owned();
    assert!(run(&["jobs", "show", &id]).ok().stdout.contains("unsatisfied"));
    run(&["jobs", "retry", &id]).ok();
    run(&["jobs", "watch", &id]).fails(17, "satisfy");
    let told = run(&["jobs", "watch", &id, "--json"]);
    assert_eq!(told.code, 17);
    assert!(told.stdout.contains("\"event\":\"ended\""), "{}", told.stdout);
}
