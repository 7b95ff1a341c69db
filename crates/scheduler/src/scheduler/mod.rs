//! The state machine: its state, how it takes in an event, and what its parts share.
//!
//! An event first changes the state: [`acceptance`], [`growth`], [`run_end`], [`job_end`],
//! [`key_loading`], [`key_pins`], [`worker_events`], [`pressure`]. Then one scan over the ready
//! steps decides what starts: [`dispatch`], [`grant`], [`eviction`].

mod acceptance;
mod dispatch;
mod eviction;
mod grant;
mod growth;
mod job_end;
mod key_loading;
mod key_pins;
mod pressure;
mod queueing;
mod run_end;
mod scan;
mod validation;
mod worker_events;

use crate::action::{Action, JournalEntry};
use crate::budgets::Budgets;
use crate::config::Config;
use crate::costs::Costs;
use crate::event::Event;
use crate::ids::{JobId, KeyId, RecordId, RunId, Span, TenantId, Time, WorkerId};
use crate::jitter::Jitter;
use crate::keys::Keys;
use crate::memory::Memory;
use crate::planted::Planted;
use crate::ready::ReadyQueues;
use crate::state::{ActiveRun, Job, Work};
use crate::trace::{Ignored, PressureStep, Trace, TraceEvent};
use crate::workers::Workers;
use std::collections::{BTreeMap, BTreeSet};

/// The result of one call of [`Scheduler::handle`]. The driver owns it and clears it between calls;
/// the scheduler only appends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// To be carried out in this order.
    pub actions: Vec<Action>,
    /// What was decided, in order.
    pub trace: Vec<Trace>,
}

impl Output {
    /// Empties both lists and keeps their capacity.
    pub fn clear(&mut self) {
        self.actions.clear();
        self.trace.clear();
    }
}

/// What happens when a timer expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Deadline(JobId),
    Retry(JobId, u32),
    Age(JobId),
    Test(WorkerId),
    Load(KeyId),
    Record(RecordId),
}

/// The scheduler: a pure state machine. See the crate docs.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    now: Time,
    out: Output,
    jitter: Jitter,
    jobs: BTreeMap<JobId, Job>,
    next_job: u64,
    active_runs: BTreeMap<RunId, ActiveRun>,
    next_run: u64,
    /// Records given to the journal that it has not answered.
    records: BTreeMap<RecordId, JournalEntry>,
    next_record: u64,
    timers: BTreeSet<(Time, Timer)>,
    queues: ReadyQueues,
    workers: Workers,
    keys: Keys,
    costs: Costs,
    budgets: Budgets,
    in_flight: u32,
    pressure: PressureStep,
    /// Virtual time of fair shares: the largest tag of a job that has started.
    shares_now: u64,
    /// By tenant: the tag of its next job, if it is later than the virtual time.
    shares_next: BTreeMap<TenantId, u64>,
    /// The reserved bytes as last traced.
    traced_reserved: Memory,
    pub(crate) planted: Planted,
}

impl Scheduler {
    /// A scheduler without workers, keys or jobs. `seed` is for the jitter of retries only.
    pub fn new(config: Config, seed: u64) -> Scheduler {
        let budgets = Budgets::new(config.budget, config.reserve);
        Scheduler {
            config,
            now: Time::ZERO,
            out: Output::default(),
            jitter: Jitter::new(seed),
            jobs: BTreeMap::new(),
            next_job: 0,
            active_runs: BTreeMap::new(),
            next_run: 0,
            records: BTreeMap::new(),
            next_record: 0,
            timers: BTreeSet::new(),
            queues: ReadyQueues::new(),
            workers: Workers::default(),
            keys: Keys::default(),
            costs: Costs::default(),
            budgets,
            in_flight: 0,
            pressure: PressureStep::None,
            shares_now: 0,
            shares_next: BTreeMap::new(),
            traced_reserved: Memory::ZERO,
            planted: Planted::default(),
        }
    }

