//! The crate stays pure: neither its dependencies nor its sources can read a clock, start a thread
//! or do I/O.

use std::collections::BTreeSet;
use std::path::Path;

/// The allowed entries of `[dependencies]`: `serde` and `thiserror` generate code for types of this
/// crate and do nothing else.
const ALLOWED: [&str; 2] = ["serde", "thiserror"];

#[test]
fn no_dependency_can_reach_the_world() {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).expect("there is such a section");
    let section = section.split("\n[").next().unwrap_or(section);
    let names: BTreeSet<&str> = section
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .collect();
    assert_eq!(names, BTreeSet::from(ALLOWED));
    assert!(!manifest.contains("[build-dependencies]"));
}

/// Standard library paths to clocks, threads and I/O, and maps whose order depends on the system's
/// randomness.
const FORBIDDEN: [&str; 10] = [
    "std::time",
    "std::thread",
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "HashMap",
    "HashSet",
    "Instant::",
];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the crate's own sources") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).expect("utf-8");
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn no_source_names_the_world_and_no_file_is_long() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20);
    for (path, text) in &found {
        let test_only = path.contains("properties");
        for word in FORBIDDEN.iter().filter(|_| !test_only) {
            assert!(!text.contains(word), "{path} names {word}");
        }
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines");
    }
}
