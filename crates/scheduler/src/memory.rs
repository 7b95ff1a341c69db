//! Bytes per memory pool, and the profile of memory claims of a partition.
//!
//! The machine has two pools that all partitions share, host memory and pinned memory, each with a
//! budget. Device memory belongs to one device and is held only while a step runs there; what a
//! step leaves is in host or pinned memory. A step that left data in device memory would bind the
//! next step to a device that may fail or leave, so a backend makes upload and kernel one step.

use crate::ids::{KeyId, Span, StageId};
use crate::job::{SpecError, WorkerNeed};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Index, IndexMut, Sub, SubAssign};

/// A kind of memory, as named in errors and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Host memory.
    Host,
    /// Page-locked host memory.
    Pinned,
    /// The memory of one device.
    Device,
}

impl Pool {
    /// The pools that all partitions share, in the order in which [`Memory`] is indexed.
    pub const SHARED: [Pool; 2] = [Pool::Host, Pool::Pinned];
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pool::Host => "host memory",
            Pool::Pinned => "pinned memory",
            Pool::Device => "device memory",
        })
    }
}

/// Bytes in each of the two shared pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Bytes of host memory.
    pub host: u64,
    /// Bytes of page-locked host memory.
    pub pinned: u64,
}

impl Memory {
    /// No bytes in either pool.
    pub const ZERO: Memory = Memory { host: 0, pinned: 0 };

    /// `host` bytes of host memory and no pinned memory.
    pub const fn host(host: u64) -> Memory {
        Memory { host, pinned: 0 }
    }

    /// The larger value of each pool.
    pub fn max(self, other: Memory) -> Memory {
        Memory { host: self.host.max(other.host), pinned: self.pinned.max(other.pinned) }
    }

    /// Whether each pool has at most the bytes of `within`.
    pub fn fits(self, within: Memory) -> bool {
        self.host <= within.host && self.pinned <= within.pinned
    }

    /// The difference of each pool, at least zero.
    pub fn saturating_sub(self, other: Memory) -> Memory {
        Memory {
            host: self.host.saturating_sub(other.host),
            pinned: self.pinned.saturating_sub(other.pinned),
        }
    }

    /// The sum of each pool; `None` if one exceeds 64 bits.
    pub fn checked_add(self, other: Memory) -> Option<Memory> {
        Some(Memory {
            host: self.host.checked_add(other.host)?,
            pinned: self.pinned.checked_add(other.pinned)?,
        })
    }

    /// The sum of each pool, capped at `u64::MAX`.
    pub fn saturating_add(self, other: Memory) -> Memory {
        Memory {
            host: self.host.saturating_add(other.host),
            pinned: self.pinned.saturating_add(other.pinned),
        }
    }

    /// Whether both pools have no bytes.
    pub fn is_zero(self) -> bool {
        self == Memory::ZERO
    }
}

impl Add for Memory {
    type Output = Memory;
    fn add(self, o: Memory) -> Memory {
        Memory { host: self.host + o.host, pinned: self.pinned + o.pinned }
    }
}

impl Sub for Memory {
    type Output = Memory;
    fn sub(self, o: Memory) -> Memory {
        Memory { host: self.host - o.host, pinned: self.pinned - o.pinned }
    }
}

impl AddAssign for Memory {
    fn add_assign(&mut self, o: Memory) {
        *self = *self + o;
    }
}

impl SubAssign for Memory {
    fn sub_assign(&mut self, o: Memory) {
        *self = *self - o;
    }
}

impl Index<usize> for Memory {
    type Output = u64;
    fn index(&self, pool: usize) -> &u64 {
        match pool {
            0 => &self.host,
            _ => &self.pinned,
        }
    }
}

impl IndexMut<usize> for Memory {
    fn index_mut(&mut self, pool: usize) -> &mut u64 {
        match pool {
            0 => &mut self.host,
            _ => &mut self.pinned,
        }
    }
}

/// The memory that one step claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// All that the partition holds while the step runs, its input included. At least what the step
    /// before keeps, because a failed step is tried again from its input.
    pub peak: Memory,
    /// What the step leaves for the next one, held until that one starts. At most `peak`, and
    /// nothing after the last step: what outlives a partition is part of [`JobSpec::holds`].
    ///
    /// [`JobSpec::holds`]: crate::JobSpec::holds
    pub keeps: Memory,
    /// Bytes of device memory while the step runs, without its key's copy; zero on a CPU worker.
    pub device: u64,
}

