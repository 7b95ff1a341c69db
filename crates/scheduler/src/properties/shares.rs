//! A model of fair shares: start-time fair queueing (Goyal, Vin and Cheng, 1996) over the worker
//! time that jobs are expected to take.

use crate::ids::{CircuitId, Span, StageId, TenantId};
use crate::memory::Step;
use std::collections::BTreeMap;

/// The tenants' shares in virtual time.
#[derive(Debug)]
pub(crate) struct Shares {
    weights: Option<Vec<(TenantId, u32)>>,
    /// By stage: the number of runs and the moving average of their duration.
    took: BTreeMap<(CircuitId, StageId), (u64, u64)>,
    /// Virtual time: the largest tag of a job that has started.
    now: u64,
    /// By tenant: the virtual time at which the work of all its jobs so far ends.
    until: BTreeMap<TenantId, u64>,
}

impl Shares {
    pub(crate) fn new(config: &crate::Config) -> Shares {
        let weights = config.shares.as_ref().map(|shares| shares.weights.clone());
        Shares { weights, took: BTreeMap::new(), now: 0, until: BTreeMap::new() }
    }

    /// The start tag of a tenant's next job: after the work of its other jobs, and not before the
    /// virtual time.
    pub(crate) fn tag(&self, tenant: TenantId) -> u64 {
        match self.weights {
            Some(_) => self.until.get(&tenant).copied().unwrap_or(0).max(self.now),
            None => 0,
        }
    }

    pub(crate) fn accepted<'a>(
        &mut self,
        tenant: TenantId,
        circuit: CircuitId,
        tag: u64,
        steps: impl Iterator<Item = &'a Step>,
    ) {
        let expected = |step: &Step| match self.took.get(&(circuit, step.stage)) {
            Some(&(_, average)) => average,
            None => step.estimate.0,
        };
        let work: u64 = steps.map(expected).sum();
        let weights = self.weights.iter().flatten();
        let weight = weights.clone().find(|w| w.0 == tenant).map_or(1, |w| u64::from(w.1));
        self.until.insert(tenant, tag + (work / weight).max(1));
    }

    pub(crate) fn started(&mut self, tag: u64) {
        self.now = self.now.max(tag);
    }

    pub(crate) fn finished(&mut self, circuit: CircuitId, stage: StageId, took: Span) {
        let (runs, average) = self.took.entry((circuit, stage)).or_default();
        *runs += 1;
        let weight = (*runs).min(16);
        *average = *average - *average / weight + took.0 / weight;
    }
}
