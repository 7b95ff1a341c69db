//! The trace as rows of segments, for a waterfall chart.

use athanor_scheduler::{
    JobId, KeyId, KeyLocation, Memory, RunId, StageId, TaskId, Time, Trace, TraceEvent, WorkerId,
    WorkerKind,
};
use std::collections::{BTreeMap, HashMap};

/// Activity of a partition or a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// The partition waits for a lane, memory, a key or a credit before this stage.
    Wait {
        /// The next stage.
        stage: StageId,
    },
    /// A stage runs and succeeds.
    Run {
        /// The stage.
        stage: StageId,
        /// The worker.
        lane: WorkerId,
    },
    /// A run that failed or was stopped.
    Lost {
        /// The stage.
        stage: StageId,
        /// The worker.
        lane: WorkerId,
    },
    /// A key is loaded into memory or onto a device.
    Load {
        /// The key.
        key: KeyId,
    },
}

/// A time span with its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its beginning.
    pub from: Time,
    /// Its end; the end of the timeline if it is not over.
    pub to: Time,
    /// The activity.
    pub kind: SegmentKind,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The job.
    pub job: JobId,
    /// The partition of the job.
    pub partition: u32,
    /// Its segments in order of time. In gaps it was not ready (backoff, or unfinished earlier
    /// partitions).
    pub segments: Vec<Segment>,
    /// Time at which it was done; `None` if it is not done, or was dropped.
    pub done: Option<Time>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRow {
    /// The kind of the worker.
    pub kind: WorkerKind,
    /// Its segments in order of time.
    pub segments: Vec<Segment>,
}

/// A recording of a run, bounded in rows. Feed it the trace in order with [`Timeline::push`].
#[derive(Debug, Clone)]
pub struct Timeline {
    limit: usize,
    rows: Vec<Row>,
    by_partition: HashMap<(JobId, u32), usize>,
    running: HashMap<RunId, (TaskId, StageId, WorkerId, Time)>,
    waiting: HashMap<(JobId, u32), (StageId, Time)>,
    loading: HashMap<RunId, (KeyId, KeyLocation, Time)>,
    /// The lanes.
    pub lanes: BTreeMap<WorkerId, LaneRow>,
    /// The reserved memory at each change.
    pub memory: Vec<(Time, Memory)>,
    /// The time at which each job was answered.
    pub answers: Vec<(Time, JobId)>,
    left_out: u64,
    end: Time,
}

impl Timeline {
    /// A timeline that keeps the first `limit` partitions that become ready, and lanes and memory until
    /// the last of them is done.
    pub fn new(limit: usize) -> Timeline {
        Timeline {
            limit,
            rows: Vec::new(),
            by_partition: HashMap::new(),
            running: HashMap::new(),
            waiting: HashMap::new(),
            loading: HashMap::new(),
            lanes: BTreeMap::new(),
            memory: Vec::new(),
            answers: Vec::new(),
            left_out: 0,
            end: Time::ZERO,
        }
    }

    /// One row per partition, in the order in which they first became ready.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Partitions that are not in [`Timeline::rows`] because the limit was reached.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The end of the last segment.
    pub fn end(&self) -> Time {
        self.end
    }

    /// Whether the recording is complete: further records change nothing.
    pub fn is_full(&self) -> bool {
        self.left_out > 0 && self.by_partition.is_empty()
    }

    /// Adds one record.
    pub fn push(&mut self, trace: &Trace) {
        let at = trace.at;
        if self.is_full() {
            if let TraceEvent::Ready { task, .. } = trace.event
                && task.step == 0
            {
                self.left_out += 1;
            }
            return;
        }
        match trace.event {
            TraceEvent::Ready { task, stage } => self.ready(at, task, stage),
            TraceEvent::Started { run, task, stage, worker: lane, .. } => {
                self.end_wait(at, task);
                self.running.insert(run, (task, stage, lane, at));
            }
            TraceEvent::Finished { run, .. } => self.end_run(at, run, true),
            TraceEvent::Failed { run, .. } | TraceEvent::Stopped { run, .. } => {
                self.end_run(at, run, false)
            }
            TraceEvent::PartitionDone { job, partition } => {
                if let Some(row) = self.by_partition.remove(&(job, partition)) {
                    self.rows[row].done = Some(at);
                    self.end = self.end.max(at);
                }
            }
            TraceEvent::Dropped { job, partition } => {
                self.end_wait(at, TaskId { job, partition, step: 0 });
                self.by_partition.remove(&(job, partition));
            }
            TraceEvent::Answered { job, .. } => self.answers.push((at, job)),
            TraceEvent::WorkerJoined { worker: lane, kind } => {
                self.lanes.insert(lane, LaneRow { kind, segments: Vec::new() });
            }
            TraceEvent::Reserved { memory } => match self.memory.last_mut() {
                Some((last, value)) if *last == at => *value = memory,
                _ => self.memory.push((at, memory)),
            },
            TraceEvent::Loading { run, key, location: place, .. } => {
                self.loading.insert(run, (key, place, at));
            }
            TraceEvent::Loaded { run, .. } | TraceEvent::LoadFailed { run, .. } => {
                self.end_load(at, run)
            }
            _ => {}
        }
    }

