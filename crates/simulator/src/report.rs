//! The report of a simulation: one value, printed as a table, written as JSON, or drawn as a chart.

mod text;

pub(crate) use text::{percent, secs};

use crate::bounds::{Bound, binding, bounds};
use crate::model::Model;
use crate::scenario::Scenario;
use crate::simulation::Ran;
use athanor_scheduler::{DeviceClass, StageId, WorkerKind, WorkerNeed};
use athanor_telemetry::{Histogram, Labels, LaneGroup, Part, Stats, Timeline, svg};
use serde::{Serialize, Serializer};

/// The result of [`simulate`](crate::simulate). All times are seconds, all sizes bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The scenario's title.
    pub title: String,
    /// Seconds per job over the steady part; `None` if the run was too short to have one.
    pub seconds_per_job: Option<f64>,
    /// Fraction of the steady part in which devices had a run.
    pub device_busy: Option<f64>,
    /// The most bytes reserved at once.
    pub peak_bytes: u64,
    /// The memory budget.
    pub budget_bytes: u64,
    /// The constraint with the largest share in use over the steady part.
    pub binding: String,
    /// The largest bound computed from the inputs alone.
    pub bound_seconds_per_job: f64,
    /// Every constraint, the largest bound first.
    #[serde(serialize_with = "as_rows")]
    pub bounds: Vec<Bound>,
    /// Outcomes of the jobs.
    pub jobs: JobCounts,
    /// Time from acceptance to answer.
    pub latency: Latency,
    /// The first part of the run, in which the machine fills.
    pub fill: PartRow,
    /// The steady part between the two.
    pub steady: Option<PartRow>,
    /// The last part, in which there is no fresh work to start.
    pub drain: Option<PartRow>,
    /// Workers by kind, over the steady part or else the whole run.
    #[serde(rename = "lanes")]
    pub workers: Vec<WorkerLine>,
    /// Stages, over the steady part or else the whole run.
    pub stages: Vec<StageLine>,
    /// Mean of the reserved bytes over the steady part or else the whole run.
    pub mean_held_bytes: f64,
    /// The service times and claims of the scenario.
    pub inputs: Vec<Input>,
    /// Events that the scheduler handled.
    pub events: u64,
    /// Steps that were done.
    pub tasks: u64,
    /// Simulated time from the first arrival to the last answer.
    pub simulated_seconds: f64,
    #[serde(skip)]
    timeline: Timeline,
    #[serde(skip)]
    labels: Labels,
}

/// Outcomes of the jobs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobCounts {
    /// Answered as complete.
    pub complete: u64,
    /// Answered as failed.
    pub failed: u64,
    /// Dropped at their deadline.
    pub late: u64,
    /// Refused for good, by reason.
    pub refused: Vec<(String, u64)>,
    /// Failed runs that were tried again.
    pub retries: u64,
    /// Submits answered with "busy" and sent again.
    pub busy: u64,
}

/// Percentiles from a log-linear histogram; each is at most 1/128 above the exact value.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Whether only jobs completed in the steady part are counted; if not, there is no steady part
    /// and all are.
    pub steady: bool,
    /// The number of jobs.
    pub jobs: u64,
    /// Exact mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Exact maximum.
    pub max: f64,
}

/// One part of the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PartRow {
    /// Its length.
    pub seconds: f64,
    /// Jobs completed in it.
    pub jobs: u64,
    /// Fraction of it in which devices had a run.
    pub device_busy: Option<f64>,
}

/// The workers of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerLine {
    /// `cpu`, or the class of the device.
    pub name: String,
    /// The number of workers.
    pub count: u64,
    /// The fraction of time in which they had a run.
    pub busy: f64,
}

