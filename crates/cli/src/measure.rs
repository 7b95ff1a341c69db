//! Peak memory and time of a job's stages on an otherwise idle machine.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use athanor_engine::Observer;
use athanor_telemetry::Labels;

/// The measurement of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StageUsage {
    /// Peak bytes beyond what the process held when the stage began; `None` if the system reports none.
    pub(crate) peak: Option<u64>,
    /// Seconds.
    pub(crate) seconds: f64,
}

/// Measures the stages of an engine that runs one job at a time; keeps the last job's.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    base: Option<u64>,
    stages: BTreeMap<u16, StageUsage>,
}

impl Watcher {
    /// The observer for the engine's configuration.
    pub(crate) fn observer(&self) -> Observer {
        let own = self.clone();
        Box::new(move |trace| {
            use athanor_telemetry::TraceEvent;
            match trace.event {
                TraceEvent::Started { .. } => {
                    let resident = status("VmRSS:");
                    own.state(|state| state.base = resident);
                    reset_peak();
                }
                TraceEvent::Finished { stage, took, .. } => {
                    let peak = status("VmHWM:");
                    own.state(|state| {
                        let above =
                            peak.zip(state.base).map(|(peak, base)| peak.saturating_sub(base));
                        let seen = StageUsage { peak: above, seconds: took.as_secs_f64() };
                        state.stages.insert(stage.0, seen);
                    });
                }
                _ => {}
            }
        })
    }

    /// The measurements by stage name.
    pub(crate) fn seen(&self, labels: &Labels) -> BTreeMap<String, StageUsage> {
        let name = |stage: u16| labels.stages.get(usize::from(stage)).cloned();
        self.state(|state| {
            let all = state.stages.iter();
            all.filter_map(|(stage, seen)| Some((name(*stage)?, *seen))).collect()
        })
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Resets the process's peak memory to its current memory.
fn reset_peak() {
    // If the write fails, the peak includes earlier stages: too large, which is safe.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