    fn ready(&mut self, at: Time, task: TaskId, stage: StageId) {
        let partition = (task.job, task.partition);
        if !self.by_partition.contains_key(&partition) {
            if self.rows.len() >= self.limit {
                self.left_out += u64::from(task.step == 0);
                return;
            }
            self.by_partition.insert(partition, self.rows.len());
            self.rows.push(Row {
                job: task.job,
                partition: task.partition,
                segments: Vec::new(),
                done: None,
            });
        }
        self.waiting.insert(partition, (stage, at));
    }

    fn end_wait(&mut self, at: Time, task: TaskId) {
        let partition = (task.job, task.partition);
        if let Some((stage, from)) = self.waiting.remove(&partition)
            && from < at
        {
            self.segment(partition, Segment { from, to: at, kind: SegmentKind::Wait { stage } });
        }
    }

    fn end_run(&mut self, at: Time, run: RunId, well: bool) {
        let Some((task, stage, lane, from)) = self.running.remove(&run) else { return };
        let kind =
            if well { SegmentKind::Run { stage, lane } } else { SegmentKind::Lost { stage, lane } };
        let segment = Segment { from, to: at, kind };
        self.segment((task.job, task.partition), segment);
        if let Some(row) = self.lanes.get_mut(&lane) {
            row.segments.push(segment);
        }
    }

    fn end_load(&mut self, at: Time, run: RunId) {
        let Some((key, place, from)) = self.loading.remove(&run) else { return };
        if let KeyLocation::Device(lane) = place
            && let Some(row) = self.lanes.get_mut(&lane)
        {
            row.segments.push(Segment { from, to: at, kind: SegmentKind::Load { key } });
        }
    }

    fn segment(&mut self, partition: (JobId, u32), segment: Segment) {
        if let Some(&row) = self.by_partition.get(&partition) {
            self.rows[row].segments.push(segment);
            self.end = self.end.max(segment.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_partition_becomes_wait_run_wait_run_without_gap_or_overlap() {
        let mut t = Timeline::new(10);
        story().iter().for_each(|r| t.push(r));
        let [row, second] = t.rows() else { panic!("two partitions, {:?}", t.rows()) };
        let kinds: Vec<_> = row.segments.iter().map(|s| (s.from.0, s.to.0, s.kind)).collect();
        assert_eq!(
            kinds,
            [
                (0, 5, SegmentKind::Wait { stage: SYNTH }),
                (5, 30, SegmentKind::Run { stage: SYNTH, lane: CPU }),
                (30, 40, SegmentKind::Wait { stage: PROVE }),
                (40, 43, SegmentKind::Run { stage: PROVE, lane: GPU }),
            ]
        );
        assert_eq!(row.done, Some(Time(43)));
        assert!(second.segments.iter().any(|s| matches!(s.kind, SegmentKind::Lost { .. })));
        assert_eq!(t.lanes[&GPU].segments.len(), 3);
        assert_eq!(t.end(), Time(60));
    }

    #[test]
    fn rows_beyond_the_limit_are_counted_and_recording_stops_when_the_kept_ones_are_done() {
        let mut t = Timeline::new(1);
        story().iter().for_each(|r| t.push(r));
        assert_eq!(t.rows().len(), 1);
        assert_eq!(t.left_out(), 1);
        assert!(t.is_full());
        assert_eq!(t.end(), Time(43));
    }
}
