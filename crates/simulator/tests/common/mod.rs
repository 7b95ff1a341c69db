//! Scenario files of this repository, and reports of them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use athanor_simulator::{Report, Scenario, simulate};

pub fn text(name: &str) -> String {
    let path = format!("{}/../../scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn scenario(name: &str, settings: &[&str]) -> Scenario {
    Scenario::with_settings(&text(name), settings).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn report(name: &str, settings: &[&str]) -> Report {
    simulate(&scenario(name, settings)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Whether `a` is within that fraction of `b`.
pub fn within(a: f64, b: f64, fraction: f64) -> bool {
    (a - b).abs() <= fraction * b
}