/// One stage: Little's law says that `concurrency / latency` is `per_second`.
#[derive(Debug, Clone, Serialize)]
pub struct StageLine {
    /// Its name.
    pub name: String,
    /// Mean number of runs at once.
    pub concurrency: f64,
    /// Mean duration of a run.
    pub latency: f64,
    /// Their quotient: runs per second.
    pub quotient: f64,
    /// Runs counted as they ended, per second.
    pub per_second: f64,
    /// Mean number of steps that wait for it.
    pub queue: f64,
    /// Mean wait before it.
    pub wait: f64,
    /// Median duration of a run.
    pub p50: f64,
    /// 99th percentile of the duration of a run.
    pub p99: f64,
}

/// One stage as the scenario gives it.
#[derive(Debug, Clone, Serialize)]
pub struct Input {
    /// The circuit.
    pub circuit: String,
    /// The stage.
    pub stage: String,
    /// Runs per job.
    pub runs: f64,
    /// Seconds alone.
    pub seconds: f64,
    /// Seconds with as many runs at once as there are workers for it.
    pub crowded_seconds: f64,
    /// The kind of worker that runs it.
    #[serde(rename = "lane")]
    pub worker: String,
    /// Bytes held while it runs.
    pub peak_bytes: u64,
    /// Bytes left for the next stage.
    pub keeps_bytes: u64,
}

impl Report {
    pub(crate) fn new(
        s: &Scenario,
        m: &Model,
        ran: Ran,
        stats: &Stats,
        timeline: Timeline,
    ) -> Report {
        let steady = stats.steady();
        let bounds = bounds(s, m, steady.as_ref());
        let over = steady.clone().unwrap_or_else(|| stats.whole());
        let counts = stats.counts();
        let whole = stats.whole();
        Report {
            title: s.title.clone(),
            seconds_per_job: steady.as_ref().and_then(Part::seconds_per_job),
            device_busy: steady.as_ref().and_then(Part::device_busy),
            peak_bytes: stats.peak_bytes(),
            budget_bytes: s.budget(),
            binding: match binding(&bounds) {
                Some(bound) => bound.constraint.to_string(),
                None if counts.complete == 0 => "no job was completed".into(),
                None => "too few jobs to fill the machine".into(),
            },
            bound_seconds_per_job: bounds.first().map_or(0.0, |b| b.seconds_per_job),
            bounds,
            jobs: JobCounts {
                complete: counts.complete,
                failed: counts.failed,
                late: counts.late,
                busy: counts.refused - ran.refused.iter().map(|(_, n)| n).sum::<u64>(),
                refused: ran.refused,
                retries: counts.retries,
            },
            latency: latency(stats, steady.is_some()),
            fill: row(&stats.fill()),
            steady: steady.as_ref().map(row),
            drain: stats.drain().as_ref().map(row),
            workers: workers(m, &over),
            stages: stages(m, stats, &over),
            mean_held_bytes: over.mean_held(),
            inputs: inputs(m),
            events: ran.events,
            tasks: whole.sums.stages.iter().map(|s| s.finished).sum(),
            simulated_seconds: ran.end.as_secs_f64(),
            timeline,
            labels: m.labels.clone(),
        }
    }

    /// Jobs per hour over the steady part.
    pub fn jobs_per_hour(&self) -> Option<f64> {
        self.seconds_per_job.filter(|s| *s > 0.0).map(|s| 3600.0 / s)
    }

    /// How far the seconds per job of the steady part are above the largest bound: 0.03 is 3 %.
    pub fn distance_to_bound(&self) -> Option<f64> {
        self.seconds_per_job.map(|s| s / self.bound_seconds_per_job - 1.0)
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"))
    }

    /// A waterfall chart of the first partitions, as SVG.
    pub fn to_svg(&self) -> String {
        let options = svg::Options {
            title: self.title.clone(),
            subtitle: self.summary(),
            budget: Some(self.budget_bytes),
        };
        svg::render(&self.timeline, &self.labels, &options)
    }

