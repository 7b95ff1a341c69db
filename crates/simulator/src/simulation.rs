//! The simulation: the real scheduler, driven in virtual time by an ordered queue of events.
//!
//! The simulation takes the engine's place: for each action it computes when the answer will come,
//! and gives it to the scheduler at that time. Time jumps from one event to the next, so the cost
//! of a simulation grows with the number of events, not with the simulated time.

use crate::crowd::{Crowd, NextEnd};
use crate::model::{Model, ModelStage};
use crate::rng::unit;
use crate::scenario::Scenario;
use athanor_scheduler::{
    Action, Event, Failure, JobId, JournalEntry, KeyId, Output, RecordId, Refusal, RunId,
    Scheduler, Span, SubmitId, TaskId, Time, Trace, WorkerId,
};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Why a simulation stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// No event is left and jobs are unanswered. This is a defect of the scheduler.
    #[error("{open} jobs are open and nothing is left to happen after {:.3} s", at.as_secs_f64())]
    Stuck {
        /// Jobs without an answer.
        open: u64,
        /// The time of the last event.
        at: Time,
    },
}

/// The result of a simulation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    /// Events that the scheduler handled.
    pub(crate) events: u64,
    /// Submits refused for good, by reason; later reasons count as the last one kept.
    pub(crate) refused: Vec<(String, u64)>,
    /// The time of the last event.
    pub(crate) end: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimEvent {
    /// The next job of `scenario.jobs[..]` arrives.
    Arrival(usize),
    /// A job refused as busy is submitted again.
    Again(u64),
    End(RunId),
    /// The computed end of a crowd, if the crowd has not changed since.
    CrowdEnd(usize, u64),
    Stopped(RunId),
    Loaded(RunId),
    Probed(RunId),
    Persisted(RecordId),
    Tick,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// Its crowd, if its duration depends on other runs.
    crowd: Option<usize>,
    fails: bool,
}

/// Purposes of random numbers, so that their draws are independent.
const SPREAD: u64 = 1;
const FAILING: u64 = 2;
const ARRIVAL: u64 = 3;

/// The number of refusal reasons that are counted separately.
const MOST_REASONS: usize = 16;

pub(crate) struct Simulation<'a> {
    scenario: &'a Scenario,
    model: &'a Model,
    scheduler: Scheduler,
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, SimEvent)>>,
    order: u64,
    tick: Option<Time>,
    running: HashMap<RunId, Running>,
    crowds: Vec<Crowd>,
    /// By crowd: the version at which its next end was computed, and that end.
    next_ends: Vec<(u64, Option<NextEnd>)>,
    /// By `scenario.jobs`: the number of arrivals put into the queue so far.
    scheduled_arrivals: Vec<u32>,
    /// Open submits: their index in `scenario.jobs` and arrival time.
    open_submits: HashMap<u64, (usize, Time)>,
    jobs: HashMap<JobId, usize>,
    next_submit: u64,
    unanswered: u64,
    ran: Ran,
}

