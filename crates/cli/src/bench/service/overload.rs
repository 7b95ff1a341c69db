//! Overload: ten times the service's capacity, from many clients at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Bench, child::Child, client::Client, quantile};
use crate::{
    failure::{Failure, Kind},
    output::answer,
};

/// Offered load, in multiples of the capacity.
const TIMES: f64 = 10.0;
/// The service's memory budget in MiB.
const BUDGET_MIB: u64 = 768;
/// Maximum number of waiting jobs.
const WAITING: usize = 64;
/// Interval between critical jobs.
const CRITICAL_EVERY: Duration = Duration::from_secs(3);

/// The measurements.
pub(super) struct Overload {
    offered: u64,
    accepted: u64,
    busy: u64,
    /// Number of other responses.
    other: u64,
    seconds: f64,
    peak: u64,
    /// Latencies of critical jobs minus their allowed latency, in milliseconds, sorted.
    critical: Vec<f64>,
    /// Latencies of critical jobs.
    critical_latency: Vec<Duration>,
    /// Time from the end of the overload until a job is accepted, and until all jobs are proven.
    accepted_after: Duration,
    idle_after: Duration,
}

#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    accepted: AtomicU64,
    busy: AtomicU64,
    other: AtomicU64,
}

impl Bench<'_> {
    pub(super) fn overload(&self, capacity: f64) -> Result<Overload, Failure> {
        let config = format!(
            "memory-mib = {BUDGET_MIB}\n[limits]\njobs = {WAITING}\nheader-seconds = 300\n"
        );
        let child = Child::start(self, "overload", &config)?;
        let counts = Arc::new(Counts::default());
        let clients = self.args.clients;
        let pause = Duration::from_secs_f64(f64::from(clients) / (TIMES * capacity));
        let lasts = Duration::from_secs(self.args.seconds.into());
        let failed = |error: tokio::task::JoinError| Failure::new(Kind::Internal, error);
        self.runtime.block_on(async {
            let mut connected = Vec::new();
            for _ in 0..clients {
                connected.push(Client::connect(&child.address).await?);
            }
            let began = Instant::now();
            let until = began + lasts;
            let mut tasks = Vec::new();
            for (number, mut client) in connected.into_iter().enumerate() {
                let (counts, witness) = (counts.clone(), self.witness.clone());
                let first = pause.mul_f64(number as f64 / f64::from(clients));
                tasks.push(tokio::spawn(async move {
                    let mut next = began + first;
                    while next < until {
                        tokio::time::sleep_until(next.into()).await;
                        next += pause;
                        counts.offered.fetch_add(1, Ordering::Relaxed);
                        let reply = client.submit(&witness).await?;
                        let typed = reply.body.contains("\"retriable\":true");
                        let count = match reply.status {
                            202 => &counts.accepted,
                            503 if typed => &counts.busy,
                            _ => &counts.other,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), Failure>(())
                }));
            }
            let (mut critical, mut latencies) = (Vec::new(), Vec::new());
            let mut client = Client::connect(&child.address).await?;
            while Instant::now() + CRITICAL_EVERY < until {
                tokio::time::sleep(CRITICAL_EVERY).await;
                let began = Instant::now();
                let reply = client.prove(&self.witness, "critical").await?;
                let took = began.elapsed();
                let own = reply.proven()?;
                // Its own stages, one other job of the same kind at each stage, and a quarter of
                // a second.
                let may = 2 * own + Duration::from_millis(250);
                critical.push(1e3 * (took.as_secs_f64() - may.as_secs_f64()));
                latencies.push(took);
            }
            for task in tasks {
                task.await.map_err(failed)??;
            }
            let (seconds, ended) = (began.elapsed().as_secs_f64(), Instant::now());
            let peak = child.peak();
            while client.submit(&self.witness).await?.status != 202 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let accepted_after = ended.elapsed();
            while !client.get("/v1/status").await?.body.contains("\"open\":0,") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let idle_after = ended.elapsed();
            client.prove(&self.witness, "normal").await?.proven()?;
            critical.sort_by(f64::total_cmp);
            latencies.sort();
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            Ok(Overload {
                offered: read(&counts.offered),
                accepted: read(&counts.accepted),
                busy: read(&counts.busy),
                other: read(&counts.other),
                seconds,
                peak,
                critical,
                critical_latency: latencies,
                accepted_after,
                idle_after,
            })
        })
    }
}

impl Overload {
    fn late(&self) -> usize {
        self.critical.iter().filter(|beyond| **beyond > 0.0).count()
    }

    fn worst(&self) -> f64 {
        self.critical.last().copied().unwrap_or(0.0)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "offered": self.offered,
            "accepted": self.accepted,
            "busy": self.busy,
            "other": self.other,
            "budget_bytes": BUDGET_MIB << 20,
            "peak_bytes": self.peak,
            "critical_jobs": self.critical.len(),
            "critical_late": self.late(),
            "critical_worst_beyond_bound_ms": self.worst(),
            "critical_seconds": {
                "p50": quantile(&self.critical_latency, 0.5).as_secs_f64(),
                "max": quantile(&self.critical_latency, 1.0).as_secs_f64(),
            },
            "accepted_again_seconds": self.accepted_after.as_secs_f64(),
            "idle_again_seconds": self.idle_after.as_secs_f64(),
        })
    }

    pub(super) fn tell(&self) {
        answer(&format!(
            "overload: {} submits in {:.0} s: {} accepted, {} busy (retry later), {} other responses",
            self.offered, self.seconds, self.accepted, self.busy, self.other
        ));
        answer(&format!("  memory: {} MiB at most, of {BUDGET_MIB} MiB", self.peak >> 20));
        answer(&format!(
            "  {} critical jobs: p50 {:.2} s, the longest {:.2} s; {} beyond their own stages, a slot \
             for each and 250 ms (the worst by {:.0} ms)",
            self.critical.len(),
            quantile(&self.critical_latency, 0.5).as_secs_f64(),
            quantile(&self.critical_latency, 1.0).as_secs_f64(),
            self.late(),
            self.worst()
        ));
        answer(&format!(
            "  afterwards: accepted after {:.3} s, all proven after {:.1} s",
            self.accepted_after.as_secs_f64(),
            self.idle_after.as_secs_f64()
        ));
    }
}
