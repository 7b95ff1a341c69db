//! Dispatch: which ready steps start now. One scan over the queue heads in priority order.

use super::Scheduler;
use super::grant::MemoryRequest;
use super::scan::{Candidate, Scan};
use crate::action::Action;
use crate::ids::{JobId, KeyId, RunId, TaskId, WorkerId};
use crate::job::{Class, WorkerKind, WorkerNeed};
use crate::memory::Memory;
use crate::planted::Bug;
use crate::ready::{Holding, MinWorker, Priority, Requirements};
use crate::reservations::BlockedOn;
use crate::state::{PartitionState, Work};
use crate::trace::{BudgetPart, PressureStep, TraceEvent};

/// What came of trying to start a candidate.
pub(super) enum Attempt {
    /// The step started, or the load of its key did.
    Started,
    /// Nothing started; a later step with the same requirements may still start.
    NotNow,
}

impl Scheduler {
    /// Starts every step that can start. Looks at the heads of all queues in priority order, and
    /// starts the scan again after a start that may have changed what an earlier candidate was
    /// blocked on.
    pub(super) fn dispatch(&mut self) {
        self.evict_withdrawn();
        let mut scan = self.new_scan();
        while self.workers.any_free_at_all() || self.keys.loading < self.config.loads {
            let Some(candidate) = scan.next(&self.queues) else { break };
            let Candidate { requirements, priority, holding, .. } = candidate;
            let missing = self.missing_key(requirements.keys);
            if requirements.fresh && !self.has_credit(priority.class) {
                continue;
            }
            let closed = match requirements.fresh {
                true => self.closed_to_fresh(requirements, missing, priority.class, &scan),
                false => self.closed_to_started(requirements, holding, &scan),
            };
            match missing {
                Some(key) if !self.can_load(key) => {
                    if !closed && self.queues.is_head(requirements, priority) {
                        self.protect_if_waiting_for_jobs(&candidate, &mut scan);
                    }
                    continue;
                }
                None if !self.has_free_worker(requirements.min_worker) => {
                    if scan.first_look_at(requirements.min_worker) && !closed {
                        self.protect_first_in_line(&candidate, &mut scan);
                    }
                    continue;
                }
                _ => {}
            }
            let attempt = match missing {
                _ if closed => Attempt::NotNow,
                Some(key) => self.try_load(key, requirements, priority, &mut scan),
                None => self.try_start(requirements, priority, holding, &mut scan),
            };
            scan.rescan_after_start |= matches!(attempt, Attempt::NotNow);
            match attempt {
                Attempt::Started if scan.rescan_after_start || requirements.first_of_job => {
                    scan = self.new_scan()
                }
                Attempt::NotNow if self.planted.is(Bug::HeadOfLine) => break,
                // Behind a fresh candidate whose pools are closed stand only later ones with the
                // same requirements, which are closed too.
                Attempt::NotNow if closed && requirements.fresh => {}
                Attempt::Started | Attempt::NotNow => {
                    self.add_next_candidate(requirements, priority, &mut scan)
                }
            }
        }
        if self.pressure >= PressureStep::EvictIdle {
            self.evict_idle();
        }
    }

    /// A new scan over all queue heads; in another order if a bug is planted.
    fn new_scan(&self) -> Scan {
        let (youngest, unranked) =
            (self.planted.is(Bug::YoungestFirst), self.planted.is(Bug::OrderInFirstStageOnly));
        if !youngest && !unranked {
            return Scan::default();
        }
        Scan::over(self.queues.heads(None).filter_map(|(priority, requirements, holding)| {
            let first = Some((priority, holding));
            let (priority, holding) =
                if youngest { self.queues.last(requirements) } else { first }?;
            Some(self.candidate(priority, requirements, holding))
        }))
    }

    /// Adds the next step of the same queue to the scan. Of fresh steps that is the next one: a
    /// blocked head that closes the pools to it closes them to all behind it. Of started ones it is
    /// the first to which the pools are open.
    fn add_next_candidate(&self, requirements: Requirements, priority: Priority, scan: &mut Scan) {
        let mut behind = self.queues.after(requirements, priority);
        let next = match requirements.fresh {
            true => behind.next(),
            false => {
                behind.find(|&(_, &holding)| !self.closed_to_started(requirements, holding, scan))
            }
        };
        if let Some((&priority, &holding)) = next
            && !scan.will_reach(&self.queues, priority, requirements)
        {
            scan.add(self.candidate(priority, requirements, holding));
        }
    }

