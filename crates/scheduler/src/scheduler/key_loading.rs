//! Loading of keys into shared memory and onto devices, for the step that needs them.

use super::dispatch::Attempt;
use super::grant::MemoryRequest;
use super::scan::Scan;
use super::{Scheduler, Timer};
use crate::action::{Action, FailureReason, KeyLocation};
use crate::ids::{JobId, KeyId, RunId, WorkerId};
use crate::keys::SharedCopy;
use crate::memory::Memory;
use crate::ready::{Priority, Requirements};
use crate::state::{Job, PartitionState, Work, backoff};
use crate::trace::{BudgetPart, Ignored, TraceEvent};

impl Scheduler {
    /// Whether a key is absent and another load may begin.
    pub(super) fn can_load(&self, key: KeyId) -> bool {
        let absent = self.keys.get(key).is_some_and(|k| k.copy == SharedCopy::Absent);
        absent && self.keys.loading < self.config.loads
    }

    /// Begins to load a key into shared memory if the key, and the partition that needs it, fit.
    pub(super) fn try_load(
        &mut self,
        key: KeyId,
        requirements: Requirements,
        priority: Priority,
        scan: &mut Scan,
    ) -> Attempt {
        let Some(job) = self.jobs.get(&priority.job) else { return Attempt::NotNow };
        let part = &job.partitions[priority.partition as usize];
        let shared = self.keys.get(key).map_or(Memory::ZERO, |k| k.spec.shared);
        let lacking = part.profile.keys().filter_map(|key| self.keys.get(key));
        let lacking = lacking.filter(|k| k.missing()).map(|k| k.spec.shared);
        let partition = self.memory_request(job, part, requirements, priority);
        let total = lacking.fold(partition.total, Memory::saturating_add);
        let request = MemoryRequest { extra: shared, total, ..partition };
        if !self.grant_load(request, requirements.first_of_job, scan) {
            return Attempt::NotNow;
        }
        self.budgets.reservations_mut(BudgetPart::General).take_fixed(shared);
        let location = KeyLocation::Shared;
        let (job, partition) = (priority.job, priority.partition);
        let run = self.begin_run(Work::Load { key, location, job, partition });
        self.keys.change(key, |k| k.copy = SharedCopy::Loading(run));
        self.keys.loading += 1;
        self.push_trace(TraceEvent::Loading {
            run,
            key,
            location,
            holds: shared,
            on_behalf: (job, partition),
        });
        self.push_action(Action::Load { run, key, location });
        Attempt::Started
    }

    /// Begins to load a key onto a free device for a ready step. Used by a backend that keeps keys
    /// in device memory.
    pub(super) fn load_to_device(
        &mut self,
        key: KeyId,
        worker: WorkerId,
        job: JobId,
        partition: u32,
    ) {
        self.dequeue(job, partition);
        self.partition(job, partition).state = PartitionState::LoadingKey(worker);
        let bytes = self.keys.get(key).map_or(0, |k| k.spec.device);
        self.workers.add_key(worker, key, bytes);
        let location = KeyLocation::Device(worker);
        let run = self.begin_run(Work::Load { key, location, job, partition });
        self.mark_busy(worker, run);
        let holds = Memory::ZERO;
        self.push_trace(TraceEvent::Loading {
            run,
            key,
            location,
            holds,
            on_behalf: (job, partition),
        });
        self.push_action(Action::Load { run, key, location });
    }

    pub(super) fn loaded(&mut self, run: RunId) {
        let Some((since, key, location, job, partition)) = self.active_load(run) else {
            return self.ignore(Ignored::Run(run));
        };
        self.active_runs.remove(&run);
        self.push_trace(TraceEvent::Loaded { run, key, location, took: self.now - since });
        match location {
            KeyLocation::Shared => {
                self.keys.loading -= 1;
                self.keys.change(key, |k| {
                    k.copy = SharedCopy::Resident;
                    k.failures = 0;
                });
            }
            KeyLocation::Device(worker) => {
                self.release_worker(worker);
                self.device_load_ended(job, partition, worker);
            }
        }
    }

