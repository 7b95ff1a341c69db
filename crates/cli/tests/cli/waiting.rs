//! Jobs of circuits that are not loaded, and circuits that are loading.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    generator,
    service::{PATIENCE, Service, place},
    support::Place,
};

/// Adds circuits to the catalog, each with the same key and warm-up input.
fn add(place: &Place, names: &[&str]) {
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let (zkey, input) = (zkey.to_str().unwrap(), wtns.to_str().unwrap());
    for name in names {
        let add = ["circuits", "add", name, "--zkey", zkey, "--input", input, "--dir", "circuits"];
        place.run(add).ok();
    }
}

fn config(place: &Place, text: &str) -> PathBuf {
    place.write("serve.toml", text)
}

fn load(service: Service, circuit: &str) -> Service {
    let reply = service.post(&format!("/v1/circuits/{circuit}/load"), b"");
    assert!(reply.status == 202 || reply.status == 200, "{}", reply.body);
    service.ready(circuit)
}

fn job(service: &Service, id: &str) -> Value {
    service.get(&format!("/v1/jobs/{id}")).is(200).json()
}

/// A service that was killed with four open jobs of circuit `slow`, and starts again without that circuit.
fn stranded() -> (Place, Vec<u8>, Service, Vec<String>) {
    let place = generator::place("no");
    add(&place, &["tiny"]);
    let config = config(&place, "preload = [\"tiny\"]\n");
    let service = load(Service::start(&place, Some(&config)).ready("tiny"), "slow");
    let ids: Vec<String> = (0..4)
        .map(|number| {
            let key = format!("k{number}");
            let input = generator::submit(2000);
            let key = [("Idempotency-Key", key.as_str())];
            let reply = service.call("POST", "/v1/jobs", &key, input.as_bytes());
            reply.is(202).json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    service.kill();
    let service = Service::start(&place, Some(&config)).ready("tiny");
    for id in &ids {
        assert_eq!(job(&service, id)["state"], "accepted", "the job outlasts its service");
    }
    let witness = fs::read(place.given("witness.wtns")).unwrap();
    (place, witness, service, ids)
}

#[test]
fn jobs_of_a_circuit_that_is_not_loaded_wait_visibly_and_go_on_when_it_is() {
    let (_place, witness, service, open) = stranded();
    for id in &open {
        assert_eq!(job(&service, id)["stage"], "waiting-for-circuit");
    }
    let status = service.get("/v1/status").is(200).json();
    assert_eq!(status["jobs"]["yours"], open.len(), "{status}");
    // They do not block other jobs, and their idempotency keys still return them.
    let tiny = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&tiny).is(200);
    let last = open.last().unwrap();
    let listed = service.get("/v1/jobs?limit=500").is(200).json();
    let listed = listed["jobs"].as_array().unwrap().iter().find(|job| job["id"] == **last).cloned();
    assert_eq!(listed.unwrap()["stage"], "waiting-for-circuit");
    let key = [("Idempotency-Key", "k3")];
    let again = service.call("POST", "/v1/jobs", &key, generator::submit(2000).as_bytes());
    assert_eq!(again.is(202).json()["id"], **last);
    // One is cancelled while it waits and stays cancelled.
    let first = &open[0];
    service.call("DELETE", &format!("/v1/jobs/{first}"), &[], b"").is(204);
    assert_eq!(job(&service, first)["state"], "cancelled");
    let events = service.get(&format!("/v1/jobs/{first}/events")).is(200).body;
    assert!(events.contains("event: ended"), "{events}");
    let service = load(service, "slow");
    for id in &open[1..] {
        service.result(id).is(200);
    }
    assert_eq!(job(&service, first)["state"], "cancelled");
    // A result can be read a moment before its job is no longer counted.
    let until = Instant::now() + PATIENCE;
    while service.get("/v1/status").is(200).json()["jobs"]["yours"] != 0 {
        assert!(Instant::now() < until, "the quota still counts an ended job");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn jobs_that_wait_for_a_circuit_survive_another_restart() {
    let (place, _, service, open) = stranded();
    assert_eq!(service.terminate(), Some(0), "waiting jobs do not hold up the end");
    let config = config(&place, "preload = [\"tiny\", \"slow\"]\n");
    let service = Service::start(&place, Some(&config));
    for id in &open {
        service.result(id).is(200);
    }
}

#[test]
fn a_preload_name_that_the_catalog_does_not_have_is_an_error_at_the_start() {
    let (place, _) = place();
    let config = config(&place, "preload = [\"tiny\", \"absent\"]\n");
    let args = ["serve", "--circuits", "circuits", "--config", config.to_str().unwrap()];
    place.run(args.into_iter().chain(["--listen", "127.0.0.1:0"])).fails(26, "absent");
}

#[test]
fn a_submit_in_the_first_moments_is_told_to_come_back() {
    let (place, witness) = place();
    for _ in 0..3 {
        let service = Service::start(&place, None);
        let until = Instant::now() + PATIENCE;
        loop {
            let reply = service.submit(&witness, &[]);
            if reply.status == 202 {
                break;
            }
            reply.problem(503, "circuit-not-ready");
            assert!(Instant::now() < until);
        }
        service.kill();
    }
}

#[test]
fn circuits_are_warmed_up_whatever_the_limit_of_jobs_is() {
    let place = generator::place("no");
    add(&place, &["b", "c", "d"]);
    let limits = "[limits]\njobs = 1\njobs-critical = 0\n";
    let config = config(&place, limits);
    let mut service = Service::start(&place, Some(&config));
    for circuit in ["slow", "b", "c", "d"] {
        service = service.ready(circuit);
    }
    // The limit is enforced, and the error names it.
    let submit = || service.post("/v1/jobs", generator::submit(1000).as_bytes());
    submit().is(202);
    let refused = submit();
    assert!(refused.body.contains("the limit jobs is 1"), "{}", refused.body);
    refused.problem(503, "busy");
    service.all_ended();
    submit().is(202);
}
