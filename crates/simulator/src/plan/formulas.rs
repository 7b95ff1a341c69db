//! The closed formulas of cuzk's Phase 7 proposal beside the simulation.

use super::Capacity;
use crate::Error;
use crate::model::Model;
use crate::report::Report;
use crate::scenario::Scenario;
use athanor_scheduler::WorkerNeed;
use serde::Serialize;

/// One formula.
#[derive(Debug, Clone, Serialize)]
pub struct Formula {
    /// The quantity.
    pub about: &'static str,
    /// The formula of the proposal with this scenario's numbers.
    pub formula: String,
    /// Its value.
    pub value: f64,
    /// The simulated value.
    pub simulated: Option<f64>,
    /// The unit of both: `s`, `%`, `GiB`, or empty for a count.
    pub unit: &'static str,
}

/// The number of finished witnesses that the proposal's channel buffers.
const CHANNEL: f64 = 2.0;

/// The formulas, for a scenario of one circuit whose CPU stages come before its device stages;
/// empty for any other.
pub(super) fn beside(
    s: &Scenario,
    as_written: &Report,
    capacity: &Capacity,
    workers: Option<u32>,
) -> Result<Vec<Formula>, Error> {
    let model = Model::new(s)?;
    let [circuit] = &model.circuits[..] else { return Ok(Vec::new()) };
    let on_device = |worker: WorkerNeed| matches!(worker, WorkerNeed::Device { .. });
    let Some(first) = circuit.stages.iter().position(|s| on_device(s.worker)) else {
        return Ok(Vec::new());
    };
    if first == 0 {
        return Ok(Vec::new());
    }
    let before = &circuit.stages[..first];
    let synth: f64 = before.iter().map(|s| s.alone).sum();
    let gpu: f64 = circuit.stages.iter().filter(|s| on_device(s.worker)).map(|s| s.alone).sum();
    let partitions = f64::from(circuit.partitions);
    let devices: f64 = s.device.iter().map(|d| f64::from(d.count)).sum::<f64>().max(1.0);
    let total = partitions * gpu / devices;
    let cpu_workers = f64::from(s.cpu.iter().map(|c| c.workers).sum::<u32>());

    let mut alone = s.clone();
    alone.jobs.truncate(1);
    alone.jobs[0].count = 1;
    let single = crate::simulate(&alone)?;
    let single_busy =
        single.workers.iter().filter(|l| l.name != "cpu").map(|l| l.busy).sum::<f64>();

    let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
    let keys: u64 = s.key.iter().map(|k| k.memory.0 + k.pinned.0).sum();
    let fixed = gib(s.machine.system.0 + keys);
    let claim = |of: &dyn Fn(&athanor_scheduler::Claim) -> athanor_scheduler::Memory| {
        let bytes = before.iter().map(|s| of(&s.claim)).map(|m| m.host + m.pinned);
        gib(bytes.max().unwrap_or(0))
    };
    let (peak, settled) = (claim(&|c| c.peak), claim(&|c| c.keeps));
    let period = synth.max(total);
    Ok(vec![
        Formula {
            about: "steady period",
            formula: format!("max(synth {synth:.1}, gpu {total:.1})"),
            value: period,
            simulated: capacity.seconds_per_job,
            unit: "s",
        },
        Formula {
            about: "one job alone",
            formula: format!("synth {synth:.1} + gpu {total:.1}"),
            value: synth + total,
            simulated: Some(single.latency.max),
            unit: "s",
        },
        Formula {
            about: "device use, alone",
            formula: format!("gpu {total:.1} / (synth {synth:.1} + gpu {total:.1})"),
            value: 100.0 * total / (synth + total),
            simulated: Some(100.0 * single_busy / s.device.len().max(1) as f64),
            unit: "%",
        },
        Formula {
            about: "device use, steady",
            formula: format!("gpu {total:.1} / period {period:.1}"),
            value: 100.0 * total / period,
            simulated: capacity.device_busy.map(|b| 100.0 * b),
            unit: "%",
        },
        Formula {
            about: "workers needed",
            formula: format!("ceil(synth {synth:.1} / gpu {gpu:.1}) x {devices} devices"),
            value: (synth / gpu).ceil() * devices,
            simulated: workers.map(f64::from),
            unit: "",
        },
        Formula {
            about: "peak memory",
            formula: format!(
                "fixed {fixed:.1} + {cpu_workers} x {peak:.1} + ({CHANNEL} + {devices}) x {settled:.1}"
            ),
            value: fixed + cpu_workers * peak + (CHANNEL + devices) * settled,
            simulated: Some(gib(as_written.peak_bytes + s.machine.system.0)),
            unit: "GiB",
        },
    ])
}
