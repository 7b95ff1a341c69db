//! A model of the scheduler's state, rebuilt from events and trace alone, in plain vectors and
//! maps. It shares no structure with the scheduler.

use super::shares::Shares;
use crate::ids::*;
use crate::job::{Class, JobSpec, WorkerKind, WorkerNeed};
use crate::memory::{Memory, Profile, Step};
use crate::trace::{BudgetPart, PressureStep};
use crate::{Config, Event, KeySpec, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for other partitions, or is ready: see [`Model::ready`].
    Waiting,
    Backoff(Time),
    Keying(WorkerId),
    Running(RunId),
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
    pub(crate) avoid: Option<WorkerId>,
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
    pub(crate) admitted: Option<BudgetPart>,
    pub(crate) released: bool,
    /// When its age timer expires.
    pub(crate) rises: Option<Time>,
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
pub(crate) struct WorkerView {
    pub(crate) kind: WorkerKind,
    pub(crate) busy: Option<RunId>,
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

/// The reservation of a running partition; a budget part has them in grant order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReservationView {
    pub(crate) job: JobId,
    pub(crate) partition: u32,
    pub(crate) holds: Memory,
    pub(crate) most: Memory,
}

/// The priority of a partition: class, deadline, tag, job, partition.
pub(crate) type PriorityKey = (Class, u64, u64, JobId, u32);

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) jobs: BTreeMap<JobId, JobView>,
    pub(crate) workers: BTreeMap<WorkerId, WorkerView>,
    pub(crate) keys: BTreeMap<KeyId, KeyView>,
    pub(crate) reservations: [Vec<ReservationView>; 2],
    pub(crate) pressure: PressureStep,
    pub(crate) waiting_submits: BTreeMap<SubmitId, JobSpec>,
    pub(crate) growing: Vec<crate::PartitionSpec>,
    /// A job from before a restart, with the partitions that were done.
    pub(crate) restoring: Option<(JobSpec, Vec<u32>)>,
    pub(crate) shares: Shares,
}

impl Model {
    pub(crate) fn new(config: Config) -> Model {
        Model {
            shares: Shares::new(&config),
            config,
            now: Time::ZERO,
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            keys: BTreeMap::new(),
            reservations: [Vec::new(), Vec::new()],
            pressure: PressureStep::None,
            waiting_submits: BTreeMap::new(),
            growing: Vec::new(),
            restoring: None,
        }
    }

    /// Takes in what the event itself says, before the scheduler's reaction.
    pub(crate) fn observe_event(&mut self, now: Time, event: &Event) {
        self.now = self.now.max(now);
        match event {
            Event::Submit { submit_id, spec } => {
                self.waiting_submits.insert(*submit_id, spec.clone());
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
            Event::WorkerDraining { worker } => {
                self.workers.get_mut(worker).into_iter().for_each(|l| l.draining = true);
            }
            Event::Grow { partitions, .. } => self.growing = partitions.clone(),
            Event::Restore { spec, finished, .. } => {
                self.restoring = Some((spec.clone(), finished.clone()));
            }
            _ => {}
        }
    }

    pub(crate) fn budget(&self, budget_part: BudgetPart) -> Memory {
        let general = self.config.budget.saturating_sub(self.config.reserve);
        match budget_part {
            BudgetPart::General => general,
            BudgetPart::Reserve => self.config.budget - general,
        }
    }

    /// Own memory of jobs and keys in a budget part.
    pub(crate) fn fixed(&self, budget_part: BudgetPart) -> Memory {
        let jobs = self.jobs.values().filter(|j| j.admitted == Some(budget_part) && !j.released);
        let holds = jobs.fold(Memory::ZERO, |sum, j| sum + j.spec.holds);
        let keys = self.keys.values().filter(|k| k.resident || k.loading);
        match budget_part {
            BudgetPart::General => keys.fold(holds, |sum, k| sum + k.spec.shared),
            BudgetPart::Reserve => holds,
        }
    }

    pub(crate) fn reserved(&self) -> Memory {
        [BudgetPart::General, BudgetPart::Reserve].into_iter().fold(
            Memory::ZERO,
            |sum, budget_part| {
                let reservations = self.reservations[budget_part as usize].iter();
                reservations
                    .fold(sum + self.fixed(budget_part), |sum, reservation| sum + reservation.holds)
            },
        )
    }

    pub(crate) fn location(&self, job: JobId, partition: u32) -> PriorityKey {
        let view = &self.jobs[&job];
        let deadline = view.spec.deadline.map_or(u64::MAX, |t| t.0);
        (view.class, deadline, view.tag, job, partition)
    }

    /// Whether a partition waits only for a worker, memory, a key and the limit on partitions in
    /// flight.
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

    /// All ready partitions in priority order.
    pub(crate) fn queue(&self) -> Vec<PriorityKey> {
        let jobs = self.jobs.iter().filter(|(_, view)| view.open());
        let parts =
            jobs.flat_map(|(&job, view)| (0..view.parts.len() as u32).map(move |p| (job, p)));
        let mut queue: Vec<PriorityKey> = parts
            .filter(|&(job, partition)| self.ready(job, partition))
            .map(|(job, partition)| self.location(job, partition))
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

    pub(crate) fn reservation(
        &mut self,
        job: JobId,
        partition: u32,
    ) -> Option<&mut ReservationView> {
        let reservations = self.reservations.iter_mut().flatten();
        reservations.into_iter().find(|s| s.job == job && s.partition == partition)
    }

    pub(crate) fn vacate(&mut self, job: JobId, partition: u32) {
        for reservations in &mut self.reservations {
            reservations.retain(|s| (s.job, s.partition) != (job, partition));
        }
        if let Some(view) = self.jobs.get_mut(&job) {
            view.parts[partition as usize].started = false;
        }
    }

    /// The key that a step needs on its device, with its bytes there.
    pub(crate) fn device_key(&self, step: &Step) -> Option<(KeyId, u64)> {
        let key = step.key.filter(|_| matches!(step.worker, WorkerNeed::Device { .. }))?;
        Some((key, self.keys[&key].spec.device)).filter(|(_, bytes)| *bytes > 0)
    }
}