    fn candidate(
        &self,
        priority: Priority,
        requirements: Requirements,
        holding: Holding,
    ) -> Candidate {
        let rank = match self.planted.is(Bug::OrderInFirstStageOnly) {
            true => (requirements.fresh, priority.partition),
            false => (false, 0),
        };
        Candidate { rank, priority, requirements, holding }
    }

    /// Closes the pools of a step that is first in line for a busy kind of worker if the step lacks
    /// memory as well, so that later steps do not take that memory.
    fn protect_first_in_line(&mut self, candidate: &Candidate, scan: &mut Scan) {
        let Candidate { requirements, priority, holding, .. } = *candidate;
        let Some(job) = self.jobs.get(&priority.job) else { return };
        let part = &job.partitions[priority.partition as usize];
        let request = MemoryRequest {
            may_evict: false,
            ..self.memory_request(job, part, requirements, priority)
        };
        self.grant(request, holding, requirements.first_of_job, scan);
        scan.rescan_after_start = true;
    }

    /// Closes the pools of a step that is first in line for a key that cannot be loaded now, if its
    /// job may not take its own memory yet.
    fn protect_if_waiting_for_jobs(&self, candidate: &Candidate, scan: &mut Scan) {
        let Candidate { requirements, priority, .. } = *candidate;
        let Some(job) = self.jobs.get(&priority.job) else { return };
        if requirements.first_of_job && !self.budgets.admits(job.holds, job.need) {
            self.close_until_jobs_end(priority, requirements.pools, scan);
        }
    }

    /// Whether a worker of at least that size is free.
    fn has_free_worker(&self, min_worker: MinWorker) -> bool {
        match min_worker {
            MinWorker::Cpu(least) => self.workers.any_free(None, u64::from(least)),
            MinWorker::Device(class, least) => self.workers.any_free(Some(class), least),
        }
    }

    /// Whether a fresh partition of that class may start: the limit on partitions in flight is not
    /// reached and memory pressure does not pause the class.
    fn has_credit(&self, class: Class) -> bool {
        let credits = match self.pressure {
            PressureStep::Shrink(bound) => self.config.in_flight.min(bound),
            _ => self.config.in_flight,
        };
        let paused = self.pressure >= PressureStep::PauseBatch
            && class == Class::Batch
            && self.in_flight > 0;
        self.in_flight < credits && !paused
    }

    /// Whether blocked heads have closed the pools of a fresh partition in every budget part it may
    /// use.
    fn closed_to_fresh(
        &self,
        requirements: Requirements,
        missing: Option<KeyId>,
        class: Class,
        scan: &Scan,
    ) -> bool {
        let passes =
            |blocked_on| blocked_on == BlockedOn::AdmittedJobs && !requirements.first_of_job;
        let budget_parts = match missing {
            Some(_) => &[BudgetPart::General],
            None => self.budget_parts(class),
        };
        budget_parts.iter().all(|&budget_part| {
            scan.closed_pools.closed_to(budget_part, requirements.pools, passes)
        })
    }

    /// Whether a blocked head has closed the pools of a started partition.
    fn closed_to_started(&self, requirements: Requirements, holding: Holding, scan: &Scan) -> bool {
        holding.is_some_and(|(budget_part, reservation)| {
            scan.closed_pools.closed_to(budget_part, requirements.pools, |blocked_on| {
                BlockedOn::UpTo(reservation) <= blocked_on
            })
        })
    }

