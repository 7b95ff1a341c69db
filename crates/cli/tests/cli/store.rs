//! The data directory: its lock, refused starts, and `athanor store check`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    service::{PATIENCE, Service, place},
    support::{Ended, Place},
};

/// A configuration with a seal key of that digit.
fn sealed(place: &Place, digit: &str) -> PathBuf {
    let key = place.write(&format!("key-{digit}"), digit.repeat(64));
    place.write(&format!("serve-{digit}.toml"), format!("seal-key = {key:?}\n"))
}

fn check(place: &Place, more: &[&str]) -> Ended {
    place.run([&["store", "check", "--data", "data", "--json"], more].concat())
}

/// Runs an `athanor serve` that ends by itself.
fn refused(place: &Place, config: &Path) -> Ended {
    let config = config.to_str().unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--data", "data", "--circuits", "circuits"];
    place.run([&["serve", "--config", config], &listen[..]].concat())
}

/// Kills a service while it has accepted jobs.
fn killed_at_work(place: &Place, config: &Path, witness: &[u8]) {
    for _ in 0..50 {
        let service = Service::start(place, Some(config)).ready("tiny");
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..24)
                .map(|_| {
                    let path = "/v1/jobs?circuit=tiny&kind=wtns";
                    scope.spawn(|| service.try_call("POST", path, &[], witness).is_some())
                })
                .collect();
            while !clients.iter().any(|client| client.is_finished()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            service.stop();
        });
        drop(service);
        let report = check(place, &[]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        if report["jobs"]["accepted"].as_u64() > Some(1) {
            return;
        }
    }
    panic!("every job had ended before the kill");
}

/// Waits until no job is in the state accepted, and returns the states of all jobs.
fn all_complete(service: &Service) {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = service.get("/v1/jobs?limit=500").is(200).json();
        let states: Vec<&str> = listed["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["state"].as_str().unwrap())
            .collect();
        if states.iter().all(|state| *state == "complete") {
            return;
        }
        assert!(!states.contains(&"failed") && Instant::now() < until, "{states:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn another_or_no_seal_key_refuses_the_start_and_the_right_one_loses_nothing() {
    let (place, witness) = place();
    let (right, wrong) = (sealed(&place, "1"), sealed(&place, "2"));
    killed_at_work(&place, &right, &witness);
    refused(&place, &wrong).fails(26, "set `seal-key` to the file that holds");
    let none = place.write("none.toml", "");
    refused(&place, &none).fails(26, "no seal key is given");
    let report = check(&place, &[]);
    assert_eq!(report.code, 27, "{}", report.stdout);
    assert_eq!(report.json()["inputs"]["faults"][0]["fault"], "sealed");
    let key = place.path("key-1");
    let report = check(&place, &["--seal-key", key.to_str().unwrap()]).ok().json();
    assert_eq!(report["sound"], true, "{report}");
    all_complete(&Service::start(&place, Some(&right)).ready("tiny"));
}

#[test]
fn a_second_service_on_one_directory_is_refused_and_told_who_has_it() {
    let (place, witness) = place();
    let first = Service::start(&place, None).ready("tiny");
    let none = place.write("none.toml", "");
    let second = refused(&place, &none);
    second.fails(27, "in use by another service (pid ");
    assert!(second.stderr.contains(&first.address), "{}", second.stderr);
    let id = first.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    first.result(&id).is(200);
    let report = check(&place, &[]).ok().json();
    assert!(report["holder"].as_str().unwrap().contains(&first.address), "{report}");
    // The kernel releases the lock.
    first.kill();
    assert_eq!(check(&place, &[]).ok().json()["holder"], Value::Null);
    Service::start(&place, None).ready("tiny").result(&id).is(200);
}

#[test]
fn a_job_whose_input_cannot_be_read_waits_is_counted_and_goes_on_by_itself() {
    let (place, witness) = place();
    let config = place.write("serve.toml", "");
    killed_at_work(&place, &config, &witness);
    let blobs: Vec<PathBuf> = fs::read_dir(place.path("data/blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for (number, blob) in blobs.iter().enumerate() {
        fs::rename(blob, place.path(&format!("aside-{number}"))).unwrap();
        // Opening it fails for every user, although it exists.
        std::os::unix::fs::symlink(blob, blob).unwrap();
    }
    let report = check(&place, &[]);
    assert_eq!(report.code, 27);
    let faults = report.json()["inputs"]["faults"].as_array().unwrap().clone();
    let job = faults[0]["job"].as_str().unwrap();
    assert_eq!(faults[0]["fault"], "unreadable");
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let gauge = |service: &Service| {
        let metrics = service.get("/metrics").is(200).body;
        let line = metrics.lines().find(|line| line.starts_with("athanor_inputs_unreadable "));
        line.unwrap().rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let until = Instant::now() + PATIENCE;
    while gauge(&service) != faults.len() || service.said(job).is_empty() {
        assert!(Instant::now() < until, "{} of {}", gauge(&service), faults.len());
        std::thread::sleep(Duration::from_millis(10));
    }
    let path = format!("/v1/jobs/{job}");
    assert_eq!(service.get(&path).is(200).json()["state"], "accepted");
    // It can be cancelled meanwhile, and stays cancelled.
    service.call("DELETE", &path, &[], b"").is(204);
    service.call("DELETE", &path, &[], b"").is(204);
    for (number, blob) in blobs.iter().enumerate() {
        fs::remove_file(blob).unwrap();
        fs::rename(place.path(&format!("aside-{number}")), blob).unwrap();
    }
    service.all_ended();
    let listed = service.get("/v1/jobs?limit=500").is(200).json();
    for listed in listed["jobs"].as_array().unwrap() {
        let state = if listed["id"] == *job { "cancelled" } else { "complete" };
        assert_eq!(listed["state"], state, "{listed}");
    }
    while gauge(&service) > 0 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_check_tells_damage_by_name_and_changes_nothing() {
    let (place, witness) = place();
    let service = Service::start(&place, None).ready("tiny");
    let id = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&id).is(200);
    assert_eq!(service.terminate(), Some(0));
    fs::write(place.path("data/blobs/stray"), "x").unwrap();
    let report = check(&place, &[]).ok().json();
    assert_eq!((&report["sound"], &report["jobs"]), (&json!(true), &json!({ "complete": 1 })));
    assert_eq!(report["inputs"]["orphans"], json!(["stray"]));
    let names = || {
        let entries = fs::read_dir(place.path("data")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let journal = place.path("data/journal.db");
    let mut bytes = fs::read(&journal).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    fs::write(&journal, &bytes).unwrap();
    let report = check(&place, &[]);
    assert_eq!(report.code, 27, "{}", report.stdout);
    assert_ne!(report.json()["database"], json!([]));
    place.run(["store", "check", "--data", "data"]).fails(27, "restore a backup");
    assert_eq!(names(), before);
    let none = place.write("none.toml", "");
    refused(&place, &none).fails(27, "athanor store check");
    assert_eq!(fs::read(&journal).unwrap(), bytes);
    place.run(["store", "check", "--data", "elsewhere"]).fails(30, "elsewhere");
}