    pub(super) fn load_failed(&mut self, run: RunId) {
        let Some((_, key, location, job, partition)) = self.active_load(run) else {
            return self.ignore(Ignored::Run(run));
        };
        self.active_runs.remove(&run);
        match location {
            KeyLocation::Shared => self.shared_load_failed(run, key),
            KeyLocation::Device(worker) => {
                self.push_trace(TraceEvent::LoadFailed { run, key, location, again: None });
                self.workers.change(worker, |l| l.drop_key(key));
                self.quarantine(worker);
                if self.jobs.get(&job).is_some_and(|job| job.open()) {
                    self.partition(job, partition).avoid = Some(worker);
                }
                self.device_load_ended(job, partition, worker);
            }
        }
    }

    /// A load into shared memory failed: it is tried again after a backoff, or the key has failed.
    fn shared_load_failed(&mut self, run: RunId, key: KeyId) {
        self.keys.loading -= 1;
        let retry = self.config.retry;
        let failures = self.keys.change(key, |k| {
            k.failures += 1;
            k.failures
        });
        let failures = failures.unwrap_or(0);
        let shared = self.keys.get(key).map_or(Memory::ZERO, |k| k.spec.shared);
        self.budgets.reservations_mut(BudgetPart::General).return_fixed(shared);
        let wait = backoff(&retry, failures, &mut self.jitter);
        let withdrawn = self.keys.get(key).is_none_or(|k| k.withdrawn);
        let again = (failures < retry.attempts && !withdrawn).then_some(self.now + wait);
        self.push_trace(TraceEvent::LoadFailed { run, key, location: KeyLocation::Shared, again });
        match again {
            Some(at) => {
                self.keys.change(key, |k| k.copy = SharedCopy::Backoff(at));
                self.timers.insert((at, Timer::Load(key)));
            }
            None => {
                self.keys.change(key, |k| {
                    k.copy = SharedCopy::Absent;
                    k.failures = 0;
                });
                self.fail_jobs_needing(key);
            }
        }
    }

    /// The backoff of a failed load is over.
    pub(super) fn load_again(&mut self, key: KeyId) {
        let now = self.now;
        self.keys.change(key, |k| {
            if matches!(k.copy, SharedCopy::Backoff(at) if at <= now) {
                k.copy = SharedCopy::Absent;
            }
        });
    }

    /// The load with that run number: its start time, key, location and the partition it is for.
    fn active_load(
        &self,
        run: RunId,
    ) -> Option<(crate::ids::Time, KeyId, KeyLocation, JobId, u32)> {
        let active = self.active_runs.get(&run)?;
        match active.work {
            Work::Load { key, location, job, partition } => {
                Some((active.since, key, location, job, partition))
            }
            _ => None,
        }
    }

    /// A load onto a device ended: the partition that it was for becomes ready again.
    pub(super) fn device_load_ended(&mut self, job: JobId, partition: u32, worker: WorkerId) {
        let loading_key = |j: &Job| {
            j.open() && j.partitions[partition as usize].state == PartitionState::LoadingKey(worker)
        };
        if self.jobs.get(&job).is_some_and(loading_key) {
            self.enqueue(job, partition);
        }
    }

    /// Fails every job with an unstarted partition that needs this key.
    pub(super) fn fail_jobs_needing(&mut self, key: KeyId) {
        let needs = |job: &Job| {
            let parts = (0..).zip(&job.partitions);
            let mut fresh = parts.filter(|(_, p)| !p.started && p.state != PartitionState::Over);
            let found = fresh.find(|(_, p)| p.profile.keys().any(|k| k == key));
            found.filter(|_| job.open()).map(|(index, _)| (job.id, index))
        };
        let failed: Vec<(JobId, u32)> = self.jobs.values().filter_map(needs).collect();
        for (job, index) in failed {
            self.fail(job, index, FailureReason::Key(key));
        }
    }
}
