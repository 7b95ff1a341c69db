//! [`Engine`], the public interface of this crate.

use crate::backend::{About, Backend, Circuit, TaskError};
use crate::catalog::{Catalog, CatalogError};
use crate::circuits::{Loaded, Registry};
use crate::config::Config;
use crate::core::{Core, LoadError, Restored};
use crate::heartbeat::Heartbeat;
use crate::job::{JobError, JobHandle, JobState, Submission};
use crate::journal::{Journal, Unfinished};
use crate::lane::join_within;
use crate::memory::{self, Budget};
use crate::message::{Message, Planned};
use crate::metrics::Counters;
use crate::pulse::Pulse;
use athanor_scheduler::SubmitId;
use athanor_telemetry::{Labels, Stats};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Proves jobs of many circuits on the workers and devices of this machine. Dropping it stops it.
pub struct Engine {
    core: Sender<Message>,
    registry: Arc<Registry>,
    tickets: AtomicU64,
    budget: Budget,
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
    heartbeat: Option<Heartbeat>,
}

/// Time that a query waits for the engine's thread before it returns the last known answer.
const ANSWER: Duration = Duration::from_millis(400);

/// Time that `stop` waits for the engine's thread: running steps and key reads have to end first.
const ENDING: Duration = Duration::from_secs(30);

/// Reason that an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system did not create a thread.
    #[error("the system gave no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The process already holds the whole budget.
    #[error(
        "the memory budget of {budget} bytes (from {limit}) is spent before the first job: the process itself, \
         and what is set aside, hold {resident}: {}", limit.remedy()
    )]
    Budget {
        /// The budget, in bytes.
        budget: u64,
        /// The limit that determined the budget.
        limit: memory::Source,
        /// Bytes that the process holds or sets aside.
        resident: u64,
    },
    /// The limit on address space leaves no budget.
    #[error(
        "the limit on address space is too small: the process's own mappings, stacks and sandboxes to come take \
         most of {least} bytes: raise RLIMIT_AS (ulimit -v) above that or remove it, and limit memory with \
         `memory-mib` or a control group instead"
    )]
    AddressSpace {
        /// The smallest sufficient limit, in bytes.
        least: u64,
    },
}

impl StartError {
    fn budget(budget: Budget, resident: u64, address_space: u64) -> StartError {
        match budget.source {
            memory::Source::AddressSpace => {
                StartError::AddressSpace { least: memory::least_address_space(address_space) }
            }
            limit => StartError::Budget { budget: budget.bytes, limit, resident },
        }
    }
}

/// Reason that the engine's thread did not carry out a request.
enum Unanswered {
    /// The thread has ended.
    Stopped,
    /// The thread does not answer.
    Unresponsive,
}

impl From<Unanswered> for LoadError {
    fn from(why: Unanswered) -> LoadError {
        match why {
            Unanswered::Stopped => LoadError::Stopped,
            Unanswered::Unresponsive => LoadError::Unresponsive,
        }
    }
}

/// Statistics and memory use of an engine.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Age of these numbers: zero, unless the engine's thread does not answer.
    pub age: Duration,
    /// Bytes that jobs, partitions and keys can reserve together.
    pub budget: u64,
    /// Bytes that they reserve, as the scheduler counts.
    pub reserved: u64,
    /// Resident bytes of the process and its children, as last measured, less those at the engine's start.
    pub resident: u64,
    /// The maximum of `resident` since the engine's start.
    pub peak_resident: u64,
    /// Jobs that the scheduler has accepted and not yet answered.
    pub open_jobs: usize,
    /// Event counts since the engine's start.
    pub counters: Counters,
    /// Sums and percentiles of times and memory.
    pub stats: Stats,
    /// Names of the circuits, keys and stages that the statistics number.
    pub labels: Labels,
}

impl Standing {
    pub(crate) fn of(core: &mut Core) -> Standing {
        Standing {
            age: Duration::ZERO,
            budget: core.budget(),
            reserved: core.reserved(),
            resident: core.resident,
            peak_resident: core.peak_resident,
            open_jobs: core.open_jobs(),
            counters: core.counters,
            stats: core.stats.clone(),
            labels: core.labels.clone(),
        }
    }

    /// Resident bytes minus reserved bytes.
    pub fn drift(&self) -> i64 {
        self.resident as i64 - self.reserved as i64
    }
}

/// A loaded circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitStanding {
    /// The circuit's name.
    pub name: String,
    /// The circuit's description.
    pub about: About,
    /// Whether all its keys are in memory.
    pub resident: bool,
}

