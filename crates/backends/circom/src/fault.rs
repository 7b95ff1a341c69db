//! What is wrong with a file or an input, by kind: the kinds are what programs act on.

use std::{fmt, path::Path};

use athanor_engine::{Failure, InputError, OpenError, TaskError};
use athanor_groth16::{KeyFileError, ProveError, VerifyError, WitnessError};

/// A fault with its kind and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// What happened and what to do.
    pub message: String,
}

/// Kinds of faults, each with a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// A bug or an exhausted machine: nothing the caller did.
    Internal,
    /// A proving key that is malformed.
    BadKey,
    /// A key with points off the curve or outside the subgroup.
    BadKeyPoint,
    /// A file of a curve, protocol or version that is not supported, or of another curve.
    Unsupported,
    /// A witness file that is malformed.
    BadWitnessFile,
    /// Witness values that are not canonical, or do not begin with one.
    BadWitnessValue,
    /// A witness of another circuit than the key.
    WrongWitness,
    /// A witness that does not satisfy the constraints.
    Unsatisfied,
    /// An input that the circuit does not take.
    BadInput,
    /// A witness generator that is malformed, trapped, or ran over its limits.
    WitnessGenerator,
    /// A constraint file or symbol file that is malformed.
    BadConstraints,
    /// A file that cannot be read, or ended while it was read.
    Unreadable,
    /// An output that cannot be written.
    Unwritable,
    /// The system refused memory.
    OutOfMemory,
}

impl FaultKind {
    /// The kind's name, in kebab case.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Internal => "internal",
            FaultKind::BadKey => "bad-key",
            FaultKind::BadKeyPoint => "bad-key-point",
            FaultKind::Unsupported => "unsupported",
            FaultKind::BadWitnessFile => "bad-witness-file",
            FaultKind::BadWitnessValue => "bad-witness-value",
            FaultKind::WrongWitness => "wrong-witness",
            FaultKind::Unsatisfied => "unsatisfied",
            FaultKind::BadInput => "bad-input",
            FaultKind::WitnessGenerator => "witness-generator",
            FaultKind::BadConstraints => "bad-constraints",
            FaultKind::Unreadable => "unreadable",
            FaultKind::Unwritable => "unwritable",
            FaultKind::OutOfMemory => "out-of-memory",
        }
    }

    /// What it means for whoever may try again.
    fn failure(self) -> Failure {
        match self {
            FaultKind::OutOfMemory | FaultKind::Unreadable => Failure::Transient,
            _ => Failure::Permanent,
        }
    }
}

impl Fault {
    /// A fault with its words.
    pub fn new(kind: FaultKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// A fault of a file.
    pub fn at(kind: FaultKind, path: &Path, message: impl fmt::Display) -> Self {
        Self::new(kind, format_args!("{}: {message}", path.display()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for TaskError {
    fn from(fault: Fault) -> Self {
        TaskError::new(fault.kind.failure(), fault.kind.name(), fault.message)
    }
}

impl From<Fault> for InputError {
    fn from(fault: Fault) -> Self {
        InputError::new(fault.kind.name(), fault.message)
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        OpenError::new(fault.kind.name(), fault.message)
    }
}

impl From<ProveError> for Fault {
    fn from(error: ProveError) -> Self {
        let kind = match &error {
            ProveError::WrongWitness { .. } => FaultKind::WrongWitness,
            ProveError::Unsatisfied => FaultKind::Unsatisfied,
            ProveError::Layout { .. } => FaultKind::BadKey,
            ProveError::Key(_) => FaultKind::BadKeyPoint,
            ProveError::Device(athanor_kernels::DeviceError::Memory(_)) => FaultKind::OutOfMemory,
            ProveError::Device(_) | ProveError::Randomness(_) => FaultKind::Internal,
        };
        Self::new(kind, error)
    }
}

impl From<WitnessError> for Fault {
    fn from(error: WitnessError) -> Self {
        Self::new(FaultKind::BadWitnessValue, error)
    }
}

impl From<VerifyError> for Fault {
    fn from(error: VerifyError) -> Self {
        Self::new(FaultKind::BadKeyPoint, error)
    }
}

impl From<KeyFileError> for Fault {
    fn from(error: KeyFileError) -> Self {
        let kind = match &error {
            KeyFileError::Io { action: "read", .. } => FaultKind::Unreadable,
            KeyFileError::Io { .. } => FaultKind::Unwritable,
            KeyFileError::Memory(_) => FaultKind::OutOfMemory,
            _ => FaultKind::BadKey,
        };
        Self::new(kind, error)
    }
}
