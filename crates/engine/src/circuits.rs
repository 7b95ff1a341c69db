//! Loaded circuits: the data for planning a submission, and their numbers in the scheduler.

use crate::backend::{About, Circuit, Plan, Shape};
use athanor_scheduler::{
    CircuitId, Claim, JobSpec, KeyId, PartitionSpec, Profile, Span, SpecError, StageId, Step,
    TenantId, Time, WorkerNeed,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Name of the stage that the engine appends to every partition.
pub const CHECK: &str = "check";

/// A loaded circuit with its numbers. A circuit that is loaded again gets new numbers.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) id: CircuitId,
    pub(crate) circuit: Arc<dyn Circuit>,
    pub(crate) about: About,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) keys: Vec<KeyId>,
    /// The scheduler's profile of each shape, including the check.
    pub(crate) profiles: Vec<Arc<Profile>>,
    /// Whether clients can use the circuit.
    ready: AtomicBool,
    closed: AtomicBool,
}

impl Loaded {
    /// Builds the entry of a circuit. `stage` returns the number of a stage's name.
    pub(crate) fn new(
        name: &str,
        id: CircuitId,
        circuit: Arc<dyn Circuit>,
        keys: Vec<KeyId>,
        mut stage: impl FnMut(&str) -> StageId,
    ) -> Result<Loaded, SpecError> {
        let shapes = circuit.shapes();
        let mut profiles = Vec::new();
        for shape in &shapes {
            profiles.push(Arc::new(profile(shape, &keys, &mut stage)?));
        }
        let (name, about) = (name.to_owned(), circuit.about());
        let (ready, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Loaded { name, id, circuit, about, shapes, keys, profiles, ready, closed })
    }

    /// Opens the circuit to clients.
    pub(crate) fn open(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Closes the circuit to new jobs.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The time limit of a step, if it has one. A check has none.
    pub(crate) fn limit(&self, shape: usize, step: usize) -> Option<std::time::Duration> {
        self.shapes.get(shape)?.steps.get(step)?.limit
    }

    /// The scheduler's specification of a plan. `None` if the plan names a shape that does not exist.
    pub(crate) fn spec(
        &self,
        plan: &Plan,
        tenant: TenantId,
        class: athanor_scheduler::Class,
        deadline: Option<Time>,
    ) -> Option<JobSpec> {
        let partition = |part: &crate::PlannedPartition| {
            let profile = self.profiles.get(part.shape)?.clone();
            Some(PartitionSpec { profile, after: part.after.clone() })
        };
        Some(JobSpec {
            circuit: self.id,
            tenant,
            class,
            deadline,
            holds: plan.holds,
            partitions: plan.partitions.iter().map(partition).collect::<Option<_>>()?,
            growth: None,
        })
    }
}

fn profile(
    shape: &Shape,
    keys: &[KeyId],
    stage: &mut impl FnMut(&str) -> StageId,
) -> Result<Profile, SpecError> {
    let step = |step: &crate::Step, stage: StageId| Step {
        stage,
        worker: step.lane,
        claim: step.claim,
        key: step.key.and_then(|key| keys.get(key).copied()),
        estimate: Span(u64::try_from(step.estimate.as_nanos()).unwrap_or(u64::MAX)),
        emits: 0,
    };
    let mut steps: Vec<Step> = shape.steps.iter().map(|s| step(s, stage(&s.stage))).collect();
    steps.push(Step {
        stage: stage(CHECK),
        worker: WorkerNeed::Cpu { least: 1, most: 1 },
        claim: Claim { peak: shape.check_peak, ..Claim::default() },
        key: None,
        estimate: Span(u64::try_from(shape.check_estimate.as_nanos()).unwrap_or(u64::MAX)),
        emits: 0,
    });
    Profile::new(steps)
}

/// Loaded circuits by name, and the numbers of the resident keys. Any thread can read it.
#[derive(Default)]
pub(crate) struct Registry {
    circuits: RwLock<BTreeMap<String, Arc<Loaded>>>,
    resident: RwLock<BTreeSet<KeyId>>,
}

impl Registry {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Loaded>> {
        self.read().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Loaded>> {
        self.read().values().cloned().collect()
    }

    /// Adds a circuit. Returns false if its name is taken.
    pub(crate) fn add(&self, circuit: Arc<Loaded>) -> bool {
        let mut all = self.circuits.write().unwrap_or_else(PoisonError::into_inner);
        match all.entry(circuit.name.clone()) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(circuit);
                true
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Loaded>> {
        self.circuits.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// Records whether a key is in memory.
    pub(crate) fn set_resident(&self, key: KeyId, resident: bool) {
        let mut keys = self.resident.write().unwrap_or_else(PoisonError::into_inner);
        if resident {
            keys.insert(key)
        } else {
            keys.remove(&key)
        };
    }

    /// Whether all keys of a circuit are in memory.
    pub(crate) fn is_resident(&self, circuit: &Loaded) -> bool {
        let keys = self.resident.read().unwrap_or_else(PoisonError::into_inner);
        circuit.keys.iter().all(|key| keys.contains(key))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Loaded>>> {
        self.circuits.read().unwrap_or_else(PoisonError::into_inner)
    }
}
