//! How the model follows what the trace says.

use super::model::{JobView, KeyView, LaneView, Model, Part, ReservationView, State};
use crate::Place;
use crate::ids::*;
use crate::job::{Class, LaneNeed};
use crate::memory::Memory;
use crate::trace::{BudgetPart, What};
use std::collections::BTreeSet;

impl Model {
    fn part(&mut self, task: &TaskId) -> &mut Part {
        let view = self.jobs.get_mut(&task.job).expect("traced job is known");
        &mut view.parts[task.partition as usize]
    }

    fn free(&mut self, lane: LaneId, run: Run) {
        if let Some(lane) = self.lanes.get_mut(&lane)
            && lane.busy == Some(run)
        {
            lane.busy = None;
        }
    }

    /// Follows one record (already checked).
    pub(crate) fn follow(&mut self, what: &What) {
        match what {
            What::Refused { ticket, .. } => {
                self.waiting_submits.remove(ticket);
            }
            What::Accepted { ticket, job, class, tag, partitions, .. } => {
                let submitted = ticket.and_then(|t| self.waiting_submits.remove(&t));
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
                let restored = ticket.is_none();
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
            What::Recorded { job, durable: true, .. } => {
                if let Some(view) = self.jobs.get_mut(job) {
                    view.end_recorded |= view.outcome.is_some();
                    view.recorded = true;
                }
            }
            What::Acknowledged { job, .. } => {
                self.job(job).acknowledged = true;
                self.await_rise(job);
            }
            What::Promoted { job, class } => {
                self.job(job).class = *class;
                self.await_rise(job);
            }
            What::Grew { job, .. } => {
                let added = std::mem::take(&mut self.growing);
                self.job(job).parts.extend(added.iter().map(|p| part(p, true)));
            }
            What::Started { run, task, lane, budget_part, job_holds, .. } => {
                self.started(*run, task, *lane, *budget_part, *job_holds);
            }
            What::Finished { run, task, stage, lane, took, .. } => {
                self.free(*lane, *run);
                let circuit = self.job(&task.job).spec.circuit;
                self.shares.finished(circuit, *stage, *took);
                let part = self.part(task);
                part.state = State::Waiting;
                let keeps = part.current().claim.keeps;
                let ahead = part.profile.peak_from(part.step + 1);
                if let Some(reservation) = self.reservation(task.job, task.partition) {
                    (reservation.holds, reservation.most) = (keeps, ahead.max(keeps));
                }
                // Whether a producer goes on is seen from what follows: `Ready` or `PartitionDone`.
                let part = self.part(task);
                if part.step + 1 < part.profile.steps().len() {
                    part.step += 1;
                }
            }
            What::Failed { run, task, lane, failure, again, .. } => {
                self.free(*lane, *run);
                self.set_back(task, *lane, *failure, *again);
            }
            What::Stopped { run, lane, .. } => self.free(*lane, *run),
            What::PartitionDone { job, partition } => {
                self.vacate(*job, *partition);
                let part = &mut self.job(job).parts[*partition as usize];
                (part.done, part.state) = (true, State::Over);
            }
            What::Dropped { job, partition } => {
                self.vacate(*job, *partition);
                self.job(job).parts[*partition as usize].state = State::Over;
            }
            What::Ended { job, outcome } => self.job(job).outcome = Some(outcome.clone()),
            What::Released { job } => self.job(job).released = true,
            What::Answered { job, .. } => self.job(job).answered = true,
            What::Pressure { to, .. } => self.pressure = *to,
            _ => self.follow_world(what),
        }
    }

    fn started(
        &mut self,
        run: Run,
        task: &TaskId,
        lane: LaneId,
        budget_part: BudgetPart,
        job_holds: Memory,
    ) {
        self.lanes.get_mut(&lane).into_iter().for_each(|l| l.busy = Some(run));
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
        lane: LaneId,
        failure: crate::Failure,
        again: Option<Time>,
    ) {
        let part = self.part(task);
        let device = matches!(part.current().lane, LaneNeed::Device { .. });
        if failure == crate::Failure::Device && device {
            part.avoid = Some(lane);
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

    fn follow_world(&mut self, what: &What) {
        match what {
            What::Loading { run, key, place, on_behalf, .. } => match place {
                Place::Shared => self.key(key).loading = true,
                Place::Device(lane) => {
                    let view = self.lanes.get_mut(lane).expect("traced lane is known");
                    view.busy = Some(*run);
                    view.keys.insert(*key);
                    let task = TaskId { job: on_behalf.0, partition: on_behalf.1, step: 0 };
                    self.part(&task).state = State::Keying(*lane);
                }
            },
            What::Loaded { run, key, place, .. } => match place {
                Place::Shared => {
                    let key = self.key(key);
                    (key.loading, key.resident) = (false, true);
                }
                Place::Device(lane) => {
                    self.free(*lane, *run);
                    self.end_keying(*lane);
                }
            },
            What::LoadFailed { run, key, place, again } => match place {
                Place::Shared => {
                    let key = self.key(key);
                    (key.loading, key.backoff) = (false, *again);
                }
                Place::Device(lane) => {
                    self.free(*lane, *run);
                    let behalf = self.end_keying(*lane);
                    if let Some(view) = self.lanes.get_mut(lane) {
                        view.keys.remove(key);
                        behalf.into_iter().for_each(|task| self.part(&task).avoid = Some(*lane));
                    }
                }
            },
            What::Evicted { key, place } => match place {
                Place::Shared => self.key(key).resident = false,
                Place::Device(lane) => {
                    self.lanes.get_mut(lane).into_iter().for_each(|l| {
                        l.keys.remove(key);
                    });
                }
            },
            What::Pin { key, pinned, .. } => self.key(key).pinned = *pinned,
            What::LaneJoined { lane, kind } => {
                let keys = BTreeSet::new();
                let (busy, suspect, draining) = (None, false, false);
                self.lanes.insert(*lane, LaneView { kind: *kind, busy, suspect, draining, keys });
            }
            What::LaneLeft { lane, .. } => {
                self.lanes.remove(lane);
            }
            What::Quarantined { lane } => {
                self.lanes.get_mut(lane).into_iter().for_each(|l| l.suspect = true);
            }
            What::Probing { run, lane } => {
                self.lanes.get_mut(lane).into_iter().for_each(|l| l.busy = Some(*run));
            }
            What::Probed { run, lane, passed } => {
                self.free(*lane, *run);
                self.lanes.get_mut(lane).into_iter().for_each(|l| l.suspect = !passed);
            }
            _ => {}
        }
    }

    fn end_keying(&mut self, lane: LaneId) -> Option<TaskId> {
        for (&job, view) in &mut self.jobs {
            for (partition, part) in (0..).zip(&mut view.parts) {
                if part.state == State::Keying(lane) {
                    part.state = State::Waiting;
                    return Some(TaskId { job, partition, step: 0 });
                }
            }
        }
        None
    }
}

/// The class a job rises to.
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
