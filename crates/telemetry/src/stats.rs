//! Sums and quantiles of a run, in bounded memory.
//!
//! A run has three parts. **Fill**: from the first record until every job that was running when the
//! first job ended has ended too (those jobs started on an empty machine). **Drain**: from the last job
//! end before the last fresh partition start; from then on the load decreases. **Steady**: the time
//! between. Both borders follow from the trace. A run that is too short has no steady part.
//!
//! Throughput counts partitions as fractions of their job, not ends of jobs. A job that is half done at
//! a border counts half on either side, so the order in which jobs end there has no effect. Partitions
//! of a job that is not completed in the end are subtracted again.

mod level;
mod sums;

pub use sums::{Counts, GroupSums, LaneGroup, Part, StageSums, Sums};

use crate::histogram::Histogram;
use athanor_scheduler::{
    JobId, Memory, Outcome, RunId, StageId, TaskId, Time, Trace, TraceEvent, WorkerId, WorkerKind,
};
use level::Level;
use std::collections::{HashMap, HashSet};

/// Key of a histogram.
#[derive(Debug, Clone, Copy)]
enum Of {
    Job,
    Service(StageId),
    Wait(StageId),
}

/// The histograms of one stage over the steady part, in nanoseconds.
#[derive(Debug, Clone, Default)]
struct StageTimes {
    service: Histogram,
    wait: Histogram,
}

#[derive(Debug, Clone, Default)]
struct StageLevels {
    running: Level,
    waiting: Level,
    sums: StageSums,
}

#[derive(Debug, Clone)]
struct GroupLevels {
    group: LaneGroup,
    busy: Level,
    present: Level,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    stage: StageId,
    lane: WorkerId,
    from: Time,
    holds: Memory,
}

#[derive(Debug, Clone, Copy)]
struct OpenJob {
    since: Time,
    started: bool,
    partitions: u32,
    /// The fraction of the job that is done.
    done: f64,
}

/// Call [`Stats::push`] with each record in order; read the results after the run.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    counts: Counts,
    stages: Vec<StageLevels>,
    groups: Vec<GroupLevels>,
    lanes: HashMap<WorkerId, usize>,
    host: Level,
    pinned: Level,
    peak: Memory,
    peak_bytes: u64,
    running: HashMap<RunId, Open>,
    waiting: HashMap<TaskId, (StageId, Time)>,
    /// Jobs that are accepted and not answered.
    jobs: HashMap<JobId, OpenJob>,
    latency: u128,
    work: f64,

    first: Option<Time>,
    last: Time,
    /// Jobs that were running when the first job ended; `None` before that.
    filling: Option<HashSet<JobId>>,
    opened: Option<Sums>,
    candidate: Option<Sums>,
    confirmed: Option<Sums>,
    pending: Vec<(Of, u64)>,
    /// Number of entries of `pending` that belong to the candidate.
    of_candidate: usize,
    job_times: Histogram,
    all_job_times: Histogram,
    stage_times: Vec<StageTimes>,
}

impl Stats {
    /// Statistics without records.
    pub fn new() -> Stats {
        Stats::default()
    }

