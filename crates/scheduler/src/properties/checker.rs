//! The checker: judges every trace record before the model takes it in.

use super::model::{Model, State};
use super::model_update::next_class;
use super::reference_rules::{self as rules, ReferenceScan, Verdict};
use crate::ids::{JobId, RecordId, RunId, TaskId, Time, WorkerId};
use crate::job::{Class, WorkerKind, WorkerNeed};
use crate::memory::Memory;
use crate::trace::{BudgetPart, Trace, TraceEvent};
use crate::{Action, Config, Event, KeyLocation, Output};
use std::collections::{BTreeMap, BTreeSet};

/// A property that must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Property {
    /// Every submit ends; no job is lost.
    EverySubmitEnds,
    /// Each job is answered, acknowledged or refused at most once.
    AnsweredOnce,
    /// The reserved bytes equal the sum of the claims and never exceed the budget.
    WithinBudget,
    /// Every grant leaves a safe state.
    SafeGrants,
    /// When nothing is left to do, only keys are reserved.
    BackToZero,
    /// Nothing starts before its job is acknowledged or after its end is decided.
    NoStartAfterEnd,
    /// What starts is the first in priority order that can start.
    PriorityInEveryStage,
    /// Later work takes no memory that a blocked head waits for.
    NoBlockedHeadDelayed,
    /// No worker stays free while a step could start on it.
    WorkConserving,
    /// Nothing is acknowledged or answered before the journal has it.
    DurableFirst,
    /// Only the critical class uses the reserve.
    ReserveForCritical,
    /// A device that failed runs nothing until it has passed a test.
    Quarantine,
    /// A step starts only when it is ready, on a suitable worker, with its keys.
    RightPlace,
    /// A job's start tag is the one that fair shares give it.
    FairShares,
    /// A job rises by one class after the configured wait, and not before.
    Ageing,
    /// A growing graph stays within its declared bound.
    GrowthBound,
}

/// A property that does not hold, with what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) property: Property,
    pub(crate) how: String,
}

type Checked = Result<(), Violation>;

fn hold(property: Property, holds: bool, how: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { property, how: how() }) }
}

/// The checker's state.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) model: Model,
    records: BTreeMap<RecordId, JobId>,
    runs: BTreeSet<RunId>,
    /// Submits that were acknowledged or refused.
    answered_submits: BTreeSet<crate::SubmitId>,
    pub(crate) submitted: u64,
    pub(crate) refused: u64,
    pub(crate) starts: u64,
    pub(crate) passes: u64,
}

impl Checker {
    pub(crate) fn new(config: Config) -> Checker {
        Checker {
            model: Model::new(config),
            records: BTreeMap::new(),
            runs: BTreeSet::new(),
            answered_submits: BTreeSet::new(),
            submitted: 0,
            refused: 0,
            starts: 0,
            passes: 0,
        }
    }

    /// Judges the result of one event.
    pub(crate) fn observe(
        &mut self,
        now: Time,
        event: &Event,
        out: &Output,
        scheduler_reserved: Memory,
    ) -> Checked {
        self.model.observe_event(now, event);
        self.submitted += u64::from(matches!(event, Event::Submit { .. }));
        for Trace { event: what, .. } in &out.trace {
            self.judge(what)?;
            self.model.follow(what);
        }
        self.actions_match(out)?;
        let reserved = self.model.reserved();
        hold(Property::WithinBudget, reserved == scheduler_reserved, || {
            format!(
                "the scheduler_reserved says {scheduler_reserved:?}, claims add up to {reserved:?} after {event:?}: {out:?}"
            )
        })?;
        hold(Property::WithinBudget, reserved.fits(self.model.config.budget), || {
            format!("{reserved:?} reserved")
        })?;
        for (job, view) in self.model.jobs.iter().filter(|(_, view)| view.open()) {
            let late = view.rises.is_some_and(|at| at <= self.model.now);
            hold(Property::Ageing, !late, || format!("{job} should have risen by now"))?;
        }
        let mut walk = ReferenceScan::new(&self.model);
        for location in walk.queue() {
            let verdict = walk.judge(&self.model, location);
            let idle = matches!(verdict, Verdict::Runs | Verdict::Loads(_));
            hold(Property::WorkConserving, !idle, || {
                format!(
                    "{location:?} could go on ({verdict:?}) at {:?} after {event:?}",
                    self.model.now
                )
            })?;
        }
        Ok(())
    }

