//! Bounds that no schedule can beat, and how much of each resource was used.
//!
//! Each constraint has a bound in seconds per job, computed from the scenario alone with the best
//! service times, and a share: the fraction of the resource in use over the steady part of the
//! simulation.
//!
//! The binding constraint is a saturated one. Memory comes last: data that waits for a saturated
//! device fills all memory, and more memory would only hold more of that data. So the binding
//! constraint is the one with the largest share among the others if that is saturated, else the
//! largest share of all. If sharing and CPU workers are both saturated, sharing binds, because more
//! workers would not help.

use crate::model::{Model, ModelCircuit, ModelStage};
use crate::scenario::Scenario;
use athanor_scheduler::{DeviceClass, StageId, WorkerKind, WorkerNeed};
use athanor_telemetry::{LaneGroup, Part};
use std::fmt;

/// A resource that can limit the throughput.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// The devices of a class.
    Device(String),
    /// All CPU workers.
    CpuWorkers,
    /// The resource that the runs of one stage share and that slows them down.
    Sharing(String),
    /// The memory that is left beside keys.
    Memory,
    /// The bound on partitions in flight.
    InFlight,
    /// Clients keep too few jobs open to fill the machine.
    AtATime,
    /// Work arrives more slowly than the machine does it.
    Arrivals,
}

impl Constraint {
    /// Whether it belongs to the machine, not to how the work arrives.
    pub fn is_of_the_machine(&self) -> bool {
        !matches!(self, Constraint::AtATime | Constraint::Arrivals)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constraint::Device(class) => write!(f, "device {class}"),
            Constraint::CpuWorkers => f.write_str("cpu lanes"),
            Constraint::Sharing(stage) => write!(f, "sharing in {stage}"),
            Constraint::Memory => f.write_str("memory"),
            Constraint::InFlight => f.write_str("partitions in flight"),
            Constraint::AtATime => f.write_str("jobs at a time"),
            Constraint::Arrivals => f.write_str("arrivals"),
        }
    }
}

/// One constraint's bound and use.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The constraint.
    pub constraint: Constraint,
    /// The fewest seconds per job that it allows.
    pub seconds_per_job: f64,
    /// The fraction in use over the steady part, 0 to 1; `None` without a steady part.
    pub share: Option<f64>,
}

/// Every constraint that the scenario has, the largest bound first.
pub(crate) fn bounds(s: &Scenario, m: &Model, steady: Option<&Part>) -> Vec<Bound> {
    let view = View { s, m, mix: mix(s, m) };
    let mut all: Vec<Bound> = Vec::new();
    let mut add = |constraint, bound: Option<f64>, share: &dyn Fn(&Part, f64) -> Option<f64>| {
        if let Some(seconds_per_job) = bound.filter(|b| *b > 0.0) {
            let share = steady.and_then(|part| share(part, seconds_per_job));
            all.push(Bound { constraint, seconds_per_job, share });
        }
    };
    for (at, name) in m.labels.classes.iter().enumerate() {
        let class = DeviceClass(at as u16);
        add(Constraint::Device(name.clone()), view.device(class), &|part, _| {
            part.busy(LaneGroup::Device(class))
        });
    }
    add(Constraint::CpuWorkers, view.cpu(), &|part, _| part.busy(LaneGroup::Cpu));
    for (stage, _) in &m.crowds {
        let name = m.labels.stage(*stage);
        add(Constraint::Sharing(name), view.sharing(*stage), &|part, bound| {
            part.seconds_per_job().map(|s| bound / s)
        });
    }
    add(Constraint::Memory, view.memory(), &|part, _| {
        let keys = s.budget() as f64 - view.free();
        Some((part.mean_held() - keys).max(0.0) / view.free())
    });
    let credits = s.scheduler.in_flight.map(f64::from);
    let in_flight = credits.map(|n| view.mean(|c| work(c, |_| true)) / n);
    add(Constraint::InFlight, in_flight, &|part, _| {
        let stages = 0..part.sums.stages.len();
        credits.map(|n| stages.map(|at| part.concurrency(at)).sum::<f64>() / n)
    });
    let of_measured = |part: &Part, bound| part.seconds_per_job().map(|s| bound / s);
    add(Constraint::AtATime, view.at_a_time(), &of_measured);
    add(Constraint::Arrivals, view.arrivals(), &of_measured);
    all.sort_by(|a, b| b.seconds_per_job.total_cmp(&a.seconds_per_job));
    all
}

/// The share from which a resource counts as saturated; the rest allows for the ends of a finite
/// run.
const SATURATED: f64 = 0.97;

/// The binding constraint; `None` without measured shares.
pub(crate) fn binding(bounds: &[Bound]) -> Option<&Bound> {
    let share = |b: &&Bound| b.share.unwrap_or(0.0);
    let measured = || bounds.iter().filter(|b| b.share.is_some());
    let most = |among: &mut dyn Iterator<Item = &'_ Bound>| -> Option<Constraint> {
        among.max_by(|a, b| share(a).total_cmp(&share(b))).map(|b| b.constraint.clone())
    };
    let full = || measured().filter(|b| share(b) >= SATURATED);
    let found = most(&mut full().filter(|b| matches!(b.constraint, Constraint::Sharing(_))))
        .or_else(|| most(&mut full().filter(|b| b.constraint != Constraint::Memory)))
        .or_else(|| most(&mut measured()))?;
    bounds.iter().find(|b| b.constraint == found)
}