    /// Adds one record.
    pub fn push(&mut self, trace: &Trace) {
        let at = trace.at;
        self.first.get_or_insert(at);
        self.last = self.last.max(at);
        match &trace.event {
            TraceEvent::Refused { .. } => self.counts.refused += 1,
            TraceEvent::Accepted { job, partitions, .. } => {
                self.counts.accepted += 1;
                let partitions = *partitions;
                let open = OpenJob { since: at, started: false, partitions, done: 0.0 };
                self.jobs.insert(*job, open);
            }
            TraceEvent::Grew { job, count, .. } => {
                if let Some(open) = self.jobs.get_mut(job) {
                    open.partitions += count;
                }
            }
            TraceEvent::PartitionDone { job, .. } => {
                if let Some(open) = self.jobs.get_mut(job) {
                    let part = 1.0 / f64::from(open.partitions.max(1));
                    // The end of a growing job adds the missing fraction.
                    let part = part.min(1.0 - open.done);
                    open.done += part;
                    self.work += part;
                }
            }
            TraceEvent::Ready { task, stage } => {
                self.stage(*stage).waiting.change(at, 1);
                self.waiting.insert(*task, (*stage, at));
            }
            TraceEvent::Started { run, task, stage, worker: lane, holds, .. } => {
                self.end_wait(at, *task);
                if let Some(open) = self.jobs.get_mut(&task.job) {
                    open.started = true;
                }
                if task.step == 0 {
                    self.confirm();
                }
                self.stage(*stage).running.change(at, 1);
                if let Some(&group) = self.lanes.get(lane) {
                    self.groups[group].busy.change(at, 1);
                }
                let open = Open { stage: *stage, lane: *lane, from: at, holds: *holds };
                self.running.insert(*run, open);
            }
            TraceEvent::Finished { run, .. } => self.end_run(at, *run, true),
            TraceEvent::Failed { run, again, .. } => {
                self.counts.failures += 1;
                self.counts.retries += u64::from(again.is_some());
                self.end_run(at, *run, false);
            }
            TraceEvent::Stopped { run, .. } => self.end_run(at, *run, false),
            TraceEvent::Dropped { job, partition } => {
                for step in 0..u16::try_from(self.stages.len()).unwrap_or(u16::MAX) {
                    self.end_wait(at, TaskId { job: *job, partition: *partition, step });
                }
            }
            TraceEvent::Answered { job, outcome } => self.answered(at, *job, outcome),
            TraceEvent::WorkerJoined { worker: lane, kind } => self.joined(at, *lane, *kind),
            TraceEvent::WorkerLeft { worker: lane, .. } => {
                if let Some(group) = self.lanes.remove(lane) {
                    self.groups[group].present.change(at, -1);
                }
            }
            TraceEvent::Loaded { .. } => self.counts.key_loads += 1,
            TraceEvent::Evicted { .. } => self.counts.evictions += 1,
            TraceEvent::Reserved { memory } => {
                self.host.set(at, memory.host);
                self.pinned.set(at, memory.pinned);
                self.peak = self.peak.max(*memory);
                self.peak_bytes = self.peak_bytes.max(memory.host.saturating_add(memory.pinned));
            }
            _ => {}
        }
    }

    /// Numbers of events over the whole run.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Peak of the reserved memory, in both shared pools together.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// Peak of the reserved memory of each pool.
    pub fn peak(&self) -> Memory {
        self.peak
    }

    /// The whole run.
    pub fn whole(&self) -> Part {
        Part::between(&self.origin(), &self.sums(self.last))
    }

    /// The fill: until the machine was full.
    pub fn fill(&self) -> Part {
        let to = self.opened.clone().unwrap_or_else(|| self.sums(self.last));
        Part::between(&self.origin(), &to)
    }

    /// The steady part: while the machine was full; `None` if it was not for the length of a job.
    pub fn steady(&self) -> Option<Part> {
        match (&self.opened, &self.confirmed) {
            (Some(from), Some(to)) if to.at > from.at && to.jobs > from.jobs => {
                Some(Part::between(from, to))
            }
            _ => None,
        }
    }

    /// The drain: after the steady part; `None` if there was no steady part.
    pub fn drain(&self) -> Option<Part> {
        self.steady()?;
        Some(Part::between(self.confirmed.as_ref()?, &self.sums(self.last)))
    }

    /// Times from acceptance to answer of the jobs that were completed in the steady part, in nanoseconds.
    pub fn job_times(&self) -> &Histogram {
        &self.job_times
    }

    /// As [`job_times`](Self::job_times), for all jobs that were completed in the whole run.
    pub fn all_job_times(&self) -> &Histogram {
        &self.all_job_times
    }

    /// Service times of a stage in the steady part, in nanoseconds.
    pub fn service_times(&self, stage: StageId) -> Option<&Histogram> {
        self.stage_times.get(usize::from(stage.0)).map(|s| &s.service)
    }

    /// Waiting times before a stage in the steady part, in nanoseconds.
    pub fn wait_times(&self, stage: StageId) -> Option<&Histogram> {
        self.stage_times.get(usize::from(stage.0)).map(|s| &s.wait)
    }

    fn stage(&mut self, stage: StageId) -> &mut StageLevels {
        let at = usize::from(stage.0);
        if self.stages.len() <= at {
            self.stages.resize_with(at + 1, StageLevels::default);
            self.stage_times.resize_with(at + 1, StageTimes::default);
        }
        &mut self.stages[at]
    }

