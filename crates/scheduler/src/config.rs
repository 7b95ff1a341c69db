//! Limits and policies, each with a default.

use crate::ids::{Span, TenantId};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// Everything that can be chosen. `Config::default()` has no memory: set `budget`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// All the memory that jobs, partitions and host keys may hold together.
    pub budget: Memory,
    /// The part of the budget that only the critical class may use. One partition of the largest
    /// critical circuit ([`Profile::peak`]) plus its job's own hold is a good size.
    ///
    /// [`Profile::peak`]: crate::Profile::peak
    pub reserve: Memory,
    /// Most jobs accepted and not yet answered.
    pub max_jobs: usize,
    /// Most steps of accepted jobs that are not yet done.
    pub max_tasks: usize,
    /// Most partitions of one job, added ones included.
    pub max_partitions: usize,
    /// Most partitions started and not yet done, over all jobs, producers not counted: the
    /// machine's credits.
    pub in_flight: u32,
    /// Most keys being read into host memory at once.
    pub loads: u32,
    /// How failed work is tried again.
    pub retry: Retry,
    /// When memory pressure steps are taken.
    pub pressure: Pressure,
    /// How claims follow measurements.
    pub learning: Learning,
    /// Shares between tenants inside a class; without them age alone decides.
    pub shares: Option<Shares>,
    /// After that long a waiting job rises one class, up to high; never without it.
    pub ageing: Option<Span>,
    /// The shortest and the longest `retry_after` ever told.
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

/// Thresholds in thousandths of the budget that resident memory must blocked_on for each step. A step
/// is taken back when it falls `slack` below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pressure {
    /// Idle keys are evicted.
    pub evict: u32,
    /// Besides, the batch class starts nothing fresh.
    pub pause: u32,
    /// Besides, at most half of the partitions in flight at that moment may be in flight.
    pub shrink: u32,
    /// Hysteresis.
    pub slack: u32,
}

impl Default for Pressure {
    fn default() -> Pressure {
        Pressure { evict: 940, pause: 970, shrink: 1000, slack: 30 }
    }
}

/// How the claims of jobs yet to come follow what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learning {
    /// Runs of a stage after which the largest measured peak replaces the manifest's, downwards as
    /// well as upwards. Upwards it does so from the first run.
    pub samples: u32,
    /// Thousandths added to a measured peak.
    pub margin: u32,
}

impl Default for Learning {
    fn default() -> Learning {
        Learning { samples: 16, margin: 50 }
    }
}

/// Weighted fair shares of worker time between tenants (start-time fair queueing: Goyal, Vin and
/// Cheng, 1996), job by job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Weights of named tenants; everyone else has weight 1. Zero counts as 1.
    pub weights: Vec<(TenantId, u32)>,
}
