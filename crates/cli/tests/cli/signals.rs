//! Signals: the service drains and ends, or reloads its configuration.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    generator,
    service::{PATIENCE, Service, verifies},
    support::Place,
};

/// Waits until the condition holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn id(reply: crate::service::Reply) -> String {
    reply.is(202).json()["id"].as_str().unwrap().to_owned()
}

/// Sends a request on a connection that stays open, and returns the status.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[test]
fn a_service_that_drains_answers_reads_takes_no_jobs_and_ends_what_it_took() {
    let place = generator::place("no");
    let service = Service::start(&place, None).ready("slow");
    let slow = generator::submit(2000);
    let mut held = TcpStream::connect(&service.address).unwrap();
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&mut held, "/health/ready").contains("200"));
    let key = [("Idempotency-Key", "k")];
    let job = id(service.call("POST", "/v1/jobs", &key, slow.as_bytes()));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| service.post("/v1/prove", slow.as_bytes()));
        until("both jobs are open", || service.get("/v1/status").json()["jobs"]["yours"] == 2);
        let watching = scope.spawn(|| service.get(&format!("/v1/jobs/{job}/events")));
        service.signal("-TERM");
        until("it is not ready", || service.get("/health/ready").status == 503);

        service.get("/health/live").is(200);
        assert_eq!(service.get("/health").is(503).json()["status"], "stopping");
        assert_eq!(service.get("/v1/status").is(200).json()["stopping"], true);
        service.get("/v1/circuits").is(200);
        assert_eq!(service.get(&format!("/v1/jobs/{job}")).is(200).json()["state"], "accepted");
        service.get(&format!("/v1/jobs/{job}/result")).problem(409, "wrong-state");
        assert!(ask(&mut held, "/health/ready").contains("503"));
        // New jobs are refused; a repeated submit returns the accepted job.
        service.post("/v1/jobs", slow.as_bytes()).problem(503, "stopping");
        service.post("/v1/prove", slow.as_bytes()).problem(503, "stopping");
        service.post("/api/prove/async", br#"{"circuitId":"slow","witness":{"a":"1"}}"#).is(503);
        service.post("/v1/circuits/slow/load", b"").problem(503, "stopping");
        assert_eq!(id(service.call("POST", "/v1/jobs", &key, slow.as_bytes())), job);
        assert_eq!(service.said("drained"), [""; 0], "the jobs outlast these requests");

        verifies(&place, &waiting.join().unwrap().is(200).json());
        assert!(watching.join().unwrap().is(200).body.contains("event: complete"));
    });
    assert_eq!(service.ended(), Some(0));
    // An idle connection is closed.
    assert_eq!(held.read(&mut [0]).unwrap_or(0), 0);
    let service = Service::start(&place, None);
    assert_eq!(service.get(&format!("/v1/jobs/{job}")).is(200).json()["state"], "complete");
}

