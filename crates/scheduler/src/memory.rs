//! Bytes per pool, and the profile of claims a partition makes on its way.
//!
//! The machine has two pools that every partition shares, host and pinned memory, each with a
//! budget. Device memory belongs to one device and is held only while a task runs there; what a
//! step leaves behind lies in host or pinned memory. (Letting a step keep device memory would tie
//! its successors to that device while it may fail or leave; a backend that wants it makes upload
//! and kernel one step.)

use crate::ids::{KeyId, Span, StageId};
use crate::job::{SpecError, WorkerNeed};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Index, IndexMut, Sub, SubAssign};

/// A kind of memory, as named in errors and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Ordinary memory of the machine.
    Host,
    /// Page-locked memory of the machine.
    Pinned,
    /// The memory of one device.
    Device,
}

impl Pool {
    /// The pools with a machine-wide budget, in the order in which [`Memory`] is indexed.
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
    /// Bytes of ordinary memory.
    pub host: u64,
    /// Bytes of page-locked memory.
    pub pinned: u64,
}

impl Memory {
    /// Nothing in either pool.
    pub const ZERO: Memory = Memory { host: 0, pinned: 0 };

    /// Host bytes only.
    pub const fn host(host: u64) -> Memory {
        Memory { host, pinned: 0 }
    }

    /// The larger of the two, pool by pool.
    pub fn max(self, other: Memory) -> Memory {
        Memory { host: self.host.max(other.host), pinned: self.pinned.max(other.pinned) }
    }

    /// Whether both pools have at most the other's bytes.
    pub fn fits(self, within: Memory) -> bool {
        self.host <= within.host && self.pinned <= within.pinned
    }

    /// Pool by pool, never below zero.
    pub fn saturating_sub(self, other: Memory) -> Memory {
        Memory {
            host: self.host.saturating_sub(other.host),
            pinned: self.pinned.saturating_sub(other.pinned),
        }
    }

    /// Pool by pool, `None` where a sum leaves 64 bits.
    pub fn checked_add(self, other: Memory) -> Option<Memory> {
        Some(Memory {
            host: self.host.checked_add(other.host)?,
            pinned: self.pinned.checked_add(other.pinned)?,
        })
    }

    /// Pool by pool, staying at the top where a sum leaves 64 bits.
    pub fn saturating_add(self, other: Memory) -> Memory {
        Memory {
            host: self.host.saturating_add(other.host),
            pinned: self.pinned.saturating_add(other.pinned),
        }
    }

    /// Whether there is nothing in either pool.
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

/// What one step claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// All that the partition holds while the step runs, its input included: at least what the
    /// step before keeps, for a step that fails is tried again from its input.
    pub peak: Memory,
    /// What is left when the step is done and until the next one starts; at most `peak`, and
    /// nothing after the last step (what outlives a partition belongs to [`JobSpec::holds`]).
    ///
    /// [`JobSpec::holds`]: crate::JobSpec::holds
    pub keeps: Memory,
    /// Bytes of device memory while the step runs, its key's copy not included; zero on a CPU worker.
    pub device: u64,
}

/// One step of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// The stage, for costs, trace and pictures.
    pub stage: StageId,
    /// Where it can run.
    #[serde(rename = "lane")]
    pub worker: WorkerNeed,
    /// What it claims.
    #[serde(default)]
    pub claim: Claim,
    /// The key that must be resident.
    #[serde(default)]
    pub key: Option<KeyId>,
    /// The manifest's estimate of one run; measurements replace it.
    pub estimate: Span,
    /// The most partitions that one run of this step may add to the job's graph.
    #[serde(default)]
    pub emits: u32,
}

/// The profile of a partition: its steps in order, each with its claim.
///
/// Checked and summed once, shared by every partition of the same shape (`Arc<Profile>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    steps: Vec<Step>,
    /// `ahead[s]`: the largest peak of the steps `s..`.
    #[serde(skip)]
    ahead: Vec<Memory>,
}

impl Profile {
    /// Checks the steps: at least one, at most 65,535; `keeps` within `peak`, and within the
    /// next `peak`; nothing kept after the last; device memory only on device workers; a step that emits claims nothing of its own.
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

    /// The most that the partition ever holds, pool by pool.
    pub fn peak(&self) -> Memory {
        self.ahead[0]
    }

    /// The most that it may still hold from step `from` to its end, pool by pool.
    pub fn peak_from(&self, from: usize) -> Memory {
        self.ahead.get(from).copied().unwrap_or(Memory::ZERO)
    }

    /// What it holds while it waits for step `step`: what the step before left.
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
