//! [`Circuit`] and [`Backend`], the interface between the engine and a proof system.
//!
//! A [`Circuit`] divides an input into partitions. A partition is a chain of steps, and the engine calls
//! the circuit for one step at a time. The engine appends the *check* as the last step of every
//! partition: [`Circuit::check`] verifies the output of the steps and then returns it as bytes. Later
//! partitions, the journal and the client receive only those bytes, so no unverified result leaves the
//! engine. A complete partition survives a restart as its bytes.

use crate::input::{Input, InputError};
use crate::lane::Lane;
use crate::stop::Stop;
use athanor_scheduler::{Claim, Failure, JobId, Memory, WorkerNeed};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// A value that only the circuit interprets: a parsed input, a resident key, or the output of a step.
pub type Payload = Arc<dyn Any + Send + Sync>;

/// An opened circuit of a proof system.
pub trait Circuit: Send + Sync + 'static {
    /// The circuit's description, shown to people and part of the proof cache's keys.
    fn about(&self) -> About;

    /// The circuit's keys: large read-only data that steps need in memory. Steps name them by index.
    fn keys(&self) -> Vec<KeyShape>;

    /// The kinds of partitions of the circuit. A [`Plan`] names them by index.
    fn shapes(&self) -> Vec<Shape>;

    /// Parses and checks an input and returns the partitions to prove. It runs on the submitter's thread,
    /// and for an isolated circuit again in the child process.
    ///
    /// # Errors
    ///
    /// [`InputError`] if the circuit does not accept the input.
    fn plan(&self, input: &Input) -> Result<Plan, InputError>;

    /// Reads a key into memory. Its parallel parts run in the pool of `lane`.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the key cannot be read. [`Failure::Permanent`] fails the jobs that wait for it.
    fn load_key(&self, key: usize, lane: &Lane, stop: &Stop) -> Result<Payload, TaskError>;

    /// Runs one step. After a failure, the engine can run the same step again.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the step fails. Its [`Failure`] determines whether the engine retries the step.
    fn run(&self, call: &Call) -> Result<Done, TaskError>;

    /// Verifies the output of the last step of a partition and returns it as bytes.
    ///
    /// # Errors
    ///
    /// [`Failure::BadResult`] if the output is wrong and proving again can help. `call.again` is the
    /// number of earlier attempts of the partition with a wrong result.
    fn check(&self, call: &Call) -> Result<Vec<u8>, TaskError>;

    /// Verifies a result of this circuit, from any prover.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the result does not verify.
    fn verify(&self, result: &[u8]) -> Result<(), TaskError>;

    /// Verifies many results and returns one verdict for each, in the order of `results`. A proof system
    /// that has a cheaper batch verification overrides it.
    fn verify_many(&self, results: &[&[u8]]) -> Vec<Result<(), TaskError>> {
        results.iter().map(|result| self.verify(result)).collect()
    }

    /// Runs a computation with a known answer on a worker.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the worker does not compute the expected answer.
    fn self_test(&self, lane: &Lane) -> Result<(), TaskError>;

    /// The warm-up input, which the engine proves before the circuit is ready. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the input cannot be read.
    fn warm_up(&self) -> Result<Option<Input>, OpenError> {
        Ok(None)
    }

    /// `Some` if the steps must run in a child process because their library keeps process-wide state or
    /// can abort the process. Such a circuit has no keys: the child reads the keys that it needs, and the
    /// claims of the steps include them.
    fn isolation(&self) -> Option<Isolation> {
        None
    }

    /// Serializes the output of a step, in the child process.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if `left` is not an output of the step.
    fn pack(&self, _step: usize, _left: &Payload) -> Result<Vec<u8>, TaskError> {
        Err(TaskError::internal("this circuit's steps do not run in a child process"))
    }

    /// Deserializes the output of a step, in the child process.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the bytes are not an output of the step.
    fn unpack(&self, _step: usize, _bytes: &[u8]) -> Result<Payload, TaskError> {
        Err(TaskError::internal("this circuit's steps do not run in a child process"))
    }
}

/// Description of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The proof system, such as `groth16`.
    pub proof_system: String,
    /// The curve or field, such as `bn254`.
    pub curve: String,
    /// BLAKE3 digest of the verifying key. Circuits with equal digests prove the same statements.
    pub verifying_key: [u8; 32],
}

/// Name and size of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShape {
    /// The key's name in tables.
    pub name: String,
    /// Bytes of host memory of the resident key.
    pub host: u64,
    /// Bytes of device memory of one copy. Zero if the device uses host memory.
    pub device: u64,
}

/// A kind of partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The steps in order, without the check, which the engine appends.
    pub steps: Vec<Step>,
    /// Peak memory of the partition during the check, including its input.
    pub check_peak: Memory,
    /// Estimated duration of the check, used until a measurement exists.
    pub check_estimate: Duration,
}

/// One step of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage's name in lower case, such as `witness` or `prove`.
    pub stage: String,
    /// The kind of worker that runs the step.
    pub lane: WorkerNeed,
    /// The memory that the step reserves.
    pub claim: Claim,
    /// The key that the step needs, as an index into [`Circuit::keys`].
    pub key: Option<usize>,
    /// Estimated duration, used until a measurement exists.
    pub estimate: Duration,
    /// Time limit of one run of the step. The engine stops a run that exceeds it, and replaces the worker
    /// if the run does not stop.
    pub limit: Option<Duration>,
}

