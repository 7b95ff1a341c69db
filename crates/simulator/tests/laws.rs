//! Properties of every scenario.
#![allow(missing_docs)]

mod common;

use athanor_scheduler::TraceEvent;
use athanor_simulator::{Report, Scenario, simulate_with};
use common::{report, scenario, text, within};

const ALL: [&str; 6] = [
    "cuzk-batch-all",
    "cuzk-phase6",
    "cuzk-phase7",
    "cuzk-phase7-measured",
    "cuzk-workers",
    "porep-split",
];

#[test]
fn the_ledger_never_passes_the_budget_and_every_job_is_answered_once() {
    for name in ALL {
        let s = scenario(name, &[]);
        let (mut answers, mut worst, mut last) = (0, 0, None);
        let r = simulate_with(&s, |trace| match trace.event {
            TraceEvent::Reserved { memory } => {
                worst = worst.max(memory.host + memory.pinned);
                last = Some(memory);
            }
            TraceEvent::Answered { .. } => answers += 1,
            _ => {}
        })
        .unwrap();
        let jobs: u64 = s.jobs.iter().map(|j| u64::from(j.count)).sum();
        assert_eq!((answers, r.jobs.complete), (jobs, jobs), "{name}");
        assert!(worst <= s.budget(), "{name}");
        assert_eq!(worst, r.peak_bytes, "{name}");
        let keys: u64 = s.key.iter().map(|k| k.memory.0).sum();
        assert_eq!(last.map(|m| m.host), Some(keys), "{name}: only idle keys are left");
    }
}

#[test]
fn the_same_scenario_gives_the_same_trace_and_another_seed_another() {
    let noisy =
        text("cuzk-phase7").replace("seconds = 3.0", "seconds = 3.0\nspread = 0.2\nfailing = 0.05");
    let traced = |text: &str| {
        let mut lines = Vec::new();
        let s = Scenario::from_toml(text).unwrap();
        let r = simulate_with(&s, |t| lines.push(t.clone())).unwrap();
        (lines, r)
    };
    let (first, r) = traced(&noisy);
    assert!(r.jobs.retries > 0, "failing = 0.05 of 600 runs");
    assert_eq!(first, traced(&noisy).0);
    let reseeded = noisy.replace("title", "seed = 2\ntitle");
    assert_ne!(first, traced(&reseeded).0);
}

#[test]
fn little_s_law_holds_for_every_stage_of_a_steady_run() {
    for name in ["cuzk-phase7", "cuzk-phase7-measured", "cuzk-workers"] {
        let r = report(name, &["jobs.count=200"]);
        for s in &r.stages {
            assert!(within(s.quotient, s.per_second, 0.02), "{name} {}: {s:?}", s.name);
        }
    }
}

#[test]
fn json_has_the_figures_by_name() {
    let json: serde_json::Value =
        serde_json::from_str(&report("cuzk-phase7", &[]).to_json()).unwrap();
    assert!((29.0..=31.0).contains(&json["seconds_per_job"].as_f64().unwrap()));
    assert!(json["device_busy"].as_f64().unwrap() > 0.99);
    assert!(json["peak_bytes"].as_u64().unwrap() > 400 << 30);
    assert_eq!(json["binding"], "device gpu");
    for key in ["fill", "steady", "drain", "stages", "bounds", "latency", "inputs"] {
        assert!(!json[key].is_null(), "{key}");
    }
    let single: serde_json::Value =
        serde_json::from_str(&report("cuzk-phase7", &["jobs.count=1"]).to_json()).unwrap();
    assert!(single["seconds_per_job"].is_null(), "no steady part, no figure for it");
}

#[test]
fn the_waterfall_shows_a_row_per_partition_with_its_waits() {
    let r: Report = report("porep-split", &[]);
    let svg = r.to_svg();
    assert_eq!(r.timeline().rows().len(), 120);
    for words in [
        "waits for witness",
        "evaluate on lane",
        "prove on lane",
        "check on lane",
        "budget 734 GiB",
    ] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn arrivals_by_the_clock_come_by_the_clock() {
    let by_clock = |line: &str| {
        let text = text("cuzk-phase7").replace("at_a_time = 3", line);
        athanor_simulator::simulate(&Scenario::from_toml(&text).unwrap()).unwrap()
    };
    let regular = by_clock("every = 45.0");
    assert!(within(regular.seconds_per_job.unwrap(), 45.0, 1e-6));
    assert_eq!(regular.binding, "arrivals");
    assert!(within(regular.latency.max, 59.0, 1e-6), "nobody waits for anybody");
    // 30 s of GPU every 45 s on average: random arrivals must queue.
    let random = by_clock("about_every = 45.0");
    assert!(random.latency.mean > 59.0 + 5.0, "{}", random.latency.mean);
    let too_many = by_clock("every = 20.0");
    assert!(within(too_many.seconds_per_job.unwrap(), 30.0, 0.01));
    assert_eq!(too_many.binding, "device gpu");
}

#[test]
fn what_can_never_fit_is_reported_with_the_bytes_it_needs() {
    let r = report("porep-split", &["machine.memory=100 GiB"]);
    assert_eq!(r.jobs.complete, 0);
    assert_eq!(r.binding, "no job was completed");
    let [(why, count)] = &r.jobs.refused[..] else { panic!("{:?}", r.jobs.refused) };
    assert_eq!(*count, 100);
    assert!(why.contains("never fits") && why.contains("host memory"), "{why}");
}

#[test]
fn missed_deadlines_are_counted_and_leave_nothing_behind() {
    let text = text("cuzk-phase7").replace("at_a_time = 3", "every = 20.0\ndeadline = 120.0");
    let r = athanor_simulator::simulate(&Scenario::from_toml(&text).unwrap()).unwrap();
    assert!(r.jobs.late > 0 && r.jobs.complete > 0, "{:?}", r.jobs);
    assert_eq!(r.jobs.late + r.jobs.complete, 60);
    assert!(r.latency.max <= 120.0);
}
