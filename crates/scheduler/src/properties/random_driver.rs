//! A random driver: it reports results after random times, with random failures, and adds submits,
//! cancels, lost devices, stale reports and memory pressure.

use super::checker::{Checker, Property, Violation};
use super::generate;
use crate::jitter::Jitter;
use crate::planted::Bug;
use crate::*;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};

pub(crate) struct RandomDriver {
    rng: Jitter,
    pub(crate) scheduler: Scheduler,
    pub(crate) checker: Checker,
    now: Time,
    agenda: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    /// Steps that were started and not reported, by run.
    running: BTreeMap<RunId, TaskId>,
    workers: BTreeSet<WorkerId>,
    next_worker: u32,
    next_ticket: u64,
    jobs: Vec<JobId>,
    trouble: bool,
    out: Output,
    pub(crate) events: u64,
    pub(crate) digest: std::hash::DefaultHasher,
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl RandomDriver {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> RandomDriver {
        let mut rng = Jitter::new(seed);
        let config = generate::config(&mut rng);
        let mut scheduler = Scheduler::new(config.clone(), seed);
        scheduler.planted.bug = bug;
        RandomDriver {
            rng,
            scheduler,
            checker: Checker::new(config),
            now: Time::ZERO,
            agenda: BTreeMap::new(),
            sequence: 0,
            running: BTreeMap::new(),
            workers: BTreeSet::new(),
            next_worker: 0,
            next_ticket: 0,
            jobs: Vec::new(),
            trouble: true,
            out: Output::default(),
            events: 0,
            digest: std::hash::DefaultHasher::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Runs for about `events` events, then lets all work end.
    pub(crate) fn run(&mut self, events: u64) -> Result<(), Violation> {
        for key in 0..generate::KEYS {
            let spec = generate::key(&mut self.rng);
            self.tell(Event::KeyDeclared { key: KeyId(key), spec })?;
        }
        for kind in generate::ample_workers() {
            self.join(kind)?;
        }
        for _ in 0..self.rng.below(6) {
            let kind = generate::worker(&mut self.rng);
            self.join(kind)?;
        }
        for job in 0..self.rng.below(4) {
            let (spec, finished) = generate::restored(&mut self.rng, self.now);
            let job = JobId(2 * job);
            self.jobs.push(job);
            self.tell(Event::Restore { job, spec, finished })?;
        }
        while self.events < events {
            self.disturb()?;
            self.advance()?;
            if self.events.is_multiple_of(512) {
                self.checker.forget();
                let open: Vec<JobId> = self.checker.model.jobs.keys().copied().collect();
                self.jobs.retain(|job| open.binary_search(job).is_ok());
            }
        }
        self.settle()
    }

    /// Stops all trouble, adds workers for everything, and advances time until nothing happens.
    fn settle(&mut self) -> Result<(), Violation> {
        self.trouble = false;
        for kind in generate::ample_workers() {
            self.join(kind)?;
        }
        self.tell(Event::Resident { memory: Memory::ZERO })?;
        for _ in 0..200_000 {
            if !self.advance()? {
                return self.checker.at_rest(self.scheduler.reserved());
            }
        }
        let how = "events without end".into();
        Err(Violation { property: Property::EverySubmitEnds, how })
    }

    fn join(&mut self, kind: WorkerKind) -> Result<(), Violation> {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.insert(worker);
        self.tell(Event::WorkerJoined { worker, kind })
    }

    /// Takes the next event, or the scheduler's wake-up if that is earlier.
    fn advance(&mut self) -> Result<bool, Violation> {
        let next = self.agenda.first_key_value().map(|((time, _), _)| *time);
        let event = match (next, self.scheduler.next_wake()) {
            (Some(time), wake) if wake.is_none_or(|wake| time <= wake) => {
                self.now = self.now.max(time);
                self.agenda.pop_first().map(|(_, event)| event)
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                Some(Event::Tick)
            }
            _ => None,
        };
        let Some(event) = event else { return Ok(false) };
        self.tell(event)?;
        Ok(true)
    }

    fn tell(&mut self, event: Event) -> Result<(), Violation> {
        self.events += 1;
        self.out.clear();
        let mut event = event;
        if let Event::Finished { run, again, .. } = &mut event
            && let Some(task) = self.running.get(run).copied()
        {
            *again = self.emit(*run, task)?;
        }
        if let Event::Finished { run, .. } | Event::Failed { run, .. } | Event::Stopped { run } =
            &event
        {
            self.running.remove(run);
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.scheduler.handle(self.now, event.clone(), &mut out);
        for trace in &out.trace {
            format!("{trace:?}").hash(&mut self.digest);
            self.note(&trace.event);
        }
        let checked = self.checker.observe(self.now, &event, &out, self.scheduler.reserved());
        for action in &out.actions {
            self.carry_out(action);
        }
        self.out = out;
        checked.map_err(|mut violation| {
            let model = &self.checker.model;
            let Output { actions: _, trace } = &self.out;
            violation.how += &format!(
                "\nat {:?} after {event:?}\ndecided {trace:?}\nseats {:?}\nlanes {:?}\nkeys {:?}\nunder {:?}",
                self.now, model.reservations, model.workers, model.keys, model.config
            );
            violation
        })
    }

    fn note(&mut self, what: &TraceEvent) {
        let name = match what {
            TraceEvent::Refused { why: Refusal::Busy { .. }, .. } => "busy",
            TraceEvent::Refused { why: Refusal::NeverFits { .. }, .. } => "never fits",
            TraceEvent::Accepted { submit_id: None, .. } => "restored",
            TraceEvent::Grew { .. } => "grew",
            TraceEvent::Promoted { .. } => "promoted",
            TraceEvent::Failed { failure: Failure::BadResult, again: Some(_), .. } => {
                "started over"
            }
            TraceEvent::Failed { again: Some(_), .. } => "retried",
            TraceEvent::Loaded { location: KeyLocation::Shared, .. } => "key loaded",
            TraceEvent::Loaded { .. } => "key brought to a device",
            TraceEvent::Evicted { location: KeyLocation::Shared, .. } => "key evicted",
            TraceEvent::Evicted { .. } => "key evicted from a device",
            TraceEvent::Started { budget_part: BudgetPart::Reserve, .. } => {
                "started from the reserve"
            }
            TraceEvent::Quarantined { .. } => "quarantined",
            TraceEvent::Pressure { to: PressureStep::Shrink(_), .. } => "shrunk",
            TraceEvent::Ended { outcome: Outcome::Complete, .. } => "complete",
            TraceEvent::Ended { outcome: Outcome::Failed { .. }, .. } => "failed",
            TraceEvent::Ended { outcome: Outcome::Cancelled, .. } => "cancelled",
            TraceEvent::Ended { outcome: Outcome::DeadlineMissed, .. } => "deadline missed",
            TraceEvent::Stopped { .. } => "stopped",
            TraceEvent::Ignored { .. } => "ignored",
            _ => return,
        };
        *self.seen.entry(name).or_default() += 1;
    }

    /// A producer that is about to finish may emit partitions and ask to run again.
    fn emit(&mut self, run: RunId, task: TaskId) -> Result<bool, Violation> {
        let Some(view) = self.checker.model.jobs.get(&task.job) else { return Ok(false) };
        let part = &view.parts[task.partition as usize];
        let Some(growth) = view.spec.growth.as_ref().filter(|_| view.open()) else {
            return Ok(false);
        };
        let (emits, count) = (part.current().emits, view.parts.len() as u32);
        let grown = view.parts.iter().filter(|p| p.grown).count() as u32;
        let most = emits.min(growth.total - grown);
        if emits == 0 || most == 0 || !self.trouble {
            return Ok(false);
        }
        let partitions = generate::emission(&mut self.rng, most, count);
        if !partitions.is_empty() {
            self.tell(Event::Grow { run, partitions })?;
        }
        Ok(self.rng.below(3) > 0)
    }

    fn later(&mut self, span: u64, event: Event) {
        self.sequence += 1;
        let at = self.now + Span(1 + self.rng.below(span));
        self.agenda.insert((at, self.sequence), event);
    }

    fn carry_out(&mut self, action: &Action) {
        let chance = if self.trouble { self.rng.below(100) } else { 99 };
        match *action {
            Action::Persist { record, .. } if chance < 3 => {
                self.later(5, Event::NotPersisted { record });
            }
            Action::Persist { record, .. } => self.later(5, Event::Persisted { record }),
            Action::Acknowledge { job, .. } => self.jobs.push(job),
            Action::Start { run, task, .. } => {
                self.running.insert(run, task);
                let event = match chance {
                    0..4 => Event::Failed { run, failure: Failure::Transient },
                    4..8 => Event::Failed { run, failure: Failure::Device },
                    8..11 => Event::Failed { run, failure: Failure::BadResult },
                    11 => Event::Failed { run, failure: Failure::Permanent },
                    _ => Event::Finished { run, peak: None, again: false },
                };
                self.later(60, event);
            }
            Action::Stop { run, .. } => self.later(10, Event::Stopped { run }),
            Action::Load { run, .. } if chance < 8 => self.later(40, Event::LoadFailed { run }),
            Action::Load { run, .. } => self.later(40, Event::Loaded { run }),
            Action::Probe { run, .. } => {
                let passed = chance > 40;
                self.later(20, Event::Probed { run, passed });
            }
            Action::Close { worker } => {
                self.workers.remove(&worker);
            }
            _ => {}
        }
    }

    fn disturb(&mut self) -> Result<(), Violation> {
        let pick = self.rng.below(1000);
        match pick {
            0..150 => {
                let submit_id = SubmitId(self.next_ticket);
                self.next_ticket += 1;
                let spec = generate::job(&mut self.rng, self.now);
                self.tell(Event::Submit { submit_id, spec })
            }
            150..160 if !self.jobs.is_empty() => {
                let job = self.jobs[self.rng.below(self.jobs.len() as u64) as usize];
                self.tell(Event::Cancel { job })
            }
            160..164 => self.lose_worker(),
            164..172 => {
                let kind = generate::worker(&mut self.rng);
                if self.workers.len() < 12 { self.join(kind) } else { Ok(()) }
            }
            172..180 => {
                let full = self.scheduler.config().budget;
                let share = 900 + self.rng.below(120);
                let host = full.host * share / 1000;
                self.tell(Event::Resident { memory: Memory { host, pinned: 0 } })
            }
            180..184 => {
                let key = KeyId(self.rng.below(generate::KEYS));
                self.tell(if pick < 182 { Event::Pin { key } } else { Event::Unpin { key } })
            }
            184 => {
                let key = KeyId(self.rng.below(generate::KEYS));
                self.tell(Event::KeyWithdrawn { key })?;
                let spec = generate::key(&mut self.rng);
                self.later(100, Event::KeyDeclared { key, spec });
                Ok(())
            }
            // A report about a run that is over.
            185..190 => {
                let run = RunId(self.rng.below(1 + self.events / 4));
                if self.running.contains_key(&run) {
                    return Ok(());
                }
                self.tell(Event::Stopped { run })
            }
            _ => Ok(()),
        }
    }

    fn lose_worker(&mut self) -> Result<(), Violation> {
        // The first three can run every step and stay, so that no job is refused for lack of a
        // worker.
        let count = self.workers.len() as u64;
        let pick = self.workers.iter().nth(self.rng.below(count.max(1)) as usize).copied();
        let Some(worker) = pick.filter(|worker| worker.0 >= 3) else { return Ok(()) };
        if self.rng.below(2) == 0 {
            self.tell(Event::WorkerDraining { worker })
        } else {
            self.workers.remove(&worker);
            self.tell(Event::WorkerLost { worker })
        }
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.digest.finish()
    }
}
