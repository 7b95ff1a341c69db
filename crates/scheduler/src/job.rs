//! What is submitted: a job as a graph of partitions, each a chain of steps.
//!
//! The graph has two levels. *Inside* a partition, steps follow each other and hand on memory.
//! *Between* partitions there are only "after" edges, and a partition holds nothing until all
//! partitions that it comes after are done. So a partition that holds memory waits for memory, a
//! worker or a key, never for another partition; the safe-state rule of the crate docs depends on
//! that.

use crate::ids::{CircuitId, DeviceClass, KeyId, Span, TenantId, Time};
use crate::memory::{Memory, Pool, Profile};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How urgent a job is. The order of the variants is the order of service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Work with an external time limit, such as winning a block. May use the reserve.
    Critical,
    /// Served before ordinary work.
    High,
    /// Ordinary work.
    #[default]
    Normal,
    /// Served when nothing else is ready; paused under memory pressure.
    Batch,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Batch];

    /// The name used on the wire and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }

    /// The class with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// The kind of worker on which a step can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerNeed {
    /// A CPU worker of at least `least` threads; it uses at most `most` of them.
    Cpu {
        /// The fewest threads, at least one.
        least: u32,
        /// The most threads, at least `least`.
        most: u32,
    },
    /// A device of that class.
    Device {
        /// The class.
        class: DeviceClass,
    },
}

impl fmt::Display for WorkerNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { least, .. } => write!(f, "a CPU worker with at least {least} threads"),
            Self::Device { class } => write!(f, "a device of class {class}"),
        }
    }
}

/// What kind of worker this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKind {
    /// A pool of threads that runs one task at a time.
    Cpu {
        /// The number of threads.
        threads: u32,
    },
    /// A device that runs one task at a time and can hold keys in its memory.
    Device {
        /// Devices of the same class can replace each other.
        class: DeviceClass,
        /// Bytes of device memory that tasks and keys may use.
        memory: u64,
    },
}

/// One partition of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSpec {
    /// Its steps and claims.
    pub profile: Arc<Profile>,
    /// Indices of the partitions that must be done before this one starts; each smaller than its
    /// own.
    #[serde(default)]
    pub after: Vec<u32>,
}

/// How far a job's graph may grow while it runs. Used by a backend whose jobs emit partitions while
/// they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// The most added partitions that may be unfinished at once; a step that would exceed it waits.
    /// [`JobSpec::holds`] includes the data of that many.
    pub live: u32,
    /// The most partitions that may be added in all.
    pub total: u32,
    /// The largest peak, pool by pool, of any added partition.
    pub peak: Memory,
    /// Every key that an added partition may need.
    pub keys: Vec<KeyId>,
}

/// One job as submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The circuit, by which costs are learned.
    pub circuit: CircuitId,
    /// The tenant, for fair shares.
    pub tenant: TenantId,
    /// How urgent it is.
    pub class: Class,
    /// When it must be complete; at that time it is dropped.
    pub deadline: Option<Time>,
    /// The job's own memory, from its first start to its end: its parsed input, what finished
    /// partitions leave until they are assembled, a producer's state, the live data of a growing
    /// graph.
    pub holds: Memory,
    /// The partitions; each comes after only earlier ones.
    pub partitions: Vec<PartitionSpec>,
    /// Set if partitions may be added while the job runs.
    pub growth: Option<Growth>,
}

/// An error in a job's description that does not depend on the machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SpecError {
    /// A job needs a partition.
    #[error("the job has no partitions: give it at least one")]
    NoPartitions,
    /// A partition needs a step.
    #[error("a partition has no steps: give it at least one")]
    NoSteps,
    /// Steps are counted in 16 bits.
    #[error("a partition has {0} steps, at most 65,535 are allowed")]
    TooManySteps(usize),
    /// [`Config::max_partitions`](crate::Config::max_partitions) is exceeded.
    #[error("the job has {has} partitions, at most {limit} are allowed")]
    TooManyPartitions {
        /// How many it has or would have.
        has: usize,
        /// The configured limit.
        limit: usize,
    },
    /// The peak includes what is kept.
    #[error("step {step} keeps more than its peak: the peak includes what is kept")]
    KeepsMoreThanPeak {
        /// The step's index.
        step: usize,
    },
    /// The peak includes the input.
    #[error("step {step} claims less than the step before keeps: the peak includes the input")]
    PeakBelowInput {
        /// The step's index.
        step: usize,
    },
    /// What outlives a partition belongs to the job.
    #[error("the last step keeps memory: what outlives a partition belongs in the job's `holds`")]
    KeepsAfterLast,
    /// Thread bounds out of order.
    #[error(
        "step {step} asks for {least} to {most} threads: `least` must be at least 1 and `most` at least `least`"
    )]
    Threads {
        /// The step's index.
        step: usize,
        /// The fewest threads, as given.
        least: u32,
        /// The most threads, as given.
        most: u32,
    },
    /// Device memory needs a device.
    #[error("step {step} runs on a CPU worker and claims device memory")]
    DeviceMemoryOnCpu {
        /// The step's index.
        step: usize,
    },
    /// A producer waits for its consumers, so it must not hold memory that they need.
    #[error(
        "step {step} claims memory in a partition that emits others: move the claim to the job's `holds`"
    )]
    EmitterClaims {
        /// The step's index.
        step: usize,
    },
    /// A step emits without a growth bound, or one run may exceed the bound.
    #[error("a step emits up to {emits} partitions, the growth bound allows {live} at once")]
    EmitsBeyondBound {
        /// The most that the step may emit in one run.
        emits: u32,
        /// The growth bound; zero without one.
        live: u32,
    },
    /// Edges lead to earlier partitions only, so a cycle cannot be written.
    #[error("partition {partition} comes after partition {after}, which is not an earlier one")]
    AfterLater {
        /// The partition.
        partition: u32,
        /// The partition that it names.
        after: u32,
    },
    /// A claim is larger than 2^60 bytes.
    #[error("a claim is larger than 2^60 bytes")]
    Overflow,
}

/// Why a submit was refused. The scheduler keeps nothing of a refused job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The description is wrong; submitting it again cannot help.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The machine can never have that much memory free.
    #[error("never fits: needs {needs} bytes of {pool}, at most {has} can ever be free")]
    NeverFits {
        /// The pool that is too small.
        pool: Pool,
        /// What the job needs at most: its own memory, a partition's peak and its keys.
        needs: u64,
        /// The most that can ever be free for it.
        has: u64,
    },
    /// None of the workers could run one of its steps.
    #[error("no suitable worker: a step needs {need}")]
    #[serde(rename = "NoLane")]
    NoWorker {
        /// The worker that the step needs.
        need: WorkerNeed,
    },
    /// A step names a key that was not declared, or was withdrawn.
    #[error("key {key} is not declared")]
    UnknownKey {
        /// The key.
        key: KeyId,
    },
    /// The queue is full; a later submit can succeed.
    #[error("busy: try again in {:.1} s", retry_after.as_secs_f64())]
    Busy {
        /// When the queue should have space again, from learned durations.
        retry_after: Span,
    },
    /// The deadline was not in the future.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// The journal failed to record the job; a later submit can succeed.
    #[error("the journal could not record the job: try again")]
    NotRecorded,
    /// A job with that number exists already. Only when restoring.
    #[error("job {job} exists already")]
    Duplicate {
        /// The number.
        job: crate::ids::JobId,
    },
}
