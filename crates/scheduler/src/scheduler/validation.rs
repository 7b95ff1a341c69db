//! Validation of a submitted job: whether it is well formed, and whether this machine could ever
//! run it.

use super::Scheduler;
use crate::ids::{CircuitId, KeyId, Span};
use crate::job::{Growth, JobSpec, PartitionSpec, Refusal, SpecError, WorkerNeed};
use crate::memory::{Memory, Pool, Profile};
use crate::state::{Partition, PartitionState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest claim that is accepted, 2^60 bytes per pool: sums of a few such claims fit in 63
/// bits.
const SANE: Memory = Memory { host: 1 << 60, pinned: 1 << 60 };

impl Scheduler {
    /// Every check that does not depend on the current load. Returns the job's need
    /// ([`Self::need`]).
    pub(super) fn check(
        &self,
        spec: &JobSpec,
        partitions: &[Partition],
    ) -> Result<Memory, Refusal> {
        if !spec.holds.fits(SANE) {
            return Err(SpecError::Overflow.into());
        }
        if let Some(growth) = &spec.growth {
            self.check_count(spec.partitions.len(), growth.total as usize)?;
            if !growth.peak.fits(SANE) {
                return Err(SpecError::Overflow.into());
            }
            if let Some(&key) = growth.keys.iter().find(|key| self.unknown(**key)) {
                return Err(Refusal::UnknownKey { key });
            }
        }
        let live = spec.growth.as_ref().map_or(0, |g| g.live);
        for profile in distinct(partitions) {
            self.check_profile(profile, live)?;
        }
        let need = self.need(partitions, spec.growth.as_ref());
        let all = spec.holds + need;
        let room = self.budgets.capacity(self.budgets.pinned);
        match (0..Pool::SHARED.len()).find(|&pool| all[pool] > room[pool]) {
            Some(at) => {
                let pool = Pool::SHARED[at];
                Err(Refusal::NeverFits { pool, needs: all[at], has: room[at] })
            }
            None => Ok(need),
        }
    }

    fn check_count(&self, has: usize, more: usize) -> Result<(), SpecError> {
        let (has, limit) = (has.saturating_add(more), self.config.max_partitions);
        if has > limit { Err(SpecError::TooManyPartitions { has, limit }) } else { Ok(()) }
    }

    /// Checks one profile: its keys are known, a worker is large enough for each step, and no step
    /// emits more than `live` partitions.
    pub(super) fn check_profile(&self, profile: &Profile, live: u32) -> Result<(), Refusal> {
        if !profile.peak().fits(SANE) {
            return Err(SpecError::Overflow.into());
        }
        for step in profile.steps() {
            if step.emits > live {
                return Err(SpecError::EmitsBeyondBound { emits: step.emits, live }.into());
            }
            if let Some(key) = step.key.filter(|&key| self.unknown(key)) {
                return Err(Refusal::UnknownKey { key });
            }
            let (class, least) = match step.worker {
                WorkerNeed::Cpu { least, .. } => (None, u64::from(least)),
                WorkerNeed::Device { class } => {
                    let key = step.key.and_then(|key| self.keys.get(key));
                    let copy = key.map_or(0, |k| k.spec.device);
                    (Some(class), step.claim.device.saturating_add(copy))
                }
            };
            match (self.workers.could_ever(class, least), class) {
                (Ok(()), _) => {}
                (Err(Some(has)), Some(_)) => {
                    return Err(Refusal::NeverFits { pool: Pool::Device, needs: least, has });
                }
                (Err(_), _) => return Err(Refusal::NoWorker { need: step.worker }),
            }
        }
        Ok(())
    }

    fn unknown(&self, key: KeyId) -> bool {
        self.keys.get(key).is_none_or(|k| k.withdrawn)
    }

    /// The most that one of these partitions, or one that may be added, needs beside its job's own
    /// memory: its peak and the shared copies of its unpinned keys.
    pub(super) fn need(&self, partitions: &[Partition], growth: Option<&Growth>) -> Memory {
        let copy = |key: KeyId| match self.keys.get(key) {
            Some(k) if !k.pinned => k.spec.shared,
            _ => Memory::ZERO,
        };
        let mut most = Memory::ZERO;
        for profile in distinct(partitions) {
            most = most.max(profile.keys().map(copy).fold(profile.peak(), Memory::saturating_add));
        }
        if let Some(growth) = growth {
            let keys = growth.keys.iter().map(|&key| copy(key));
            most = most.max(keys.fold(growth.peak, Memory::saturating_add));
        }
        most
    }

    /// Builds the state of partitions from their specifications, with claims adjusted to
    /// measurements. `from` is the index of the first one; it is linked as a successor of those
    /// among `earlier`, and of the new ones, that it comes after.
    pub(super) fn build(
        &self,
        circuit: CircuitId,
        specs: &[PartitionSpec],
        from: u32,
        earlier: &mut [Partition],
    ) -> Result<Vec<Partition>, SpecError> {
        self.check_count(from as usize, specs.len())?;
        let mut adjusted: BTreeMap<usize, Arc<Profile>> = BTreeMap::new();
        let mut built: Vec<Partition> = Vec::with_capacity(specs.len());
        for (partition, spec) in (from..).zip(specs) {
            if let Some(&after) = spec.after.iter().find(|&&after| after >= partition) {
                return Err(SpecError::AfterLater { partition, after });
            }
            let profile = if from > 0 {
                // Added partitions keep their claims: the job was admitted with the declared bound.
                spec.profile.clone()
            } else {
                let learned = || self.costs.adjusted(circuit, &spec.profile, self.config.learning);
                let shared = Arc::as_ptr(&spec.profile) as usize;
                adjusted.entry(shared).or_insert_with(learned).clone()
            };
            built.push(Partition {
                profile,
                step: 0,
                state: PartitionState::WaitsForPartitions(0),
                failures: 0,
                grown: from > 0,
                started: false,
                holding: None,
                avoid: None,
                emitted: 0,
                successors: Vec::new(),
            });
        }
        for (partition, spec) in (from..).zip(specs) {
            let mut waits = 0;
            for &after in &spec.after {
                let first = match after.checked_sub(from) {
                    Some(own) => &mut built[own as usize],
                    None => &mut earlier[after as usize],
                };
                if first.state != PartitionState::Over {
                    first.successors.push(partition);
                    waits += 1;
                }
            }
            built[(partition - from) as usize].state = PartitionState::WaitsForPartitions(waits);
        }
        Ok(built)
    }

    /// The expected worker time of a job, for fair shares.
    pub(super) fn work_of(&self, circuit: CircuitId, partitions: &[Partition]) -> Span {
        let steps = partitions.iter().flat_map(|p| p.profile.steps());
        let each = steps.map(|s| self.costs.duration(circuit, s.stage, s.estimate).0);
        Span(each.fold(0, u64::saturating_add))
    }
}

/// The profiles without adjacent repetitions: partitions with the same profile stand side by side.
fn distinct(partitions: &[Partition]) -> impl Iterator<Item = &Arc<Profile>> {
    let mut last: Option<&Arc<Profile>> = None;
    partitions.iter().map(|p| &p.profile).filter(move |&profile| {
        let new = last.is_none_or(|last| !Arc::ptr_eq(last, profile));
        last = Some(profile);
        new
    })
}