    /// The timeline behind the waterfall.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

fn seconds(nanos: f64) -> f64 {
    nanos / 1e9
}

fn latency(stats: &Stats, steady: bool) -> Latency {
    let times = if steady { stats.job_times() } else { stats.all_job_times() };
    let q = |q| times.quantile(q).map_or(0.0, |v| seconds(v as f64));
    Latency {
        steady,
        jobs: times.count(),
        mean: seconds(times.mean()),
        p50: q(0.5),
        p90: q(0.9),
        p99: q(0.99),
        max: seconds(times.max() as f64),
    }
}

fn row(part: &Part) -> PartRow {
    PartRow { seconds: part.seconds(), jobs: part.sums.jobs, device_busy: part.device_busy() }
}

fn workers(m: &Model, over: &Part) -> Vec<WorkerLine> {
    let groups = over.sums.groups.iter().map(|g| {
        let (name, count) = match g.group {
            LaneGroup::Cpu => {
                let count =
                    m.workers.iter().filter(|l| matches!(l, WorkerKind::Cpu { .. })).count();
                ("cpu".to_owned(), count)
            }
            LaneGroup::Device(class) => (m.labels.class(class), devices(m, class)),
        };
        WorkerLine { name, count: count as u64, busy: over.busy(g.group).unwrap_or(0.0) }
    });
    groups.collect()
}

fn devices(m: &Model, class: DeviceClass) -> usize {
    let of = |l: &&WorkerKind| matches!(l, WorkerKind::Device { class: c, .. } if *c == class);
    m.workers.iter().filter(of).count()
}

fn stages(m: &Model, stats: &Stats, over: &Part) -> Vec<StageLine> {
    let line = |(at, name): (usize, &String)| {
        let sums = over.sums.stages.get(at).copied().unwrap_or_default();
        let concurrency = over.concurrency(at);
        let latency = sums.latency().unwrap_or(0.0);
        let times = stats.service_times(StageId(at as u16));
        let quantile = |q| {
            let value = times.and_then(|t: &Histogram| t.quantile(q));
            value.map_or(latency, |v| seconds(v as f64))
        };
        StageLine {
            name: name.clone(),
            concurrency,
            latency,
            quotient: if latency > 0.0 { concurrency / latency } else { 0.0 },
            per_second: if over.seconds() > 0.0 {
                sums.finished as f64 / over.seconds()
            } else {
                0.0
            },
            queue: over.queue(at),
            wait: sums.wait().unwrap_or(0.0),
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    };
    m.labels.stages.iter().enumerate().map(line).collect()
}

fn inputs(m: &Model) -> Vec<Input> {
    let of_circuit = |c: &crate::model::ModelCircuit| {
        let line = |(s, runs): (&crate::model::ModelStage, f64)| {
            let most = match s.worker {
                WorkerNeed::Device { class } => devices(m, class),
                WorkerNeed::Cpu { .. } => {
                    m.workers.iter().filter(|l| matches!(l, WorkerKind::Cpu { .. })).count()
                }
            };
            Input {
                circuit: c.name.clone(),
                stage: m.labels.stage(s.stage),
                runs,
                seconds: s.alone,
                crowded_seconds: s.curve.table(most.max(1))[most.max(1) - 1],
                worker: match s.worker {
                    WorkerNeed::Cpu { least, most } if least == most => format!("cpu, {least} thr"),
                    WorkerNeed::Cpu { least, most } => format!("cpu, {least}-{most} thr"),
                    WorkerNeed::Device { class } => m.labels.class(class),
                },
                peak_bytes: s.claim.peak.host + s.claim.peak.pinned,
                keeps_bytes: s.claim.keeps.host + s.claim.keeps.pinned,
            }
        };
        c.all_stages().map(line).collect::<Vec<_>>()
    };
    m.circuits.iter().flat_map(of_circuit).collect()
}

fn as_rows<S: Serializer>(bounds: &[Bound], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Line {
        constraint: String,
        seconds_per_job: f64,
        share: Option<f64>,
    }
    to.collect_seq(bounds.iter().map(|b| Line {
        constraint: b.constraint.to_string(),
        seconds_per_job: b.seconds_per_job,
        share: b.share,
    }))
}
