//! `/metrics`, in the Prometheus text format.
//!
//! Beside the engine's own, the three that users of the Midnight proving skills know.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athanor_engine::{Finished, JobError};

use crate::problem::Problem;
use crate::state::App;

/// The skills' buckets, in seconds, with finer ones below.
const BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, OfCircuit>>);

#[derive(Default)]
struct OfCircuit {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
    failed: BTreeMap<&'static str, u64>,
}

impl Metrics {
    pub(crate) fn ended(
        &self,
        circuit: &str,
        took: Duration,
        end: &Result<Arc<Finished>, JobError>,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(circuit.to_owned()).or_default();
        match end {
            Ok(_) => {
                let seconds = took.as_secs_f64();
                own.count += 1;
                own.seconds += seconds;
                for (bucket, bound) in own.buckets.iter_mut().zip(BUCKETS) {
                    *bucket += u64::from(seconds <= bound);
                }
            }
            Err(error) => {
                *own.failed.entry(Problem::from(error.clone()).reason.name()).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
impl Metrics {
    /// Jobs of a circuit that ended with a proof.
    pub(crate) fn complete(&self, circuit: &str) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(circuit).map_or(0, |own| own.count)
    }
}

/// All metrics as text.
pub(crate) fn render(app: &App) -> String {
    let mut out = Text(String::new());
    // The skills' name: the memory of the whole process.
    if let Some(resident) = athanor_engine::memory::resident() {
        out.one("prover_memory_usage_bytes", "gauge", resident);
    }
    if let Some(standing) = app.engine.standing() {
        let gauge = "gauge";
        out.one("athanor_engine_status_age_seconds", gauge, standing.age.as_secs_f64());
        out.one("athanor_memory_resident_bytes", gauge, standing.resident);
        out.one("athanor_memory_budget_bytes", gauge, standing.budget);
        out.one("athanor_memory_reserved_bytes", gauge, standing.reserved);
        out.one("athanor_memory_drift_bytes", gauge, standing.drift());
        out.one("athanor_jobs_open", gauge, standing.open_jobs as u64);
        let (counts, counters) = (standing.stats.counts(), standing.counters);
        let total = "counter";
        out.one("athanor_jobs_accepted_total", total, counts.accepted);
        out.one("athanor_jobs_complete_total", total, counts.complete);
        out.one("athanor_jobs_failed_total", total, counts.failed);
        out.one("athanor_jobs_cancelled_total", total, counts.cancelled);
        out.one("athanor_jobs_late_total", total, counts.late);
        out.one("athanor_retries_total", total, counts.retries);
        out.one("athanor_key_loads_total", total, counters.key_loads);
        out.one("athanor_key_evictions_total", total, counters.key_evictions);
        out.one("athanor_singleflight_joined_total", total, counters.joined);
        out.one("athanor_cache_hits_total", total, counters.cache_hits);
        out.one("athanor_self_check_failures_total", total, counters.self_check_failures);
        out.one("athanor_step_panics_total", total, counters.panics);
        out.one("athanor_lanes_lost_total", total, counters.lanes_lost);
        out.one("athanor_quarantines_total", total, counters.quarantines);
        out.one("athanor_heartbeats_total", total, app.engine.beats());
    }
    let refused = app.refused.load(std::sync::atomic::Ordering::Relaxed);
    out.one("athanor_admission_rejected_total", "counter", refused);
    let unreadable = app.unreadable.load(std::sync::atomic::Ordering::Relaxed);
    out.one("athanor_inputs_unreadable", "gauge", unreadable);
    out.one("athanor_uptime_seconds", "gauge", app.began.elapsed().as_secs());
    out.0.push_str(&app.connections.metrics());
    let all = app.metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    out.kind("proofs_generated_total", "counter");
    for (circuit, own) in all.iter() {
        let name = escape(circuit);
        out.line(
            "proofs_generated_total",
            &format!("circuit_id=\"{name}\",status=\"success\""),
            own.count,
        );
        for (reason, count) in &own.failed {
            let labels = format!("circuit_id=\"{name}\",status=\"error\",reason=\"{reason}\"");
            out.line("proofs_generated_total", &labels, *count);
        }
    }
    out.kind("proof_generation_duration_seconds", "histogram");
    for (circuit, own) in all.iter() {
        let name = escape(circuit);
        for (count, bound) in own.buckets.iter().zip(BUCKETS) {
            let labels = format!("circuit_id=\"{name}\",le=\"{bound}\"");
            out.line("proof_generation_duration_seconds_bucket", &labels, *count);
        }
        let labels = format!("circuit_id=\"{name}\",le=\"+Inf\"");
        out.line("proof_generation_duration_seconds_bucket", &labels, own.count);
        let labels = format!("circuit_id=\"{name}\"");
        out.line("proof_generation_duration_seconds_sum", &labels, own.seconds);
        out.line("proof_generation_duration_seconds_count", &labels, own.count);
    }
    out.0
}

/// A label's value as Prometheus wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Text(String);

impl Text {
    fn kind(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        self.kind(name, kind);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }
}
