//! What work costs, learned per circuit and stage.
//!
//! A manifest's estimates are where it starts; every finished run moves the duration (a moving
//! average) and the peak (the largest seen). No circuit's constants are in the code.

use crate::config::Learning;
use crate::ids::{CircuitId, DeviceClass, Span, StageId};
use crate::job::WorkerNeed;
use crate::memory::{Memory, Profile, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// New runs weigh one in so many, once there are as many.
const MEMORY: u64 = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    runs: u64,
    /// Nanoseconds, moving average.
    took: u64,
    measured: u64,
    peak: Memory,
}

type Class = Option<DeviceClass>;

/// See the module docs.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    learned: BTreeMap<(CircuitId, StageId), Cost>,
    /// Steps accepted and not done: how many, and the manifest's estimate of the latest.
    open: BTreeMap<(CircuitId, StageId, Class), (u64, Span)>,
    steps: u64,
}

impl Costs {
    /// A run took that long and held that much.
    pub(crate) fn learn(
        &mut self,
        circuit: CircuitId,
        stage: StageId,
        took: Span,
        peak: Option<Memory>,
    ) {
        let cost = self.learned.entry((circuit, stage)).or_default();
        cost.runs += 1;
        let weight = cost.runs.min(MEMORY);
        cost.took = cost.took - cost.took / weight + took.0 / weight;
        if let Some(peak) = peak {
            cost.measured += 1;
            cost.peak = cost.peak.max(peak);
        }
    }

    /// The expected duration of a step.
    pub(crate) fn duration(&self, circuit: CircuitId, stage: StageId, estimate: Span) -> Span {
        match self.learned.get(&(circuit, stage)) {
            Some(cost) if cost.runs > 0 => Span(cost.took),
            _ => estimate,
        }
    }

    /// The profile with its peaks moved to what was measured: upwards at once, downwards after
    /// enough runs, never below what a step keeps or was left by the step before.
    pub(crate) fn adjusted(
        &self,
        circuit: CircuitId,
        profile: &Arc<Profile>,
        learning: Learning,
    ) -> Arc<Profile> {
        let mut steps = profile.steps().to_vec();
        let mut changed = false;
        for (at, step) in steps.iter_mut().enumerate() {
            let Some(cost) = self.learned.get(&(circuit, step.stage)) else { continue };
            if cost.measured == 0 || profile.emits() {
                continue;
            }
            let with = |n: u64| n.saturating_add(n / 1000 * u64::from(learning.margin));
            let seen = Memory { host: with(cost.peak.host), pinned: with(cost.peak.pinned) };
            let claim = step.claim;
            let floor = claim.keeps.max(profile.input_of(at));
            let enough = cost.measured >= u64::from(learning.samples);
            let peak = if enough { seen.max(floor) } else { seen.max(claim.peak) };
            changed |= peak != claim.peak;
            step.claim.peak = peak;
        }
        match changed.then(|| Profile::new(steps)) {
            Some(Ok(adjusted)) => Arc::new(adjusted),
            _ => profile.clone(),
        }
    }

    /// Steps were accepted, or are to be done again.
    pub(crate) fn opened(&mut self, circuit: CircuitId, steps: &[Step]) {
        for step in steps {
            let open = self.open.entry((circuit, step.stage, class(step.worker))).or_default();
            *open = (open.0 + 1, step.estimate);
        }
        self.steps += steps.len() as u64;
    }

    /// Steps are done or dropped.
    pub(crate) fn closed(&mut self, circuit: CircuitId, steps: &[Step]) {
        for step in steps {
            let at = (circuit, step.stage, class(step.worker));
            if let Some(open) = self.open.get_mut(&at) {
                open.0 -= 1;
                if open.0 == 0 {
                    self.open.remove(&at);
                }
            }
        }
        self.steps -= steps.len() as u64;
    }

    /// Steps accepted and not done.
    pub(crate) fn open_steps(&self) -> u64 {
        self.steps
    }

    /// How long the busiest kind of worker needs for all open steps.
    pub(crate) fn drain_time(&self, workers: impl Fn(Class) -> usize) -> Span {
        let mut work: BTreeMap<Class, u128> = BTreeMap::new();
        for (&(circuit, stage, class), &(count, estimate)) in &self.open {
            let each = self.duration(circuit, stage, estimate);
            *work.entry(class).or_default() += u128::from(each.0) * u128::from(count);
        }
        let spans = work.into_iter().map(|(class, sum)| sum / workers(class).max(1) as u128);
        Span(u64::try_from(spans.max().unwrap_or(0)).unwrap_or(u64::MAX))
    }
}

fn class(need: WorkerNeed) -> Class {
    match need {
        WorkerNeed::Cpu { .. } => None,
        WorkerNeed::Device { class } => Some(class),
    }
}