    fn judge(&mut self, what: &TraceEvent) -> Checked {
        match what {
            TraceEvent::Started {
                run,
                task,
                worker,
                threads,
                budget_part,
                holds,
                job_holds,
                ..
            } => {
                self.starts += 1;
                hold(Property::RightPlace, self.runs.insert(*run), || format!("{run} again"))?;
                self.may_start(*task, *worker, *threads)?;
                self.memory_right(*task, *budget_part, *holds, *job_holds)?;
                self.first_in_order(*task, |v| v == Verdict::Runs)
            }
            TraceEvent::Loading { key, location: KeyLocation::Shared, on_behalf, .. } => {
                let task = TaskId { job: on_behalf.0, partition: on_behalf.1, step: 0 };
                self.first_in_order(task, |v| v == Verdict::Loads(*key))
            }
            TraceEvent::Loading {
                key, location: KeyLocation::Device(worker), on_behalf, ..
            } => {
                let task = TaskId { job: on_behalf.0, partition: on_behalf.1, step: 0 };
                self.worker_right(task, *worker)?;
                let part = &self.model.jobs[&task.job].parts[task.partition as usize];
                let there = |l: &WorkerId| self.model.workers[l].keys.contains(key);
                let needless = rules::suitable(&self.model, part).iter().any(there);
                hold(Property::RightPlace, !needless, || format!("{key} is on a free device"))?;
                self.first_in_order(task, |v| v == Verdict::Runs)
            }
            TraceEvent::Evicted { key, location: KeyLocation::Shared } => {
                let used = self.model.users(*key) > 0 || self.model.keys[key].pinned;
                hold(Property::RightPlace, !used, || format!("key {key} evicted in use"))
            }
            TraceEvent::Accepted { tenant, tag, .. } => {
                let fair = self.model.shares.tag(*tenant);
                hold(Property::FairShares, *tag == fair, || format!("tag {tag}, fair is {fair}"))
            }
            TraceEvent::Promoted { job, class } => {
                let view = &self.model.jobs[job];
                let due = view.rises.is_some_and(|at| at <= self.model.now)
                    && next_class(view.class) == Some(*class);
                hold(Property::Ageing, due, || format!("{job} rises to {class:?}"))
            }
            TraceEvent::Recording { record, job } => {
                self.records.insert(*record, *job);
                Ok(())
            }
            TraceEvent::Refused { submit_id, .. } => {
                self.refused += 1;
                hold(Property::AnsweredOnce, self.answered_submits.insert(*submit_id), || {
                    format!("{submit_id}")
                })
            }
            TraceEvent::Acknowledged { submit_id, job } => {
                let durable = self.model.jobs[job].recorded;
                hold(Property::DurableFirst, durable, || format!("{job} acknowledged"))?;
                hold(Property::AnsweredOnce, self.answered_submits.insert(*submit_id), || {
                    format!("{submit_id}")
                })
            }
            TraceEvent::Answered { job, .. } => {
                let view = &self.model.jobs[job];
                hold(Property::DurableFirst, view.end_recorded, || format!("{job} answered"))?;
                hold(Property::AnsweredOnce, !view.answered, || format!("{job} answered again"))
            }
            TraceEvent::Ended { job, .. } => {
                let ended = self.model.jobs[job].outcome.is_some();
                hold(Property::AnsweredOnce, !ended, || format!("{job} ends again"))
            }
            TraceEvent::Grew { job, count, .. } => {
                let view = &self.model.jobs[job];
                let live = view.spec.growth.as_ref().map_or(0, |g| g.live);
                let fits = view.grown_left() + count <= live;
                hold(Property::GrowthBound, fits, || format!("{job} grew by {count}"))
            }
            TraceEvent::Failed { worker, failure: crate::Failure::Permanent, .. } => {
                // A growth bound that was exceeded shows as a failure of the job.
                let _ = worker;
                Ok(())
            }
            TraceEvent::Reserved { memory } => {
                let ours = self.model.reserved();
                hold(Property::WithinBudget, ours == *memory, || {
                    format!("the scheduler_reserved says {memory:?}, claims add up to {ours:?}")
                })
            }
            _ => Ok(()),
        }
    }

