//! The operator's questions, answered by simulation.
//!
//! *How many proofs per hour? How many workers? How much memory? What to buy next?* Each is a handful
//! of runs of the scheduler itself over variations of the scenario. For capacity the work arrives
//! faster than any machine of that kind could do it, in the scenario's mix, so that the machine and
//! not the clients is what is measured; the scenario as written is run as well.
//!
//! Beside the answers stand those of the closed formulas of cuzk's Phase 7 proposal
//! (filecoin-project/curio), which see neither waiting, nor contention, nor memory over time.

mod formulas;
mod sweeps;
mod text;

pub use formulas::Formula;

use crate::Error;
use crate::report::Report;
use crate::scenario::{Bytes, Scenario};
use serde::Serialize;

/// The answers. Times are seconds, sizes bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The scenario's.
    pub title: String,
    /// The scenario as it is written, with its own arrivals.
    pub as_written: Capacity,
    /// The machine as it is written, with more work than it can do.
    pub capacity: Capacity,
    /// Capacity by number of CPU lanes; empty without CPU lanes.
    pub by_workers: Vec<Workers>,
    /// The fewest CPU lanes that reach the best capacity of the sweep within 2 %.
    pub workers: Option<u32>,
    /// Capacity by memory of the machine.
    pub by_memory: Vec<Memory>,
    /// The least memory of the machine that keeps its capacity within 2 %.
    pub memory_bytes: Option<u64>,
    /// What more of one thing (or of two, where no single thing helps) would give, best first.
    pub buy: Vec<Purchase>,
    /// The proposal's formulas beside the simulation; empty if a circuit does not have the shape
    /// that they speak of.
    pub formulas: Vec<Formula>,
}

/// What one run gave.
#[derive(Debug, Clone, Serialize)]
pub struct Capacity {
    /// Over the steady part; `None` without one.
    pub seconds_per_job: Option<f64>,
    /// The same per hour.
    pub jobs_per_hour: Option<f64>,
    /// Devices busy over the steady part.
    pub device_busy: Option<f64>,
    /// Median from acceptance to answer.
    pub latency_p50: f64,
    /// 99 % from acceptance to answer.
    pub latency_p99: f64,
    /// The most the ledger held.
    pub peak_bytes: u64,
    /// What bound it.
    pub binding: String,
}

/// A number of CPU lanes.
#[derive(Debug, Clone, Serialize)]
pub struct Workers {
    /// All CPU lanes.
    pub lanes: u32,
    /// What it gave.
    #[serde(flatten)]
    pub capacity: Capacity,
}

/// A size of memory.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// All of the machine.
    pub memory_bytes: u64,
    /// What it gave.
    #[serde(flatten)]
    pub capacity: Capacity,
}

/// Something to buy.
#[derive(Debug, Clone, Serialize)]
pub struct Purchase {
    /// In words.
    pub what: String,
    /// Jobs per hour gained, as a fraction of the capacity: 0.25 is a quarter more.
    pub gain: f64,
    /// What it gave.
    #[serde(flatten)]
    pub capacity: Capacity,
}

impl From<&Report> for Capacity {
    fn from(r: &Report) -> Capacity {
        Capacity {
            seconds_per_job: r.seconds_per_job,
            jobs_per_hour: r.jobs_per_hour(),
            device_busy: r.device_busy,
            latency_p50: r.latency.p50,
            latency_p99: r.latency.p99,
            peak_bytes: r.peak_bytes,
            binding: r.binding.clone(),
        }
    }
}

impl Capacity {
    /// Jobs per hour, none counting as zero.
    fn rate(&self) -> f64 {
        self.jobs_per_hour.unwrap_or(0.0)
    }

    /// Whether it is within 2 % of that rate.
    fn reaches(&self, rate: f64) -> bool {
        rate > 0.0 && self.rate() >= 0.98 * rate
    }
}

impl Plan {
    /// One JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"))
    }
}

/// Answers the operator's questions about a scenario.
pub fn plan(scenario: &Scenario) -> Result<Plan, Error> {
    let as_written = crate::simulate(scenario)?;
    let full = sweeps::loaded(scenario)?;
    let capacity = sweeps::capacity(&full)?;
    let by_workers = sweeps::by_workers(&full)?;
    let best = by_workers.iter().map(|w| w.capacity.rate()).fold(0.0, f64::max);
    let workers = by_workers.iter().find(|w| w.capacity.reaches(best)).map(|w| w.lanes);
    let by_memory = sweeps::by_memory(&full)?;
    let memory = sweeps::least_memory(&full, &capacity)?.map(|Bytes(b)| b);
    Ok(Plan {
        title: scenario.title.clone(),
        formulas: formulas::beside(scenario, &as_written, &capacity, workers)?,
        as_written: (&as_written).into(),
        buy: sweeps::purchases(&full, &capacity)?,
        capacity,
        by_workers,
        workers,
        by_memory,
        memory_bytes: memory,
    })
}
