//! What a proof system teaches the engine.
//!
//! A [`Circuit`] cuts an input into partitions, each a chain of steps, and runs one step at a time.
//! The engine adds the last step of every partition itself, the *check*: [`Circuit::check`] verifies
//! what the steps made and only then turns it into bytes, and those bytes are the one thing that
//! later partitions, the journal and the client ever get. So nothing leaves unverified, by
//! construction, and a finished partition survives a restart as the bytes that it left.

use crate::input::{Input, InputError};
use crate::lane::Lane;
use crate::stop::Stop;
use athanor_scheduler::{Claim, Failure, JobId, Memory, WorkerNeed};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Something only the circuit understands: a parsed input, a resident key, what a step leaves.
pub type Payload = Arc<dyn Any + Send + Sync>;

/// A circuit of some proof system, ready to be asked and to be run.
pub trait Circuit: Send + Sync + 'static {
    /// What it is, for people and for the proof cache.
    fn about(&self) -> About;

    /// The large read-only things its steps need resident; steps name them by index.
    fn keys(&self) -> Vec<KeyShape>;

    /// The kinds of partitions it has; a [`Plan`] names them by index.
    fn shapes(&self) -> Vec<Shape>;

    /// Parses and checks an input, and says what work it is. Runs on the submitter's thread.
    fn plan(&self, input: &Input) -> Result<Plan, InputError>;

    /// Reads a key into memory of its own; what is parallel in that runs in the lane's pool.
    fn load_key(&self, key: usize, lane: &Lane, stop: &Stop) -> Result<Payload, TaskError>;

    /// Runs one step. It may be called again with the same call, after a failure.
    fn run(&self, call: &Call) -> Result<Done, TaskError>;

    /// Verifies what the last step of a partition left, and gives it as bytes. What is wrong is
    /// [`Failure::BadResult`] as long as proving again can help; `call.again` counts how often that
    /// was tried.
    fn check(&self, call: &Call) -> Result<Vec<u8>, TaskError>;

    /// Verifies a result of this circuit, whoever made it.
    fn verify(&self, result: &[u8]) -> Result<(), TaskError>;

    /// Verifies many, with an answer for each; together where the proof system makes that cheaper.
    fn verify_many(&self, results: &[&[u8]]) -> Vec<Result<(), TaskError>> {
        results.iter().map(|result| self.verify(result)).collect()
    }

    /// Computes something on a lane whose answer is known, to find out whether the lane still can.
    fn self_test(&self, lane: &Lane) -> Result<(), TaskError>;

    /// An input to prove before the circuit counts as ready, if it has one.
    fn warm_up(&self) -> Result<Option<Input>, OpenError> {
        Ok(None)
    }

    /// Present if steps must run in a child process: their library keeps state for the whole
    /// process, or can abort it. Such a circuit names no keys: the child reads what it needs, and
    /// the steps claim it.
    fn isolation(&self) -> Option<Isolation> {
        None
    }

    /// What a step left, as bytes on their way out of a child process.
    fn pack(&self, _step: usize, _left: &Payload) -> Result<Vec<u8>, TaskError> {
        Err(TaskError::internal("this circuit's steps do not run in a child process"))
    }

    /// The same on their way in.
    fn unpack(&self, _step: usize, _bytes: &[u8]) -> Result<Payload, TaskError> {
        Err(TaskError::internal("this circuit's steps do not run in a child process"))
    }
}

/// What a circuit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The proof system, such as `groth16`.
    pub proof_system: String,
    /// The curve or field, such as `bn254`.
    pub curve: String,
    /// BLAKE3 of the verifying key: two circuits that share it prove the same statements.
    pub verifying_key: [u8; 32],
}

/// A key's name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShape {
    /// Its name in tables.
    pub name: String,
    /// Bytes of host memory that it takes while it is resident.
    pub host: u64,
    /// Bytes of device memory that a copy takes; zero where the device works on host memory.
    pub device: u64,
}

/// A kind of partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its steps in order; the check comes after the last.
    pub steps: Vec<Step>,
    /// The most the partition holds during the check, its input included.
    pub check_peak: Memory,
    /// How long the check takes, until it was measured.
    pub check_estimate: Duration,
}

/// One step of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage's name, in lower case: `witness`, `prove`.
    pub stage: String,
    /// Where it runs.
    pub lane: WorkerNeed,
    /// What it claims.
    pub claim: Claim,
    /// The key it needs, as an index into [`Circuit::keys`].
    pub key: Option<usize>,
    /// How long it takes, until it was measured.
    pub estimate: Duration,
    /// After so long it counts as hung: it is stopped, and its lane replaced if it does not stop.
    pub limit: Option<Duration>,
}

