//! Capacity plans: answers that only a simulation gives.
#![allow(missing_docs)]

mod common;

use athanor_simulator::{Plan, Scenario, plan, simulate};
use common::{scenario, text, within};

fn planned(name: &str) -> Plan {
    plan(&scenario(name, &[])).unwrap()
}

#[test]
fn a_device_bound_machine_needs_the_workers_and_memory_that_feed_it_and_another_device() {
    let p = planned("cuzk-phase7");
    assert!(within(p.capacity.jobs_per_hour.unwrap(), 120.0, 0.01));
    assert_eq!(p.capacity.binding, "device gpu");
    // 29 s of synthesis for every 3 s of GPU.
    assert_eq!(p.workers, Some(10));
    assert_eq!(p.buy[0].what, "one more gpu (1 now)");
    assert!(within(p.buy[0].gain, 1.0, 0.05), "twenty workers feed two GPUs: {}", p.buy[0].gain);
    assert!(p.buy[1..].iter().all(|b| b.gain < 0.02));
    let least = p.memory_bytes.unwrap() as f64 / (1u64 << 30) as f64;
    assert!((256.0..384.0).contains(&least), "{least}");
    let at = |gib: u64| p.by_memory.iter().find(|m| m.memory_bytes == gib << 30).unwrap();
    assert_eq!(at(256).capacity.binding, "memory");
    assert_eq!(at(384).capacity.binding, "device gpu");
}

#[test]
fn the_answers_hold_when_asked_again_one_step_further() {
    let name = "porep-split";
    let p = planned(name);
    let best = p.capacity.jobs_per_hour.unwrap();
    let rate = |settings: &[&str]| {
        let report = simulate(&scenario(name, settings)).unwrap();
        report.jobs_per_hour().unwrap()
    };
    let workers = p.workers.unwrap();
    assert!(rate(&[&format!("cpu.lanes={workers}")]) >= 0.97 * best);
    assert!(rate(&[&format!("cpu.lanes={}", workers - 2)]) < 0.98 * best);
    let memory = p.memory_bytes.unwrap();
    assert!(rate(&[&format!("machine.memory={memory}")]) >= 0.97 * best);
    assert!(rate(&[&format!("machine.memory={}", memory / 10 * 8)]) < 0.98 * best);
}

#[test]
fn more_workers_do_not_help_where_sharing_binds_and_the_plan_says_so() {
    let s = scenario("cuzk-workers", &["circuit.porep-32g.prove.seconds=1.0"]);
    let p = plan(&s).unwrap();
    assert_eq!(p.capacity.binding, "sharing in synthesize");
    assert!(p.buy.iter().all(|b| b.gain < 0.02), "{:?}", p.buy);
    assert!(p.buy.len() > 3, "pairs are tried where no single thing helps");
    assert!(p.to_string().contains("nothing of these; sharing in synthesize binds"));
}

#[test]
fn the_proposal_s_formulas_stand_beside_and_differ_where_stages_contend() {
    let same = planned("cuzk-phase7");
    assert_eq!(same.formulas.len(), 6);
    for f in &same.formulas {
        assert!(within(f.simulated.unwrap(), f.value, 0.01), "{}: {f:?}", f.about);
    }
    // Ten evaluations at once take 10 s, not 4; the formula for one job alone does not include
    // that.
    let apart = planned("porep-split");
    let alone = apart.formulas.iter().find(|f| f.about == "one job alone").unwrap();
    assert!(within(alone.value, 59.0, 1e-9));
    assert!(within(alone.simulated.unwrap(), 65.0, 0.01), "{alone:?}");
}

#[test]
fn a_mix_of_circuits_is_planned_in_its_proportions() {
    let mut s: Scenario = Scenario::from_toml(&text("thousand-devices")).unwrap();
    s.device.iter_mut().for_each(|d| d.count /= 50);
    s.cpu[0].workers /= 50;
    s.jobs.iter_mut().for_each(|j| j.count /= 100);
    let p = plan(&s).unwrap();
    assert!(p.formulas.is_empty(), "they speak of one circuit");
    assert!(p.capacity.jobs_per_hour.unwrap() > 0.0);
    assert_eq!(p.buy.len() % 4, 0, "two classes of device, memory, lanes: {:?}", p.buy);
    let json: serde_json::Value = serde_json::from_str(&p.to_json()).unwrap();
    assert!(json["by_workers"][0]["lanes"].is_u64());
    assert!(json["buy"][0]["gain"].is_f64());
}