/// How often each circuit occurs in an average job.
fn mix(s: &Scenario, m: &Model) -> Vec<f64> {
    let mut mix = vec![0.0; m.circuits.len()];
    for (jobs, &circuit) in s.jobs.iter().zip(&m.circuit_of) {
        mix[circuit] += f64::from(jobs.count) / m.jobs as f64;
    }
    mix
}

/// Seconds of one job in the stages for which `counts` is true, as if alone.
fn work(c: &ModelCircuit, counts: impl Fn(&ModelStage) -> bool) -> f64 {
    c.all_stages().filter(|(s, _)| counts(s)).map(|(s, times)| times * s.alone).sum()
}

struct View<'a> {
    s: &'a Scenario,
    m: &'a Model,
    mix: Vec<f64>,
}

impl View<'_> {
    fn mean(&self, of: impl Fn(&ModelCircuit) -> f64) -> f64 {
        self.mix.iter().zip(&self.m.circuits).map(|(share, c)| share * of(c)).sum()
    }

    fn workers(&self, which: impl Fn(&WorkerKind) -> bool) -> f64 {
        self.m.workers.iter().filter(|l| which(l)).count() as f64
    }

    fn workers_for(&self, need: WorkerNeed) -> f64 {
        self.workers(|worker| match (worker, need) {
            (WorkerKind::Cpu { threads }, WorkerNeed::Cpu { least, .. }) => *threads >= least,
            (WorkerKind::Device { class, .. }, WorkerNeed::Device { class: wanted }) => {
                *class == wanted
            }
            _ => false,
        })
    }

    fn device(&self, class: DeviceClass) -> Option<f64> {
        let workers =
            self.workers(|l| matches!(l, WorkerKind::Device { class: c, .. } if *c == class));
        let on = |s: &ModelStage| s.worker == WorkerNeed::Device { class };
        (workers > 0.0).then(|| self.mean(|c| work(c, on)) / workers)
    }

    fn cpu(&self) -> Option<f64> {
        let workers = self.workers(|l| matches!(l, WorkerKind::Cpu { .. }));
        let on = |s: &ModelStage| matches!(s.worker, WorkerNeed::Cpu { .. });
        (workers > 0.0).then(|| self.mean(|c| work(c, on)) / workers)
    }

    /// For any number of runs at once, the stage's throughput is at most that at the best point of
    /// its curve.
    fn sharing(&self, stage: StageId) -> Option<f64> {
        let best = |s: &ModelStage| {
            let most = 16 * self.workers_for(s.worker) as usize;
            let curve = s.curve.table(most.clamp(64, 10_000));
            let each = curve.iter().enumerate().map(|(at, l)| l / (at + 1) as f64);
            each.fold(f64::INFINITY, f64::min)
        };
        Some(self.mean(|c| {
            let of_stage = c.all_stages().filter(|(s, _)| s.stage == stage);
            of_stage.map(|(s, times)| times * best(s)).sum()
        }))
    }

    /// Claims times durations, divided by the free memory.
    fn memory(&self) -> Option<f64> {
        let held = self.mean(|c| {
            let steps = c.all_stages().map(|(s, times)| {
                times * s.alone * (s.claim.peak.host as f64 + s.claim.peak.pinned as f64)
            });
            let own = c.holds.host as f64 * self.one_job(c);
            steps.sum::<f64>() + own
        });
        Some(held / self.free())
    }

    /// Free memory in bytes: the budget less the keys that are always resident.
    fn free(&self) -> f64 {
        let used = self.mix.iter().zip(&self.s.circuit).filter(|(share, _)| **share > 0.0);
        let keys = used.map(|(_, c)| {
            let names = c.stage.iter().chain(&c.finish).filter_map(|s| s.key.as_ref());
            let names: std::collections::BTreeSet<_> = names.collect();
            let sizes = self.s.key.iter().filter(|k| names.contains(&k.name));
            sizes.map(|k| k.memory.0 as f64 + k.pinned.0 as f64).sum::<f64>()
        });
        (self.s.budget() as f64 - keys.fold(f64::INFINITY, f64::min)).max(1.0)
    }

    /// The least time one job can take on an empty machine.
    fn one_job(&self, c: &ModelCircuit) -> f64 {
        let chain: f64 = c.stages.iter().map(|s| s.alone).sum();
        let partitions = f64::from(c.partitions);
        let rounds = |s: &ModelStage| (partitions / self.workers_for(s.worker).max(1.0)).ceil();
        let longest = c.stages.iter().map(|s| chain + s.alone * (rounds(s) - 1.0));
        let finish: f64 = c.finish.iter().map(|s| s.alone).sum();
        longest.fold(chain, f64::max) + finish
    }

    /// The bound from clients that send the next job when one is answered.
    fn at_a_time(&self) -> Option<f64> {
        self.rate(|at, jobs| {
            let one = self.one_job(&self.m.circuits[self.m.circuit_of[at]]);
            jobs.at_a_time.map(|n| f64::from(n) / one)
        })
    }

    fn arrivals(&self) -> Option<f64> {
        self.rate(|_, jobs| jobs.every.or(jobs.about_every).map(|gap| 1.0 / gap))
    }

    /// Seconds per job if every kind of job has a bounded rate, else `None`.
    fn rate(&self, of: impl Fn(usize, &crate::scenario::Jobs) -> Option<f64>) -> Option<f64> {
        let rates = self.s.jobs.iter().enumerate().map(|(at, jobs)| of(at, jobs));
        let total = rates.sum::<Option<f64>>()?;
        (total.is_finite() && total > 0.0).then(|| 1.0 / total)
    }
}