    fn may_start(&self, task: TaskId, worker: WorkerId, threads: u32) -> Checked {
        let view = &self.model.jobs[&task.job];
        hold(Property::NoStartAfterEnd, view.open(), || {
            format!("{task} of a job that is not open: {:?}", view.outcome)
        })?;
        let part = &view.parts[task.partition as usize];
        let live = view.spec.growth.as_ref().map_or(0, |g| g.live);
        let credit = part.current().emits == 0 || view.grown_left() + part.current().emits <= live;
        hold(Property::GrowthBound, credit, || format!("{task} may emit past its bound"))?;
        let ready = self.model.ready(task.job, task.partition);
        hold(Property::RightPlace, ready && part.step == usize::from(task.step), || {
            format!("{task} is not ready: {:?} at {}", part.state, part.step)
        })?;
        self.worker_right(task, worker)?;
        let keyed = match self.model.device_key(part.current()) {
            Some((key, _)) => self.model.workers[&worker].keys.contains(&key),
            None => true,
        };
        let shared = |key| {
            let key = &self.model.keys[&key];
            key.resident || key.spec.shared.is_zero()
        };
        hold(Property::RightPlace, keyed && part.profile.keys().all(shared), || {
            format!("{task} started without its key")
        })?;
        let right = match (part.current().worker, self.model.workers[&worker].kind) {
            (WorkerNeed::Cpu { most, .. }, WorkerKind::Cpu { threads: has }) => {
                threads == most.min(has)
            }
            _ => threads == 0,
        };
        hold(Property::RightPlace, right, || format!("{task} was given {threads} threads"))
    }

    fn worker_right(&self, task: TaskId, worker: WorkerId) -> Checked {
        let part = &self.model.jobs[&task.job].parts[task.partition as usize];
        let view = self.model.workers.get(&worker);
        let suspect = view.is_some_and(|l| l.suspect);
        hold(Property::Quarantine, !suspect, || format!("{task} on suspect worker {worker}"))?;
        let suits = rules::suitable(&self.model, part).contains(&worker);
        hold(Property::RightPlace, suits, || format!("{task} cannot run on {worker}: {view:?}"))?;
        let WorkerKind::Device { memory, .. } = self.model.workers[&worker].kind else {
            return Ok(());
        };
        let own = self.model.device_key(part.current());
        let keys =
            self.model.workers[&worker].keys.iter().filter(|key| own.is_none_or(|o| o.0 != **key));
        let keys: u64 = keys.map(|key| self.model.keys[key].spec.device).sum();
        let all = keys + own.map_or(0, |o| o.1) + part.current().claim.device;
        hold(Property::WithinBudget, all <= memory, || format!("{all} bytes on device {worker}"))
    }

    fn memory_right(
        &self,
        task: TaskId,
        budget_part: BudgetPart,
        holds: Memory,
        job_holds: Memory,
    ) -> Checked {
        let view = &self.model.jobs[&task.job];
        let part = &view.parts[task.partition as usize];
        let joins = view.admitted.is_none();
        let right = holds == part.current().claim.peak
            && job_holds == if joins { view.spec.holds } else { Memory::ZERO };
        hold(Property::WithinBudget, right, || format!("{task} holds {holds:?} + {job_holds:?}"))?;
        let fair = budget_part == BudgetPart::General || view.class == Class::Critical;
        hold(Property::ReserveForCritical, fair, || format!("{task} of {:?}", view.class))?;
        let mut reservations = self.model.reservations[budget_part as usize].clone();
        let own =
            reservations.iter_mut().find(|s| (s.job, s.partition) == (task.job, task.partition));
        let most = part.profile.peak_from(part.step);
        match own {
            Some(reservation) => (reservation.holds, reservation.most) = (holds, most),
            None if part.profile.peak().is_zero() => {}
            None => {
                let (job, partition) = (task.job, task.partition);
                reservations.push(super::model::ReservationView { job, partition, holds, most });
            }
        }
        let fixed = self.model.fixed(budget_part) + job_holds;
        let safe = rules::safe(self.model.budget(budget_part), fixed, &reservations);
        hold(Property::SafeGrants, safe, || format!("{task}: {fixed:?} and {reservations:?}"))?;
        let admitted = !joins || rules::admits(&self.model, view);
        hold(Property::SafeGrants, admitted, || format!("{task}: no room for job {}", task.job))
    }

