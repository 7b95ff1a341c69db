//! How the model takes in trace records.

use super::model::{JobView, KeyView, Model, Part, ReservationView, State, WorkerView};
use crate::KeyLocation;
use crate::ids::*;
use crate::job::{Class, WorkerNeed};
use crate::memory::Memory;
use crate::trace::{BudgetPart, TraceEvent};
use std::collections::BTreeSet;

impl Model {
    fn part(&mut self, task: &TaskId) -> &mut Part {
        let view = self.jobs.get_mut(&task.job).expect("traced job is known");
        &mut view.parts[task.partition as usize]
    }

    fn free(&mut self, worker: WorkerId, run: RunId) {
        if let Some(worker) = self.workers.get_mut(&worker)
            && worker.busy == Some(run)
        {
            worker.busy = None;
        }
    }

    /// Takes in one record that was checked.
    pub(crate) fn follow(&mut self, what: &TraceEvent) {
        match what {
            TraceEvent::Refused { submit_id, .. } => {
                self.waiting_submits.remove(submit_id);
            }
            TraceEvent::Accepted { submit_id, job, class, tag, partitions, .. } => {
                let submitted = submit_id.and_then(|t| self.waiting_submits.remove(&t));
                let restored = submitted.is_none().then(|| self.restoring.take()).flatten();
                let (spec, finished) = submitted
                    .map(|spec| (spec, Vec::new()))
                    .or(restored)
                    .expect("it was asked for");
                let known = spec.partitions.iter().take(*partitions as usize);
                let mut parts: Vec<Part> = known.map(|p| part(p, false)).collect();
                for done in finished {
                    if let Some(part) = parts.get_mut(done as usize) {
                        (part.done, part.state) = (true, State::Over);
                    }
                }
                let steps = parts.iter().flat_map(|p| p.profile.steps());
                self.shares.accepted(spec.tenant, spec.circuit, *tag, steps);
                let restored = submit_id.is_none();
                let view = JobView {
                    rises: None,
                    spec,
                    class: *class,
                    tag: *tag,
                    parts,
                    recorded: restored,
                    acknowledged: restored,
                    outcome: None,
                    end_recorded: false,
                    answered: false,
                    admitted: None,
                    released: false,
                };
                self.jobs.insert(*job, view);
                if restored {
                    self.await_rise(job);
                }
            }
            TraceEvent::Recorded { job, durable: true, .. } => {
                if let Some(view) = self.jobs.get_mut(job) {
                    view.end_recorded |= view.outcome.is_some();
                    view.recorded = true;
                }
            }
            TraceEvent::Acknowledged { job, .. } => {
                self.job(job).acknowledged = true;
                self.await_rise(job);
            }
            TraceEvent::Promoted { job, class } => {
                self.job(job).class = *class;
                self.await_rise(job);
            }
            TraceEvent::Grew { job, .. } => {
                let added = std::mem::take(&mut self.growing);
                self.job(job).parts.extend(added.iter().map(|p| part(p, true)));
            }
            TraceEvent::Started { run, task, worker, budget_part, job_holds, .. } => {
                self.started(*run, task, *worker, *budget_part, *job_holds);
            }
            TraceEvent::Finished { run, task, stage, worker, took, .. } => {
                self.free(*worker, *run);
                let circuit = self.job(&task.job).spec.circuit;
                self.shares.finished(circuit, *stage, *took);
                let part = self.part(task);
                part.state = State::Waiting;
                let keeps = part.current().claim.keeps;
                let ahead = part.profile.peak_from(part.step + 1);
                if let Some(reservation) = self.reservation(task.job, task.partition) {
                    (reservation.holds, reservation.most) = (keeps, ahead.max(keeps));
                }
                // The next record, `Ready` or `PartitionDone`, shows whether a producer runs again.
                let part = self.part(task);
                if part.step + 1 < part.profile.steps().len() {
                    part.step += 1;
                }
            }
            TraceEvent::Failed { run, task, worker, failure, again, .. } => {
                self.free(*worker, *run);
                self.set_back(task, *worker, *failure, *again);
            }
            TraceEvent::Stopped { run, worker, .. } => self.free(*worker, *run),
            TraceEvent::PartitionDone { job, partition } => {
                self.vacate(*job, *partition);
                let part = &mut self.job(job).parts[*partition as usize];
                (part.done, part.state) = (true, State::Over);
            }
            TraceEvent::Dropped { job, partition } => {
                self.vacate(*job, *partition);
                self.job(job).parts[*partition as usize].state = State::Over;
            }
            TraceEvent::Ended { job, outcome } => self.job(job).outcome = Some(outcome.clone()),
            TraceEvent::Released { job } => self.job(job).released = true,
            TraceEvent::Answered { job, .. } => self.job(job).answered = true,
            TraceEvent::Pressure { to, .. } => self.pressure = *to,
            _ => self.follow_workers_and_keys(what),
        }
    }

    fn started(
        &mut self,
        run: RunId,
        task: &TaskId,
        worker: WorkerId,
        budget_part: BudgetPart,
        job_holds: Memory,
    ) {
        self.workers.get_mut(&worker).into_iter().for_each(|l| l.busy = Some(run));
        let view = self.job(&task.job);
        let tag = view.tag;
        if view.admitted.is_none() {
            view.admitted = Some(budget_part);
            assert_eq!(job_holds, view.spec.holds);
        }
        self.shares.started(tag);
        let part = self.part(task);
        let first = !std::mem::replace(&mut part.started, true);
        part.state = State::Running(run);
        let holds = part.current().claim.peak;
        let (most, whole) = (part.profile.peak_from(part.step), part.profile.peak());
        let (job, partition) = (task.job, task.partition);
        if first && !whole.is_zero() {
            let reservation = ReservationView { job, partition, holds, most };
            self.reservations[budget_part as usize].push(reservation);
        } else if let Some(reservation) = self.reservation(job, partition) {
            (reservation.holds, reservation.most) = (holds, most);
        }
    }

