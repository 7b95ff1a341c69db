//! Scenarios: a machine, circuits, and the jobs that arrive, written as TOML.
//!
//! ```toml
//! title = "one GPU, ten workers"
//!
//! [machine]
//! threads = 96              # hardware threads
//! memory = "256 GiB"
//! system = "20 GiB"         # what the rest of the machine holds
//!
//! [[cpu]]                   # CPU workers: each runs one task at a time
//! lanes = 10
//! threads = 1
//!
//! [[device]]
//! class = "gpu"
//! count = 1
//! memory = "16 GiB"
//!
//! [[key]]
//! name = "srs"
//! memory = "44 GiB"
//!
//! [[circuit]]
//! name = "porep"
//! partitions = 10
//!
//! [[circuit.stage]]
//! name = "synthesize"
//! threads = 1               # or [least, most]
//! seconds = { form = "shared", points = [[1, 29.0], [12, 51.0]] }
//! peak = "19.4 GiB"         # held while it runs, its input included
//! keeps = "13.6 GiB"        # left for the next stage
//!
//! [[circuit.stage]]
//! name = "prove"
//! device = "gpu"
//! key = "srs"
//! seconds = 3.0
//! peak = "13.6 GiB"
//!
//! [[jobs]]
//! circuit = "porep"
//! count = 60
//! at_a_time = 3             # or every = 30.0, or about_every = 30.0; else all at the start
//! ```
//!
//! Times are seconds. Sizes are bytes, or text with a unit (`KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`,
//! `GB`, `TB`). Unknown keys are errors.

mod check;
mod error;
mod set;
#[cfg(test)]
mod tests;
mod units;

pub(crate) use check::{check, curve};
pub use error::ScenarioError;
pub use units::{Bytes, Seconds, Threads};

use crate::model::Model;
use athanor_scheduler::Class;
use serde::Deserialize;

/// A scenario. See the module docs for the format.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line for tables and charts.
    pub title: String,
    /// Seed of all random values: spread, failures, arrivals, retry jitter.
    #[serde(default = "one")]
    pub seed: u64,
    /// The machine.
    pub machine: Machine,
    /// CPU workers.
    #[serde(default)]
    pub cpu: Vec<CpuWorkers>,
    /// Devices.
    #[serde(default)]
    pub device: Vec<Devices>,
    /// Proving keys and other large read-only data.
    #[serde(default)]
    pub key: Vec<Key>,
    /// Kinds of job.
    pub circuit: Vec<Circuit>,
    /// The jobs that arrive.
    pub jobs: Vec<Jobs>,
    /// Scheduler configuration.
    #[serde(default)]
    pub scheduler: Choices,
}

fn one() -> u64 {
    1
}

/// The machine's shared resources.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Hardware threads; the CPU workers together have at most that many.
    pub threads: u32,
    /// All memory.
    pub memory: Bytes,
    /// Memory that the system and other programs hold.
    #[serde(default)]
    pub system: Bytes,
    /// Memory set aside as page-locked memory.
    #[serde(default)]
    pub pinned: Bytes,
    /// How long the journal takes to make a record durable.
    #[serde(default)]
    pub journal_seconds: f64,
}

/// A group of equal CPU workers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuWorkers {
    /// The number of workers; `lanes` in the file.
    #[serde(rename = "lanes")]
    pub workers: u32,
    /// Threads of each worker.
    #[serde(default = "one_thread")]
    pub threads: u32,
}

fn one_thread() -> u32 {
    1
}

/// Devices that can replace each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// Their name in stages.
    pub class: String,
    /// The number of devices.
    #[serde(default = "one_thread")]
    pub count: u32,
    /// Bytes of each that tasks and keys may use.
    #[serde(default)]
    pub memory: Bytes,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in stages.
    pub name: String,
    /// Ordinary memory of the shared copy.
    #[serde(default)]
    pub memory: Bytes,
    /// Page-locked memory of the shared copy.
    #[serde(default)]
    pub pinned: Bytes,
    /// Memory of a copy on a device.
    #[serde(default)]
    pub device: Bytes,
    /// Seconds that a load into memory or onto a device takes.
    #[serde(default)]
    pub load_seconds: f64,
    /// Never evicted.
    #[serde(default)]
    pub stay: bool,
}

