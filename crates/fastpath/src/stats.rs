//! Counters, latencies and their export.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::adaptive::Decision;
use crate::block::{Cost, Outcome};
use crate::exec::lane::Slow;
use crate::histogram::LatencyHistogram;
use crate::receipt::{Failure, Path, Status};

/// Maximum number of recorded slow transactions.
const TRACES: usize = 64;

/// A slow transaction, and how it was executed.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowTransaction {
    /// Number of the transaction over all blocks, from 1.
    pub sequence: u64,
    /// Index in its block.
    pub index: u32,
    /// Its duration in nanoseconds: the mean of the batch of transactions that share a clock
    /// reading and of which it is the last.
    pub nanos: u64,
    /// Number of executions.
    pub attempts: u32,
    /// Route of the transaction.
    pub path: Path,
    /// Mode and reason of the largest stretch of its block.
    pub decision: String,
}

/// A snapshot of an executor's counters. Latencies are in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct FastPathStats {
    /// Transactions with a receipt.
    pub total: u64,
    /// Transactions that took effect.
    pub succeeded: u64,
    /// Transactions that aborted themselves.
    pub aborted: u64,
    /// Transactions that the executor refused or ended.
    pub failed: u64,
    /// Transactions on the fast path.
    pub fast: u64,
    /// Transactions on the consensus path.
    pub consensus: u64,
    /// Transactions on the private path.
    pub private: u64,
    /// Transactions refused because their deadline had passed.
    pub dropped: u64,
    /// Executions that were repeated after a conflict or a suspension.
    pub retry_count: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Clock batches with a mean duration of at least [`crate::Config::slow_nanos`]. Each worker
    /// reports at most eight per block.
    pub slow: u64,
    /// Sum of the costs of all blocks.
    pub cost: Cost,
    /// Median latency.
    pub p50_latency_ns: u64,
    /// Latency that 90 % of the transactions do not exceed.
    pub p90_latency_ns: u64,
    /// Latency that 95 % do not exceed.
    pub p95_latency_ns: u64,
    /// Latency that 99 % do not exceed.
    pub p99_latency_ns: u64,
    /// Latency that 99.9 % do not exceed.
    pub p999_latency_ns: u64,
    /// The latest slow transactions, at most 64.
    pub slow_transactions: Vec<SlowTransaction>,
    /// The choices for the last block.
    pub decisions: Vec<Decision>,
}

impl FastPathStats {
    /// Repeated executions per hundred transactions.
    #[must_use]
    pub fn retry_rate(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.retry_count as f64 * 100.0 / self.total as f64 }
    }

    /// Transactions per second of wall-clock time in verification, execution and the update of the
    /// state, over all blocks.
    #[must_use]
    pub fn transactions_per_second(&self) -> f64 {
        let nanos = self.cost.verify_ns + self.cost.execute_ns + self.cost.root_ns;
        if nanos == 0 { 0.0 } else { self.total as f64 * 1e9 / nanos as f64 }
    }

    /// A summary of four lines for people.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} transactions in {} blocks ({:.0} per second): {} succeeded, {} aborted, {} failed, \
             {} dropped\nroutes: {} fast, {} consensus, {} private\nretries: {} ({:.2} per hundred)\
             \nlatency ns: p50 {} p90 {} p95 {} p99 {} p99.9 {}",
            self.total,
            self.blocks,
            self.transactions_per_second(),
            self.succeeded,
            self.aborted,
            self.failed,
            self.dropped,
            self.fast,
            self.consensus,
            self.private,
            self.retry_count,
            self.retry_rate(),
            self.p50_latency_ns,
            self.p90_latency_ns,
            self.p95_latency_ns,
            self.p99_latency_ns,
            self.p999_latency_ns,
        )
    }
}

impl Cost {
    /// Adds the counts and durations of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.validations += other.validations;
        self.conflicts += other.conflicts;
        self.suspensions += other.suspensions;
        self.serial += other.serial;
        self.sharded += other.sharded;
        self.declared += other.declared;
        self.followed += other.followed;
        self.optimistic += other.optimistic;
        self.verify_ns += other.verify_ns;
        self.execute_ns += other.execute_ns;
        self.root_ns += other.root_ns;
    }
}

/// The counters of an executor.
#[derive(Default)]
pub(crate) struct Ledger {
    stats: FastPathStats,
    pub(crate) latency: LatencyHistogram,
    traces: VecDeque<SlowTransaction>,
    batches: Vec<u64>,
}