impl Engine {
    /// Starts the threads. No circuit is loaded yet.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the budget is used up before the first job, or a thread cannot be created.
    pub fn start(config: Config, journal: Arc<dyn Journal>) -> Result<Engine, StartError> {
        let budget = memory::budget(config.memory, config.address_space);
        let base = memory::resident().unwrap_or(0);
        let spent = base.saturating_add(config.set_aside);
        let room = budget.bytes.checked_sub(spent).filter(|room| *room > 0);
        let room = room.ok_or_else(|| StartError::budget(budget, spent, config.address_space))?;
        let (core, inbox) = channel();
        let registry = Arc::new(Registry::default());
        let pace = config.heartbeat;
        let mut own =
            Core::new(config, room, journal.clone(), registry.clone(), (core.clone(), inbox))?;
        let pulse = Arc::new(Pulse::new(pace, Standing::of(&mut own)));
        let thread = std::thread::Builder::new().name("engine-core".into()).spawn(|| own.run())?;
        let heartbeat = Heartbeat::start(pace, base, core.clone(), pulse.clone())?;
        Ok(Engine {
            core,
            registry,
            tickets: AtomicU64::new(0),
            budget,
            pulse,
            thread: Some(thread),
            heartbeat: Some(heartbeat),
        })
    }

    /// The whole budget, including the process's own memory, and the limit that determined it.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Loads a circuit under a name. Its keys are read when the first job needs them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the name is taken, a shape is invalid, or the engine does not answer.
    pub fn load(&self, name: &str, circuit: Arc<dyn Circuit>) -> Result<(), LoadError> {
        self.load_closed(name, circuit).map(|loaded| self.make_ready(&loaded))
    }

    /// Loads a circuit of the catalog. If the circuit has a warm-up input, the engine proves it before
    /// clients can use the circuit. A circuit that fails its warm-up is unloaded again.
    ///
    /// # Errors
    ///
    /// [`LoadError`], also if the catalog or the backend cannot open the circuit.
    pub fn open(
        &self,
        catalog: &Catalog,
        name: &str,
        backends: &[Arc<dyn Backend>],
    ) -> Result<(), LoadError> {
        let circuit = catalog.open(name, backends)?;
        let open = |source| CatalogError::Open { circuit: name.to_owned(), source };
        let input = circuit.warm_up().map_err(open)?;
        let loaded = self.load_closed(name, circuit)?;
        if let Some(input) = input {
            let submission = Submission { share: false, ..Submission::new(name, input) };
            let planned = self.plan_for(loaded.clone(), Arc::new(submission));
            let proven = planned.and_then(|(planned, handle)| {
                let planned = Planned { journaled: false, ..planned };
                let _ = self.core.send(Message::Submit(Box::new(planned)));
                handle.wait()
            });
            if let Err(error) = proven {
                let _ = self.unload(name);
                return Err(LoadError::WarmUp { circuit: name.to_owned(), error });
            }
        }
        self.make_ready(&loaded);
        Ok(())
    }

    /// Opens a circuit to clients and resumes the restored jobs that wait for it.
    fn make_ready(&self, loaded: &Arc<Loaded>) {
        loaded.open();
        let name = loaded.name.clone();
        let waiting = self.ask_patiently(move |core| core.take_waiting(&name)).unwrap_or_default();
        waiting.into_iter().for_each(|restored| self.resume(loaded.clone(), restored));
    }

    fn load_closed(&self, name: &str, circuit: Arc<dyn Circuit>) -> Result<Arc<Loaded>, LoadError> {
        let name = name.to_owned();
        self.ask(move |core| core.load_circuit(&name, circuit))?
    }

    /// Closes a circuit to new jobs. Its keys are evicted after its last job has ended.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if no circuit of that name is loaded, or the engine does not answer.
    pub fn unload(&self, name: &str) -> Result<(), LoadError> {
        let name = name.to_owned();
        self.ask(move |core| core.unload_circuit(&name))?
    }

    /// Keeps a circuit's keys in memory from their next use on, or allows their eviction when idle.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if no circuit of that name is loaded, or the engine does not answer.
    pub fn pin(&self, name: &str, pinned: bool) -> Result<(), LoadError> {
        let name = name.to_owned();
        self.ask(move |core| core.pin(&name, pinned))?
    }

    /// The loaded circuits in the order of their names. It never waits for the engine's thread.
    pub fn circuits(&self) -> Vec<CircuitStanding> {
        let stand = |loaded: Arc<Loaded>| CircuitStanding {
            name: loaded.name.clone(),
            about: loaded.about.clone(),
            resident: self.registry.is_resident(&loaded),
        };
        self.registry.all().into_iter().map(stand).collect()
    }

