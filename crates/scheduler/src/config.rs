//! The scheduler's configuration: limits and policies, each with a default.

use crate::ids::{Span, TenantId};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// All limits and policies. The default has no memory: set `budget`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The memory that jobs, partitions and keys in shared memory may hold together.
    pub budget: Memory,
    /// The part of `budget` that only the critical class may use. A good size is the peak of one
    /// partition of the largest critical circuit ([`Profile::peak`]) plus its job's own memory.
    /// Used by a service that promises latency to critical jobs.
    ///
    /// [`Profile::peak`]: crate::Profile::peak
    pub reserve: Memory,
    /// The most jobs that are accepted and not yet answered.
    pub max_jobs: usize,
    /// The most steps of accepted jobs that are not done.
    pub max_tasks: usize,
    /// The most partitions of one job, added ones included.
    pub max_partitions: usize,
    /// The most partitions started and not done, over all jobs; partitions that emit others do not
    /// count.
    pub in_flight: u32,
    /// The most keys being loaded into shared memory at once.
    pub loads: u32,
    /// How failed work is tried again.
    pub retry: Retry,
    /// When the steps against memory pressure are taken.
    pub pressure: Pressure,
    /// How claims follow measurements.
    pub learning: Learning,
    /// Fair shares of worker time between tenants of the same class; without them, older jobs go
    /// first. Used by a service whose tenants have weights.
    pub shares: Option<Shares>,
    /// How long a job waits before it rises one class, at most to high; `None`: jobs keep their
    /// class. Used by a service whose batch work must not wait forever.
    pub ageing: Option<Span>,
    /// The shortest and the longest `retry_after` that a refusal may name.
    pub busy: (Span, Span),
}

impl Default for Config {
    fn default() -> Config {
        Config {
            budget: Memory::ZERO,
            reserve: Memory::ZERO,
            max_jobs: 10_000,
            max_tasks: 1_000_000,
            max_partitions: 100_000,
            in_flight: u32::MAX,
            loads: 1,
            retry: Retry::default(),
            pressure: Pressure::default(),
            learning: Learning::default(),
            shares: None,
            ageing: None,
            busy: (Span::from_millis(100), Span::from_secs(3600)),
        }
    }
}

/// Exponential backoff with full jitter: before retry `n` the wait is drawn evenly from
/// `0 ..= min(cap, base * 2^(n-1))` (Brooker, "Exponential Backoff And Jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Failures of one partition, or of one key load, after which it has failed for good.
    pub attempts: u32,
    /// The bound of the first wait.
    pub base: Span,
    /// The bound of every wait.
    pub cap: Span,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 4, base: Span::from_millis(250), cap: Span::from_secs(30) }
    }
}

/// Thresholds of resident memory for the steps against memory pressure, in thousandths of the
/// budget. A step is taken back when resident memory falls `slack` below its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pressure {
    /// From here on, idle keys are evicted.
    pub evict: u32,
    /// From here on, the batch class also starts no fresh partition.
    pub pause: u32,
    /// From here on, also at most half of the partitions that were in flight may be in flight.
    pub shrink: u32,
    /// How far below its threshold resident memory must fall for a step to be taken back.
    pub slack: u32,
}

impl Default for Pressure {
    fn default() -> Pressure {
        Pressure { evict: 940, pause: 970, shrink: 1000, slack: 30 }
    }
}

/// How the claims of later jobs follow measured peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learning {
    /// Measured runs of a stage after which the largest measured peak replaces the manifest's even
    /// if it is smaller. A larger one replaces it from the first run.
    pub samples: u32,
    /// Thousandths that are added to a measured peak.
    pub margin: u32,
}

impl Default for Learning {
    fn default() -> Learning {
        Learning { samples: 16, margin: 50 }
    }
}

/// Weighted fair shares of worker time between tenants, job by job (start-time fair queueing:
/// Goyal, Vin and Cheng, 1996).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Weights of named tenants; all others have weight 1. Zero counts as 1.
    pub weights: Vec<(TenantId, u32)>,
}