impl Ledger {
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        let stats = &mut self.stats;
        for receipt in &outcome.receipts {
            match &receipt.status {
                Status::Success => stats.succeeded += 1,
                Status::Aborted { .. } => stats.aborted += 1,
                Status::Failed(failure) => {
                    stats.failed += 1;
                    stats.dropped += u64::from(matches!(**failure, Failure::Expired { .. }));
                }
            }
            match receipt.path {
                Path::Fast => stats.fast += 1,
                Path::Consensus => stats.consensus += 1,
                Path::Private => stats.private += 1,
            }
        }
        stats.total += outcome.receipts.len() as u64;
        stats.blocks += 1;
        stats.retry_count += outcome.cost.conflicts + outcome.cost.suspensions;
        stats.cost.add(&outcome.cost);
        stats.decisions.clone_from(&outcome.decisions);
        self.batches.clone_from(&outcome.partitions);
    }

    pub(crate) fn note_slow(&mut self, slow: Slow, base: u64, outcome: &Outcome) {
        self.stats.slow += 1;
        if self.traces.len() == TRACES {
            self.traces.pop_front();
        }
        let decision = outcome.decisions.iter().max_by_key(|decision| decision.count);
        self.traces.push_back(SlowTransaction {
            sequence: base + u64::from(slow.index),
            index: slow.index,
            nanos: slow.nanos,
            attempts: slow.attempts,
            path: outcome.receipts[slow.index as usize].path,
            decision: decision.map_or_else(
                || "serial: as asked for".to_owned(),
                |decision| format!("{}: {}", decision.mode, decision.reason),
            ),
        });
    }

    pub(crate) fn stats(&self) -> FastPathStats {
        let at = |q| self.latency.percentile(q);
        FastPathStats {
            p50_latency_ns: at(0.5),
            p90_latency_ns: at(0.9),
            p95_latency_ns: at(0.95),
            p99_latency_ns: at(0.99),
            p999_latency_ns: at(0.999),
            slow_transactions: self.traces.iter().cloned().collect(),
            ..self.stats.clone()
        }
    }

    pub(crate) fn export_prometheus(&self, resident_bytes: usize) -> String {
        let mut text = String::new();
        let stats = self.stats();
        let one = |value: u64| [(String::new(), value as f64)];
        metric(
            &mut text,
            "fastpath_txns_total",
            "counter",
            "Transactions with a receipt.",
            &one(stats.total),
        );
        let quantiles = [0.5, 0.9, 0.95, 0.99, 0.999].map(|q| {
            let millis = self.latency.percentile(q) as f64 / 1e6;
            (format!("{{quantile=\"{q}\"}}"), millis)
        });
        metric(&mut text, "fastpath_latency_ms", "summary", "Milliseconds on a lane.", &quantiles);
        let of_latency = [
            ("fastpath_latency_ms_sum", self.latency.mean() * self.latency.count() as f64 / 1e6),
            ("fastpath_latency_ms_count", self.latency.count() as f64),
        ];
        for (name, value) in of_latency {
            let _ = writeln!(text, "{name} {value}");
        }
        metric(
            &mut text,
            "fastpath_retries_total",
            "counter",
            "Repeated executions.",
            &one(stats.retry_count),
        );
        metric(
            &mut text,
            "fastpath_slow_requests_total",
            "counter",
            "Transactions slower than the limit.",
            &one(stats.slow),
        );
        metric(
            &mut text,
            "fastpath_dropped_total",
            "counter",
            "Deadlines passed.",
            &one(stats.dropped),
        );
        let batches: Vec<_> = self
            .batches
            .iter()
            .enumerate()
            .map(|(i, &size)| (format!("{{partition=\"{i}\"}}"), size as f64))
            .collect();
        metric(
            &mut text,
            "fastpath_batch_size",
            "gauge",
            "Transactions of the last block in the partition.",
            &batches,
        );
        metric(
            &mut text,
            "fastpath_memory_usage_bytes",
            "gauge",
            "Bytes of resident entries.",
            &one(resident_bytes as u64),
        );
        let paths =
            [("fast", stats.fast), ("consensus", stats.consensus), ("private", stats.private)]
                .map(|(path, n)| (format!("{{path=\"{path}\"}}"), n as f64));
        metric(&mut text, "fastpath_path_txns_total", "counter", "Transactions by route.", &paths);
        let modes = [
            ("serial", stats.cost.serial),
            ("shards", stats.cost.sharded),
            ("declared", stats.cost.declared),
            ("optimistic", stats.cost.optimistic),
        ]
        .map(|(mode, n)| (format!("{{mode=\"{mode}\"}}"), n as f64));
        metric(&mut text, "fastpath_mode_txns_total", "counter", "Transactions by mode.", &modes);
        text
    }
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
