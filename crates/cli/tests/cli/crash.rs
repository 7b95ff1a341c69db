//! Recovery after a kill or a power cut at any change to a file, after a full disk, and after a clock
//! that goes back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    layer::{self, Log},
    service::{PATIENCE, Service, place},
    support::Place,
};

/// Jobs of one round.
const JOBS: usize = 4;

/// The client's knowledge when the service ends.
#[derive(Default)]
struct Known {
    /// Acknowledged jobs by their idempotency keys.
    accepted: BTreeMap<String, String>,
    /// Results that clients received, by job.
    results: BTreeMap<String, Value>,
}

/// Submits and fetches until all jobs are done or the service has ended.
fn use_it(service: &Service, witness: &[u8]) -> Known {
    let mut known = Known::default();
    let until = Instant::now() + PATIENCE;
    for number in 0..JOBS {
        let key = format!("k{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        let path = "/v1/jobs?circuit=tiny&kind=wtns";
        // Clients that disconnect: one with the same job, one with a new job.
        service.vanish(path, &headers, witness);
        service.vanish(path, &[], witness);
        loop {
            let Some(reply) = service.try_call("POST", path, &headers, witness) else {
                return known;
            };
            if reply.status == 202 {
                known.accepted.insert(key, reply.json()["id"].as_str().unwrap().to_owned());
                break;
            }
            // The circuit is still loading.
            assert!(reply.status == 503, "{}", reply.body);
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for id in known.accepted.values() {
        loop {
            let path = format!("/v1/jobs/{id}/result");
            let Some(reply) = service.try_call("GET", &path, &[], b"") else { return known };
            if reply.status == 200 {
                known.results.insert(id.clone(), reply.json());
                break;
            }
            assert!(Instant::now() < until, "{}", reply.body);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    known
}

/// Checks that a service on that data directory has everything that was acknowledged.
fn keeps(place: &Place, data: &Path, witness: &[u8], known: &Known, what: &str) {
    // Unsynced data may be missing, which is not damage.
    if fs::metadata(data.join("journal.db")).is_ok_and(|file| file.len() > 0) {
        let checked = place.run(["store", "check", "--data", data.to_str().unwrap()]);
        assert!(!checked.stderr.contains("log: frame"), "{what}: {}", checked.stderr);
    }
    let service = Service::run(&mut Service::command_on(place, data));
    let service = service.unwrap_or_else(|| panic!("{what}: it does not start")).ready("tiny");
    for (key, id) in &known.accepted {
        let result = service.result(id);
        assert_eq!(result.status, 200, "{what}, job {key}: {}", result.body);
        let result = result.json();
        let claim = json!({
            "circuit": "tiny", "proof": result["proof"], "publicSignals": result["publicSignals"]
        });
        let verdict = service.post("/v1/verify", claim.to_string().as_bytes()).is(200).json();
        assert_eq!(verdict["valid"], true, "{what}, job {key}");
        // The job ends once: a client that has its proof never receives a different one.
        if let Some(before) = known.results.get(id) {
            assert_eq!(*before, result, "{what}, job {key}");
        }
        let again = service.submit(witness, &[("Idempotency-Key", key)]).is(202).json();
        assert_eq!(again["id"], **id, "{what}, job {key}");
    }
    // Includes jobs of clients that disconnected.
    service.all_ended();
    assert_eq!(service.terminate(), Some(0), "{what}");
}

/// A deterministic random decision for each unsynced write.
fn coins(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 1 == 0
    }
}

/// One round: kills the service before that change, then checks three possible disk states. Returns the
/// number of changes.
fn round(place: &Place, witness: &[u8], kill: u64) -> u64 {
    let root = place.path(&format!("round-{kill}"));
    fs::create_dir(&root).unwrap();
    let (data, log) = (root.join("data"), place.path(&format!("round-{kill}.log")));
    let mut command = Service::command_on(place, &data);
    layer::under(&mut command, place, &root, &log);
    layer::killed_at(&mut command, kill);
    let mut known = Known::default();
    if let Some(service) = Service::run(&mut command) {
        known = use_it(&service, witness);
        service.kill();
    }
    let log = Log::read(&log);
    let root = root.canonicalize().unwrap();
    let rebuilt = |name: &str, survives: &mut dyn FnMut() -> bool| -> PathBuf {
        let to = place.path(&format!("round-{kill}-{name}"));
        log.rebuild(&root, &to, survives);
        to.join("data")
    };
    let strict = rebuilt("synced", &mut || false);
    keeps(place, &strict, witness, &known, &format!("power cut at change {kill}"));
    let torn = rebuilt("torn", &mut coins(kill));
    keeps(place, &torn, witness, &known, &format!("torn writes at change {kill}"));
    keeps(place, &data, witness, &known, &format!("killed at change {kill}"));
    for name in ["", "-synced", "-torn"] {
        fs::remove_dir_all(place.path(&format!("round-{kill}{name}"))).unwrap();
    }
    log.changes
}

#[test]
fn every_acknowledged_job_survives_a_kill_or_a_power_cut_at_any_change_to_a_file() {
    let (place, witness) = place();
    let all = round(&place, &witness, u64::MAX);
    assert!(all > 50, "{all} changes: the layer sees the journal");
    let long = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    let rounds = if long { all } else { 10 };
    for at in 0..rounds {
        // Spread over the whole run; each change in the long test.
        round(&place, &witness, 1 + at * all / rounds);
    }
}

#[test]
fn a_full_disk_is_told_loses_nothing_and_needs_no_hand() {
    let (place, witness) = place();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    let mut command = Service::command_on(&place, &root.join("data"));
    layer::under(&mut command, &place, &root, &place.path("log"));
    let mut service = Service::run(&mut command).unwrap().ready("tiny");
    let id = |reply: crate::service::Reply| reply.is(202).json()["id"].as_str().unwrap().to_owned();
    let before: Vec<String> = (0..4).map(|_| id(service.submit(&witness, &[]))).collect();
    // Now, while those run.
    let full = place.write("full", "");
    for _ in 0..3 {
        service.submit(&witness, &[]).problem(503, "storage");
    }
    service.get("/health").is(200);
    service.get("/v1/jobs").is(200);
    // Inputs can be written, the database cannot: writes fail in each of its connections.
    fs::write(&full, "journal.db").unwrap();
    for _ in 0..8 {
        service.submit(&witness, &[]).problem(503, "storage");
    }
    service.get("/v1/jobs").is(200);
    assert!(!service.said("database or disk is full").is_empty(), "{:?}", service.said("warning"));
    fs::remove_file(full).unwrap();
    // A job that is written in the same batch as a failed write gets another `busy`.
    let until = Instant::now() + PATIENCE;
    let after = loop {
        let reply = service.submit(&witness, &[]);
        if reply.status == 202 {
            break id(reply);
        }
        reply.problem(503, "storage");
        assert!(Instant::now() < until, "{:?}", service.said("warning").last());
    };
    for id in before.iter().chain([&after]) {
        service.result(id).is(200);
    }
    assert!(service.runs());
    assert_eq!(service.get("/v1/jobs").json()["jobs"].as_array().unwrap().len(), 5);
}

#[test]
fn a_clock_that_jumps_thirty_days_ahead_forgets_nothing() {
    let (place, witness) = place();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    // By that clock every job is older than one hour. Jobs beyond the newest two are always deleted.
    let config = place.write("serve.toml", "[limits]\nkeep-seconds = 3600\nkeep-jobs = 2\n");
    let start = || {
        let mut command = Service::command_on(&place, &root.join("data"));
        command.arg("--config").arg(&config);
        layer::under(&mut command, &place, &root, &place.path("log"));
        Service::run(&mut command).unwrap().ready("tiny")
    };
    let service = start();
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let reply = service.submit(&witness, &[]).is(202).json();
            let id = reply["id"].as_str().unwrap().to_owned();
            service.result(&id).is(200);
            id
        })
        .collect();
    assert_eq!(service.terminate(), Some(0));
    place.write("back", "2592000");
    let service = start();
    let until = Instant::now() + PATIENCE;
    while service.get(&format!("/v1/jobs/{}", ids[0])).status != 404 {
        assert!(Instant::now() < until, "the oldest job is one too many");
        std::thread::sleep(Duration::from_millis(20));
    }
    // One pass deletes both kinds.
    let later = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&later).is(200);
    let job = |id: &str| service.get(&format!("/v1/jobs/{id}")).is(200).json();
    let ahead =
        job(&later)["created"].as_i64().unwrap() - job(&ids[2])["created"].as_i64().unwrap();
    assert!(ahead > 2_500_000_000, "the clock did jump: {ahead} ms");
    for id in &ids[1..] {
        service.result(id).is(200);
    }
}

#[test]
fn a_clock_that_goes_back_changes_no_order_and_forgets_nothing() {
    let (place, witness) = place();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    let mut command = Service::command_on(&place, &root.join("data"));
    layer::under(&mut command, &place, &root, &place.path("log"));
    let service = Service::run(&mut command).unwrap().ready("tiny");
    let prove = || {
        let path = "/v1/jobs?circuit=tiny&kind=wtns&deadline_seconds=50";
        let id = service.post(path, &witness).is(202).json()["id"].as_str().unwrap().to_owned();
        service.result(&id).is(200);
        id
    };
    let first = prove();
    place.write("back", "");
    let second = prove();
    let listed = service.get("/v1/jobs").is(200).json();
    let ids: Vec<&str> =
        listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    let created = |at: usize| listed["jobs"][at]["created"].as_i64().unwrap();
    assert!(created(0) < created(1), "the clock did go back");
}
