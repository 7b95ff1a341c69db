//! The engine's thread. It owns the scheduler, carries out the scheduler's actions, and is the only
//! thread that changes the engine's state. All other threads send it messages.

mod circuits;
mod flights;
mod jobs;
mod keys;
mod lanes;
mod perform;
mod timers;
mod waiting;

pub use circuits::LoadError;
pub(crate) use waiting::Restored;

use crate::circuits::Registry;
use crate::config::Config;
use crate::journal::Journal;
use crate::message::Message;
use crate::metrics::Counters;
use athanor_scheduler::{Event, Memory, Output, Scheduler, Span, Time};
use athanor_telemetry::{Labels, Stats};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

pub(crate) struct Core {
    scheduler: Scheduler,
    out: Output,
    /// Events that arose while actions were carried out. They are handled before the next message.
    next: std::collections::VecDeque<Event>,
    began: Instant,
    inbox: Receiver<Message>,
    own: Sender<Message>,
    journal: Arc<dyn Journal>,
    observer: Option<crate::config::Observer>,
    grace: Duration,
    registry: Arc<Registry>,
    jobs: jobs::Jobs,
    waiting: waiting::Waiting,
    keys: keys::Keys,
    lanes: lanes::Lanes,
    timers: timers::Timers,
    flights: flights::Flights,
    numbers: circuits::Numbers,
    draining: bool,
    pub(crate) resident: u64,
    pub(crate) peak_resident: u64,
    pub(crate) labels: Labels,
    pub(crate) stats: Stats,
    pub(crate) counters: Counters,
}

impl Core {
    /// Creates the engine's state and starts its key loaders and workers. `budget`: memory in bytes.
    pub(crate) fn new(
        mut config: Config,
        budget: u64,
        journal: Arc<dyn Journal>,
        registry: Arc<Registry>,
        (own, inbox): (Sender<Message>, Receiver<Message>),
    ) -> std::io::Result<Core> {
        let mut policy = std::mem::take(&mut config.policy);
        policy.budget = Memory { host: budget, pinned: policy.budget.pinned };
        policy.reserve = Memory::host(config.reserve.min(budget));
        let loaders = policy.loads;
        let threads = config.devices.iter().map(|device| device.threads).max().unwrap_or(1);
        let mut core = Core {
            scheduler: Scheduler::new(policy, seed()),
            out: Output::default(),
            next: std::collections::VecDeque::new(),
            began: Instant::now(),
            inbox,
            own: own.clone(),
            journal,
            observer: config.observer.take(),
            grace: config.grace,
            registry,
            jobs: jobs::Jobs::default(),
            waiting: waiting::Waiting::default(),
            keys: keys::Keys::start(loaders, threads, own)?,
            lanes: lanes::Lanes::new(config.worker.take()),
            timers: timers::Timers::default(),
            flights: flights::Flights::new(config.proof_cache),
            numbers: circuits::Numbers::default(),
            draining: false,
            resident: 0,
            peak_resident: 0,
            labels: Labels::default(),
            stats: Stats::new(),
            counters: Counters::default(),
        };
        core.scheduler.number_from(core.journal.next_job());
        for device in &config.devices {
            core.add_device(device)?;
        }
        for threads in &config.lanes {
            core.add_lane(*threads)?;
        }
        Ok(core)
    }

    /// Handles messages until `Message::Stop`, or until all senders are dropped.
    pub(crate) fn run(mut self) {
        loop {
            let wake = self.next_wake();
            let message = match wake {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.take_in(message),
                Err(RecvTimeoutError::Timeout) => self.tell(Event::Tick),
            }
            self.expire();
        }
        self.end();
    }

    fn take_in(&mut self, message: Message) {
        match message {
            Message::Submit(planned) => self.submit(*planned),
            Message::Cancel(ticket) => self.cancel(ticket),
            Message::Ended(ended) => self.ended(ended),
            Message::Probed { run, passed } => self.tell(Event::Probed { run, passed }),
            Message::KeyRead { run, read } => self.key_read(run, read),
            Message::Recorded { record, durable: true } => self.tell(Event::Persisted { record }),
            Message::Recorded { record, .. } => self.tell(Event::NotPersisted { record }),
            Message::Resident(bytes) => {
                self.resident = bytes + self.lanes.children_resident();
                self.peak_resident = self.peak_resident.max(self.resident);
                self.tell(Event::Resident { memory: Memory::host(self.resident) });
            }
            Message::Do(work) => work(self),
            Message::Stop => {}
        }
    }

    /// Passes an event to the scheduler and carries out the resulting actions, until no event is left.
    pub(crate) fn tell(&mut self, event: Event) {
        self.next.push_back(event);
        while let Some(event) = self.next.pop_front() {
            let now = self.now();
            let mut out = std::mem::take(&mut self.out);
            self.scheduler.handle(now, event, &mut out);
            self.counters.events += 1;
            for record in &out.trace {
                self.counters.see(&record.event);
                self.stats.push(record);
                if let Some(observer) = &mut self.observer {
                    observer(record);
                }
            }
            for action in out.actions.drain(..) {
                self.perform(action);
            }
            out.clear();
            self.out = out;
        }
    }

    /// The scheduler's clock: nanoseconds since the engine's start.
    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Converts a wall-clock time to the scheduler's clock. A time in the past becomes the current time.
    fn time_of(&self, moment: SystemTime) -> Time {
        let left = moment.duration_since(SystemTime::now()).unwrap_or_default();
        self.now() + Span(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
    }

    fn next_wake(&self) -> Option<Instant> {
        let due = self.scheduler.next_wake();
        let due = due.and_then(|due| self.began.checked_add(Duration::from_nanos(due.0)));
        [due, self.timers.next()].into_iter().flatten().min()
    }

    /// Host memory that the scheduler has reserved, in bytes.
    pub(crate) fn reserved(&self) -> u64 {
        self.scheduler.reserved().host
    }

    pub(crate) fn budget(&self) -> u64 {
        self.scheduler.config().budget.host
    }

    pub(crate) fn open_jobs(&self) -> usize {
        self.scheduler.open_jobs()
    }

    /// Refuses all later submissions.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Ends open jobs for their clients as `JobError::Stopping`, sets the stop flag of all runs and waits
    /// for the threads. Accepted jobs stay in the journal as accepted.
    fn end(self) {
        let Core { jobs, waiting, keys, lanes, grace, .. } = self;
        jobs.abandon();
        waiting.abandon();
        lanes.end(grace);
        keys.end();
    }
}

/// Random seed for the jitter of retries. The jitter must differ between processes.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