/// The work of one input.
pub struct Plan {
    /// The parsed input. Every step of the job receives it.
    pub input: Payload,
    /// Memory that the job holds from its first start to its end: the input and the bytes of complete
    /// partitions.
    pub holds: Memory,
    /// The partitions. Each depends only on earlier ones. The bytes of the last are the job's result.
    pub partitions: Vec<PlannedPartition>,
}

/// One partition of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPartition {
    /// The partition's kind, as an index into [`Circuit::shapes`].
    pub shape: usize,
    /// Indices of earlier partitions whose bytes this partition needs.
    pub after: Vec<u32>,
}

/// Settings for running a circuit's steps in a child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The backend's name. The child opens the circuit with it.
    pub backend: String,
    /// The circuit's directory. The child opens the circuit from it.
    pub directory: std::path::PathBuf,
    /// Number of steps after which the child is replaced. Zero disables the limit.
    pub recycle_after: u32,
    /// Resident bytes above which the child is replaced after a step. Zero disables the limit.
    pub recycle_above: u64,
}

/// The arguments of one run of one step.
pub struct Call {
    /// The job.
    pub job: JobId,
    /// The partition of the job.
    pub partition: u32,
    /// The partition's kind, an index into [`Circuit::shapes`].
    pub shape: usize,
    /// The step's index in the shape.
    pub step: usize,
    /// Number of earlier attempts of this partition with a wrong result.
    pub again: u32,
    /// The input as submitted.
    pub raw: Input,
    /// The input as [`Circuit::plan`] parsed it.
    pub input: Payload,
    /// Output of the previous step. `None` at the first step.
    pub from: Option<Payload>,
    /// Bytes of the partitions in [`PlannedPartition::after`], in that order.
    pub left: Vec<Arc<[u8]>>,
    /// The key that the step names.
    pub key: Option<Payload>,
    /// The worker that runs the step: threads and device.
    pub lane: Lane,
    /// The stop flag. It is set when the result is no longer wanted.
    pub stop: Stop,
}

impl Call {
    /// The parsed input with the type that [`Circuit::plan`] stored.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the input has a different type.
    pub fn input<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        self.input.downcast_ref().ok_or_else(|| TaskError::internal("an input of another circuit"))
    }

    /// Output of the previous step with its original type.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if there is no output or it has a different type.
    pub fn from<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        let from = self.from.as_ref().and_then(|from| from.downcast_ref());
        from.ok_or_else(|| TaskError::internal("the step before left nothing of this kind"))
    }

    /// The key with the type that [`Circuit::load_key`] returned.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the step has no key or the key has a different type.
    pub fn key<T: Send + Sync + 'static>(&self) -> Result<&T, TaskError> {
        let key = self.key.as_ref().and_then(|key| key.downcast_ref());
        key.ok_or_else(|| TaskError::internal("the key is not resident"))
    }
}

/// The output of a step.
pub struct Done {
    /// The value for the next step.
    pub payload: Payload,
    /// Measured peak memory in bytes, including the input. `None` if the step did not measure it.
    pub peak: Option<u64>,
    /// Wall times of the step's parts, for people.
    pub marks: Vec<(&'static str, Duration)>,
}

impl Done {
    /// The output of a step without measurements.
    pub fn new(payload: impl Any + Send + Sync) -> Done {
        Done { payload: Arc::new(payload), peak: None, marks: Vec::new() }
    }
}

/// The failure of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// The failure's class for the scheduler.
    pub failure: Failure,
    /// A stable error code in kebab case.
    pub code: &'static str,
    /// Description and remedy for people. It contains no secret.
    pub message: String,
}

impl TaskError {
    /// A failure with its class, code and message.
    pub fn new(failure: Failure, code: &'static str, message: impl ToString) -> TaskError {
        TaskError { failure, code, message: message.to_string() }
    }

    /// An internal error. It is permanent: a retry cannot help.
    pub fn internal(message: impl ToString) -> TaskError {
        TaskError::new(Failure::Permanent, "internal", message)
    }

    /// The failure of a run that ended because its stop flag was set.
    pub fn stopped() -> TaskError {
        TaskError::new(Failure::Transient, "stopped", "stopped")
    }
}

/// An implementation that opens circuits from directories of a catalog.
pub trait Backend: Send + Sync + 'static {
    /// The backend's name in manifests.
    fn name(&self) -> &'static str;

    /// Opens a circuit without reading its keys. Files are checked against the manifest's digests when
    /// they are read.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the circuit cannot be opened.
    fn open(
        &self,
        directory: &std::path::Path,
        manifest: &crate::Manifest,
    ) -> Result<Arc<dyn Circuit>, OpenError>;
}

/// Reason that a circuit cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// A stable error code in kebab case.
    pub code: &'static str,
    /// Description and remedy for people.
    pub message: String,
}

impl OpenError {
    /// An error with its code and message.
    pub fn new(code: &'static str, message: impl ToString) -> OpenError {
        OpenError { code, message: message.to_string() }
    }
}
