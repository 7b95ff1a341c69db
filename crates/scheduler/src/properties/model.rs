//! What an onlooker knows: the world rebuilt from events and trace alone, in plain vectors and
//! maps, with none of the scheduler's own structures.

use crate::ids::*;
use crate::job::{Class, JobSpec, LaneKind, LaneNeed};
use crate::memory::{Memory, Profile, Step};
use crate::trace::{PressureStep, Purse, What};
use crate::{Config, Event, KeySpec, Outcome, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for other partitions, or for its turn: see [`Model::ready`].
    Waiting,
    Backoff(Time),
    Keying(LaneId),
    Running(Run),
    Over,
}

#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) profile: Arc<Profile>,
    pub(crate) after: Vec<u32>,
    pub(crate) grown: bool,
    pub(crate) step: usize,
    pub(crate) state: State,
    pub(crate) started: bool,
    pub(crate) avoid: Option<LaneId>,
    pub(crate) done: bool,
}

impl Part {
    pub(crate) fn current(&self) -> &Step {
        &self.profile.steps()[self.step]
    }
}

#[derive(Debug)]
pub(crate) struct JobView {
    pub(crate) spec: JobSpec,
    pub(crate) class: Class,
    pub(crate) tag: u64,
    pub(crate) parts: Vec<Part>,
    pub(crate) recorded: bool,
    pub(crate) acknowledged: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) end_recorded: bool,
    pub(crate) answered: bool,
    pub(crate) admitted: Option<Purse>,
    pub(crate) released: bool,
}

impl JobView {
    pub(crate) fn open(&self) -> bool {
        self.acknowledged && self.outcome.is_none()
    }

    pub(crate) fn grown_left(&self) -> u32 {
        self.parts.iter().filter(|p| p.grown && !p.done).count() as u32
    }
}

#[derive(Debug)]
pub(crate) struct LaneView {
    pub(crate) kind: LaneKind,
    pub(crate) busy: Option<Run>,
    pub(crate) suspect: bool,
    pub(crate) draining: bool,
    pub(crate) keys: BTreeSet<KeyId>,
}

#[derive(Debug)]
pub(crate) struct KeyView {
    pub(crate) spec: KeySpec,
    pub(crate) resident: bool,
    pub(crate) loading: bool,
    pub(crate) backoff: Option<Time>,
    pub(crate) pinned: bool,
    pub(crate) withdrawn: bool,
}

/// A running partition's place in a purse, in grant order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeatView {
    pub(crate) job: JobId,
    pub(crate) partition: u32,
    pub(crate) holds: Memory,
    pub(crate) most: Memory,
}

/// The place of a partition in the order of service.
pub(crate) type Place5 = (Class, u64, u64, JobId, u32);

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) jobs: BTreeMap<JobId, JobView>,
    pub(crate) lanes: BTreeMap<LaneId, LaneView>,
    pub(crate) keys: BTreeMap<KeyId, KeyView>,
    pub(crate) seats: [Vec<SeatView>; 2],
    pub(crate) pressure: PressureStep,
    pub(crate) waiting_submits: BTreeMap<Ticket, JobSpec>,
    pub(crate) growing: Vec<crate::PartitionSpec>,
}

impl Model {
    pub(crate) fn new(config: Config) -> Model {
        Model {
            config,
            now: Time::ZERO,
            jobs: BTreeMap::new(),
            lanes: BTreeMap::new(),
            keys: BTreeMap::new(),
            seats: [Vec::new(), Vec::new()],
            pressure: PressureStep::None,
            waiting_submits: BTreeMap::new(),
            growing: Vec::new(),
        }
    }

    /// What an event says by itself, before the scheduler has reacted.
    pub(crate) fn told(&mut self, now: Time, event: &Event) {
        self.now = self.now.max(now);
        match event {
            Event::Submit { ticket, spec } => {
                self.waiting_submits.insert(*ticket, spec.clone());
            }
            Event::KeyDeclared { key, spec } => {
                let new = KeyView {
                    spec: *spec,
                    resident: false,
                    loading: false,
                    backoff: None,
                    pinned: false,
                    withdrawn: false,
                };
                self.keys.entry(*key).or_insert(new).withdrawn = false;
            }
            Event::KeyWithdrawn { key } => {
                self.keys.get_mut(key).into_iter().for_each(|k| k.withdrawn = true);
            }
            Event::LaneDraining { lane } => {
                self.lanes.get_mut(lane).into_iter().for_each(|l| l.draining = true);
            }
            Event::Grow { partitions, .. } => self.growing = partitions.clone(),
            _ => {}
        }
    }

    pub(crate) fn budget(&self, purse: Purse) -> Memory {
        let general = self.config.budget.saturating_sub(self.config.reserve);
        match purse {
            Purse::General => general,
            Purse::Reserve => self.config.budget - general,
        }
    }

    /// Job holds and keys paid by a purse.
    pub(crate) fn outright(&self, purse: Purse) -> Memory {
        let jobs = self.jobs.values().filter(|j| j.admitted == Some(purse) && !j.released);
        let holds = jobs.fold(Memory::ZERO, |sum, j| sum + j.spec.holds);
        let keys = self.keys.values().filter(|k| k.resident || k.loading);
        match purse {
            Purse::General => keys.fold(holds, |sum, k| sum + k.spec.shared),
            Purse::Reserve => holds,
        }
    }

    pub(crate) fn reserved(&self) -> Memory {
        [Purse::General, Purse::Reserve].into_iter().fold(Memory::ZERO, |sum, purse| {
            let seats = self.seats[purse as usize].iter();
            seats.fold(sum + self.outright(purse), |sum, seat| sum + seat.holds)
        })
    }

