//! Running totals; the difference of two totals describes a part of a run.

use athanor_scheduler::{DeviceClass, Time};

/// Numbers of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Submits refused.
    pub refused: u64,
    /// Jobs accepted.
    pub accepted: u64,
    /// Jobs answered as complete.
    pub complete: u64,
    /// Jobs answered as failed.
    pub failed: u64,
    /// Jobs answered as cancelled.
    pub cancelled: u64,
    /// Jobs answered as past their deadline.
    pub late: u64,
    /// Runs that failed.
    pub failures: u64,
    /// Failed runs that were scheduled again.
    pub retries: u64,
    /// Keys loaded.
    pub key_loads: u64,
    /// Keys evicted.
    pub evictions: u64,
}

/// A group of interchangeable lanes, for busy times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneGroup {
    /// All CPU lanes.
    Cpu,
    /// All devices of a class.
    Device(DeviceClass),
}

/// Totals of one stage; times in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageSums {
    /// Integral of the number of running runs.
    pub running: u128,
    /// Integral of the number of waiting steps.
    pub waiting: u128,
    /// Waits that ended.
    pub starts: u64,
    /// Sum of their durations.
    pub waited: u128,
    /// Successful runs.
    pub finished: u64,
    /// Sum of their durations.
    pub served: u128,
    /// Runs that failed or were stopped.
    pub lost: u64,
    /// Sum over ended runs of held bytes times duration.
    pub byte_time: u128,
}

/// Totals of a group of lanes, in lane-nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSums {
    /// The group.
    pub group: LaneGroup,
    /// Integral of the busy lanes.
    pub busy: u128,
    /// Integral of the present lanes.
    pub present: u128,
}

/// Totals from the beginning until `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// End of the totals.
    pub at: Time,
    /// Jobs completed.
    pub jobs: u64,
    /// Jobs completed, with every finished partition counted as a fraction of its job.
    pub work: f64,
    /// Sum of the times of completed jobs from acceptance to answer, in nanoseconds.
    pub latency: u128,
    /// Totals of the stages, by stage id.
    pub stages: Vec<StageSums>,
    /// Totals of the groups, in the order in which the first lane of each joined.
    pub groups: Vec<GroupSums>,
    /// Integral of the reserved memory, in byte-nanoseconds.
    pub held: u128,
}

impl Sums {
    pub(super) fn nothing(at: Time) -> Sums {
        Sums { at, jobs: 0, work: 0.0, latency: 0, stages: Vec::new(), groups: Vec::new(), held: 0 }
    }
}

/// Totals of a part of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its beginning.
    pub from: Time,
    /// Its totals; `sums.at` is its end.
    pub sums: Sums,
}

impl Part {
    pub(super) fn between(from: &Sums, to: &Sums) -> Part {
        let stages = to.stages.iter().enumerate().map(|(at, b)| {
            let a = from.stages.get(at).copied().unwrap_or_default();
            StageSums {
                running: b.running - a.running,
                waiting: b.waiting - a.waiting,
                starts: b.starts - a.starts,
                waited: b.waited - a.waited,
                finished: b.finished - a.finished,
                served: b.served - a.served,
                lost: b.lost - a.lost,
                byte_time: b.byte_time - a.byte_time,
            }
        });
        let groups = to.groups.iter().map(|b| {
            let a = from.groups.iter().find(|a| a.group == b.group);
            GroupSums {
                group: b.group,
                busy: b.busy - a.map_or(0, |a| a.busy),
                present: b.present - a.map_or(0, |a| a.present),
            }
        });
        Part {
            from: from.at,
            sums: Sums {
                at: to.at,
                jobs: to.jobs - from.jobs,
                work: to.work - from.work,
                latency: to.latency - from.latency,
                stages: stages.collect(),
                groups: groups.collect(),
                held: to.held - from.held,
            },
        }
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.sums.at - self.from).0 as f64 / 1e9
    }

    /// Seconds per job, counted in partitions; `None` if no job was completed.
    pub fn seconds_per_job(&self) -> Option<f64> {
        (self.sums.jobs > 0 && self.sums.work > 0.0).then(|| self.seconds() / self.sums.work)
    }

    /// The fraction of its time that the lanes of a group had a run on them.
    pub fn busy(&self, group: LaneGroup) -> Option<f64> {
        let sums = self.sums.groups.iter().find(|g| g.group == group)?;
        (sums.present > 0).then(|| sums.busy as f64 / sums.present as f64)
    }

    /// The same for all devices of all classes together.
    pub fn device_busy(&self) -> Option<f64> {
        let devices = self.sums.groups.iter().filter(|g| g.group != LaneGroup::Cpu);
        let (busy, present) = devices.fold((0, 0), |(b, p), g| (b + g.busy, p + g.present));
        (present > 0).then(|| busy as f64 / present as f64)
    }

    /// Mean number of running runs of a stage.
    pub fn concurrency(&self, stage: usize) -> f64 {
        self.mean_level(self.sums.stages.get(stage).map_or(0, |s| s.running))
    }

    /// Mean number of steps waiting before a stage.
    pub fn queue(&self, stage: usize) -> f64 {
        self.mean_level(self.sums.stages.get(stage).map_or(0, |s| s.waiting))
    }

    /// Mean reserved memory in bytes.
    pub fn mean_held(&self) -> f64 {
        self.mean_level(self.sums.held)
    }

    fn mean_level(&self, integral: u128) -> f64 {
        let length = (self.sums.at - self.from).0;
        if length == 0 { 0.0 } else { integral as f64 / length as f64 }
    }
}

impl StageSums {
    /// Mean duration of a successful run in seconds; `None` without one.
    pub fn latency(&self) -> Option<f64> {
        (self.finished > 0).then(|| self.served as f64 / 1e9 / self.finished as f64)
    }

    /// Mean wait before a start, in seconds; `None` without one.
    pub fn wait(&self) -> Option<f64> {
        (self.starts > 0).then(|| self.waited as f64 / 1e9 / self.starts as f64)
    }
}
