//! Probes, metrics and systemd notifications while a part of the service does not work; and the start on a machine
//! that is too small.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    layer,
    service::{PATIENCE, Reply, Service, place},
    support::{Ended, Place},
};

/// Longer than any response takes, and shorter than a hung engine would take.
const PROMPT: Duration = Duration::from_secs(3);

/// Compiles the library that suspends a thread.
fn hold(place: &Place) -> std::path::PathBuf {
    let out = place.path("hold.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/health/hold.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&out, &source]).arg("-lpthread");
    assert!(compiler.status().expect("a C compiler").success());
    out
}

/// A response that must not depend on the engine.
fn prompt(service: &Service, path: &str) -> Reply {
    let began = Instant::now();
    let reply = service.get(path);
    assert!(began.elapsed() < PROMPT, "{path} took {:?}", began.elapsed());
    reply
}

/// Repeats the request until the response has that status.
fn until(service: &Service, path: &str, status: u16) -> Reply {
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = prompt(service, path);
        if reply.status == status {
            return reply;
        }
        assert!(Instant::now() < until, "{path}: {} {}", reply.status, reply.body);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metric(service: &Service, name: &str) -> f64 {
    let metrics = prompt(service, "/metrics").is(200).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse().unwrap()
}

#[test]
fn an_engine_that_does_not_answer_fails_every_probe_and_hangs_none_of_them() {
    let (place, witness) = place();
    // Not read for a while: its small buffer fills, which must not block anything.
    let socket = UnixDatagram::bind(place.path("notify.sock")).unwrap();
    let mut command = Service::command(&place);
    command.env("NOTIFY_SOCKET", place.path("notify.sock")).env("WATCHDOG_USEC", "1000000");
    command.env("LD_PRELOAD", hold(&place));
    command.env("HOLD_WHILE", place.path("hold")).env("HOLD_THREAD", "engine-core");
    let service = Service::run(&mut command).unwrap().ready("tiny");
    until(&service, "/health/ready", 200);
    prompt(&service, "/health/live").is(200);
    assert_eq!(prompt(&service, "/v1/status").is(200).json()["age_seconds"], json!(0.0));

    place.write("hold", "");
    let live = until(&service, "/health/live", 503).json();
    assert_eq!(live["live"], false);
    assert!(live["engine"]["age_seconds"].as_f64().unwrap() > 1.0, "{live}");
    assert_eq!(prompt(&service, "/health").is(503).json()["status"], "unhealthy");
    let ready = prompt(&service, "/health/ready").is(503).json();
    assert_eq!((&ready["ready"], &ready["engine"]["live"]), (&json!(false), &json!(false)));
    assert_eq!(ready["journal"]["can_write"], true, "the other parts are well: {ready}");
    // The last known figures are returned, with their age.
    let status = prompt(&service, "/v1/status").is(200).json();
    assert!(status["age_seconds"].as_f64().unwrap() > 1.0, "{status}");
    assert!(status["memory"]["budget"].as_u64().unwrap() > 0, "{status}");
    assert!(metric(&service, "athanor_engine_status_age_seconds") > 1.0);
    let circuit = prompt(&service, "/v1/circuits/tiny").is(200).json();
    assert_eq!((&circuit["state"], &circuit["key_resident"]), (&json!("ready"), &json!(true)));
    prompt(&service, "/v1/jobs").is(200);
    // Requests that change the engine are refused, including jobs.
    let began = Instant::now();
    service.submit(&witness, &[]).problem(503, "busy");
    assert!(began.elapsed() < PROMPT);
    let unload = service.post("/v1/circuits/tiny/unload", b"");
    assert!(unload.status >= 400, "{}", unload.body);
    // systemd would restart the service: no notification comes for more than twice the period.
    let mut heard = [0; 256];
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    while socket.recv(&mut heard).is_ok() {}
    socket.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
    let length = socket.recv(&mut heard).unwrap_or(0);
    assert_eq!(String::from_utf8_lossy(&heard[..length]), "", "no watchdog ping");

    fs::remove_file(place.path("hold")).unwrap();
    until(&service, "/health/live", 200);
    until(&service, "/health/ready", 200);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(socket.recv(&mut heard).is_ok(), "watchdog pings go on");
    let id = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&id).is(200);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_journal_that_cannot_write_makes_the_service_unready_and_not_dead() {
    let (place, _) = place();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    let mut command = Service::command_on(&place, &root.join("data"));
    layer::under(&mut command, &place, &root, &place.path("log"));
    let service = Service::run(&mut command).unwrap().ready("tiny");
    until(&service, "/health/ready", 200);
    let full = place.write("full", "");
    let ready = until(&service, "/health/ready", 503).json();
    assert_eq!(
        (&ready["journal"]["can_write"], &ready["engine"]["live"]),
        (&json!(false), &json!(true))
    );
    service.get("/health/live").is(200);
    service.get("/health").is(200);
    fs::remove_file(full).unwrap();
    until(&service, "/health/ready", 200);
}

#[test]
fn readiness_names_the_circuits_that_failed_and_wants_those_that_are_preloaded() {
    let (place, _) = place();
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let (zkey, wtns) = (zkey.to_str().unwrap(), wtns.to_str().unwrap());
    let add = ["circuits", "add", "broken", "--zkey", zkey, "--input", wtns, "--dir", "circuits"];
    place.run(add).ok();
    let manifest = fs::read_to_string(place.path("circuits/broken/circuit.toml")).unwrap();
    assert!(manifest.contains("zkey"), "{manifest}");
    fs::write(place.path("circuits/broken/zkey.zkey"), "cut short").unwrap();

    let service = Service::start(&place, None).ready("tiny");
    let ready = until(&service, "/health/ready", 200).json();
    assert_eq!(ready["circuits"], json!({ "loading": [], "failed": ["broken"] }));
    drop(service);
    let config = place.write("serve.toml", "preload = [\"tiny\", \"broken\"]\n");
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let ready = loop {
        let ready = prompt(&service, "/health/ready").is(503).json();
        if ready["circuits"]["loading"] == json!([]) {
            break ready;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(
        (&ready["circuits"]["failed"], &ready["ready"]),
        (&json!(["broken"]), &json!(false))
    );
    prompt(&service, "/health/live").is(200);
}

#[test]
fn the_memory_that_is_told_is_the_whole_process_s() {
    let (place, _) = place();
    let service = Service::start(&place, None).ready("tiny");
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    let told = metric(&service, "prover_memory_usage_bytes");
    assert!((0.5..2.0).contains(&(told / (kib * 1024.0))), "{told} of {resident}");
    assert!(metric(&service, "athanor_memory_resident_bytes") < told);
}

/// Runs the service to its end, in a shell that runs a command first.
fn serve(place: &Place, first: &str, config: Value) -> Ended {
    let memory = config["memory-mib"].as_u64().map(|mib| format!("memory-mib = {mib}\n"));
    place.write("serve.toml", memory.unwrap_or_default());
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("{first} exec timeout 20 \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_athanor"),
        ])
        .args(["serve", "--config", "serve.toml", "--circuits", "circuits", "--threads", "2"])
        .args(["--listen", "127.0.0.1:0", "--data", "data"])
        .current_dir(place.path("."))
        .env("ATHANOR_CACHE_DIR", place.path("cache"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("no signal ended it");
    Ended { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_machine_that_is_too_small_is_refused_with_what_to_set() {
    let (place, _) = place();
    let ended = serve(&place, "", json!({ "memory-mib": 20 }));
    ended.fails(25, "no circuit of the catalog fits in the memory budget of 20 MiB");
    ended.fails(25, "\"tiny\"");
    ended.fails(25, "memory-mib");
    // The log states the budget of the service.
    ended.fails(25, "memory_from=the configuration");
    ended.fails(25, "threads=2");
    let ended = serve(&place, "", json!({ "memory-mib": 2 }));
    ended.fails(32, "spent before the first job");
    // 3 GiB of address space: less than one sandbox for a witness generator reserves.
    let ended = serve(&place, "ulimit -v 3145728;", json!({}));
    ended.fails(32, "RLIMIT_AS");
}
