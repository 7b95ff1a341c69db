//! Keys that are pinned in shared memory or withdrawn.

use super::Scheduler;
use crate::ids::{JobId, KeyId};
use crate::memory::Memory;
use crate::trace::{Ignored, TraceEvent};

impl Scheduler {
    /// Pins or unpins a key. A pin is refused if it would leave too little memory for a job that
    /// was accepted.
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
        self.push_trace(TraceEvent::Pin { key, pinned, granted });
    }

    /// Pins or unpins a key and computes the needs of all jobs anew.
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

    /// Whether every accepted job still fits beside the pinned keys.
    fn pins_fit(&self) -> bool {
        let room = self.budgets.capacity(self.budgets.pinned);
        let each = self.jobs.values().all(|job| job.holds.saturating_add(job.need).fits(room));
        each && self.budgets.admits(Memory::ZERO, Memory::ZERO)
    }

    /// A key can no longer be loaded: it is unpinned, and jobs that need it and do not hold it
    /// fail.
    pub(super) fn key_withdrawn(&mut self, key: KeyId) {
        if !self.keys.withdraw(key) {
            return self.ignore(Ignored::Key(key));
        }
        if self.keys.get(key).is_some_and(|k| k.pinned) {
            self.set_pin(key, false);
            self.push_trace(TraceEvent::Pin { key, pinned: false, granted: true });
        }
        self.fail_jobs_needing(key);
    }
}