    fn joined(&mut self, at: Time, lane: WorkerId, kind: WorkerKind) {
        let group = match kind {
            WorkerKind::Cpu { .. } => LaneGroup::Cpu,
            WorkerKind::Device { class, .. } => LaneGroup::Device(class),
        };
        let index = self.groups.iter().position(|g| g.group == group).unwrap_or_else(|| {
            let (busy, present) = (Level::default(), Level::default());
            self.groups.push(GroupLevels { group, busy, present });
            self.groups.len() - 1
        });
        self.groups[index].present.change(at, 1);
        self.lanes.insert(lane, index);
    }

    fn end_wait(&mut self, at: Time, task: TaskId) {
        let Some((stage, since)) = self.waiting.remove(&task) else { return };
        let levels = self.stage(stage);
        levels.waiting.change(at, -1);
        levels.sums.starts += 1;
        levels.sums.waited += u128::from((at - since).0);
        self.note(Of::Wait(stage), (at - since).0);
    }

    fn end_run(&mut self, at: Time, run: RunId, well: bool) {
        let Some(open) = self.running.remove(&run) else { return };
        if let Some(&group) = self.lanes.get(&open.lane) {
            self.groups[group].busy.change(at, -1);
        }
        let took = (at - open.from).0;
        let levels = self.stage(open.stage);
        levels.running.change(at, -1);
        let bytes = u128::from(open.holds.host) + u128::from(open.holds.pinned);
        levels.sums.byte_time += bytes * u128::from(took);
        if well {
            levels.sums.finished += 1;
            levels.sums.served += u128::from(took);
            self.note(Of::Service(open.stage), took);
        } else {
            levels.sums.lost += 1;
        }
    }

    fn answered(&mut self, at: Time, job: JobId, outcome: &Outcome) {
        let Some(OpenJob { since, done, .. }) = self.jobs.remove(&job) else { return };
        match outcome {
            Outcome::Complete => self.counts.complete += 1,
            Outcome::Failed { .. } => self.counts.failed += 1,
            Outcome::Cancelled => self.counts.cancelled += 1,
            Outcome::DeadlineMissed => self.counts.late += 1,
        }
        let complete = *outcome == Outcome::Complete;
        self.work += if complete { 1.0 - done } else { -done };
        if complete {
            self.latency += u128::from((at - since).0);
            self.all_job_times.record((at - since).0);
            self.note(Of::Job, (at - since).0);
        }
        let filling = self.filling.get_or_insert_with(|| {
            self.jobs.iter().filter(|(_, open)| open.started).map(|(job, _)| *job).collect()
        });
        filling.remove(&job);
        if self.opened.is_none() {
            if filling.is_empty() {
                self.pending.clear();
                self.opened = Some(self.sums(at));
            }
        } else {
            self.candidate = Some(self.sums(at));
            self.of_candidate = self.pending.len();
        }
    }

    /// Called when the machine has work after the last job end: that end is in the steady part.
    fn confirm(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        self.confirmed = Some(candidate);
        for (of, value) in self.pending.drain(..self.of_candidate) {
            match of {
                Of::Job => self.job_times.record(value),
                Of::Service(s) => self.stage_times[usize::from(s.0)].service.record(value),
                Of::Wait(s) => self.stage_times[usize::from(s.0)].wait.record(value),
            }
        }
        self.of_candidate = 0;
    }

    fn note(&mut self, of: Of, value: u64) {
        if self.opened.is_some() {
            self.pending.push((of, value));
        }
    }

    fn origin(&self) -> Sums {
        Sums::nothing(self.first.unwrap_or_default())
    }

    fn sums(&self, at: Time) -> Sums {
        let stages = self.stages.iter().map(|s| StageSums {
            running: s.running.integral(at),
            waiting: s.waiting.integral(at),
            ..s.sums
        });
        let groups = self.groups.iter().map(|g| GroupSums {
            group: g.group,
            busy: g.busy.integral(at),
            present: g.present.integral(at),
        });
        Sums {
            at,
            jobs: self.counts.complete,
            work: self.work,
            latency: self.latency,
            stages: stages.collect(),
            groups: groups.collect(),
            held: self.host.integral(at) + self.pinned.integral(at),
        }
    }
}

#[cfg(test)]
#[path = "stats/tests.rs"]
mod tests;