#[test]
fn a_second_signal_ends_at_once_and_leaves_the_jobs_in_the_journal() {
    let place = generator::place("no");
    let service = Service::start(&place, None).ready("slow");
    let job = id(service.post("/v1/jobs", generator::submit(40_000).as_bytes()));
    service.signal("-TERM");
    until("it is not ready", || service.get("/health/ready").status == 503);
    let began = Instant::now();
    service.signal("-INT");
    assert_eq!(service.ended(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let service = Service::start(&place, None);
    let found = service.get(&format!("/v1/jobs/{job}")).is(200).json();
    assert_eq!((&found["state"], &found["circuit"]), (&json!("accepted"), &json!("slow")));
    service.kill();
}

#[test]
fn a_drain_that_takes_too_long_ends_and_leaves_the_jobs_in_the_journal() {
    let place = generator::place("no");
    let config = place.write("serve.toml", "[limits]\ndrain-seconds = 0\n");
    let service = Service::start(&place, Some(&config)).ready("slow");
    let job = id(service.post("/v1/jobs", generator::submit(40_000).as_bytes()));
    let began = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| service.get(&format!("/v1/jobs/{job}/events")));
        service.signal("-TERM");
        // A request that waits for an unfinished job ends.
        let _ = waiting.join().unwrap();
    });
    assert_eq!(service.ended(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let service = Service::start(&place, None);
    let found = service.get(&format!("/v1/jobs/{job}")).is(200).json();
    assert_eq!(found["state"], "accepted");
    service.kill();
}

#[test]
fn sigterm_while_a_circuit_loads_ends_the_service_soon() {
    let place = generator::place("no");
    generator::warm_up_with(&place, 40_000);
    let service = Service::start(&place, None);
    assert_eq!(service.get("/v1/circuits/slow").is(200).json()["state"], "loading");
    let began = Instant::now();
    assert_eq!(service.terminate(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A token, and its entry of the configuration.
fn token(place: &Place) -> (String, String) {
    let made = place.run(["config", "token", "a", "--json"]).ok().json();
    let entry =
        format!("[[tokens]]\ntenant = \"a\"\nblake3 = {}\nrole = \"admin\"\n", made["blake3"]);
    (format!("Bearer {}", made["token"].as_str().unwrap()), entry)
}

#[test]
fn sighup_puts_new_tokens_into_force_and_a_broken_file_changes_nothing() {
    let place = generator::place("no");
    let ((old, old_entry), (new, new_entry)) = (token(&place), token(&place));
    let config = place.write("serve.toml", &old_entry);
    let mut service = Service::start(&place, Some(&config));
    let call = |service: &Service, token: &str, method: &str, path: &str, body: &str| {
        service.call(method, path, &[("Authorization", token)], body.as_bytes())
    };
    let state = |service: &Service| call(service, &old, "GET", "/v1/circuits/slow", "").json();
    until("the circuit is ready", || state(&service)["state"] == "ready");
    let job = id(call(&service, &old, "POST", "/v1/jobs", &generator::submit(1000)));

    // A setting that needs a restart is listed; the others are applied.
    let limits = "[limits]\njobs-per-tenant = 0\njobs = 5\n";
    place.write("serve.toml", format!("keep-inputs = true\n{new_entry}{limits}"));
    service.signal("-HUP");
    let told = service.hear("was reloaded", 1).remove(0);
    assert!(told.contains("keep-inputs") && told.contains("limits.jobs"), "{told}");
    assert!(!told.contains("jobs-per-tenant") && !told.contains("tokens"), "{told}");
    call(&service, &old, "GET", "/v1/jobs", "").problem(401, "unauthorised");
    call(&service, &new, "GET", "/v1/jobs", "").is(200);
    call(&service, &new, "POST", "/v1/jobs", &generator::submit(1)).problem(503, "busy");
    let result = format!("/v1/jobs/{job}/result");
    until("the job continues", || call(&service, &new, "GET", &result, "").status == 200);

    // Malformed; without tokens, like a file that is being written; missing.
    let broken = [Some("lissten = 1"), Some("[[tokens]]\ntenant = \"a\"\n"), Some(""), None];
    for (count, broken) in broken.into_iter().enumerate() {
        match broken {
            Some(text) => _ = place.write("serve.toml", text),
            None => std::fs::remove_file(&config).unwrap(),
        }
        service.signal("-HUP");
        service.hear("was not reloaded", count + 1);
        call(&service, &new, "GET", "/v1/jobs", "").is(200);
        call(&service, &old, "GET", "/v1/jobs", "").problem(401, "unauthorised");
        service.get("/v1/jobs").problem(401, "unauthorised");
    }
    place.write("serve.toml", old_entry);
    service.signal("-HUP");
    until("the old token is back", || call(&service, &old, "GET", "/v1/jobs", "").status == 200);
    assert!(service.runs());
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn sighup_has_new_connections_shown_the_new_certificate() {
    let place = Place::new("bn128");
    let certify = |ca: &str| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        place.write("cert.pem", made.cert.pem());
        place.write("key.pem", made.signing_key.serialize_pem());
        place.write(ca, made.cert.pem());
    };
    certify("first.pem");
    let tls = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    std::fs::create_dir(place.path("circuits")).unwrap();
    let config = place.write("serve.toml", tls);
    let service = Service::start(&place, Some(&config));
    let url = format!("https://{}", service.address);
    let run = |ca: &str| {
        place.run_with([("ATHANOR_SERVER", url.as_str())], ["circuits", "list", "--ca", ca])
    };
    run("first.pem").ok();
    // A key that does not belong to the certificate changes nothing.
    let key = std::fs::read(place.path("key.pem")).unwrap();
    place.write("key.pem", "no key");
    service.signal("-HUP");
    service.hear("was not reloaded", 1);
    run("first.pem").ok();
    place.write("key.pem", key);

    certify("second.pem");
    service.signal("-HUP");
    service.hear("was reloaded", 1);
    run("second.pem").ok();
    run("first.pem").fails(27, "does not answer");
    assert_eq!(service.terminate(), Some(0));
}
