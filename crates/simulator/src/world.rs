//! Virtual time: an ordered queue of what will happen, and the real scheduler in the middle.
//!
//! The world does what the engine does, without hands: it carries out each action by deciding when
//! its answer will come, and tells the scheduler when that time is reached. Time jumps from one
//! happening to the next, so a simulated day costs as much as it has decisions.

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

/// Why a simulation could not go to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// Nothing will ever happen again and jobs are unanswered: a defect of the scheduler.
    #[error("{open} jobs are open and nothing is left to happen after {:.3} s", at.as_secs_f64())]
    Stuck {
        /// Jobs without an answer.
        open: u64,
        /// The last moment.
        at: Time,
    },
}

/// What comes of a run through all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    /// Events the scheduler took in.
    pub(crate) events: u64,
    /// Submits refused for good, by reason (the first few reasons).
    pub(crate) refused: Vec<(String, u64)>,
    /// The last moment.
    pub(crate) end: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The next job of `scenario.jobs[..]` arrives.
    Arrival(usize),
    /// A refused job is sent again under its ticket.
    Again(u64),
    End(RunId),
    /// The announced end in a crowd, if nobody joined or left since.
    CrowdEnd(usize, u64),
    Stopped(RunId),
    Loaded(RunId),
    Probed(RunId),
    Persisted(RecordId),
    Tick,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// Its crowd, if its time depends on others.
    crowd: Option<usize>,
    fails: bool,
}

/// Kinds of chance, so that their draws are independent.
const SPREAD: u64 = 1;
const FAILING: u64 = 2;
const ARRIVAL: u64 = 3;

/// Reasons of refusal that are told apart.
const MOST_REASONS: usize = 16;

pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    model: &'a Model,
    scheduler: Scheduler,
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    order: u64,
    tick: Option<Time>,
    running: HashMap<RunId, Running>,
    crowds: Vec<Crowd>,
    /// By crowd: who is done next, and the crowd's version when that was found.
    announced: Vec<(u64, Option<NextEnd>)>,
    /// By `scenario.jobs`: how many arrivals have been put into the queue so far.
    arranged: Vec<u32>,
    /// Open submits: which of `scenario.jobs`, and when it arrived.
    tickets: HashMap<u64, (usize, Time)>,
    jobs: HashMap<JobId, usize>,
    next_ticket: u64,
    unanswered: u64,
    ran: Ran,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, model: &'a Model) -> World<'a> {
        let crowds: Vec<Crowd> = model
            .crowds
            .iter()
            .map(|(_, kinds)| {
                let mut crowd = Crowd::default();
                kinds.iter().for_each(|curve| _ = crowd.add_kind(curve.clone()));
                crowd
            })
            .collect();
        World {
            scenario,
            model,
            scheduler: Scheduler::new(model.config.clone(), scenario.seed),
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            order: 0,
            tick: None,
            running: HashMap::new(),
            announced: vec![(0, None); crowds.len()],
            crowds,
            arranged: vec![0; scenario.jobs.len()],
            tickets: HashMap::new(),
            jobs: HashMap::new(),
            next_ticket: 0,
            unanswered: model.jobs,
            ran: Ran::default(),
        }
    }

    /// Runs to the last answer; every trace record goes to `sink` and nowhere else.
    pub(crate) fn run(mut self, mut sink: impl FnMut(&Trace)) -> Result<Ran, SimulationError> {
        let mut out = Output::default();
        for (at, declared) in self.model.keys.iter().enumerate() {
            let key = KeyId(at as u64);
            self.tell(Event::KeyDeclared { key, spec: declared.spec }, &mut out, &mut sink);
            if declared.stay {
                self.tell(Event::Pin { key }, &mut out, &mut sink);
            }
        }
        for (at, kind) in self.model.lanes.iter().enumerate() {
            let lane = WorkerId(at as u32);
            self.tell(Event::WorkerJoined { worker: lane, kind: *kind }, &mut out, &mut sink);
        }
        for of in 0..self.scenario.jobs.len() {
            self.first_arrivals(of);
        }
        while let Some(Reverse((at, _, happening))) = self.queue.pop() {
            debug_assert!(at >= self.now, "time does not run backwards");
            self.now = at;
            if let Some(event) = self.happen(happening) {
                self.tell(event, &mut out, &mut sink);
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

    fn tell(&mut self, event: Event, out: &mut Output, sink: &mut impl FnMut(&Trace)) {
        self.ran.events += 1;
        self.scheduler.handle(self.now, event, out);
        out.trace.iter().for_each(&mut *sink);
        let actions = std::mem::take(&mut out.actions);
        for action in &actions {
            self.carry_out(action);
        }
        out.actions = actions;
        out.clear();
        self.announce();
        if let Some(wake) = self.scheduler.next_wake()
            && self.tick.is_none_or(|t| wake < t || t <= self.now)
        {
            self.tick = Some(wake);
            self.at(wake.max(self.now), Happening::Tick);
        }
    }

    /// What the scheduler is told when this happens; nothing if it is out of date.
    fn happen(&mut self, happening: Happening) -> Option<Event> {
        match happening {
            Happening::Arrival(of) => {
                self.next_arrival(of);
                self.next_ticket += 1;
                self.tickets.insert(self.next_ticket, (of, self.now));
                self.submit(self.next_ticket)
            }
            Happening::Again(ticket) => self.submit(ticket),
            Happening::End(run) => self.end(run),
            Happening::CrowdEnd(crowd, version) => {
                let end =
                    self.announced[crowd].1.filter(|_| self.crowds[crowd].version == version)?;
                self.crowds[crowd].done(end);
                self.end(end.run)
            }
            Happening::Stopped(run) => Some(Event::Stopped { run }),
            Happening::Loaded(run) => Some(Event::Loaded { run }),
            Happening::Probed(run) => Some(Event::Probed { run, passed: true }),
            Happening::Persisted(record) => Some(Event::Persisted { record }),
            Happening::Tick => {
                self.tick = None;
                Some(Event::Tick)
            }
        }
    }

    fn submit(&mut self, ticket: u64) -> Option<Event> {
        let &(of, arrived) = self.tickets.get(&ticket)?;
        let spec = self.model.job(self.scenario, of, arrived);
        Some(Event::Submit { submit_id: SubmitId(ticket), spec })
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
                if let JournalEntry::Accepted { submit_id: ticket, job } = entry
                    && let Some(&(of, _)) = self.tickets.get(&ticket.0)
                {
                    self.jobs.insert(*job, of);
                }
                let after = Span::from_secs_f64(self.scenario.machine.journal_seconds);
                self.at(self.now + after, Happening::Persisted(*record));
            }
            Action::Acknowledge { submit_id: ticket, .. } => _ = self.tickets.remove(&ticket.0),
            Action::Refuse { submit_id: ticket, why } => self.refused(ticket.0, why),
            Action::Start { run, task, threads, .. } => self.start(*run, *task, *threads),
            Action::Stop { run, .. } => self.stop(*run),
            Action::Load { run, key, .. } => {
                let load = self.model.keys[key.0 as usize].load;
                self.at(self.now + load, Happening::Loaded(*run));
            }
            Action::Probe { run, .. } => self.at(self.now, Happening::Probed(*run)),
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
                self.at(self.now + Span::from_secs_f64(work), Happening::End(run));
            }
        }
    }

    /// Seconds of work, as if alone.
    fn work(&self, stage: &ModelStage, run: RunId, threads: u32) -> f64 {
        let spread = match stage.spread {
            0.0 => 1.0,
            s => 1.0 + s * (2.0 * unit(self.scenario.seed, SPREAD, run.0) - 1.0),
        };
        let slower = match stage.lane {
            athanor_scheduler::WorkerNeed::Cpu { most, .. } if threads > 0 && threads < most => {
                f64::from(most) / f64::from(threads)
            }
            _ => 1.0,
        };
        stage.alone * spread * slower
    }

    /// Stopping takes no time here; the end that was on its way finds its run gone.
    fn stop(&mut self, run: RunId) {
        let Some(running) = self.running.remove(&run) else { return };
        if let Some(crowd) = running.crowd {
            self.crowds[crowd].leave(self.now, run);
        }
        self.at(self.now, Happening::Stopped(run));
    }

    /// Puts the next end of each crowd that changed into the queue.
    fn announce(&mut self) {
        for crowd in 0..self.crowds.len() {
            let version = self.crowds[crowd].version;
            if self.announced[crowd].0 == version {
                continue;
            }
            let next = self.crowds[crowd].next_end();
            self.announced[crowd] = (version, next);
            if let Some(next) = next {
                self.at(next.at.max(self.now), Happening::CrowdEnd(crowd, version));
            }
        }
    }

    fn refused(&mut self, ticket: u64, why: &Refusal) {
        let Some(&(of, _)) = self.tickets.get(&ticket) else { return };
        if let Refusal::Busy { retry_after } = why {
            // A client that does as it is told.
            let wait = (*retry_after).max(Span::from_millis(1));
            self.at(self.now + wait, Happening::Again(ticket));
            return;
        }
        self.tickets.remove(&ticket);
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
            self.arrange(of, Time::ZERO + Span::from_secs_f64(jobs.start));
        }
    }

    /// Of jobs that come by the clock.
    fn next_arrival(&mut self, of: usize) {
        let jobs = &self.scenario.jobs[of];
        let gap = match (jobs.every, jobs.about_every) {
            (Some(every), _) => every,
            (_, Some(mean)) => {
                let index = (of as u64) << 32 | u64::from(self.arranged[of]);
                -mean * (1.0 - unit(self.scenario.seed, ARRIVAL, index)).ln()
            }
            _ => return,
        };
        self.arrange(of, self.now + Span::from_secs_f64(gap));
    }

    /// Of jobs that come when one is answered.
    fn after_answer(&mut self, of: usize) {
        if self.scenario.jobs[of].at_a_time.is_some() {
            self.arrange(of, self.now);
        }
    }

    fn arrange(&mut self, of: usize, at: Time) {
        if self.arranged[of] < self.scenario.jobs[of].count {
            self.arranged[of] += 1;
            self.at(at, Happening::Arrival(of));
        }
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, happening)));
    }
}
