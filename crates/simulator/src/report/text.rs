//! The report as text for a terminal.

use super::{PartRow, Report};
use crate::scenario::Bytes;
use std::fmt;

/// A duration in seconds as text, with two or three decimals below 1000 s.
pub(crate) fn secs(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v < 0.01 => format!("{:.2} ms", v * 1e3),
        v if v < 1.0 => format!("{v:.3} s"),
        v if v < 1000.0 => format!("{v:.2} s"),
        v => format!("{v:.0} s"),
    }
}

pub(crate) fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".into())
}

impl Report {
    /// The main figures in one line.
    pub(crate) fn summary(&self) -> String {
        let speed = match self.seconds_per_job {
            Some(s) => format!("{} per job", secs(s)),
            None => format!("{} for {} jobs", secs(self.simulated_seconds), self.jobs.complete),
        };
        let busy =
            self.device_busy.map_or(String::new(), |b| format!(", devices {} busy", percent(b)));
        let peak = Bytes(self.peak_bytes);
        format!(
            "{speed}{busy}, peak {peak} of {}; binding: {}",
            Bytes(self.budget_bytes),
            self.binding
        )
    }

    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds_per_job {
            Some(s) => {
                let rate = 3600.0 / s;
                writeln!(f, "  throughput   {} per job ({rate:.1} jobs/hour)", secs(s))?;
                let above = 100.0 * self.distance_to_bound().unwrap_or(0.0);
                let bound = secs(self.bound_seconds_per_job);
                writeln!(f, "  bound        {bound} per job; measured {above:+.1} % from it")?;
            }
            None => {
                let bound = secs(self.bound_seconds_per_job);
                writeln!(
                    f,
                    "  throughput   - (no steady part: give more jobs; bound {bound} per job)"
                )?;
            }
        }
        writeln!(f, "  binding      {}", self.binding)?;
        let l = &self.latency;
        writeln!(
            f,
            "  latency      mean {}, p50 {}, p90 {}, p99 {}, max {} ({} jobs, {})",
            secs(l.mean),
            secs(l.p50),
            secs(l.p90),
            secs(l.p99),
            secs(l.max),
            l.jobs,
            if l.steady { "steady part" } else { "whole run" }
        )?;
        let busy = or_none(self.device_busy.map(percent));
        writeln!(f, "  device busy  {busy} (steady part)")?;
        writeln!(
            f,
            "  memory       peak {}, mean {}, budget {}",
            Bytes(self.peak_bytes),
            Bytes(self.mean_held_bytes as u64),
            Bytes(self.budget_bytes)
        )?;
        let j = &self.jobs;
        writeln!(
            f,
            "  jobs         {} complete, {} failed, {} late, {} retries, {} times busy",
            j.complete, j.failed, j.late, j.retries, j.busy
        )?;
        for (why, count) in &j.refused {
            writeln!(f, "  refused      {count} jobs: {why}")?;
        }
        Ok(())
    }

    fn parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  part      seconds      jobs   device busy")?;
        let mut line = |name: &str, part: Option<&PartRow>| match part {
            Some(p) => {
                let busy = or_none(p.device_busy.map(percent));
                writeln!(f, "  {name:<8} {:>8.1}  {:>8}  {busy:>12}", p.seconds, p.jobs)
            }
            None => writeln!(f, "  {name:<8}        -         -             -"),
        };
        line("fill", Some(&self.fill))?;
        line("steady", self.steady.as_ref())?;
        line("drain", self.drain.as_ref())
    }

    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  constraint              bound per job   in use")?;
        for b in &self.bounds {
            let share = or_none(b.share.map(percent));
            let name = b.constraint.to_string();
            writeln!(f, "  {name:<22} {:>14} {share:>8}", secs(b.seconds_per_job))?;
        }
        writeln!(
            f,
            "\n  stage            concurrency     latency    quotient   counted/s      queue        wait         p99"
        )?;
        for s in &self.stages {
            writeln!(
                f,
                "  {:<16} {:>11.2} {:>11} {:>9.4}/s {:>9.4}/s {:>10.1} {:>11} {:>11}",
                s.name,
                s.concurrency,
                secs(s.latency),
                s.quotient,
                s.per_second,
                s.queue,
                secs(s.wait),
                secs(s.p99)
            )?;
        }
        writeln!(f, "\n  lanes          count     busy")?;
        for l in &self.workers {
            writeln!(f, "  {:<14} {:>5} {:>8}", l.name, l.count, percent(l.busy))?;
        }
        writeln!(
            f,
            "\n  input: circuit   stage             runs   alone      crowded    lane            peak        keeps"
        )?;
        for i in &self.inputs {
            writeln!(
                f,
                "  {:<16} {:<15} {:>6} {:>10} {:>10}   {:<12} {:>10} {:>10}",
                i.circuit,
                i.stage,
                i.runs,
                secs(i.seconds),
                secs(i.crowded_seconds),
                i.worker,
                Bytes(i.peak_bytes).to_string(),
                Bytes(i.keeps_bytes).to_string()
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.speed(f)?;
        self.parts(f)?;
        self.tables(f)?;
        writeln!(
            f,
            "\n  {} events, {} tasks, {} simulated",
            self.events,
            self.tasks,
            secs(self.simulated_seconds)
        )
    }
}
