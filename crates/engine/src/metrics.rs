//! Counters of events, also of those that the scheduler's trace does not record.

use crate::backend::TaskError;
use athanor_scheduler::{Failure, TraceEvent};

/// Event counts since the engine's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Events that the scheduler handled.
    pub events: u64,
    /// Requests that joined an equal running job.
    pub joined: u64,
    /// Requests answered from the proof cache.
    pub cache_hits: u64,
    /// Results that did not verify. The engine does not return them.
    pub self_check_failures: u64,
    /// Steps that panicked.
    pub panics: u64,
    /// Child processes that died in a step.
    pub workers_died: u64,
    /// Runs that exceeded the time limit of their step.
    pub over_limit: u64,
    /// Workers replaced because their run did not stop.
    pub lanes_lost: u64,
    /// Reports of runs that the engine had already given up.
    pub late_reports: u64,
    /// Quarantines of devices: a device in quarantine gets no step until its self-test passes.
    pub quarantines: u64,
    /// Keys loaded into memory.
    pub key_loads: u64,
    /// Keys evicted from memory.
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