impl<'a> Simulation<'a> {
    pub(crate) fn new(scenario: &'a Scenario, model: &'a Model) -> Simulation<'a> {
        let crowds: Vec<Crowd> = model
            .crowds
            .iter()
            .map(|(_, kinds)| {
                let mut crowd = Crowd::default();
                kinds.iter().for_each(|curve| _ = crowd.add_kind(curve.clone()));
                crowd
            })
            .collect();
        Simulation {
            scenario,
            model,
            scheduler: Scheduler::new(model.config.clone(), scenario.seed),
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            order: 0,
            tick: None,
            running: HashMap::new(),
            next_ends: vec![(0, None); crowds.len()],
            crowds,
            scheduled_arrivals: vec![0; scenario.jobs.len()],
            open_submits: HashMap::new(),
            jobs: HashMap::new(),
            next_submit: 0,
            unanswered: model.jobs,
            ran: Ran::default(),
        }
    }

    /// Runs to the last answer and gives every trace record to `sink`.
    pub(crate) fn run(mut self, mut sink: impl FnMut(&Trace)) -> Result<Ran, SimulationError> {
        let mut out = Output::default();
        for (at, declared) in self.model.keys.iter().enumerate() {
            let key = KeyId(at as u64);
            self.handle(Event::KeyDeclared { key, spec: declared.spec }, &mut out, &mut sink);
            if declared.stay {
                self.handle(Event::Pin { key }, &mut out, &mut sink);
            }
        }
        for (at, kind) in self.model.workers.iter().enumerate() {
            let worker = WorkerId(at as u32);
            self.handle(Event::WorkerJoined { worker, kind: *kind }, &mut out, &mut sink);
        }
        for of in 0..self.scenario.jobs.len() {
            self.first_arrivals(of);
        }
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            debug_assert!(at >= self.now, "time does not run backwards");
            self.now = at;
            if let Some(event) = self.happen(event) {
                self.handle(event, &mut out, &mut sink);
            }
            if self.unanswered == 0 {
                break;
            }
        }
        self.ran.end = self.now;
        match self.unanswered {
            0 => Ok(self.ran),
            open => Err(SimulationError::Stuck { open, at: self.now }),
        }
    }

    fn handle(&mut self, event: Event, out: &mut Output, sink: &mut impl FnMut(&Trace)) {
        self.ran.events += 1;
        self.scheduler.handle(self.now, event, out);
        out.trace.iter().for_each(&mut *sink);
        let actions = std::mem::take(&mut out.actions);
        for action in &actions {
            self.carry_out(action);
        }
        out.actions = actions;
        out.clear();
        self.update_crowd_ends();
        if let Some(wake) = self.scheduler.next_wake()
            && self.tick.is_none_or(|t| wake < t || t <= self.now)
        {
            self.tick = Some(wake);
            self.at(wake.max(self.now), SimEvent::Tick);
        }
    }

    /// The event that the scheduler gets now; `None` if it is out of date.
    fn happen(&mut self, event: SimEvent) -> Option<Event> {
        match event {
            SimEvent::Arrival(of) => {
                self.next_arrival(of);
                self.next_submit += 1;
                self.open_submits.insert(self.next_submit, (of, self.now));
                self.submit(self.next_submit)
            }
            SimEvent::Again(submit) => self.submit(submit),
            SimEvent::End(run) => self.end(run),
            SimEvent::CrowdEnd(crowd, version) => {
                let end =
                    self.next_ends[crowd].1.filter(|_| self.crowds[crowd].version == version)?;
                self.crowds[crowd].done(end);
                self.end(end.run)
            }
            SimEvent::Stopped(run) => Some(Event::Stopped { run }),
            SimEvent::Loaded(run) => Some(Event::Loaded { run }),
            SimEvent::Probed(run) => Some(Event::Probed { run, passed: true }),
            SimEvent::Persisted(record) => Some(Event::Persisted { record }),
            SimEvent::Tick => {
                self.tick = None;
                Some(Event::Tick)
            }
        }
    }

    fn submit(&mut self, submit: u64) -> Option<Event> {
        let &(of, arrived) = self.open_submits.get(&submit)?;
        let spec = self.model.job(self.scenario, of, arrived);
        Some(Event::Submit { submit_id: SubmitId(submit), spec })
    }

    fn end(&mut self, run: RunId) -> Option<Event> {
        let running = self.running.remove(&run)?;
        Some(match running.fails {
            true => Event::Failed { run, failure: Failure::Transient },
            false => Event::Finished { run, peak: None, again: false },
        })
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Persist { record, entry } => {
                if let JournalEntry::Accepted { submit_id, job } = entry
                    && let Some(&(of, _)) = self.open_submits.get(&submit_id.0)
                {
                    self.jobs.insert(*job, of);
                }
                let after = Span::from_secs_f64(self.scenario.machine.journal_seconds);
                self.at(self.now + after, SimEvent::Persisted(*record));
            }
            Action::Acknowledge { submit_id, .. } => _ = self.open_submits.remove(&submit_id.0),
            Action::Refuse { submit_id, why } => self.refused(submit_id.0, why),
            Action::Start { run, task, threads, .. } => self.start(*run, *task, *threads),
            Action::Stop { run, .. } => self.stop(*run),
            Action::Load { run, key, .. } => {
                let load = self.model.keys[key.0 as usize].load;
                self.at(self.now + load, SimEvent::Loaded(*run));
            }
            Action::Probe { run, .. } => self.at(self.now, SimEvent::Probed(*run)),
            Action::Answer { job, .. } => {
                self.unanswered -= 1;
                if let Some(of) = self.jobs.remove(job) {
                    self.after_answer(of);
                }
            }
            Action::Discard { .. } | Action::Evict { .. } | Action::Close { .. } => {}
        }
    }

    fn start(&mut self, run: RunId, task: TaskId, threads: u32) {
        let Some(&of) = self.jobs.get(&task.job) else { return };
        let model = self.model;
        let circuit = &model.circuits[model.circuit_of[of]];
        let stage = &circuit.stages_of(task.partition)[usize::from(task.step)];
        let work = self.work(stage, run, threads);
        let fails = unit(self.scenario.seed, FAILING, run.0) < stage.failing;
        match stage.crowd {
            Some((crowd, kind)) => {
                self.crowds[crowd].join(self.now, kind, run, work);
                self.running.insert(run, Running { crowd: Some(crowd), fails });
            }
            None => {
                self.running.insert(run, Running { crowd: None, fails });
                self.at(self.now + Span::from_secs_f64(work), SimEvent::End(run));
            }
        }
    }

    /// Seconds of work of a run, as if alone.
    fn work(&self, stage: &ModelStage, run: RunId, threads: u32) -> f64 {
        let spread = match stage.spread {
            0.0 => 1.0,
            s => 1.0 + s * (2.0 * unit(self.scenario.seed, SPREAD, run.0) - 1.0),
        };
        let slower = match stage.worker {
            athanor_scheduler::WorkerNeed::Cpu { most, .. } if threads > 0 && threads < most => {
                f64::from(most) / f64::from(threads)
            }
            _ => 1.0,
        };
        stage.alone * spread * slower
    }

    /// Stops a run at once; its scheduled end finds no run and does nothing.
    fn stop(&mut self, run: RunId) {
        let Some(running) = self.running.remove(&run) else { return };
        if let Some(crowd) = running.crowd {
            self.crowds[crowd].leave(self.now, run);
        }
        self.at(self.now, SimEvent::Stopped(run));
    }

    /// Puts the next end of each changed crowd into the queue.
    fn update_crowd_ends(&mut self) {
        for crowd in 0..self.crowds.len() {
            let version = self.crowds[crowd].version;
            if self.next_ends[crowd].0 == version {
                continue;
            }
            let next = self.crowds[crowd].next_end();
            self.next_ends[crowd] = (version, next);
            if let Some(next) = next {
                self.at(next.at.max(self.now), SimEvent::CrowdEnd(crowd, version));
            }
        }
    }

    fn refused(&mut self, submit: u64, why: &Refusal) {
        let Some(&(of, _)) = self.open_submits.get(&submit) else { return };
        if let Refusal::Busy { retry_after } = why {
            // The client waits as long as the refusal says.
            let wait = (*retry_after).max(Span::from_millis(1));
            self.at(self.now + wait, SimEvent::Again(submit));
            return;
        }
        self.open_submits.remove(&submit);
        self.unanswered -= 1;
        let why = why.to_string();
        let reasons = &mut self.ran.refused;
        let at = reasons.iter().position(|(w, _)| *w == why).unwrap_or_else(|| {
            if reasons.len() < MOST_REASONS {
                reasons.push((why, 0));
            }
            reasons.len() - 1
        });
        reasons[at].1 += 1;
        self.after_answer(of);
    }

    fn first_arrivals(&mut self, of: usize) {
        let jobs = &self.scenario.jobs[of];
        let together = match (jobs.at_a_time, jobs.every, jobs.about_every) {
            (Some(n), _, _) => n,
            (_, None, None) => jobs.count,
            _ => 1,
        };
        for _ in 0..together.min(jobs.count) {
            self.schedule_arrival(of, Time::ZERO + Span::from_secs_f64(jobs.start));
        }
    }

    /// Schedules the next of jobs that arrive by time.
    fn next_arrival(&mut self, of: usize) {
        let jobs = &self.scenario.jobs[of];
        let gap = match (jobs.every, jobs.about_every) {
            (Some(every), _) => every,
            (_, Some(mean)) => {
                let index = (of as u64) << 32 | u64::from(self.scheduled_arrivals[of]);
                -mean * (1.0 - unit(self.scenario.seed, ARRIVAL, index)).ln()
            }
            _ => return,
        };
        self.schedule_arrival(of, self.now + Span::from_secs_f64(gap));
    }

    /// Schedules the next of jobs that arrive when one is answered.
    fn after_answer(&mut self, of: usize) {
        if self.scenario.jobs[of].at_a_time.is_some() {
            self.schedule_arrival(of, self.now);
        }
    }

    fn schedule_arrival(&mut self, of: usize, at: Time) {
        if self.scheduled_arrivals[of] < self.scenario.jobs[of].count {
            self.scheduled_arrivals[of] += 1;
            self.at(at, SimEvent::Arrival(of));
        }
    }

    fn at(&mut self, at: Time, event: SimEvent) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, event)));
    }
}