    pub(crate) fn place(&self, job: JobId, partition: u32) -> Place5 {
        let view = &self.jobs[&job];
        let deadline = view.spec.deadline.map_or(u64::MAX, |t| t.0);
        (view.class, deadline, view.tag, job, partition)
    }

    /// Whether a partition waits for nothing but lane, memory, key and machine credit.
    pub(crate) fn ready(&self, job: JobId, partition: u32) -> bool {
        let view = &self.jobs[&job];
        let part = &view.parts[partition as usize];
        let waits = match part.state {
            State::Waiting => false,
            State::Backoff(till) => till > self.now,
            _ => true,
        };
        let live = view.spec.growth.as_ref().map_or(0, |g| g.live);
        let emits = part.current().emits;
        view.open()
            && !waits
            && part.after.iter().all(|&before| view.parts[before as usize].done)
            && (emits == 0 || view.grown_left() + emits <= live)
    }

    /// All ready partitions in the order of service.
    pub(crate) fn queue(&self) -> Vec<Place5> {
        let jobs = self.jobs.iter().filter(|(_, view)| view.open());
        let parts =
            jobs.flat_map(|(&job, view)| (0..view.parts.len() as u32).map(move |p| (job, p)));
        let mut queue: Vec<Place5> = parts
            .filter(|&(job, partition)| self.ready(job, partition))
            .map(|(job, partition)| self.place(job, partition))
            .collect();
        queue.sort_unstable();
        queue
    }

    pub(crate) fn users(&self, key: KeyId) -> usize {
        let parts = self.jobs.values().flat_map(|j| &j.parts);
        parts.filter(|p| p.started && p.profile.keys().any(|k| k == key)).count()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        let parts = self.jobs.values().flat_map(|j| &j.parts);
        parts.filter(|p| p.started && !p.profile.emits()).count() as u32
    }

    pub(crate) fn seat(&mut self, job: JobId, partition: u32) -> Option<&mut SeatView> {
        let seats = self.seats.iter_mut().flatten();
        seats.into_iter().find(|s| s.job == job && s.partition == partition)
    }

    pub(crate) fn vacate(&mut self, job: JobId, partition: u32) {
        for seats in &mut self.seats {
            seats.retain(|s| (s.job, s.partition) != (job, partition));
        }
        if let Some(view) = self.jobs.get_mut(&job) {
            view.parts[partition as usize].started = false;
        }
    }

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
            What::Accepted { ticket, job, class, tag, .. } => {
                let spec = ticket.and_then(|t| self.waiting_submits.remove(&t));
                let spec = spec.expect("the property world restores no jobs");
                let parts = spec.partitions.iter().map(|p| part(p, false)).collect();
                let view = JobView {
                    spec,
                    class: *class,
                    tag: *tag,
                    parts,
                    recorded: false,
                    acknowledged: false,
                    outcome: None,
                    end_recorded: false,
                    answered: false,
                    admitted: None,
                    released: false,
                };
                self.jobs.insert(*job, view);
            }
            What::Recorded { job, durable: true, .. } => {
                if let Some(view) = self.jobs.get_mut(job) {
                    view.end_recorded |= view.outcome.is_some();
                    view.recorded = true;
                }
            }
            What::Acknowledged { job, .. } => self.job(job).acknowledged = true,
            What::Promoted { job, class } => self.job(job).class = *class,
            What::Grew { job, .. } => {
                let added = std::mem::take(&mut self.growing);
                self.job(job).parts.extend(added.iter().map(|p| part(p, true)));
            }
            What::Started { run, task, lane, purse, job_holds, .. } => {
                self.started(*run, task, *lane, *purse, *job_holds);
            }
            What::Finished { run, task, lane, .. } => {
                self.free(*lane, *run);
                let part = self.part(task);
                part.state = State::Waiting;
                let keeps = part.current().claim.keeps;
                let ahead = part.profile.peak_from(part.step + 1);
                if let Some(seat) = self.seat(task.job, task.partition) {
                    (seat.holds, seat.most) = (keeps, ahead.max(keeps));
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

    fn started(&mut self, run: Run, task: &TaskId, lane: LaneId, purse: Purse, job_holds: Memory) {
        self.lanes.get_mut(&lane).into_iter().for_each(|l| l.busy = Some(run));
        let view = self.job(&task.job);
        if view.admitted.is_none() {
            view.admitted = Some(purse);
            assert_eq!(job_holds, view.spec.holds);
        }
        let part = self.part(task);
        let first = !std::mem::replace(&mut part.started, true);
        part.state = State::Running(run);
        let holds = part.current().claim.peak;
        let (most, whole) = (part.profile.peak_from(part.step), part.profile.peak());
        let (job, partition) = (task.job, task.partition);
        if first && !whole.is_zero() {
            let seat = SeatView { job, partition, holds, most };
            self.seats[purse as usize].push(seat);
        } else if let Some(seat) = self.seat(job, partition) {
            (seat.holds, seat.most) = (holds, most);
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
        } else if let Some(seat) = self.seat(task.job, task.partition) {
            (seat.holds, seat.most) = (input, ahead);
        }
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

    /// A device copy that a step needs, with its bytes.
    pub(crate) fn device_key(&self, step: &Step) -> Option<(KeyId, u64)> {
        let key = step.key.filter(|_| matches!(step.lane, LaneNeed::Device { .. }))?;
        Some((key, self.keys[&key].spec.device)).filter(|(_, bytes)| *bytes > 0)
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