    /// Submits a job and blocks until it is accepted. An accepted job is in the journal.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the job is not accepted.
    pub fn submit(&self, submission: Submission) -> Result<JobHandle, JobError> {
        let handle = self.begin(submission)?;
        handle.accepted()?;
        Ok(handle)
    }

    /// Submits a job and returns at once. [`JobHandle::accepted`] returns whether it is accepted.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the circuit is unknown or not ready, or does not accept the input.
    pub fn begin(&self, submission: Submission) -> Result<JobHandle, JobError> {
        let (planned, handle) = self.plan(Arc::new(submission))?;
        let _ = self.core.send(Message::Submit(Box::new(planned)));
        Ok(handle)
    }

    fn plan(&self, submission: Arc<Submission>) -> Result<(Planned, JobHandle), JobError> {
        let circuit = self.registry.get(&submission.circuit);
        let circuit =
            circuit.ok_or_else(|| JobError::UnknownCircuit(submission.circuit.clone()))?;
        if !circuit.is_ready() {
            return Err(JobError::NotReady(submission.circuit.clone()));
        }
        self.plan_for(circuit, submission)
    }

    fn plan_for(
        &self,
        circuit: Arc<Loaded>,
        submission: Arc<Submission>,
    ) -> Result<(Planned, JobHandle), JobError> {
        let plan = circuit.circuit.plan(&submission.input)?;
        let state = self.new_state();
        let handle = JobHandle::new(state.clone(), self.core.clone());
        Ok((Planned { submission, circuit, plan, state, journaled: true }, handle))
    }

    fn new_state(&self) -> crate::sync::Arc<JobState> {
        JobState::new(SubmitId(self.tickets.fetch_add(1, Ordering::Relaxed)))
    }

    /// Resumes a job that the journal has as accepted and not ended. Until its circuit is ready, the
    /// job waits ([`Status::Waiting`]), can be cancelled, and delays no other job.
    ///
    /// [`Status::Waiting`]: crate::Status::Waiting
    pub fn restore(&self, unfinished: Unfinished) -> JobHandle {
        let state = self.new_state();
        let handle = JobHandle::new(state.clone(), self.core.clone());
        let name = unfinished.submission.circuit.clone();
        let restored = Restored { unfinished, state };
        // The engine's thread decides whether the job waits. This excludes the race in which the circuit
        // becomes ready between the test and the wait.
        let now = self.ask_patiently(move |core| core.wait_for_circuit(restored)).flatten();
        if let (Some(restored), Some(circuit)) = (now, self.registry.get(&name)) {
            self.resume(circuit, restored);
        }
        handle
    }

    /// Plans a restored job and submits it to the scheduler.
    fn resume(&self, circuit: Arc<Loaded>, restored: Restored) {
        let submission = restored.unfinished.submission.clone();
        let work: Box<dyn FnOnce(&mut Core) + Send> = match circuit.circuit.plan(&submission.input)
        {
            Ok(plan) => {
                let Restored { unfinished, state } = restored;
                let planned = Planned { submission, circuit, plan, state, journaled: true };
                Box::new(move |core| core.restore(unfinished, planned))
            }
            Err(error) => Box::new(move |core| core.fail_restored(restored, error.into())),
        };
        let _ = self.core.send(Message::Do(work));
    }

    /// Verifies a result of a loaded circuit on the caller's thread.
    ///
    /// # Errors
    ///
    /// [`JobError::UnknownCircuit`], or [`JobError::Failed`] if the result does not verify.
    pub fn verify(&self, name: &str, result: &[u8]) -> Result<(), JobError> {
        self.verify_many(name, &[result])?.pop().unwrap_or(Ok(()))
    }

    /// Verifies many results of a loaded circuit on the caller's thread. Returns one verdict for each
    /// result, in the order of `results`.
    ///
    /// # Errors
    ///
    /// [`JobError::UnknownCircuit`] if no circuit of that name is loaded.
    pub fn verify_many(
        &self,
        name: &str,
        results: &[&[u8]],
    ) -> Result<Vec<Result<(), JobError>>, JobError> {
        let loaded = self.registry.get(name);
        let loaded = loaded.ok_or_else(|| JobError::UnknownCircuit(name.into()))?;
        let refused = |error: TaskError| JobError::Failed {
            code: error.code.into(),
            message: error.message,
            retry: false,
        };
        let verdicts = match results {
            [one] => vec![loaded.circuit.verify(one)],
            many => loaded.circuit.verify_many(many),
        };
        Ok(verdicts.into_iter().map(|verdict| verdict.map_err(refused)).collect())
    }

