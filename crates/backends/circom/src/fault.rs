//! Faults of files and inputs: a kind for programs and a message for people.

use std::{fmt, path::Path};

use athanor_engine::{Failure, InputError, OpenError, TaskError};
use athanor_groth16::{KeyFileError, ProveError, VerifyError, WitnessError};

/// A fault: a kind and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// The message: what is wrong and what to do.
    pub message: String,
}

/// Kinds of faults, each with a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// A bug, or a failure of the machine that the caller did not cause.
    Internal,
    /// A proving key that is malformed.
    BadKey,
    /// A key with points off the curve or outside the subgroup.
    BadKeyPoint,
    /// A file with an unsupported curve, protocol or version, or with a different curve than expected.
    Unsupported,
    /// A witness file that is malformed.
    BadWitnessFile,
    /// A witness value that is not canonical, or a first witness value that is not 1.
    BadWitnessValue,
    /// A witness for a different circuit than the key's.
    WrongWitness,
    /// A witness that does not satisfy the constraints.
    Unsatisfied,
    /// An input that does not match the circuit's input signals.
    BadInput,
    /// A witness generator that is malformed, trapped or exceeded a limit.
    WitnessGenerator,
    /// A constraint file or symbol file that is malformed.
    BadConstraints,
    /// A file that cannot be read or is shorter than expected.
    Unreadable,
    /// An output file that cannot be written.
    Unwritable,
    /// A memory allocation failed.
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

    /// The engine's class of failure, which decides whether a retry can help.
    fn failure(self) -> Failure {
        match self {
            FaultKind::OutOfMemory | FaultKind::Unreadable => Failure::Transient,
            _ => Failure::Permanent,
        }
    }
}

impl Fault {
    /// A fault with a message.
    pub fn new(kind: FaultKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// A fault whose message begins with a file's path.
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
