//! `/metrics`, in the Prometheus text format.
//!
//! Metrics of the service and the engine, and three of the Midnight proving skills: `prover_memory_usage_bytes`,
//! `proofs_generated_total` and `proof_generation_duration_seconds`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athanor_engine::{Finished, JobError};

use crate::problem::Problem;
use crate::state::App;

/// Histogram buckets in seconds: those of the Midnight proving skills, with finer ones below.
const BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, CircuitMetrics>>);

#[derive(Default)]
struct CircuitMetrics {
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
        let circuit_metrics = all.entry(circuit.to_owned()).or_default();
        match end {
            Ok(_) => {
                let seconds = took.as_secs_f64();
                circuit_metrics.count += 1;
                circuit_metrics.seconds += seconds;
                for (bucket, bound) in circuit_metrics.buckets.iter_mut().zip(BUCKETS) {
                    *bucket += u64::from(seconds <= bound);
                }
            }
            Err(error) => {
                *circuit_metrics
                    .failed
                    .entry(Problem::from(error.clone()).reason.name())
                    .or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
impl Metrics {
    /// Number of complete jobs of a circuit.
    pub(crate) fn complete(&self, circuit: &str) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(circuit).map_or(0, |circuit_metrics| circuit_metrics.count)
    }
}

/// All metrics as text.
pub(crate) fn render(app: &App) -> String {
    let mut out = MetricsText(String::new());
    // The name of the Midnight proving skills for the memory of the whole process.
    if let Some(resident) = athanor_engine::memory::resident() {
        out.sample("prover_memory_usage_bytes", "gauge", resident);
    }
    if let Some(stats) = app.engine.standing() {
        let gauge = "gauge";
        out.sample("athanor_engine_status_age_seconds", gauge, stats.age.as_secs_f64());
        out.sample("athanor_memory_resident_bytes", gauge, stats.resident);
        out.sample("athanor_memory_budget_bytes", gauge, stats.budget);
        out.sample("athanor_memory_reserved_bytes", gauge, stats.reserved);
        out.sample("athanor_memory_drift_bytes", gauge, stats.drift());
        out.sample("athanor_jobs_open", gauge, stats.open_jobs as u64);
        let (counts, counters) = (stats.stats.counts(), stats.counters);
        let total = "counter";
        out.sample("athanor_jobs_accepted_total", total, counts.accepted);
        out.sample("athanor_jobs_complete_total", total, counts.complete);
        out.sample("athanor_jobs_failed_total", total, counts.failed);
        out.sample("athanor_jobs_cancelled_total", total, counts.cancelled);
        out.sample("athanor_jobs_late_total", total, counts.late);
        out.sample("athanor_retries_total", total, counts.retries);
        out.sample("athanor_key_loads_total", total, counters.key_loads);
        out.sample("athanor_key_evictions_total", total, counters.key_evictions);
        out.sample("athanor_singleflight_joined_total", total, counters.joined);
        out.sample("athanor_cache_hits_total", total, counters.cache_hits);
        out.sample("athanor_self_check_failures_total", total, counters.self_check_failures);
        out.sample("athanor_step_panics_total", total, counters.panics);
        out.sample("athanor_lanes_lost_total", total, counters.lanes_lost);
        out.sample("athanor_quarantines_total", total, counters.quarantines);
        out.sample("athanor_heartbeats_total", total, app.engine.beats());
    }
    let refused = app.refused.load(std::sync::atomic::Ordering::Relaxed);
    out.sample("athanor_admission_rejected_total", "counter", refused);
    let unreadable = app.unreadable.load(std::sync::atomic::Ordering::Relaxed);
    out.sample("athanor_inputs_unreadable", "gauge", unreadable);
    out.sample("athanor_uptime_seconds", "gauge", app.began.elapsed().as_secs());
    out.0.push_str(&app.connections.metrics());
    let all = app.metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    out.kind("proofs_generated_total", "counter");
    for (circuit, circuit_metrics) in all.iter() {
        let name = escape(circuit);
        out.line(
            "proofs_generated_total",
            &format!("circuit_id=\"{name}\",status=\"success\""),
            circuit_metrics.count,
        );
        for (reason, count) in &circuit_metrics.failed {
            let labels = format!("circuit_id=\"{name}\",status=\"error\",reason=\"{reason}\"");
            out.line("proofs_generated_total", &labels, *count);
        }
    }
    out.kind("proof_generation_duration_seconds", "histogram");
    for (circuit, circuit_metrics) in all.iter() {
        let name = escape(circuit);
        for (count, bound) in circuit_metrics.buckets.iter().zip(BUCKETS) {
            let labels = format!("circuit_id=\"{name}\",le=\"{bound}\"");
            out.line("proof_generation_duration_seconds_bucket", &labels, *count);
        }
        let labels = format!("circuit_id=\"{name}\",le=\"+Inf\"");
        out.line("proof_generation_duration_seconds_bucket", &labels, circuit_metrics.count);
        let labels = format!("circuit_id=\"{name}\"");
        out.line("proof_generation_duration_seconds_sum", &labels, circuit_metrics.seconds);
        out.line("proof_generation_duration_seconds_count", &labels, circuit_metrics.count);
    }
    out.0
}

/// Escapes a label's value for the Prometheus text format.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct MetricsText(String);

impl MetricsText {
    fn kind(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        self.kind(name, kind);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }
}
