//! A simulation with a thousand devices and a hundred thousand jobs.
#![allow(missing_docs)]

mod common;

use athanor_simulator::Scenario;
use common::{report, scenario, text};

/// The same machine and mix with fewer jobs.
fn fraction(of: u32) -> Scenario {
    let mut s = scenario("thousand-devices", &[]);
    s.jobs.iter_mut().for_each(|j| j.count = (j.count / of).max(1));
    s
}

#[test]
fn the_scenario_is_as_large_as_it_says() {
    let s = Scenario::from_toml(&text("thousand-devices")).unwrap();
    assert_eq!(s.device.iter().map(|d| d.count).sum::<u32>(), 1000);
    assert_eq!(s.jobs.iter().map(|j| j.count).sum::<u32>(), 100_000);
    let tasks = |name: &str| {
        let c = s.circuit.iter().find(|c| c.name == name).unwrap();
        c.partitions as usize * c.stage.len() + c.finish.len()
    };
    let total: usize = s.jobs.iter().map(|j| j.count as usize * tasks(&j.circuit)).sum();
    assert!(total >= 1_000_000, "{total}");
    assert_eq!(s.circuit.len(), 4);
}

#[test]
fn a_fiftieth_of_it_completes_every_job() {
    let s = fraction(50);
    let r = athanor_simulator::simulate(&s).unwrap();
    assert_eq!(r.jobs.complete, 2_000);
    assert!(r.jobs.retries > 0);
    assert!(r.peak_bytes <= r.budget_bytes);
}

#[test]
fn all_of_it_completes_every_job() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let r = report("thousand-devices", &[]);
    assert_eq!(r.jobs.complete, 100_000);
    assert!(r.tasks >= 1_000_000);
    assert!(r.device_busy.unwrap() > 0.7);
    assert!(r.peak_bytes <= r.budget_bytes);
}
