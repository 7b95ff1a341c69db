//! The real scheduler in virtual time: what a machine would do, before it is bought or configured.
//!
//! [`simulate`] runs [`athanor_scheduler::Scheduler`], the same code that runs in production, over a
//! [`Scenario`]: a machine, circuits with their service times and claims, and work that arrives. It
//! answers with a [`Report`]: throughput, latency percentiles, device use, memory, per stage
//! concurrency and latency, and the constraint that binds, told as text, JSON or a waterfall.
//! [`plan`] asks the operator's questions of it: how many workers, how much memory, what to buy.
//!
//! Nothing is sampled and nothing waits: time jumps from event to event. Service times are inputs;
//! they may depend on how many runs there are at once ([`curve`]). The trace is streamed into sums
//! and histograms, so memory grows with the work that is open, not with the work done.
//!
//! What it does not know is what it is not told: the operating system, page faults, other programs.
//! A simulated figure is a statement about the schedule, not about the machine.

mod bounds;
mod crowd;
pub mod curve;
mod model;
mod plan;
mod report;
mod rng;
pub mod scenario;
mod world;

pub use bounds::{Bound, Constraint};
pub use plan::{Capacity, Formula, Memory, Plan, Purchase, Workers, plan};
pub use report::{Input, JobCounts, LaneLine, Latency, PartRow, Report, StageLine};
pub use scenario::{Scenario, ScenarioError};
pub use world::SimulationError;

use athanor_scheduler::Trace;
use athanor_telemetry::{Stats, Timeline};
use model::Model;
use world::World;

/// Partitions that the waterfall of a report shows.
const ROWS: usize = 120;

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scenario makes no sense.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The simulation came to a halt.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Runs a scenario to its last answer.
pub fn simulate(scenario: &Scenario) -> Result<Report, Error> {
    simulate_with(scenario, |_| {})
}

/// The same, showing every trace record to `sink` as it comes.
pub fn simulate_with(scenario: &Scenario, mut sink: impl FnMut(&Trace)) -> Result<Report, Error> {
    let model = Model::new(scenario)?;
    let mut stats = Stats::new();
    let mut timeline = Timeline::new(ROWS);
    let ran = World::new(scenario, &model).run(|trace| {
        stats.push(trace);
        timeline.push(trace);
        sink(trace);
    })?;
    Ok(Report::new(scenario, &model, ran, &stats, timeline))
}