/// A kind of job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circuit {
    /// Its name in jobs.
    pub name: String,
    /// Partitions, each going through all stages.
    #[serde(default = "one_thread")]
    pub partitions: u32,
    /// The job's own memory, from its first start to its end.
    #[serde(default)]
    pub holds: Bytes,
    /// The stages of a partition, in order.
    pub stage: Vec<Stage>,
    /// Stages that run once, after all partitions are done.
    #[serde(default)]
    pub finish: Vec<Stage>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name in tables and charts; stages of the same name are added up and slow each other
    /// down.
    pub name: String,
    /// Runs on a CPU worker with that many threads: a number, or `[least, most]`.
    #[serde(default)]
    pub threads: Option<Threads>,
    /// Runs on a device of that class.
    #[serde(default)]
    pub device: Option<String>,
    /// Duration of a run with `most` threads; with fewer threads it is longer in proportion.
    pub seconds: Seconds,
    /// The duration of a run varies evenly by up to this fraction.
    #[serde(default)]
    pub spread: f64,
    /// The probability that a run fails and must be tried again.
    #[serde(default)]
    pub failing: f64,
    /// Memory held while it runs, its input included.
    #[serde(default)]
    pub peak: Bytes,
    /// Memory left for the next stage.
    #[serde(default)]
    pub keeps: Bytes,
    /// `peak` in page-locked memory.
    #[serde(default)]
    pub peak_pinned: Bytes,
    /// `keeps` in page-locked memory.
    #[serde(default)]
    pub keeps_pinned: Bytes,
    /// Device memory while it runs, key not included.
    #[serde(default)]
    pub device_memory: Bytes,
    /// The key that must be resident.
    #[serde(default)]
    pub key: Option<String>,
}

/// Jobs of one kind and how they arrive.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// The circuit's name.
    pub circuit: String,
    /// The number of jobs.
    pub count: u32,
    /// Keep this many jobs open: the next one arrives when one is answered.
    #[serde(default)]
    pub at_a_time: Option<u32>,
    /// Seconds between two arrivals.
    #[serde(default)]
    pub every: Option<f64>,
    /// Mean seconds between two arrivals of a Poisson process.
    #[serde(default)]
    pub about_every: Option<f64>,
    /// Seconds before the first arrival.
    #[serde(default)]
    pub start: f64,
    /// The class.
    #[serde(default)]
    pub class: Class,
    /// The tenant, for fair shares.
    #[serde(default)]
    pub tenant: u32,
    /// Seconds from a job's arrival to its deadline.
    #[serde(default)]
    pub deadline: Option<f64>,
}

/// The scheduler's configuration, as far as a scenario sets it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// The most partitions started and not done.
    pub in_flight: Option<u32>,
    /// Memory reserved for the critical class.
    pub reserve: Bytes,
    /// The most jobs accepted and not answered; without it, all jobs of the scenario.
    pub max_jobs: Option<usize>,
    /// Seconds after which a waiting job rises one class.
    pub ageing: Option<f64>,
}

impl Scenario {
    /// Reads and checks a scenario.
    pub fn from_toml(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::with_settings(text, &[] as &[&str])
    }

    /// Reads and checks a scenario after changing some keys, such as `"cpu.lanes=5"`,
    /// `"machine.memory=512 GiB"` or `"circuit.porep.prove.seconds=6.5"`. A list member is given by
    /// name or index, or left out if the list has one member.
    pub fn with_settings<S: AsRef<str>>(
        text: &str,
        settings: &[S],
    ) -> Result<Scenario, ScenarioError> {
        if text.len() > MOST_TEXT {
            return Err(ScenarioError::TooLong { bytes: text.len(), most: MOST_TEXT });
        }
        let syntax = |e: toml::de::Error| ScenarioError::Syntax(e.to_string());
        // Without settings the text is read directly, so that errors name the line.
        let scenario: Scenario = if settings.is_empty() {
            toml::from_str(text).map_err(syntax)?
        } else {
            let mut table: toml::Table = toml::from_str(text).map_err(syntax)?;
            for setting in settings {
                set::apply(&mut table, setting.as_ref())?;
            }
            table.try_into().map_err(syntax)?
        };
        Model::new(&scenario)?;
        Ok(scenario)
    }

    /// The bytes that jobs, partitions and keys may hold together.
    pub fn budget(&self) -> u64 {
        self.machine.memory.0.saturating_sub(self.machine.system.0)
    }
}

/// The longest scenario text, in bytes.
const MOST_TEXT: usize = 1 << 20;
