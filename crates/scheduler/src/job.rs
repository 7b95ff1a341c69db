//! What is submitted: a job as a graph of partitions, each a chain of steps.
//!
//! The general form would be any graph of tasks with claims on each. It is cut in two on purpose:
//! *inside* a partition steps follow each other and hand on memory; *between* partitions there are
//! only "after" edges, and a partition holds nothing before all that it comes after is done. So a
//! partition that holds memory waits for memory, a worker or a key, never for another partition, and
//! that is what makes the safe-state argument of the crate docs go through.

use crate::ids::{CircuitId, DeviceClass, KeyId, Span, TenantId, Time};
use crate::memory::{Memory, Pool, Profile};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How urgent a job is. The order of the variants is the order of service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Missing it costs money now (a block to win). May use the reserve.
    Critical,
    /// Ahead of ordinary work.
    High,
    /// Ordinary work.
    #[default]
    Normal,
    /// When nothing else wants the machine; paused under memory pressure.
    Batch,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Batch];

    /// Its name on the wire and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// Where a step can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerNeed {
    /// A CPU worker of at least `least` threads; more than `most` are of no use to it.
    Cpu {
        /// Fewest threads, at least one.
        least: u32,
        /// Most threads, at least `least`.
        most: u32,
    },
    /// A device of that class.
    Device {
        /// The class.
        class: DeviceClass,
    },
}

/// What a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKind {
    /// A pool of threads that runs one task at a time.
    Cpu {
        /// Its threads.
        threads: u32,
    },
    /// A device that runs one task at a time, and keeps keys.
    Device {
        /// What it can stand in for.
        class: DeviceClass,
        /// Bytes of device memory that tasks and keys may use.
        memory: u64,
    },
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSpec {
    /// Its steps and claims.
    pub profile: Arc<Profile>,
    /// Indices of the partitions that must be done before it; each smaller than its own.
    #[serde(default)]
    pub after: Vec<u32>,
}

/// How far a graph may grow while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// The most added partitions that may be unfinished at once: the producer waits at it.
    /// [`JobSpec::holds`] pays for the data of that many.
    pub live: u32,
    /// The most partitions that may be added in all.
    pub total: u32,
    /// The largest peak, pool by pool, of any partition to be added.
    pub peak: Memory,
    /// Every key that an added partition may need.
    pub keys: Vec<KeyId>,
}

/// One job as submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The circuit, for learned costs.
    pub circuit: CircuitId,
    /// Whose it is, for fair shares.
    pub tenant: TenantId,
    /// How urgent it is.
    pub class: Class,
    /// When it must be complete; after that it is dropped.
    pub deadline: Option<Time>,
    /// What the job itself holds from its first start to its end: its parsed input, what finished
    /// partitions leave until they are assembled, a producer's state, the live data of a growing
    /// graph.
    pub holds: Memory,
    /// The partitions, in an order in which each comes after only earlier ones.
    pub partitions: Vec<PartitionSpec>,
    /// Present if partitions may be added while it runs.
    pub growth: Option<Growth>,
}

/// Why a job's description makes no sense, whatever the machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SpecError {
    /// A job needs a partition.
    #[error("the job has no partitions: give it at least one")]
    NoPartitions,
    /// A partition needs a step.
    #[error("a partition has no steps: give it at least one")]
    NoSteps,
    /// Steps are counted in 16 bits.
    #[error("a partition has {0} steps: at most 65,535 are possible")]
    TooManySteps(usize),
    /// A graph is bounded.
    #[error("the job has {has} partitions where at most {limit} are allowed")]
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
    #[error("step {step} wants {least} to {most} threads: at least one, and most >= least")]
    Threads {
        /// The step's index.
        step: usize,
        /// As given.
        least: u32,
        /// As given.
        most: u32,
    },
    /// Device memory needs a device.
    #[error("step {step} runs on a CPU worker and claims device memory")]
    DeviceMemoryOnCpu {
        /// The step's index.
        step: usize,
    },
    /// A producer may have to wait for its consumers, so it may hold nothing they need.
    #[error("step {step} is in a partition that emits, and claims memory: put it in `holds`")]
    EmitterClaims {
        /// The step's index.
        step: usize,
    },
    /// An emitting step in a job without a bound, or one whose single run passes the bound.
    #[error("a step emits up to {emits} partitions and the growth bound allows {live} at once")]
    EmitsBeyondBound {
        /// What the step may emit in one run.
        emits: u32,
        /// What the job's growth bound allows; zero without one.
        live: u32,
    },
    /// Edges point backwards, so that no cycle can be written.
    #[error("partition {partition} comes after partition {after}, which is not an earlier one")]
    AfterLater {
        /// The partition.
        partition: u32,
        /// What it names.
        after: u32,
    },
    /// Sums of claims leave 64 bits.
    #[error("the claims do not fit in 64 bits")]
    Overflow,
}

/// Why a submit was refused. Nothing was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The description itself is wrong; sending it again cannot help.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It can never run here: no state of this machine has that much.
    #[error("never fits: needs {needs} bytes of {pool} where at most {has} can ever be free")]
    NeverFits {
        /// The pool that is too small.
        pool: Pool,
        /// What the job needs at its largest moment: its own hold, a partition's peak, its keys.
        needs: u64,
        /// The most that can ever be free for it.
        has: u64,
    },
    /// No worker that is here could run one of its steps.
    #[error("no worker here can run it: {need:?}")]
    #[serde(rename = "NoLane")]
    NoWorker {
        /// What the step wants.
        need: WorkerNeed,
    },
    /// A step names a key nobody declared.
    #[error("key {key} is not known: declare it first")]
    UnknownKey {
        /// The key.
        key: KeyId,
    },
    /// The queue is full; a retry can help.
    #[error("busy: come back in {:.1} s", retry_after.as_secs_f64())]
    Busy {
        /// When a place should be free, from learned costs.
        retry_after: Span,
    },
    /// It was too late before it began.
    #[error("its deadline has passed")]
    DeadlinePassed,
    /// The journal could not take it; a retry can help.
    #[error("the journal could not record it")]
    NotRecorded,
    /// The scheduler already has a job under that number (only when restoring).
    #[error("job {job} is already here")]
    Duplicate {
        /// The number.
        job: crate::ids::JobId,
    },
}
