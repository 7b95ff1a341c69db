//! Checks the systemd unit with systemd-analyze.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::Place;

/// The highest exposure, in tenths.
const EXPOSURE: &str = "25";

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/athanor.service")
}

/// Runs systemd-analyze. `None` if it is not installed, unless it is required.
fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let run = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    if run.is_err() {
        let required = std::env::var_os("ATHANOR_REQUIRE_SYSTEMD_ANALYZE").is_some();
        assert!(!required, "systemd-analyze is not installed");
        // Not `eprintln!`, whose output the test runner hides if the test passes.
        let _ = writeln!(io::stderr(), "SKIPPED: the unit for systemd: no systemd-analyze");
    }
    run.ok()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn the_unit_exposes_little_and_says_why_it_leaves_a_directive_out() {
    let threshold = format!("--threshold={EXPOSURE}");
    let offline = ["security", "--offline=true", "--no-pager"];
    let Some(judged) = analyze(&[&offline[..], &[&threshold]].concat(), &unit()) else { return };
    assert!(judged.status.success(), "{}", text(&judged));

    let Some(table) = analyze(&[&offline[..], &["--json=short"]].concat(), &unit()) else { return };
    let table: Value = serde_json::from_slice(&table.stdout).unwrap();
    let file = fs::read_to_string(unit()).unwrap();
    let rows = table.as_array().unwrap();
    assert!(rows.len() > 50, "{} rows", rows.len());
    for row in rows.iter().filter(|row| row["set"] == false) {
        let name = row["name"].as_str().unwrap();
        let directive = name.split('=').next().unwrap();
        assert!(file.contains(directive), "the unit leaves {name} out and does not say why");
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let place = Place::new("bn128");
    let file = fs::read_to_string(unit()).unwrap();
    assert!(file.contains("ExecStart=/usr/local/bin/athanor serve"));
    let file = file.replace("/usr/local/bin/athanor", env!("CARGO_BIN_EXE_athanor"));
    let copy = place.write("athanor.service", &file);
    let Some(verified) = analyze(&["verify", "--man=no"], &copy) else { return };
    assert!(verified.status.success() && text(&verified).is_empty(), "{}", text(&verified));
    let wrong = place.write("wrong.service", file.replace("Type=notify", "Type=notifies"));
    assert!(!text(&analyze(&["verify", "--man=no"], &wrong).unwrap()).is_empty());

    // Its command line is valid for the program.
    let line = file.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = line.split(' ').skip(2).map(str::to_owned).collect::<Vec<_>>();
    let at = words.iter().position(|word| word.ends_with("serve.toml")).unwrap();
    words[at] = place.write("serve.toml", "").to_str().unwrap().to_owned();
    place.run([vec!["config".to_owned(), "check".to_owned()], words].concat()).ok();
}

#[test]
fn the_units_time_to_stop_is_longer_than_the_drain() {
    let file = fs::read_to_string(unit()).unwrap();
    let number = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim_start_matches([' ', '=']).parse::<u64>().unwrap()
    };
    let printed = Place::new("bn128").run(["config", "print"]).ok().stdout;
    let (drain, stop) = (number(&printed, "drain-seconds"), number(&file, "TimeoutStopSec"));
    assert!(drain + 15 < stop, "{drain} s and what follows, {stop} s");
}