    /// No earlier step could have started, and no blocked head waits for what this one takes.
    fn first_in_order(&mut self, task: TaskId, expected: impl Fn(Verdict) -> bool) -> Checked {
        let own = self.model.location(task.job, task.partition);
        let mut walk = ReferenceScan::new(&self.model);
        let mut blocked = None;
        for location in walk.queue().into_iter().filter(|location| *location < own) {
            let verdict = walk.judge(&self.model, location);
            blocked = blocked.or((verdict == Verdict::Blocked).then_some(location));
            let idle = matches!(verdict, Verdict::Runs | Verdict::Loads(_));
            hold(Property::PriorityInEveryStage, !idle, || {
                format!("{task} went before {location:?}, which could go on ({verdict:?})")
            })?;
        }
        self.passes += u64::from(blocked.is_some());
        let verdict = walk.judge(&self.model, own);
        hold(Property::NoBlockedHeadDelayed, verdict != Verdict::Barred, || {
            format!(
                "{task} takes what a blocked head waits for; first blocked is {blocked:?}; {walk:?}"
            )
        })?;
        hold(Property::SafeGrants, verdict != Verdict::Blocked, || format!("{task} does not fit"))?;
        hold(Property::RightPlace, expected(verdict), || format!("{task}: {verdict:?}"))
    }

    /// Actions and trace agree, in the same order.
    fn actions_match(&self, out: &Output) -> Checked {
        let acted = out.actions.iter().filter_map(|a| match a {
            Action::Start { run, .. } | Action::Load { run, .. } | Action::Probe { run, .. } => {
                Some((Some(*run), None, None))
            }
            Action::Acknowledge { submit_id, .. } | Action::Refuse { submit_id, .. } => {
                Some((None, Some(*submit_id), None))
            }
            Action::Answer { job, .. } => Some((None, None, Some(*job))),
            _ => None,
        });
        let traced = out.trace.iter().filter_map(|t| match &t.event {
            TraceEvent::Started { run, .. }
            | TraceEvent::Loading { run, .. }
            | TraceEvent::Probing { run, .. } => Some((Some(*run), None, None)),
            TraceEvent::Acknowledged { submit_id, .. } | TraceEvent::Refused { submit_id, .. } => {
                Some((None, Some(*submit_id), None))
            }
            TraceEvent::Answered { job, .. } => Some((None, None, Some(*job))),
            _ => None,
        });
        hold(Property::RightPlace, acted.eq(traced), || "actions and trace differ".into())
    }

    /// At the end: every job is answered, and only keys are reserved.
    pub(crate) fn at_rest(&self, reserved: Memory) -> Checked {
        for (id, view) in &self.model.jobs {
            hold(Property::EverySubmitEnds, view.answered || !view.recorded, || {
                let states: Vec<&State> = view.parts.iter().map(|p| &p.state).collect();
                format!("job {id} never ends: {:?}, {states:?}", view.outcome)
            })?;
        }
        let answered_submits = self.answered_submits.len() as u64;
        hold(Property::EverySubmitEnds, answered_submits == self.submitted, || {
            format!("{} submits, {answered_submits} answered", self.submitted)
        })?;
        let resident = self.model.keys.values().filter(|k| k.resident);
        let keys = resident.fold(Memory::ZERO, |sum, k| sum + k.spec.shared);
        hold(Property::BackToZero, reserved == keys, || {
            format!("{reserved:?} reserved at rest, {keys:?} of it keys")
        })
    }

    /// Drops jobs that are over, to bound the memory of long runs.
    pub(crate) fn forget(&mut self) {
        let over = |view: &super::model::JobView| view.answered && view.released;
        self.model.jobs.retain(|_, view| !over(view));
        self.runs.clear();
        self.records.clear();
    }
}
