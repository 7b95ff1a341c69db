//! Durations and peaks of work, learned per circuit and stage.
//!
//! The manifest's estimates hold until the first run of a stage. Every finished run then moves the
//! duration (a moving average) and the peak (the largest measured one).

use crate::config::Learning;
use crate::ids::{CircuitId, DeviceClass, Span, StageId};
use crate::job::WorkerNeed;
use crate::memory::{Memory, Profile, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weight of a new run in the moving average: 1/16, or 1/n for the n-th run before that.
const MEMORY: u64 = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    runs: u64,
    /// Moving average of the duration, in nanoseconds.
    took: u64,
    measured: u64,
    peak: Memory,
}

type Class = Option<DeviceClass>;

/// Learned costs, and the steps that are accepted and not done.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    learned: BTreeMap<(CircuitId, StageId), Cost>,
    /// By stage: the number of steps accepted and not done, and the latest of their estimates.
    open: BTreeMap<(CircuitId, StageId, Class), (u64, Span)>,
    steps: u64,
}

impl Costs {
    /// Learns from one run: its duration, and its peak if it was measured.
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

    /// The profile with its peaks replaced by measured ones: a larger peak at once, a smaller one
    /// after [`Learning::samples`] runs, and never below what the step keeps or takes over from the
    /// step before.
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

    /// Counts steps that were accepted, or must be done again.
    pub(crate) fn opened(&mut self, circuit: CircuitId, steps: &[Step]) {
        for step in steps {
            let open = self.open.entry((circuit, step.stage, class(step.worker))).or_default();
            *open = (open.0 + 1, step.estimate);
        }
        self.steps += steps.len() as u64;
    }

    /// Uncounts steps that are done or dropped.
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

    /// The number of steps accepted and not done.
    pub(crate) fn open_steps(&self) -> u64 {
        self.steps
    }

    /// The time until all open steps are done, for the kind of worker where that is longest.
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
