//! What to simulate: a machine, circuits, and the work that arrives. Written as TOML.
//!
//! ```toml
//! title = "one GPU, ten workers"
//!
//! [machine]
//! threads = 96              # hardware threads
//! memory = "256 GiB"
//! system = "20 GiB"         # what the rest of the machine holds
//!
//! [[cpu]]                   # lanes: each runs one task at a time
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
    /// One line for tables and pictures.
    pub title: String,
    /// For everything drawn by chance: spread, failures, arrivals, retry jitter.
    #[serde(default = "one")]
    pub seed: u64,
    /// What the lanes stand on.
    pub machine: Machine,
    /// CPU lanes.
    #[serde(default)]
    pub cpu: Vec<CpuLanes>,
    /// Devices.
    #[serde(default)]
    pub device: Vec<Devices>,
    /// Proving keys and other large read-only things.
    #[serde(default)]
    pub key: Vec<Key>,
    /// Kinds of job.
    pub circuit: Vec<Circuit>,
    /// The work.
    pub jobs: Vec<Jobs>,
    /// Choices of the scheduler.
    #[serde(default)]
    pub scheduler: Choices,
}

fn one() -> u64 {
    1
}

/// The machine as far as it is shared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Hardware threads; the CPU lanes together may not have more.
    pub threads: u32,
    /// All memory.
    pub memory: Bytes,
    /// What the system and other programs hold of it.
    #[serde(default)]
    pub system: Bytes,
    /// How much of it is set aside as page-locked memory.
    #[serde(default)]
    pub pinned: Bytes,
    /// How long the journal takes to make a record durable.
    #[serde(default)]
    pub journal_seconds: f64,
}

/// CPU lanes that are alike.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuLanes {
    /// How many.
    pub lanes: u32,
    /// Threads of each.
    #[serde(default = "one_thread")]
    pub threads: u32,
}

fn one_thread() -> u32 {
    1
}

/// Devices that can stand in for each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// Their name in stages.
    pub class: String,
    /// How many.
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
    /// How long it takes to bring it into memory or onto a device.
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
    /// What the job itself holds from its first start to its end.
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
    /// Its name in tables and pictures; stages of the same name are added up, and crowd each other.
    pub name: String,
    /// On a CPU lane, with that many threads: a number, or `[least, most]`.
    #[serde(default)]
    pub threads: Option<Threads>,
    /// On a device of that class.
    #[serde(default)]
    pub device: Option<String>,
    /// How long a run takes, with `most` threads; with fewer it takes longer in proportion.
    pub seconds: Seconds,
    /// Each run takes up to this fraction more or less, evenly.
    #[serde(default)]
    pub spread: f64,
    /// The probability that a run fails and must be tried again.
    #[serde(default)]
    pub failing: f64,
    /// Held while it runs, input included.
    #[serde(default)]
    pub peak: Bytes,
    /// Left for the next stage.
    #[serde(default)]
    pub keeps: Bytes,
    /// The same in page-locked memory.
    #[serde(default)]
    pub peak_pinned: Bytes,
    /// The same in page-locked memory.
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
    /// Which circuit.
    pub circuit: String,
    /// How many.
    pub count: u32,
    /// A client that sends the next job when one is answered, so that this many are open.
    #[serde(default)]
    pub at_a_time: Option<u32>,
    /// One each so many seconds.
    #[serde(default)]
    pub every: Option<f64>,
    /// The same on average, independently of each other (a Poisson process).
    #[serde(default)]
    pub about_every: Option<f64>,
    /// When the first may arrive.
    #[serde(default)]
    pub start: f64,
    /// How urgent.
    #[serde(default)]
    pub class: Class,
    /// Whose, for fair shares.
    #[serde(default)]
    pub tenant: u32,
    /// Seconds after arrival at which a job is worth nothing any more.
    #[serde(default)]
    pub deadline: Option<f64>,
}

/// What an operator would write in the configuration.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// Most partitions started and not done.
    pub in_flight: Option<u32>,
    /// Memory kept for the critical class.
    pub reserve: Bytes,
    /// Most jobs accepted and not answered; without it, as many as there are.
    pub max_jobs: Option<usize>,
    /// Seconds of waiting after which a job rises one class.
    pub ageing: Option<f64>,
}

impl Scenario {
    /// Reads and checks a scenario.
    pub fn from_toml(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::with_settings(text, &[] as &[&str])
    }

    /// The same, with some keys changed first: `"cpu.lanes=5"`, `"machine.memory=512 GiB"`,
    /// `"circuit.porep.prove.seconds=6.5"`. Lists are entered by name, by index, or not at all if
    /// they have one member.
    pub fn with_settings<S: AsRef<str>>(
        text: &str,
        settings: &[S],
    ) -> Result<Scenario, ScenarioError> {
        if text.len() > MOST_TEXT {
            return Err(ScenarioError::TooLong { bytes: text.len(), most: MOST_TEXT });
        }
        let syntax = |e: toml::de::Error| ScenarioError::Syntax(e.to_string());
        // Without settings straight from the text, so that errors name the line.
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

/// A scenario is written by hand.
const MOST_TEXT: usize = 1 << 20;