/// What work an input is.
pub struct Plan {
    /// The input, parsed; every step of the job sees it.
    pub input: Payload,
    /// What the job holds from its first start to its end: input, and bytes that partitions left.
    pub holds: Memory,
    /// Partitions in an order in which each comes after only earlier ones. The last one's bytes are
    /// the job's result.
    pub partitions: Vec<PlannedPartition>,
}

/// One partition of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPartition {
    /// Its kind, as an index into [`Circuit::shapes`].
    pub shape: usize,
    /// Earlier partitions whose bytes it needs.
    pub after: Vec<u32>,
}

/// How a circuit's steps run apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The backend's name and the circuit's place, for the child to open it again.
    pub backend: String,
    /// The circuit's directory.
    pub directory: std::path::PathBuf,
    /// Steps after which a child is replaced by a fresh one; zero for never.
    pub recycle_after: u32,
    /// Resident bytes above which a child is replaced after a step; zero for never.
    pub recycle_above: u64,
}

/// One run of one step.
pub struct Call {
    /// The job.
    pub job: JobId,
    /// The partition of the job.
    pub partition: u32,
    /// The partition's kind, an index into [`Circuit::shapes`].
    pub shape: usize,
    /// The step's index in the shape.
    pub step: usize,
    /// How often this partition was begun anew because its result was wrong.
    pub again: u32,
    /// The input as it came.
    pub raw: Input,
    /// The input as [`Circuit::plan`] parsed it.
    pub input: Payload,
    /// What the step before left; nothing at the first.
    pub from: Option<Payload>,
    /// The bytes of the partitions this one comes after, in their order in the plan.
    pub left: Vec<Arc<[u8]>>,
    /// The key the step named.
    pub key: Option<Payload>,
    /// Where it runs: threads and device.
    pub lane: Lane,
    /// Set when nobody wants the result any more.
    pub stop: Stop,
}

impl Call {
    /// The parsed input as what [`Circuit::plan`] made it.
    pub fn input<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        self.input.downcast_ref().ok_or_else(|| TaskError::internal("an input of another circuit"))
    }

    /// What the step before left, as what it made it.
    pub fn from<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        let from = self.from.as_ref().and_then(|from| from.downcast_ref());
        from.ok_or_else(|| TaskError::internal("the step before left nothing of this kind"))
    }

    /// The key, as what [`Circuit::load_key`] made it.
    pub fn key<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        let key = self.key.as_ref().and_then(|key| key.downcast_ref());
        key.ok_or_else(|| TaskError::internal("the key is not resident"))
    }
}

/// What a step leaves.
pub struct Done {
    /// For the next step.
    pub payload: Payload,
    /// The most it held, input included, if it measured that.
    pub peak: Option<u64>,
    /// Wall times of its parts, for people.
    pub marks: Vec<(&'static str, Duration)>,
}

impl Done {
    /// A step that measured nothing.
    pub fn new(payload: impl Any + Send + Sync) -> Done {
        Done { payload: Arc::new(payload), peak: None, marks: Vec::new() }
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// What it means for the scheduler.
    pub failure: Failure,
    /// A stable name that a program can act on, in kebab case.
    pub code: &'static str,
    /// What happened and what to do; never a secret.
    pub message: String,
}

impl TaskError {
    /// A failure with its code and words.
    pub fn new(failure: Failure, code: &'static str, message: impl ToString) -> TaskError {
        TaskError { failure, code, message: message.to_string() }
    }

    /// A bug: trying again cannot help.
    pub fn internal(message: impl ToString) -> TaskError {
        TaskError::new(Failure::Permanent, "internal", message)
    }

    /// The run saw that nobody wants its result.
    pub fn stopped() -> TaskError {
        TaskError::new(Failure::Transient, "stopped", "stopped")
    }
}

/// A proof system that opens circuits from directories of a catalog.
pub trait Backend: Send + Sync + 'static {
    /// Its name in manifests.
    fn name(&self) -> &'static str;

    /// Opens a circuit: cheap, no key is read yet. Files are checked against the manifest's digests
    /// where they are read.
    fn open(
        &self,
        directory: &std::path::Path,
        manifest: &crate::Manifest,
    ) -> Result<Arc<dyn Circuit>, OpenError>;
}

/// Why a circuit cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// A stable name, in kebab case.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl OpenError {
    /// With its code and words.
    pub fn new(code: &'static str, message: impl ToString) -> OpenError {
        OpenError { code, message: message.to_string() }
    }
}
