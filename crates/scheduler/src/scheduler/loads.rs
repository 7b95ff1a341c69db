//! Keys on their way: into shared memory, onto devices, and out again.

use super::dispatch::Attempt;
use super::grant::MemoryRequest;
use super::scan::Scan;
use super::{Due, Scheduler};
use crate::action::{Action, Place, Reason};
use crate::ids::{JobId, KeyId, LaneId, Run};
use crate::keys::Copy;
use crate::memory::Memory;
use crate::ready::{Priority, Requirements};
use crate::state::{Job, Phase, Work, backoff};
use crate::trace::{BudgetPart, Ignored, PressureStep, What};

impl Scheduler {
    /// The loader is free for that key.
    pub(super) fn can_load(&self, key: KeyId) -> bool {
        let absent = self.keys.get(key).is_some_and(|k| k.copy == Copy::Absent);
        absent && self.keys.loading < self.config.loads
    }

    /// Begins to load a key into shared memory, if it and what needs it fit.
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
        let total = lacking.fold(partition.total, Memory::add_up);
        let request = MemoryRequest { extra: shared, total, ..partition };
        if !self.grant_load(request, requirements.first_of_job, scan) {
            return Attempt::NotNow;
        }
        self.budgets.reservations_mut(BudgetPart::General).take_fixed(shared);
        let place = Place::Shared;
        let (job, partition) = (priority.job, priority.partition);
        let run = self.embark(Work::Load { key, place, job, partition });
        self.keys.change(key, |k| k.copy = Copy::Loading(run));
        self.keys.loading += 1;
        self.note(What::Loading { run, key, place, holds: shared, on_behalf: (job, partition) });
        self.act(Action::Load { run, key, place });
        Attempt::Started
    }

    /// Evicts copies on a device until the key (unless it is there) and the step's memory fit.
    pub(super) fn make_room(&mut self, lane: LaneId, key: Option<KeyId>, bytes: u64) {
        for key in self.lanes.make_room(lane, bytes, key) {
            let place = Place::Device(lane);
            self.note(What::Evicted { key, place });
            self.act(Action::Evict { key, place });
        }
    }

    /// Brings a key to a free device for the first in line.
    pub(super) fn bring_key(&mut self, key: KeyId, lane: LaneId, job: JobId, partition: u32) {
        self.dequeue(job, partition);
        self.partition(job, partition).phase = Phase::Keying(lane);
        let bytes = self.keys.get(key).map_or(0, |k| k.spec.device);
        self.lanes.hold_key(lane, key, bytes);
        let place = Place::Device(lane);
        let run = self.embark(Work::Load { key, place, job, partition });
        self.occupy(lane, run);
        let holds = Memory::ZERO;
        self.note(What::Loading { run, key, place, holds, on_behalf: (job, partition) });
        self.act(Action::Load { run, key, place });
    }

    pub(super) fn loaded(&mut self, run: Run) {
        let Some((since, key, place, job, partition)) = self.load(run) else {
            return self.ignore(Ignored::Run(run));
        };
        self.errands.remove(&run);
        self.note(What::Loaded { run, key, place, took: self.now - since });
        match place {
            Place::Shared => {
                self.keys.loading -= 1;
                self.keys.change(key, |k| {
                    k.copy = Copy::Resident;
                    k.failures = 0;
                });
            }
            Place::Device(lane) => {
                self.release_lane(lane);
                self.end_keying(job, partition, lane);
            }
        }
    }

    pub(super) fn load_failed(&mut self, run: Run) {
        let Some((_, key, place, job, partition)) = self.load(run) else {
            return self.ignore(Ignored::Run(run));
        };
        self.errands.remove(&run);
        match place {
            Place::Shared => self.shared_load_failed(run, key),
            Place::Device(lane) => {
                self.note(What::LoadFailed { run, key, place, again: None });
                self.lanes.change(lane, |l| l.drop_key(key));
                self.quarantine(lane);
                if self.jobs.get(&job).is_some_and(|job| job.open()) {
                    self.partition(job, partition).avoid = Some(lane);
                }
                self.end_keying(job, partition, lane);
            }
        }
    }

    fn shared_load_failed(&mut self, run: Run, key: KeyId) {
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
        let hopeless = self.keys.get(key).is_none_or(|k| k.withdrawn);
        let again = (failures < retry.attempts && !hopeless).then_some(self.now + wait);
        self.note(What::LoadFailed { run, key, place: Place::Shared, again });
        match again {
            Some(at) => {
                self.keys.change(key, |k| k.copy = Copy::Backoff(at));
                self.due.insert((at, Due::Load(key)));
            }
            None => {
                self.keys.change(key, |k| {
                    k.copy = Copy::Absent;
                    k.failures = 0;
                });
                self.give_up_key(key);
            }
        }
    }

    pub(super) fn load_again(&mut self, key: KeyId) {
        let now = self.now;
        self.keys.change(key, |k| {
            if matches!(k.copy, Copy::Backoff(at) if at <= now) {
                k.copy = Copy::Absent;
            }
        });
    }

    fn load(&self, run: Run) -> Option<(crate::ids::Time, KeyId, Place, JobId, u32)> {
        let errand = self.errands.get(&run)?;
        match errand.what {
            Work::Load { key, place, job, partition } => {
                Some((errand.since, key, place, job, partition))
            }
            _ => None,
        }
    }

    /// A partition whose key was on its way to a device waits for its turn again.
    pub(super) fn end_keying(&mut self, job: JobId, partition: u32, lane: LaneId) {
        let keying =
            |j: &Job| j.open() && j.partitions[partition as usize].phase == Phase::Keying(lane);
        if self.jobs.get(&job).is_some_and(keying) {
            self.enqueue(job, partition);
        }
    }

    /// Jobs with a partition that has not started and needs that key have failed.
    fn give_up_key(&mut self, key: KeyId) {
        let needs = |job: &Job| {
            let parts = (0..).zip(&job.partitions);
            let mut fresh = parts.filter(|(_, p)| !p.started && p.phase != Phase::Over);
            let found = fresh.find(|(_, p)| p.profile.keys().any(|k| k == key));
            found.filter(|_| job.open()).map(|(index, _)| (job.id, index))
        };
        let failed: Vec<(JobId, u32)> = self.jobs.values().filter_map(needs).collect();
        for (job, index) in failed {
            self.fail(job, index, Reason::Key(key));
        }
    }

    pub(super) fn key_withdrawn(&mut self, key: KeyId) {
        if !self.keys.withdraw(key) {
            return self.ignore(Ignored::Key(key));
        }
        if self.keys.get(key).is_some_and(|k| k.pinned) {
            self.set_pin(key, false);
            self.note(What::Pin { key, pinned: false, granted: true });
        }
        self.give_up_key(key);
    }

    /// Withdrawn keys give their memory back as soon as nobody uses them.
    pub(super) fn evict_withdrawn(&mut self) {
        for key in self.keys.take_leaving() {
            self.evict(key);
        }
    }

    /// Pins a key or lets it go. A pin must leave room for every job that is here.
    pub(super) fn pin(&mut self, key: KeyId, pinned: bool) {
        if self.keys.get(key).is_none() {
            return self.ignore(Ignored::Key(key));
        }
        self.set_pin(key, pinned);
        let granted = self.pins_fit();
        if !granted {
            self.set_pin(key, !pinned);
        }
        let pinned = self.keys.get(key).is_some_and(|k| k.pinned);
        self.note(What::Pin { key, pinned, granted });
    }

    fn set_pin(&mut self, key: KeyId, pinned: bool) {
        self.keys.change(key, |k| k.pinned = pinned);
        self.budgets.pinned = self.keys.pinned();
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            let job = &self.jobs[&id];
            let need = self.need(&job.partitions, job.growth.as_ref());
            if let Some(job) = self.jobs.get_mut(&id) {
                let before = std::mem::replace(&mut job.need, need);
                if job.admitted.is_some() {
                    self.budgets.replace_need(before, need);
                }
            }
        }
    }

    fn pins_fit(&self) -> bool {
        let room = self.budgets.capacity(self.budgets.pinned);
        let each = self.jobs.values().all(|job| job.holds.add_up(job.need).fits(room));
        each && self.budgets.admits(Memory::ZERO, Memory::ZERO)
    }

    /// Under memory pressure: every idle key goes that nobody is waiting to use.
    pub(super) fn evict_idle(&mut self) {
        debug_assert!(self.pressure >= PressureStep::EvictIdle);
        let idle = self.keys.idle().map(|(key, _)| key);
        let idle: Vec<KeyId> =
            idle.filter(|&key| self.queues.waiting_for_key(key).count() == 0).collect();
        for key in idle {
            self.evict(key);
        }
    }
}
