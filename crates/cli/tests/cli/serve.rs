//! The service's HTTP interface, and recovery after a kill.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    service::{PATIENCE, Reply, Service, place, verifies},
    support::Place,
};

#[test]
fn a_submitted_job_is_proven_and_told_in_every_form() {
    let (place, witness) = place();
    let service = Service::start(&place, None);
    service.get("/health").is(200);
    let service = service.ready("tiny");
    let submitted = service.submit(&witness, &[]).is(202);
    assert!(submitted.head.to_ascii_lowercase().contains("location: /v1/jobs/"));
    let id = submitted.json()["id"].as_str().unwrap().to_owned();
    let result = service.result(&id).is(200).json();
    verifies(&place, &result);
    let job = service.get(&format!("/v1/jobs/{id}")).is(200).json();
    assert_eq!((&job["state"], &job["circuit"]), (&json!("complete"), &json!("tiny")));
    let events = service.get(&format!("/v1/jobs/{id}/events")).is(200);
    assert!(events.body.contains("event: complete"), "{}", events.body);
    let list = service.get("/v1/jobs?limit=10").is(200).json();
    assert_eq!(list["jobs"][0]["id"], *id);

    let proven = service.call("POST", "/v1/prove?circuit=tiny&kind=wtns", &[], &witness).is(200);
    verifies(&place, &proven.json());

    let verify = |result: &Value| {
        let body = json!({
            "circuit": "tiny", "proof": result["proof"], "publicSignals": result["publicSignals"]
        });
        service.post("/v1/verify", body.to_string().as_bytes()).is(200).json()["valid"].clone()
    };
    assert_eq!(verify(&result), true);
    let mut forged = result.clone();
    forged["proof"]["pi_a"] = forged["proof"]["pi_c"].clone();
    assert_eq!(verify(&forged), false);

    let status = service.get("/v1/status").is(200).json();
    assert_eq!(status["jobs"]["complete"], 3, "two jobs and the warm-up: {status}");
    let metrics = service.get("/metrics").is(200).body;
    for line in [
        "proofs_generated_total{circuit_id=\"tiny\",status=\"success\"} 2",
        "proof_generation_duration_seconds_count{circuit_id=\"tiny\"} 2",
        "prover_memory_usage_bytes ",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let newest = service.get("/status").is(200).json();
    assert_eq!(newest["status"], "success");
    assert_eq!(service.get("/api/circuits").is(200).json()["circuits"], json!(["tiny"]));
    let known = service.get(&format!("/api/prove/status/{id}")).is(200).json();
    assert_eq!(known["status"], "completed");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn requests_that_make_no_sense_get_a_typed_answer() {
    let (place, witness) = place();
    let service = Service::start(&place, None).ready("tiny");
    service.get("/nothing").is(404);
    service.get("/v1/jobs/none").problem(404, "job-not-found");
    service.post("/v1/jobs", b"{").problem(400, "bad-request");
    service.post("/v1/jobs", b"{\"circuit\":\"tiny\"}").problem(400, "bad-request");
    let unknown = service.call("POST", "/v1/jobs?circuit=none&kind=wtns", &[], &witness);
    unknown.problem(404, "circuit-not-found");
    let input = br#"{"circuit":"tiny","input":{"a":"1"}}"#;
    service.post("/v1/jobs", input).problem(422, "invalid-witness");
    service.submit(&witness[..witness.len() - 1], &[]).problem(422, "invalid-witness");
    service.submit(&witness, &[("Idempotency-Key", "")]).problem(400, "bad-request");
    let late = service.call("POST", "/v1/jobs?circuit=tiny&kind=wtns&class=urgent", &[], &witness);
    late.problem(400, "bad-request");
    service.call("DELETE", "/v1/jobs/none", &[], b"").problem(404, "job-not-found");
    let failed = service.post("/api/prove", br#"{"circuitId":"none","witness":{}}"#);
    assert_eq!((failed.status, &failed.json()["code"]), (404, &json!("CIRCUIT_NOT_FOUND")));

    // A witness that does not satisfy the constraints is tried twice, and never returns a proof.
    let mut spoilt = witness.clone();
    let at = spoilt.len() - 32;
    spoilt[at] ^= 1;
    let id = service.submit(&spoilt, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&id).problem(422, "invalid-witness");
    let job = service.get(&format!("/v1/jobs/{id}")).is(200).json();
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("unsatisfied")));
    assert!(!job.to_string().contains(&format!("{:?}", &spoilt[at..at + 4])));
    // It can be retried: its input is still stored.
    service.post(&format!("/v1/jobs/{id}/retry"), b"").is(202);
    service.result(&id).problem(422, "invalid-witness");
}

#[test]
fn an_idempotency_key_is_one_job_and_another_input_under_it_is_a_conflict() {
    let (place, witness) = place();
    let service = Service::start(&place, None).ready("tiny");
    let key = [("Idempotency-Key", "order-7")];
    let id = |reply: Reply| reply.is(202).json()["id"].as_str().unwrap().to_owned();
    let first = id(service.submit(&witness, &key));
    assert_eq!(id(service.submit(&witness, &key)), first);
    service.result(&first).is(200);
    assert_eq!(id(service.submit(&witness, &key)), first, "after its end too");
    let mut other = witness.clone();
    let at = other.len() - 32;
    other[at] ^= 1;
    service.submit(&other, &key).problem(409, "idempotency-conflict");
    assert_ne!(id(service.submit(&witness, &[("Idempotency-Key", "order-8")])), first);
    let jobs = service.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len();
    assert_eq!(jobs, 2);
}

#[test]
fn tenants_do_not_see_each_other_and_roles_bound_what_a_token_may() {
    let (place, witness) = place();
    let token = |tenant: &str| {
        let made = place.run(["config", "token", tenant, "--json"]).ok().json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("token"), text("blake3"))
    };
    let ((a, a_digest), (b, b_digest), (reader, r_digest)) = (token("a"), token("b"), token("a"));
    let config = format!(
        "[[tokens]]\ntenant = \"a\"\nblake3 = \"{a_digest}\"\nrole = \"submit\"\nclass = \"high\"\n\
         [[tokens]]\ntenant = \"b\"\nblake3 = \"{b_digest}\"\nrole = \"admin\"\n\
         [[tokens]]\ntenant = \"a\"\nblake3 = \"{r_digest}\"\nrole = \"read\"\n"
    );
    let config = place.write("serve.toml", config);
    let printed = place.run(["config", "print", "--config", config.to_str().unwrap()]).ok();
    assert!(!printed.stdout.contains(&a_digest), "no secrets: {}", printed.stdout);
    let service = Service::start(&place, Some(&config));
    service.get("/v1/jobs").problem(401, "unauthorised");
    service.get("/health").is(200);
    let bearer = |token: &str| format!("Bearer {token}");
    let (a, b, reader) = (bearer(&a), bearer(&b), bearer(&reader));
    let call = |token: &str, method: &str, path: &str, body: &[u8]| {
        service.call(method, path, &[("Authorization", token)], body)
    };
    let until = Instant::now() + PATIENCE;
    while call(&b, "GET", "/v1/circuits/tiny", b"").json()["state"] != "ready" {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    call("Bearer wrong", "GET", "/v1/jobs", b"").problem(401, "unauthorised");
    let submit = "/v1/jobs?circuit=tiny&kind=wtns";
    let key = [("Authorization", a.as_str()), ("Idempotency-Key", "k")];
    let id = service.call("POST", submit, &key, &witness).is(202).json()["id"].clone();
    let id = id.as_str().unwrap();
    for (method, path) in [
        ("GET", format!("/v1/jobs/{id}")),
        ("GET", format!("/v1/jobs/{id}/result")),
        ("GET", format!("/v1/jobs/{id}/events")),
        ("DELETE", format!("/v1/jobs/{id}")),
        ("POST", format!("/v1/jobs/{id}/retry")),
    ] {
        call(&b, method, &path, b"").problem(404, "job-not-found");
    }
    assert_eq!(call(&b, "GET", "/v1/jobs", b"").json()["jobs"], json!([]));
    // Idempotency keys of different tenants are independent.
    let key = [("Authorization", b.as_str()), ("Idempotency-Key", "k")];
    assert_ne!(service.call("POST", submit, &key, &witness).is(202).json()["id"], *id);
    call(&reader, "GET", &format!("/v1/jobs/{id}"), b"").is(200);
    call(&reader, "POST", submit, &witness).problem(403, "forbidden");
    call(&a, "POST", "/v1/circuits/tiny/unload", b"").problem(403, "forbidden");
    call(&a, "POST", &format!("{submit}&class=critical"), &witness).problem(403, "forbidden");
    call(&a, "POST", &format!("{submit}&class=high"), &witness).is(202);
    call(&b, "POST", "/v1/circuits/tiny/unload", b"").is(200);
    call(&a, "POST", submit, &witness).problem(404, "circuit-not-found");
    call(&b, "POST", "/v1/circuits/tiny/load", b"").is(202);
}

#[test]
fn a_public_port_without_tokens_and_unknown_settings_are_refused() {
    let place = Place::new("bn128");
    let open = ["serve", "--listen", "0.0.0.0:0", "--data", "data"];
    place.run(open).fails(26, "allow-open");
    assert!(!place.path("data").exists());
    let config = place.write("serve.toml", "lissten = \"127.0.0.1:1\"\n");
    place.run(["config", "check", "--config", config.to_str().unwrap()]).fails(26, "lissten");
}

/// Every acknowledged job ends once, with a valid proof, whenever the service is killed.
#[test]
fn no_acknowledged_job_is_lost_when_the_service_is_killed() {
    let long = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    let rounds = if long { 100 } else { 10 };
    let (place, witness) = place();
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..rounds {
        let service = Service::start(&place, None);
        // Each round at a different time: while the circuit loads, while jobs arrive, while they run.
        let until = Instant::now() + Duration::from_millis(40 + 97 * round % 400);
        for number in 0.. {
            if Instant::now() > until {
                break;
            }
            let key = format!("{round}-{number}");
            let headers = [("Idempotency-Key", key.as_str())];
            let path = "/v1/jobs?circuit=tiny&kind=wtns";
            if number % 4 == 0 {
                service.vanish(path, &headers, &witness);
                service.vanish(path, &[], &witness);
            }
            match service.try_call("POST", path, &headers, &witness) {
                Some(reply) if reply.status == 202 => {
                    let id = reply.json()["id"].as_str().unwrap().to_owned();
                    acknowledged.insert(key, id);
                }
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        service.kill();
    }
    assert!(acknowledged.len() > rounds as usize, "{} jobs", acknowledged.len());
    let service = Service::start(&place, None).ready("tiny");
    service.all_ended();
    let vkey = fs::read_to_string(place.given("verification_key.json")).unwrap();
    for (key, id) in &acknowledged {
        let reply = service.result(id).is(200);
        let (valid, result) = (
            service.post("/v1/verify", &{
                let result = reply.json();
                json!({ "circuit": "tiny", "proof": result["proof"],
                    "publicSignals": result["publicSignals"] })
                .to_string()
                .into_bytes()
            }),
            reply.json(),
        );
        assert_eq!(valid.is(200).json()["valid"], true, "{key}: {result} under {vkey}");
        // The idempotency key still returns the same job.
        let again = service.submit(&witness, &[("Idempotency-Key", key)]).is(202).json();
        assert_eq!(again["id"], **id);
    }
    assert_eq!(service.terminate(), Some(0));
    // The input of a finished job is deleted.
    let left = fs::read_dir(service_blobs(&place)).unwrap().count();
    assert!(left <= 1, "{left} inputs are kept");
}

fn service_blobs(place: &Place) -> std::path::PathBuf {
    place.path("data/blobs")
}
