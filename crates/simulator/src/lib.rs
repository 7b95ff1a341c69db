//! A simulator: the real scheduler in virtual time, to find out what a machine would do before it is
//! bought or configured.
//!
//! [`simulate`] runs [`athanor_scheduler::Scheduler`], the same code that runs in production, over a
//! [`Scenario`]: a machine, circuits with their service times and claims, and jobs that arrive. It
//! returns a [`Report`]: throughput, latency percentiles, use of devices and memory, concurrency and
//! latency per stage, and the constraint that binds, as text, JSON or a waterfall chart. [`plan`]
//! answers an operator's questions with several simulations: how many workers, how much memory, what
//! to buy.
//!
//! # Example
//!
//! Four jobs of 2 s each on two CPU workers:
//!
//! ```
//! use athanor_simulator::{Scenario, simulate};
//!
//! let scenario = Scenario::from_toml(
//!     r#"
//!     title = "two workers"
//!
//!     [machine]
//!     threads = 2
//!     memory = "16 GiB"
//!
//!     [[cpu]]
//!     lanes = 2
//!
//!     [[circuit]]
//!     name = "small"
//!
//!     [[circuit.stage]]
//!     name = "prove"
//!     threads = 1
//!     seconds = 2.0
//!     peak = "1 GiB"
//!
//!     [[jobs]]
//!     circuit = "small"
//!     count = 4
//!     "#,
//! )?;
//! let report = simulate(&scenario)?;
//! assert_eq!(report.jobs.complete, 4);
//! assert_eq!(report.simulated_seconds, 4.0);
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It runs no prover and does not wait: time jumps from event to event. Service times are inputs; they
//! may depend on the number of runs at once ([`curve`]). It does not model the operating system, page
//! faults or other programs, so a simulated figure is about the schedule, not about a real machine.
//! The trace is streamed into sums and histograms, so memory grows with the number of open jobs, not
//! with the number of finished ones.

mod bounds;
mod crowd;
pub mod curve;
mod model;
mod plan;
mod report;
mod rng;
pub mod scenario;
mod simulation;

pub use bounds::{Bound, Constraint};
pub use plan::{Capacity, Formula, Memory, Plan, Purchase, Workers, plan};
pub use report::{Input, JobCounts, Latency, PartRow, Report, StageLine, WorkerLine};
pub use scenario::{Scenario, ScenarioError};
pub use simulation::SimulationError;

use athanor_scheduler::Trace;
use athanor_telemetry::{Stats, Timeline};
use model::Model;
use simulation::Simulation;

/// The number of partitions that the waterfall chart of a report shows.
const ROWS: usize = 120;

/// Why a simulation gave no report.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scenario is invalid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The simulation stopped before all jobs were answered.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Runs a scenario until every job is answered.
///
/// # Errors
///
/// The scenario is invalid, or the simulation stops with unanswered jobs.
pub fn simulate(scenario: &Scenario) -> Result<Report, Error> {
    simulate_with(scenario, |_| {})
}

/// Like [`simulate`], and gives every trace record to `sink`.
///
/// # Errors
///
/// The scenario is invalid, or the simulation stops with unanswered jobs.
pub fn simulate_with(scenario: &Scenario, mut sink: impl FnMut(&Trace)) -> Result<Report, Error> {
    let model = Model::new(scenario)?;
    let mut stats = Stats::new();
    let mut timeline = Timeline::new(ROWS);
    let ran = Simulation::new(scenario, &model).run(|trace| {
        stats.push(trace);
        timeline.push(trace);
        sink(trace);
    })?;
    Ok(Report::new(scenario, &model, ran, &stats, timeline))
}
