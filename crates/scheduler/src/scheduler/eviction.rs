//! Eviction of keys: which idle key leaves memory, when, and for whom.
//!
//! An idle key is resident, not pinned, and no started partition uses it. Copies in shared memory
//! are evicted for a memory request ([`Scheduler::evict_for`]), when their key was withdrawn
//! ([`Scheduler::evict_withdrawn`]) and under memory pressure ([`Scheduler::evict_idle`]); copies
//! on a device are evicted for a step that needs the device's memory
//! ([`Scheduler::evict_from_device`]).

use super::Scheduler;
use super::grant::MemoryRequest;
use super::scan::Scan;
use crate::action::{Action, KeyLocation};
use crate::ids::{KeyId, WorkerId};
use crate::memory::Memory;
use crate::ready::{Priority, Requirements};
use crate::reservations::ReservationId;
use crate::trace::{BudgetPart, PressureStep, TraceEvent};

impl Scheduler {
    /// Evicts just enough idle keys, least recently used first, to make a request safe in the
    /// general budget part. If all evictable keys together are not enough, evicts none and returns
    /// their bytes as the error.
    pub(super) fn evict_for(
        &mut self,
        request: MemoryRequest,
        reservation: Option<ReservationId>,
        scan: &mut Scan,
    ) -> Result<(), Memory> {
        let reservations = self.budgets.reservations(BudgetPart::General);
        let short = reservations.shortage(reservation, request.extra, request.total);
        let (mut enough, mut freed, mut all) = (Vec::new(), Memory::ZERO, Memory::ZERO);
        for (key, memory) in self.keys.idle() {
            if self.must_keep(key, request, scan) {
                continue;
            }
            all += memory;
            if (0..2).any(|pool| memory[pool] > 0 && freed[pool] < short[pool]) {
                freed += memory;
                enough.push(key);
            }
        }
        if !short.fits(freed) {
            return Err(all);
        }
        for key in enough.into_iter().filter(|_| request.may_evict) {
            scan.rescan_after_start = true;
            self.evict(key);
        }
        Ok(())
    }

    /// Whether an idle key must stay: the requesting step needs it, or an earlier step does that
    /// does not itself wait for other jobs to end (those jobs may need the memory). Looking at the
    /// head of each queue is enough: a step behind one that waits for jobs waits for them too.
    fn must_keep(&self, key: KeyId, request: MemoryRequest, scan: &Scan) -> bool {
        let waits_for_jobs = |priority: Priority, requirements: Requirements| {
            let mut blocked = scan.waiting_for_jobs.iter();
            requirements.first_of_job
                && blocked
                    .any(|&(first, closed)| first <= priority && closed & requirements.pools != 0)
        };
        self.queues.keys(request.keys).contains(&key)
            || self.queues.waiting_for_key(key).any(|(priority, requirements)| {
                priority < request.priority && !waits_for_jobs(priority, requirements)
            })
    }

    /// Evicts withdrawn keys that no started partition uses.
    pub(super) fn evict_withdrawn(&mut self) {
        for key in self.keys.take_withdrawn_idle() {
            self.evict(key);
        }
    }

    /// Under memory pressure: evicts every idle key that no ready step needs.
    pub(super) fn evict_idle(&mut self) {
        debug_assert!(self.pressure >= PressureStep::EvictIdle);
        let idle = self.keys.idle().map(|(key, _)| key);
        let idle: Vec<KeyId> =
            idle.filter(|&key| self.queues.waiting_for_key(key).count() == 0).collect();
        for key in idle {
            self.evict(key);
        }
    }

    /// Evicts keys from a device until `bytes` are free there beside `key`. Used by a backend that
    /// keeps keys in device memory.
    pub(super) fn evict_from_device(&mut self, worker: WorkerId, key: Option<KeyId>, bytes: u64) {
        for key in self.workers.evict_until_free(worker, bytes, key) {
            let location = KeyLocation::Device(worker);
            self.push_trace(TraceEvent::Evicted { key, location });
            self.push_action(Action::Evict { key, location });
        }
    }

    /// Evicts an idle key's copy in shared memory.
    pub(super) fn evict(&mut self, key: KeyId) {
        let freed = self.keys.change(key, |k| {
            k.copy = crate::keys::SharedCopy::Absent;
            k.spec.shared
        });
        let location = KeyLocation::Shared;
        self.budgets.reservations_mut(BudgetPart::General).return_fixed(freed.unwrap_or_default());
        self.push_trace(TraceEvent::Evicted { key, location });
        self.push_action(Action::Evict { key, location });
    }
}