    /// The current statistics, or those of the thread's last answer (see [`Standing::age`]). It waits at
    /// most 400 ms for the engine's thread. `None` if the engine has ended.
    pub fn standing(&self) -> Option<Standing> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return None;
        }
        match self.ask_within(ANSWER, Standing::of) {
            Ok(standing) => Some(standing),
            Err(Unanswered::Stopped) => None,
            Err(Unanswered::Unresponsive) => Some(self.pulse.last()),
        }
    }

    /// Time since the engine's thread last answered a heartbeat. It stays near or below one heartbeat
    /// interval while the thread is responsive.
    pub fn pulse_age(&self) -> Duration {
        self.pulse.age()
    }

    /// Whether the engine's thread answered within the last five seconds, or four heartbeat intervals if
    /// that is longer. The load of the workers does not affect it.
    pub fn is_responsive(&self) -> bool {
        self.pulse.is_responsive()
    }

    /// Refuses new jobs and waits until all open jobs have ended, but at most about `patience`. Returns the
    /// last known number of open jobs. Restored jobs that wait for their circuit do not count.
    pub fn drain(&self, patience: Duration) -> usize {
        let until = Instant::now() + patience;
        let _ = self.core.send(Message::Do(Box::new(Core::drain)));
        loop {
            let left = match self.ask_within(ANSWER, |core| core.open_jobs()) {
                Ok(0) | Err(Unanswered::Stopped) => return 0,
                Ok(left) => left,
                Err(Unanswered::Unresponsive) => self.pulse.last().open_jobs,
            };
            if Instant::now() >= until {
                return left;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Number of heartbeat intervals that have passed since the engine's start.
    pub fn beats(&self) -> u64 {
        self.heartbeat.as_ref().map_or(0, Heartbeat::beats)
    }

    /// Begins to stop the engine and returns at once. Open jobs end for their clients as
    /// [`JobError::Stopping`]. Dropping the engine waits for its threads.
    pub fn begin_shutdown(&self) {
        let _ = self.core.send(Message::Stop);
    }

    /// Stops the engine: stops runs, ends open jobs for their clients as [`JobError::Stopping`], and
    /// waits for the threads. Accepted jobs stay in the journal. The engine does not wait for a thread
    /// that does not end in time.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let _ = self.core.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let patience = if self.is_responsive() { ENDING } else { Duration::ZERO };
            join_within(vec![thread], patience);
        }
        drop(self.heartbeat.take());
    }

    /// Runs `what` on the engine's thread and waits at most `patience` for its result. If another call
    /// has timed out since the thread's last heartbeat answer, it fails at once.
    fn ask_within<T: Send + 'static>(
        &self,
        patience: Duration,
        what: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        if self.pulse.is_silent() {
            return Err(Unanswered::Unresponsive);
        }
        let (answer, answered) = channel();
        let work = move |core: &mut Core| {
            let _ = answer.send(what(core));
        };
        self.core.send(Message::Do(Box::new(work))).map_err(|_| Unanswered::Stopped)?;
        answered.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Disconnected => Unanswered::Stopped,
            RecvTimeoutError::Timeout => {
                self.pulse.set_silent();
                Unanswered::Unresponsive
            }
        })
    }

    /// Runs `what` on the engine's thread and waits for its result without a limit, because the result
    /// must not be lost. `None` if the thread has ended.
    fn ask_patiently<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = channel();
        let work = move |core: &mut Core| {
            let _ = answer.send(what(core));
        };
        self.core.send(Message::Do(Box::new(work))).ok()?;
        answered.recv().ok()
    }

    /// Runs `what` on the engine's thread and waits for its result while the thread is responsive. If the
    /// wait is given up before `what` begins, `what` does not run later.
    fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = channel();
        let wanted = Arc::new(AtomicBool::new(true));
        let still = wanted.clone();
        let work = move |core: &mut Core| {
            if still.swap(false, Ordering::Relaxed) {
                let _ = answer.send(what(core));
            }
        };
        self.core.send(Message::Do(Box::new(work))).map_err(|_| Unanswered::Stopped)?;
        loop {
            match answered.recv_timeout(ANSWER) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Disconnected) => return Err(Unanswered::Stopped),
                Err(RecvTimeoutError::Timeout) if self.is_responsive() => {}
                Err(RecvTimeoutError::Timeout) => {
                    wanted.store(false, Ordering::Relaxed);
                    return Err(Unanswered::Unresponsive);
                }
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("budget", &self.budget).finish_non_exhaustive()
    }
}
