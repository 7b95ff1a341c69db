//! Growth of a job: partitions added by a step of the same job while it runs. Used by a backend
//! whose jobs emit partitions while they run.

use super::Scheduler;
use crate::action::FailureReason;
use crate::ids::RunId;
use crate::job::PartitionSpec;
use crate::state::{Job, Partition, Work};
use crate::trace::{Ignored, TraceEvent};

impl Scheduler {
    /// Adds the partitions that a running step emitted. The job fails if they exceed its growth
    /// bound.
    pub(super) fn grow(&mut self, run: RunId, specs: Vec<PartitionSpec>) {
        let Some(Work::Task { job: id, partition, .. }) =
            self.active_runs.get(&run).map(|active| active.work)
        else {
            return self.ignore(Ignored::Run(run));
        };
        let Some(mut job) = self.jobs.remove(&id) else { return self.ignore(Ignored::Run(run)) };
        let open = job.open();
        let added = if open { self.validated_growth(&mut job, partition, &specs) } else { None };
        let first = job.partitions.len() as u32;
        let fits = added.is_some();
        for part in added.into_iter().flatten() {
            self.costs.opened(job.circuit, part.profile.steps());
            job.partitions.push(part);
            job.unfinished += 1;
            job.grown += 1;
            job.grown_unfinished += 1;
        }
        let count = job.partitions.len() as u32 - first;
        self.jobs.insert(id, job);
        match (open, fits) {
            (false, _) => self.ignore(Ignored::Job(id)),
            (true, false) => self.fail(id, partition, FailureReason::GrewBeyondBound),
            (true, true) => {
                self.push_trace(TraceEvent::Grew { job: id, first, count });
                self.ready_from(id, first);
            }
        }
    }

    /// The partitions to add, or `None` if they exceed what the job declared or the step may emit.
    fn validated_growth(
        &self,
        job: &mut Job,
        by: u32,
        specs: &[PartitionSpec],
    ) -> Option<Vec<Partition>> {
        let growth = job.growth.as_ref()?;
        let count = specs.len() as u64;
        let producer = &job.partitions[by as usize];
        let emits = u64::from(producer.current().emits - producer.emitted);
        let live = u64::from(job.grown_unfinished) + count <= u64::from(growth.live);
        let total = u64::from(job.grown) + count <= u64::from(growth.total);
        let known = |spec: &PartitionSpec| {
            spec.profile.peak().fits(growth.peak)
                && spec.profile.keys().all(|key| growth.keys.contains(&key))
                && spec.profile.steps().iter().all(|step| step.emits == 0)
                && self.check_profile(&spec.profile, 0).is_ok()
        };
        if count > emits || !live || !total || !specs.iter().all(known) {
            return None;
        }
        let from = job.partitions.len() as u32;
        job.partitions[by as usize].emitted += count as u32;
        self.build(job.circuit, specs, from, &mut job.partitions).ok()
    }
}
