//! May this step take its memory now: from which budget part, and if not, whom does it wait for?

use super::Scheduler;
use super::scan::Scan;
use crate::action::{Action, KeyLocation};
use crate::ids::KeyId;
use crate::job::Class;
use crate::memory::Memory;
use crate::planted::Bug;
use crate::ready::{Holding, KeySetId, Priority, Requirements};
use crate::reservations::{BlockedOn, ReservationId};
use crate::state::{Job, Partition};
use crate::trace::{BudgetPart, TraceEvent};

/// A request for memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryRequest {
    pub(super) priority: Priority,
    /// The keys it needs and that are not its partition's yet.
    pub(super) keys: KeySetId,
    /// The pools that stay closed to younger work while it is blocked.
    pub(super) pools: u8,
    /// Taken now.
    pub(super) extra: Memory,
    /// Of a newcomer: all that must fit beside what is not counted on to come back.
    pub(super) total: Memory,
    /// Idle keys may be evicted for it; otherwise it is only a question.
    pub(super) may_evict: bool,
}

impl Scheduler {
    /// The budget parts that a newcomer of that class may use, in the priority in which it tries them.
    pub(super) fn budget_parts(&self, class: Class) -> &'static [BudgetPart] {
        if class == Class::Critical || self.planted.is(Bug::ReserveForAll) {
            &[BudgetPart::Reserve, BudgetPart::General]
        } else {
            &[BudgetPart::General]
        }
    }

    /// What starting a partition's current step asks for.
    pub(super) fn memory_request(
        &self,
        job: &Job,
        part: &Partition,
        requirements: Requirements,
        priority: Priority,
    ) -> MemoryRequest {
        let Requirements { keys, pools, .. } = requirements;
        let peak = part.current().claim.peak;
        if part.started {
            let extra = peak.saturating_sub(self.held_by(part));
            return MemoryRequest {
                priority,
                keys,
                pools,
                extra,
                total: Memory::ZERO,
                may_evict: true,
            };
        }
        let first_of_job = job.admitted.is_none();
        let holds = if first_of_job { job.holds } else { Memory::ZERO };
        let total = part.profile.peak().saturating_add(holds);
        MemoryRequest {
            priority,
            keys,
            pools,
            extra: peak.saturating_add(holds),
            total,
            may_evict: true,
        }
    }

    /// Whether the memory can be had now, from which budget part; idle keys are evicted for it if that is
    /// what it pools. If not, the elder's pools are closed for the rest of the scan.
    pub(super) fn grant(
        &mut self,
        request: MemoryRequest,
        holding: Holding,
        first_of_job: bool,
        scan: &mut Scan,
    ) -> Option<BudgetPart> {
        if let Some((budget_part, reservation)) = holding {
            return self.grant_growth(request, budget_part, reservation, scan);
        }
        let job = self.jobs.get(&request.priority.job)?;
        if first_of_job && !self.budgets.admits(job.holds, job.need) {
            self.close_until_jobs_end(request.priority, request.pools, scan);
            return None;
        }
        for &budget_part in self.budget_parts(request.priority.class) {
            if self.is_open_to(request, budget_part, scan, first_of_job)
                && self.new_partition_fits(request, budget_part)
            {
                return Some(budget_part);
            }
        }
        let mut evictable = Memory::ZERO;
        if self.is_open_to(request, BudgetPart::General, scan, first_of_job) {
            match self.evict_for(request, None, scan) {
                Ok(()) => return Some(BudgetPart::General),
                Err(bytes) => evictable = bytes,
            }
        }
        for &budget_part in self.budget_parts(request.priority.class) {
            // Where an elder bars it, that elder's own wait is the one to protect.
            if self.is_open_to(request, budget_part, scan, first_of_job) {
                let evictable =
                    if budget_part == BudgetPart::General { evictable } else { Memory::ZERO };
                self.close_pools(
                    scan,
                    budget_part,
                    request.pools,
                    self.new_partition_blocked_on(request, budget_part, evictable),
                );
            }
        }
        None
    }

    /// For whom a newcomer waits that does not fit even when `evictable` is evicted.
    fn new_partition_blocked_on(
        &self,
        request: MemoryRequest,
        budget_part: BudgetPart,
        evictable: Memory,
    ) -> BlockedOn {
        let reservations = self.budgets.reservations(budget_part);
        match reservations.blocked_on(None, request.extra.saturating_sub(evictable)) {
            Some(blocked_on)
                if reservations.fits_when_idle(request.total.saturating_sub(evictable)) =>
            {
                blocked_on
            }
            _ => BlockedOn::AllRunning,
        }
    }

    fn grant_growth(
        &mut self,
        request: MemoryRequest,
        budget_part: BudgetPart,
        reservation: ReservationId,
        scan: &mut Scan,
    ) -> Option<BudgetPart> {
        let reservations = self.budgets.reservations(budget_part);
        if reservations.blocked_on(Some(reservation), request.extra).is_none()
            || self.planted.is(Bug::UnsafeGrowth) && request.extra.fits(reservations.free())
        {
            return Some(budget_part);
        }
        let evictable = match budget_part {
            BudgetPart::General => match self.evict_for(request, Some(reservation), scan) {
                Ok(()) => return Some(budget_part),
                Err(evictable) => evictable,
            },
            BudgetPart::Reserve => Memory::ZERO,
        };
        let lacking = request.extra.saturating_sub(evictable);
        let blocked_on =
            self.budgets.reservations(budget_part).blocked_on(Some(reservation), lacking);
        self.close_pools(
            scan,
            budget_part,
            request.pools,
            blocked_on.unwrap_or(BlockedOn::AllRunning),
        );
        None
    }

    fn close_pools(
        &self,
        scan: &mut Scan,
        budget_part: BudgetPart,
        pools: u8,
        blocked_on: BlockedOn,
    ) {
        scan.concluded = true;
        if !self.planted.is(Bug::PassFreely) {
            scan.closed_pools.close(budget_part, pools, blocked_on);
        }
    }

    /// No elder of this scan keeps that budget part closed to a newcomer.
    fn is_open_to(
        &self,
        request: MemoryRequest,
        budget_part: BudgetPart,
        scan: &Scan,
        first_of_job: bool,
    ) -> bool {
        !scan.closed_pools.closed_to(budget_part, request.pools, |blocked_on| {
            blocked_on == BlockedOn::AdmittedJobs && !first_of_job
        })
    }

    fn new_partition_fits(&self, request: MemoryRequest, budget_part: BudgetPart) -> bool {
        let reservations = self.budgets.reservations(budget_part);
        reservations.fits_when_idle(request.total)
            && reservations.blocked_on(None, request.extra).is_none()
    }

    /// Whether a key's shared copy may be brought in now for a fresh partition.
    pub(super) fn grant_load(
        &mut self,
        request: MemoryRequest,
        first_of_job: bool,
        scan: &mut Scan,
    ) -> bool {
        let Some(job) = self.jobs.get(&request.priority.job) else { return false };
        if first_of_job && !self.budgets.admits(job.holds, job.need) {
            self.close_until_jobs_end(request.priority, request.pools, scan);
            return false;
        }
        if self.new_partition_fits(request, BudgetPart::General) {
            return true;
        }
        let Err(evictable) = self.evict_for(request, None, scan) else { return true };
        let blocked_on = self.new_partition_blocked_on(request, BudgetPart::General, evictable);
        self.close_pools(scan, BudgetPart::General, request.pools, blocked_on);
        false
    }

    /// A step whose job may not take its hold yet waits for whole jobs to end, whatever else it
    /// lacks: a key that it wants may go meanwhile, and it waits all the same.
    pub(super) fn close_until_jobs_end(&self, priority: Priority, pools: u8, scan: &mut Scan) {
        for &budget_part in self.budget_parts(priority.class) {
            self.close_pools(scan, budget_part, pools, BlockedOn::AdmittedJobs);
        }
        scan.waiting_for_jobs.push((priority, pools));
    }

    /// Evicts just enough idle keys, unused for longest first, to make a grant from the general
    /// budget part possible; if all of them would not be enough, none, and how much they would be.
    fn evict_for(
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
            scan.concluded = true;
            self.evict(key);
        }
        Ok(())
    }

    /// Whether a key is wanted by the step that asks for memory, or by one before it in the priority
    /// that does not itself wait for other jobs to end: those jobs may need the memory. The first
    /// of each requirements speaks for all: whoever follows one that waits for jobs waits for them too.
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

    /// Gives an idle key's shared memory back.
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
