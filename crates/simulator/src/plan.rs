//! Capacity planning: an operator's questions, answered by simulation.
//!
//! *How many proofs per hour? How many workers? How much memory? What to buy next?* Each answer
//! takes several simulations of variations of the scenario. To measure the machine and not its
//! clients, work arrives faster than the machine can do it, in the scenario's mix; the scenario as
//! written is simulated too.
//!
//! The plan also has the values of the closed formulas of cuzk's Phase 7 proposal
//! (filecoin-project/curio), which do not model waiting, contention or memory over time.

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
    /// The scenario's title.
    pub title: String,
    /// The scenario as written, with its own arrivals.
    pub as_written: Capacity,
    /// The machine as written, with more work than it can do.
    pub capacity: Capacity,
    /// Capacity by number of CPU workers; empty without CPU workers.
    pub by_workers: Vec<Workers>,
    /// The fewest CPU workers whose capacity is within 2 % of the best of the sweep.
    pub workers: Option<u32>,
    /// Capacity by memory of the machine.
    pub by_memory: Vec<Memory>,
    /// The least memory of the machine that keeps its capacity within 2 %.
    pub memory_bytes: Option<u64>,
    /// The gain from more of one resource, or of two where no single one helps; best first.
    pub buy: Vec<Purchase>,
    /// The proposal's formulas beside the simulation; empty if the scenario is not of the kind that
    /// they describe.
    pub formulas: Vec<Formula>,
}

/// The result of one simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Capacity {
    /// Seconds per job over the steady part; `None` without one.
    pub seconds_per_job: Option<f64>,
    /// Jobs per hour over the steady part.
    pub jobs_per_hour: Option<f64>,
    /// Fraction of the steady part in which devices had a run.
    pub device_busy: Option<f64>,
    /// Median time from acceptance to answer.
    pub latency_p50: f64,
    /// 99th percentile of the time from acceptance to answer.
    pub latency_p99: f64,
    /// The most bytes reserved at once.
    pub peak_bytes: u64,
    /// The binding constraint.
    pub binding: String,
}

/// The capacity with a number of CPU workers.
#[derive(Debug, Clone, Serialize)]
pub struct Workers {
    /// The number of CPU workers.
    #[serde(rename = "lanes")]
    pub workers: u32,
    /// The result.
    #[serde(flatten)]
    pub capacity: Capacity,
}

/// The capacity with a size of memory.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// All memory of the machine.
    pub memory_bytes: u64,
    /// The result.
    #[serde(flatten)]
    pub capacity: Capacity,
}

/// A purchase.
#[derive(Debug, Clone, Serialize)]
pub struct Purchase {
    /// What to buy, in words.
    pub what: String,
    /// Gain in jobs per hour as a fraction of the capacity: 0.25 is a quarter more.
    pub gain: f64,
    /// The result.
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
    /// Jobs per hour; zero without a steady part.
    fn rate(&self) -> f64 {
        self.jobs_per_hour.unwrap_or(0.0)
    }

    /// Whether its own rate is at least 98 % of `rate`.
    fn reaches(&self, rate: f64) -> bool {
        rate > 0.0 && self.rate() >= 0.98 * rate
    }
}

impl Plan {
    /// The plan as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"))
    }
}

/// Makes the capacity plan of a scenario.
///
/// # Errors
///
/// The scenario is invalid, or one of the simulations fails.
pub fn plan(scenario: &Scenario) -> Result<Plan, Error> {
    let as_written = crate::simulate(scenario)?;
    let full = sweeps::loaded(scenario)?;
    let capacity = sweeps::capacity(&full)?;
    let by_workers = sweeps::by_workers(&full)?;
    let best = by_workers.iter().map(|w| w.capacity.rate()).fold(0.0, f64::max);
    let workers = by_workers.iter().find(|w| w.capacity.reaches(best)).map(|w| w.workers);
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