    /// Takes in one event at time `now` and appends what follows from it to `out`. Timers that
    /// expire before or at `now` are handled first. A `now` before the previous call's counts as
    /// the same time.
    pub fn handle(&mut self, now: Time, event: Event, out: &mut Output) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out, out);
        self.fire_due_timers();
        self.apply(event);
        // A retry may have been scheduled without any wait.
        self.fire_due_timers();
        self.dispatch();
        let memory = self.reserved();
        if memory != self.traced_reserved {
            self.traced_reserved = memory;
            self.push_trace(TraceEvent::Reserved { memory });
        }
        std::mem::swap(&mut self.out, out);
    }

    /// Raises the number of the next job to `first`, if it is lower: after a restart the driver
    /// knows the numbers of jobs that have ended.
    pub fn number_from(&mut self, first: JobId) {
        self.next_job = self.next_job.max(first.0);
    }

    /// When the next timer expires; the driver sends [`Event::Tick`] then.
    pub fn next_wake(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Bytes reserved now: jobs, partitions and keys together.
    pub fn reserved(&self) -> Memory {
        self.budgets.reserved()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The number of jobs accepted and not yet answered.
    pub fn open_jobs(&self) -> usize {
        self.jobs.len()
    }

    /// The number of steps of accepted jobs that are not done.
    pub fn open_tasks(&self) -> u64 {
        self.costs.open_steps()
    }

    /// The expected duration of a run of that stage, once one was measured.
    pub fn learned(&self, circuit: crate::CircuitId, stage: crate::StageId) -> Option<Span> {
        let learned = self.costs.duration(circuit, stage, Span(u64::MAX));
        (learned != Span(u64::MAX)).then_some(learned)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Submit { submit_id, spec } => self.submit(submit_id, spec),
            Event::Restore { job, spec, finished } => self.restore(job, spec, &finished),
            Event::Cancel { job } => self.cancel(job),
            Event::Persisted { record } => self.recorded(record, true),
            Event::NotPersisted { record } => self.recorded(record, false),
            Event::Grow { run, partitions } => self.grow(run, partitions),
            Event::Finished { run, peak, again } => self.finished(run, peak, again),
            Event::Failed { run, failure } => self.failed(run, failure),
            Event::Stopped { run } => self.stopped(run),
            Event::WorkerJoined { worker, kind } => self.worker_joined(worker, kind),
            Event::WorkerDraining { worker } => self.worker_draining(worker),
            Event::WorkerLost { worker } => self.worker_lost(worker),
            Event::Probed { run, passed } => self.probed(run, passed),
            Event::KeyDeclared { key, spec } => self.keys.declare(key, spec),
            Event::KeyWithdrawn { key } => self.key_withdrawn(key),
            Event::Pin { key } => self.pin(key, true),
            Event::Unpin { key } => self.pin(key, false),
            Event::Loaded { run } => self.loaded(run),
            Event::LoadFailed { run } => self.load_failed(run),
            Event::Resident { memory } => self.resident(memory),
            Event::Tick => {}
        }
    }

    /// Handles every timer that has expired.
    fn fire_due_timers(&mut self) {
        while let Some(&(time, timer)) = self.timers.first()
            && time <= self.now
        {
            self.timers.pop_first();
            match timer {
                Timer::Deadline(job) => self.deadline(job),
                Timer::Retry(job, partition) => self.retry(job, partition, time),
                Timer::Age(job) => self.promote(job),
                Timer::Test(worker) => self.test(worker),
                Timer::Load(key) => self.load_again(key),
                Timer::Record(record) => self.persist_again(record),
            }
        }
    }

    fn push_trace(&mut self, event: TraceEvent) {
        self.out.trace.push(Trace { at: self.now, event });
    }

    fn push_action(&mut self, action: Action) {
        self.out.actions.push(action);
    }

    fn ignore(&mut self, report: Ignored) {
        self.push_trace(TraceEvent::Ignored { report });
    }

    /// Gives a new run its number and remembers it until its report.
    fn begin_run(&mut self, work: Work) -> RunId {
        let run = RunId(self.next_run);
        self.next_run += 1;
        self.active_runs.insert(run, ActiveRun { since: self.now, work });
        run
    }

    fn persist(&mut self, job: JobId, entry: JournalEntry) {
        let record = RecordId(self.next_record);
        self.next_record += 1;
        self.records.insert(record, entry.clone());
        self.push_trace(TraceEvent::Recording { record, job });
        self.push_action(Action::Persist { record, entry });
    }
}
