//! Counters that nothing else in the trace gives.

use crate::backend::TaskError;
use athanor_scheduler::{Failure, TraceEvent};

/// What happened since the engine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Events the scheduler took in.
    pub events: u64,
    /// Requests that shared a job under way.
    pub joined: u64,
    /// Requests answered from the proof cache.
    pub cache_hits: u64,
    /// Results that did not verify, and never left.
    pub self_check_failures: u64,
    /// Steps that panicked.
    pub panics: u64,
    /// Worker processes that died in a step.
    pub workers_died: u64,
    /// Runs that took longer than their circuit allows.
    pub over_limit: u64,
    /// Lanes given up because what ran there did not stop.
    pub lanes_lost: u64,
    /// Reports about runs that were given up before.
    pub late_reports: u64,
    /// Devices that had to prove themselves.
    pub quarantines: u64,
    /// Keys brought into memory, and given back.
    pub key_loads: u64,
    /// Keys given back.
    pub key_evictions: u64,
}

impl Counters {
    pub(crate) fn see(&mut self, what: &TraceEvent) {
        match what {
            TraceEvent::Quarantined { .. } => self.quarantines += 1,
            TraceEvent::Loaded { .. } => self.key_loads += 1,
            TraceEvent::Evicted { .. } => self.key_evictions += 1,
            _ => {}
        }
    }

    pub(crate) fn fail(&mut self, error: &TaskError) {
        match (error.failure, error.code) {
            (Failure::BadResult, _) => self.self_check_failures += 1,
            (_, "panic") => self.panics += 1,
            (_, "worker-died") => self.workers_died += 1,
            _ => {}
        }
    }
}
