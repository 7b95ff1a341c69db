//! Memory grants: whether a step may take its memory now, from which budget part, and, if not,
//! which partitions it waits for.

use super::Scheduler;
use super::scan::Scan;
use crate::job::Class;
use crate::memory::Memory;
use crate::planted::Bug;
use crate::ready::{Holding, KeySetId, Priority, Requirements};
use crate::reservations::{BlockedOn, ReservationId};
use crate::state::{Job, Partition};
use crate::trace::BudgetPart;

/// A request for memory by one ready step.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryRequest {
    pub(super) priority: Priority,
    /// The shared keys that the step's partition needs before it starts; empty for a started
    /// partition.
    pub(super) keys: KeySetId,
    /// Bit mask of the pools that the request closes to later steps while it is blocked.
    pub(super) pools: u8,
    /// Bytes taken as soon as the request is granted.
    pub(super) extra: Memory,
    /// For a partition that has not started: its peak and its job's own memory, which must fit
    /// beside the fixed memory. Zero for a started partition.
    pub(super) total: Memory,
    /// Whether idle keys may be evicted for it. If not, the request only finds out whether the step
    /// is blocked.
    pub(super) may_evict: bool,
}

impl Scheduler {
    /// The budget parts that a fresh partition of that class may use, in the order in which they
    /// are tried.
    pub(super) fn budget_parts(&self, class: Class) -> &'static [BudgetPart] {
        if class == Class::Critical || self.planted.is(Bug::ReserveForAll) {
            &[BudgetPart::Reserve, BudgetPart::General]
        } else {
            &[BudgetPart::General]
        }
    }

    /// The memory request for starting a partition's current step.
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

    /// Decides a request: the budget part that grants it, or `None`. Evicts idle keys if that makes
    /// the grant possible. On `None` the request's pools are closed for the rest of the scan.
    ///
    /// A grant only says that the memory can be taken; `start` takes it.
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
            // Where an earlier blocked head has closed the part, only that head's wait is
            // protected.
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

    /// The partitions that a fresh partition waits for, with `evictable` bytes of keys counted as
    /// free.
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

    /// Decides a request of a started partition, whose reservation must grow.
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

    /// Closes pools to later steps until the end of the scan.
    fn close_pools(
        &self,
        scan: &mut Scan,
        budget_part: BudgetPart,
        pools: u8,
        blocked_on: BlockedOn,
    ) {
        scan.rescan_after_start = true;
        if !self.planted.is(Bug::PassFreely) {
            scan.closed_pools.close(budget_part, pools, blocked_on);
        }
    }

    /// Whether no blocked head of this scan has closed that budget part to a fresh partition.
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

    /// Whether a fresh partition can be granted its memory without an eviction.
    fn new_partition_fits(&self, request: MemoryRequest, budget_part: BudgetPart) -> bool {
        let reservations = self.budgets.reservations(budget_part);
        reservations.fits_when_idle(request.total)
            && reservations.blocked_on(None, request.extra).is_none()
    }

    /// Whether a key may be loaded into shared memory now for a fresh partition.
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

    /// Closes the pools of a step whose job may not take its own memory yet. Such a step waits for
    /// whole jobs to end, whatever else it lacks, and goes on waiting if a key that it needs is
    /// evicted meanwhile.
    pub(super) fn close_until_jobs_end(&self, priority: Priority, pools: u8, scan: &mut Scan) {
        for &budget_part in self.budget_parts(priority.class) {
            self.close_pools(scan, budget_part, pools, BlockedOn::AdmittedJobs);
        }
        scan.waiting_for_jobs.push((priority, pools));
    }
}