    /// Starts a step if a worker and its memory can be had; on a device without its key, begins to
    /// load the key instead.
    fn try_start(
        &mut self,
        requirements: Requirements,
        priority: Priority,
        holding: Holding,
        scan: &mut Scan,
    ) -> Attempt {
        let (id, index) = (priority.job, priority.partition);
        let Some(job) = self.jobs.get(&id) else { return Attempt::NotNow };
        let part = &job.partitions[index as usize];
        let step = part.current();
        let key = step.key.filter(|&key| self.keys.get(key).is_some_and(|k| k.spec.device > 0));
        let (device, avoid) = (step.claim.device, part.avoid);
        let (worker, has_key) = match (step.worker, requirements.min_worker) {
            (WorkerNeed::Cpu { least, most }, _) => match self.workers.pick_cpu(least, most) {
                Some(worker) => (worker, true),
                None => return Attempt::NotNow,
            },
            (WorkerNeed::Device { class }, MinWorker::Device(_, least)) => {
                let ignores_holders = self.planted.is(Bug::ForgetHolders);
                let sought = if ignores_holders { key.map(|_| KeyId(u64::MAX)) } else { key };
                match self.workers.pick_device(class, least, sought, avoid) {
                    Some(choice) => (choice.worker, choice.has_key),
                    None => return Attempt::NotNow,
                }
            }
            _ => return Attempt::NotNow,
        };
        let request = self.memory_request(job, part, requirements, priority);
        let Some(budget_part) = self.grant(request, holding, requirements.first_of_job, scan)
        else {
            return Attempt::NotNow;
        };
        let absent = key.filter(|_| !has_key);
        let copy = absent.and_then(|key| self.keys.get(key)).map_or(0, |k| k.spec.device);
        self.evict_from_device(worker, key, device + copy);
        if let Some(key) = absent {
            self.load_to_device(key, worker, id, index);
        } else {
            self.start(id, index, worker, budget_part);
        }
        Attempt::Started
    }

    /// Starts a step: takes its memory, occupies the worker and tells the driver.
    fn start(&mut self, id: JobId, index: u32, worker: WorkerId, budget_part: BudgetPart) {
        self.dequeue(id, index);
        let job_holds = self.admit(id, budget_part);
        let job = self.jobs.get_mut(&id).expect("it was in the queues");
        let part = &mut job.partitions[index as usize];
        let step = usize::from(part.step);
        if !part.started {
            part.started = true;
            // A producer waits for its consumers, so it does not count as in flight: they may need
            // its place under the limit.
            if !part.profile.emits() {
                self.in_flight += 1;
            }
            for key in part.profile.keys() {
                self.keys.add_user(key);
            }
            if !part.profile.peak().is_zero() {
                let reservation =
                    self.budgets.reservations_mut(budget_part).open(part.profile.peak());
                part.holding = Some((budget_part, reservation));
            }
        }
        let peak = part.current().claim.peak;
        if let Some((budget_part, reservation)) = part.holding {
            self.budgets.reservations_mut(budget_part).resize(
                reservation,
                peak,
                part.profile.peak_from(step),
            );
        }
        let budget_part = part.holding.map_or(budget_part, |reservation| reservation.0);
        let run = RunId(self.next_run);
        part.state = PartitionState::Running(run);
        part.emitted = 0;
        job.running += 1;
        self.shares_now = self.shares_now.max(job.tag);
        let (need, stage) = (part.current().worker, part.current().stage);
        let threads = match (need, self.workers.get(worker).map(|l| l.kind)) {
            (WorkerNeed::Cpu { most, .. }, Some(WorkerKind::Cpu { threads })) => most.min(threads),
            _ => 0,
        };
        let task = TaskId { job: id, partition: index, step: step as u16 };
        self.begin_run(Work::Task { job: id, partition: index, worker });
        self.mark_busy(worker, run);
        self.push_trace(TraceEvent::Started {
            run,
            task,
            stage,
            worker,
            threads,
            budget_part,
            holds: peak,
            job_holds,
        });
        self.push_action(Action::Start { run, task, worker, threads });
    }

    /// Takes the job's own memory at the job's first start; returns the bytes taken.
    fn admit(&mut self, id: JobId, budget_part: BudgetPart) -> Memory {
        let Some(job) = self.jobs.get(&id) else { return Memory::ZERO };
        if job.admitted.is_some() {
            return Memory::ZERO;
        }
        let holds = job.holds;
        self.budgets.admit_job(budget_part, holds, job.need);
        self.requeue_ready_steps(id, |job| job.admitted = Some(budget_part));
        holds
    }
}
