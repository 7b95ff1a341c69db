//! Faults, with the engine's error codes.

use std::{fmt, path::Path};

use athanor_engine::{Failure, InputError, ManifestError, OpenError, TaskError};
use athanor_groth16::{KeyFileError, ProveError, formats::BellmanError};
use athanor_kernels::DeviceError;

/// A fault: a code and a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// A stable name for programs.
    pub code: &'static str,
    /// The message: what is wrong and what to do. Contains no secret.
    pub message: String,
}

/// The input does not match the circuit.
pub(crate) const BAD_INPUT: &str = "bad-input";
/// A proving key is malformed, or for a different circuit.
pub(crate) const BAD_KEY: &str = "bad-key";
/// The kind of proof is not supported.
pub(crate) const UNSUPPORTED: &str = "unsupported";

impl Fault {
    /// A fault with a code and a message.
    pub fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// A fault whose message begins with a file's path.
    pub fn at(code: &'static str, path: &Path, message: impl fmt::Display) -> Self {
        Self::new(code, format_args!("{}: {message}", path.display()))
    }

    /// A fault of the input.
    pub fn bad_input(message: impl fmt::Display) -> Self {
        Self::new(BAD_INPUT, message)
    }

    /// A bug in Athanor or in the stock stack.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new("internal", message)
    }

    /// A memory allocation failed.
    pub fn memory(message: impl fmt::Display) -> Self {
        Self::new("out-of-memory", message)
    }

    /// Adds the partition to the message.
    #[must_use]
    pub fn in_partition(self, partition: u32) -> Self {
        Self { message: format!("partition {partition}: {}", self.message), ..self }
    }

    fn failure(&self) -> Failure {
        match self.code {
            "out-of-memory" | "unreadable" => Failure::Transient,
            _ => Failure::Permanent,
        }
    }
}

impl From<Fault> for TaskError {
    fn from(fault: Fault) -> Self {
        TaskError::new(fault.failure(), fault.code, fault.message)
    }
}

impl From<Fault> for InputError {
    fn from(fault: Fault) -> Self {
        InputError::new(fault.code, fault.message)
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        OpenError::new(fault.code, fault.message)
    }
}

impl From<ManifestError> for Fault {
    fn from(error: ManifestError) -> Self {
        let code = match &error {
            ManifestError::Io { .. } => "unreadable",
            _ => "bad-circuit",
        };
        Self::new(code, error)
    }
}

impl From<BellmanError> for Fault {
    fn from(error: BellmanError) -> Self {
        let code = match &error {
            BellmanError::Io(_) => "unreadable",
            BellmanError::Point { .. } => "bad-key-point",
            BellmanError::Memory(_) => "out-of-memory",
            _ => BAD_KEY,
        };
        Self::new(code, error)
    }
}

impl From<KeyFileError> for Fault {
    fn from(error: KeyFileError) -> Self {
        let code = match &error {
            KeyFileError::Io { action: "read", .. } => "unreadable",
            KeyFileError::Io { .. } => "unwritable",
            KeyFileError::Memory(_) => "out-of-memory",
            _ => BAD_KEY,
        };
        Self::new(code, error)
    }
}

impl From<ProveError> for Fault {
    fn from(error: ProveError) -> Self {
        let code = match &error {
            ProveError::WrongWitness { .. } => "wrong-witness",
            ProveError::Unsatisfied => "unsatisfied",
            ProveError::Layout { .. } => BAD_KEY,
            ProveError::Key(_) => "bad-key-point",
            ProveError::Device(DeviceError::Memory(_)) => "out-of-memory",
            ProveError::Device(_) | ProveError::Randomness(_) => "internal",
        };
        Self::new(code, error)
    }
}