    fn set_back(
        &mut self,
        task: &TaskId,
        worker: WorkerId,
        failure: crate::Failure,
        again: Option<Time>,
    ) {
        let part = self.part(task);
        let device = matches!(part.current().worker, WorkerNeed::Device { .. });
        if failure == crate::Failure::Device && device {
            part.avoid = Some(worker);
        }
        part.state = again.map_or(State::Over, State::Backoff);
        let (input, ahead) = (part.profile.input_of(part.step), part.profile.peak_from(part.step));
        if failure == crate::Failure::BadResult && again.is_some() {
            part.step = 0;
            self.vacate(task.job, task.partition);
        } else if let Some(reservation) = self.reservation(task.job, task.partition) {
            (reservation.holds, reservation.most) = (input, ahead);
        }
    }

    fn await_rise(&mut self, job: &JobId) {
        let at = self.config.ageing.map(|span| self.now + span);
        let view = self.job(job);
        view.rises = at.filter(|_| next_class(view.class).is_some());
    }

    pub(crate) fn job(&mut self, job: &JobId) -> &mut JobView {
        self.jobs.get_mut(job).expect("traced job is known")
    }

    fn key(&mut self, key: &KeyId) -> &mut KeyView {
        self.keys.get_mut(key).expect("traced key is known")
    }

    fn follow_workers_and_keys(&mut self, what: &TraceEvent) {
        match what {
            TraceEvent::Loading { run, key, location, on_behalf, .. } => match location {
                KeyLocation::Shared => self.key(key).loading = true,
                KeyLocation::Device(worker) => {
                    let view = self.workers.get_mut(worker).expect("traced worker is known");
                    view.busy = Some(*run);
                    view.keys.insert(*key);
                    let task = TaskId { job: on_behalf.0, partition: on_behalf.1, step: 0 };
                    self.part(&task).state = State::Keying(*worker);
                }
            },
            TraceEvent::Loaded { run, key, location, .. } => match location {
                KeyLocation::Shared => {
                    let key = self.key(key);
                    (key.loading, key.resident) = (false, true);
                }
                KeyLocation::Device(worker) => {
                    self.free(*worker, *run);
                    self.end_keying(*worker);
                }
            },
            TraceEvent::LoadFailed { run, key, location, again } => match location {
                KeyLocation::Shared => {
                    let key = self.key(key);
                    (key.loading, key.backoff) = (false, *again);
                }
                KeyLocation::Device(worker) => {
                    self.free(*worker, *run);
                    let behalf = self.end_keying(*worker);
                    if let Some(view) = self.workers.get_mut(worker) {
                        view.keys.remove(key);
                        behalf.into_iter().for_each(|task| self.part(&task).avoid = Some(*worker));
                    }
                }
            },
            TraceEvent::Evicted { key, location } => match location {
                KeyLocation::Shared => self.key(key).resident = false,
                KeyLocation::Device(worker) => {
                    self.workers.get_mut(worker).into_iter().for_each(|l| {
                        l.keys.remove(key);
                    });
                }
            },
            TraceEvent::Pin { key, pinned, .. } => self.key(key).pinned = *pinned,
            TraceEvent::WorkerJoined { worker, kind } => {
                let keys = BTreeSet::new();
                let (busy, suspect, draining) = (None, false, false);
                self.workers
                    .insert(*worker, WorkerView { kind: *kind, busy, suspect, draining, keys });
            }
            TraceEvent::WorkerLeft { worker, .. } => {
                self.workers.remove(worker);
            }
            TraceEvent::Quarantined { worker } => {
                self.workers.get_mut(worker).into_iter().for_each(|l| l.suspect = true);
            }
            TraceEvent::Probing { run, worker } => {
                self.workers.get_mut(worker).into_iter().for_each(|l| l.busy = Some(*run));
            }
            TraceEvent::Probed { run, worker, passed } => {
                self.free(*worker, *run);
                self.workers.get_mut(worker).into_iter().for_each(|l| l.suspect = !passed);
            }
            _ => {}
        }
    }

    fn end_keying(&mut self, worker: WorkerId) -> Option<TaskId> {
        for (&job, view) in &mut self.jobs {
            for (partition, part) in (0..).zip(&mut view.parts) {
                if part.state == State::Keying(worker) {
                    part.state = State::Waiting;
                    return Some(TaskId { job, partition, step: 0 });
                }
            }
        }
        None
    }
}

/// The class to which a job of this class rises.
pub(crate) fn next_class(class: Class) -> Option<Class> {
    match class {
        Class::Batch => Some(Class::Normal),
        Class::Normal => Some(Class::High),
        Class::High | Class::Critical => None,
    }
}

fn part(spec: &crate::PartitionSpec, grown: bool) -> Part {
    Part {
        profile: spec.profile.clone(),
        after: spec.after.clone(),
        grown,
        step: 0,
        state: State::Waiting,
        started: false,
        avoid: None,
        done: false,
    }
}