/// One step of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// The stage, for learned costs, traces and charts.
    pub stage: StageId,
    /// The kind of worker on which it can run.
    #[serde(rename = "lane")]
    pub worker: WorkerNeed,
    /// The memory it claims.
    #[serde(default)]
    pub claim: Claim,
    /// The key that must be resident while it runs.
    #[serde(default)]
    pub key: Option<KeyId>,
    /// The manifest's estimate of one run's duration; measurements replace it.
    pub estimate: Span,
    /// The most partitions that one run of this step may add to its job. Used by a backend whose
    /// jobs emit partitions while they run; zero otherwise.
    #[serde(default)]
    pub emits: u32,
}

/// A partition's steps in order, each with its claim.
///
/// Checked once and shared by all partitions with the same steps (`Arc<Profile>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    steps: Vec<Step>,
    /// `ahead[s]`: the largest peak of the steps `s..`.
    #[serde(skip)]
    ahead: Vec<Memory>,
}

impl Profile {
    /// Checks the steps and builds a profile.
    ///
    /// # Errors
    ///
    /// There are no steps or more than 65,535; a step keeps more than its peak; a peak is below
    /// what the step before keeps; the last step keeps memory; a CPU step claims device memory or
    /// has invalid thread bounds; a partition that emits claims memory.
    pub fn new(steps: Vec<Step>) -> Result<Profile, SpecError> {
        let last = match steps.len() {
            0 => return Err(SpecError::NoSteps),
            n if n > usize::from(u16::MAX) => return Err(SpecError::TooManySteps(n)),
            n => n - 1,
        };
        let emits = steps.iter().any(|step| step.emits > 0);
        for (at, step) in steps.iter().enumerate() {
            let Claim { peak, keeps, device } = step.claim;
            if !keeps.fits(peak) {
                return Err(SpecError::KeepsMoreThanPeak { step: at });
            }
            if at > 0 && !steps[at - 1].claim.keeps.fits(peak) {
                return Err(SpecError::PeakBelowInput { step: at });
            }
            if at == last && !keeps.is_zero() {
                return Err(SpecError::KeepsAfterLast);
            }
            match step.worker {
                WorkerNeed::Cpu { least, most } => {
                    if least == 0 || most < least {
                        return Err(SpecError::Threads { step: at, least, most });
                    }
                    if device > 0 {
                        return Err(SpecError::DeviceMemoryOnCpu { step: at });
                    }
                }
                WorkerNeed::Device { .. } => {}
            }
            if emits && !peak.is_zero() {
                return Err(SpecError::EmitterClaims { step: at });
            }
        }
        let mut ahead = vec![Memory::ZERO; steps.len()];
        let mut most = Memory::ZERO;
        for (at, step) in steps.iter().enumerate().rev() {
            most = most.max(step.claim.peak);
            ahead[at] = most;
        }
        Ok(Profile { steps, ahead })
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The largest peak of any step, pool by pool.
    pub fn peak(&self) -> Memory {
        self.ahead[0]
    }

    /// The largest peak of the steps from `from` on, pool by pool; zero past the last step.
    pub fn peak_from(&self, from: usize) -> Memory {
        self.ahead.get(from).copied().unwrap_or(Memory::ZERO)
    }

    /// What the partition holds while it waits for step `step`: what the step before keeps.
    pub fn input_of(&self, step: usize) -> Memory {
        step.checked_sub(1).map_or(Memory::ZERO, |before| self.steps[before].claim.keeps)
    }

    /// Whether a step may add partitions to the job.
    pub fn emits(&self) -> bool {
        self.steps.iter().any(|step| step.emits > 0)
    }

    /// The keys that its steps need, each once.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> + '_ {
        let used_before = |upto: usize, key| self.steps[..upto].iter().any(|s| s.key == Some(key));
        self.steps
            .iter()
            .enumerate()
            .filter_map(move |(at, s)| s.key.filter(|&key| !used_before(at, key)))
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Profile, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            steps: Vec<Step>,
        }
        Profile::new(Raw::deserialize(de)?.steps).map_err(serde::de::Error::custom)
    }
}
