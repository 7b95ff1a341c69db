//! A worker: one thread that runs steps, and a thread pool for the parallel parts of a step.

use crate::backend::{Call, Circuit, Payload, TaskError};
use crate::message::{Ended, Made, Message};
use crate::stop::Stop;
use crate::worker::Children;
use athanor_scheduler::{Failure, RunId, WorkerId};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// The number of the lanes that load keys. The scheduler does not know these lanes.
pub(crate) const LOADER: WorkerId = WorkerId(u32::MAX);

/// The worker that runs a step: its number, its device and its thread pool.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

struct Inner {
    id: WorkerId,
    device: Option<String>,
    threads: u32,
    pool: OnceLock<rayon::ThreadPool>,
}

impl Lane {
    pub(crate) fn new(id: WorkerId, device: Option<String>, threads: u32) -> Lane {
        Lane(Arc::new(Inner { id, device, threads: threads.max(1), pool: OnceLock::new() }))
    }

    /// The worker's number.
    pub fn id(&self) -> WorkerId {
        self.0.id
    }

    /// The device's name, if the worker is a device.
    pub fn device(&self) -> Option<&str> {
        self.0.device.as_deref()
    }

    /// Number of threads that a step may use.
    pub fn threads(&self) -> usize {
        self.0.threads as usize
    }

    /// Runs `work` in the worker's pool, which is created on the first call. A step runs all its parallel
    /// work there. The pool has [`Lane::threads`] threads, and no other step uses it at the same time.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with the code `out-of-memory` if the pool's threads cannot be created.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, TaskError> {
        if let Some(pool) = self.0.pool.get() {
            return Ok(pool.install(work));
        }
        let name = match &self.0.device {
            Some(_) => "prover-pool",
            None if self.0.id == LOADER => "key-pool",
            None => "synth-pool",
        };
        let id = self.0.id;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads())
            .thread_name(move |index| format!("{name}-{id}-{index}"))
            .build()
            .map_err(|error| TaskError::new(Failure::Transient, "out-of-memory", error))?;
        Ok(self.0.pool.get_or_init(|| pool).install(work))
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({}, {} threads)", self.0.id, self.0.threads)
    }
}

/// An instruction to a worker's thread.
pub(crate) enum Work {
    /// Run a step, or the check if `check` is set.
    Step { run: RunId, circuit: Arc<dyn Circuit>, call: Box<Call>, check: bool },
    /// Run the self-test of each circuit on the worker.
    Test { run: RunId, circuits: Vec<Arc<dyn Circuit>> },
}

/// The engine's handle of a worker's thread.
pub(crate) struct LaneThread {
    pub(crate) lane: Lane,
    work: Sender<Work>,
    thread: JoinHandle<()>,
    /// The worker's child process. The engine's thread kills it to stop a run.
    pub(crate) children: Arc<Children>,
}

impl LaneThread {
    pub(crate) fn start(
        lane: Lane,
        children: Arc<Children>,
        core: Sender<Message>,
    ) -> std::io::Result<LaneThread> {
        let (work, inbox) = channel();
        let kind = if lane.device().is_some() { "prover-worker" } else { "synth-worker" };
        let (own, own_children) = (lane.clone(), children.clone());
        let thread = std::thread::Builder::new()
            .name(format!("{kind}-{}", lane.id()))
            .spawn(move || serve(&own, &own_children, &inbox, &core))?;
        Ok(LaneThread { lane, work, thread, children })
    }

    /// Sends an instruction. If the thread has ended, the instruction is dropped without an answer.
    pub(crate) fn give(&self, work: Work) {
        let _ = self.work.send(work);
    }

    /// Closes the channel. The thread ends after its current instruction.
    pub(crate) fn close(self) -> JoinHandle<()> {
        drop(self.work);
        self.thread
    }
}

fn serve(lane: &Lane, children: &Children, inbox: &Receiver<Work>, core: &Sender<Message>) {
    while let Ok(work) = inbox.recv() {
        let message = match work {
            Work::Step { run, circuit, call, check } => {
                let made = guarded(|| step(&*circuit, &call, check, children));
                // The step's inputs are dropped before the engine receives the report.
                drop(call);
                Message::Ended(Ended { run, made })
            }
            Work::Test { run, circuits } => {
                let failed = circuits.iter().find_map(|circuit| {
                    guarded(|| circuit.self_test(lane)).err().map(|error| error.message)
                });
                Message::Probed { run, passed: failed.is_none() }
            }
        };
        if core.send(message).is_err() {
            return;
        }
    }
}

fn step(
    circuit: &dyn Circuit,
    call: &Call,
    check: bool,
    children: &Children,
) -> Result<Made, TaskError> {
    if call.stop.is_set() {
        return Err(TaskError::stopped());
    }
    match (circuit.isolation(), check) {
        (Some(isolation), _) => children.run(&isolation, call, check),
        (None, true) => Ok(Made::Bytes(circuit.check(call)?.into())),
        (None, false) => Ok(Made::Left(circuit.run(call)?)),
    }
}

/// Reads a key on the calling loader thread.
pub(crate) fn read_key(
    circuit: &dyn Circuit,
    key: usize,
    lane: &Lane,
    stop: &Stop,
) -> Result<Payload, TaskError> {
    guarded(|| circuit.load_key(key, lane, stop))
}

/// Converts a panic of `work` into an error, so that the worker's thread continues.
fn guarded<T>(work: impl FnOnce() -> Result<T, TaskError>) -> Result<T, TaskError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = words_of(&*panic);
        Err(TaskError::new(Failure::Device, "panic", format_args!("a step panicked: {what}")))
    })
}

/// The first 200 characters of a panic's message. Panic messages must not contain secrets.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").chars().take(200).collect()
}

/// Waits until the threads have ended, for at most `patience`. Returns the number that still run.
pub(crate) fn join_within(threads: Vec<JoinHandle<()>>, patience: Duration) -> usize {
    let until = std::time::Instant::now() + patience;
    let mut left = threads;
    while !left.is_empty() && std::time::Instant::now() < until {
        left.retain(|thread| !thread.is_finished());
        if !left.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    left.len()
}
