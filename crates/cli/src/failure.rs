//! Failures of commands: a kind, which decides the exit code, and a message.

use std::{fmt, path::Path};

use athanor_circom::Fault;
use athanor_engine::{CatalogError, JobError, LoadError, ManifestError, StartError};
use athanor_groth16::{KeyFileError, ProveError, SetupError, VerifyError, WitnessError};

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure; decides the exit code.
    pub kind: Kind,
    /// The message: what is wrong and what to do.
    pub message: String,
    /// Whether the command has already printed a JSON object that reports this failure.
    pub answered: bool,
}

/// The kinds of failure, each with a distinct exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bug, or a failure of the system that the caller did not cause.
    Internal,
    /// A proving key that is malformed.
    BadKey,
    /// A proving or verifying key with points off the curve or outside the subgroup.
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
    /// The proof is not valid.
    InvalidProof,
    /// A proof, public or verifying-key file that is malformed.
    BadProofFile,
    /// Public signals whose number is wrong or whose values are not canonical.
    BadSignals,
    /// A scenario that is malformed or contradictory.
    BadScenario,
    /// A circuit that is missing from its catalog, malformed or changed.
    BadCircuit,
    /// The work needs more memory than the budget allows, or a device that the machine lacks.
    DoesNotFit,
    /// A service configuration that is malformed or contradictory.
    BadConfig,
    /// The service cannot start (port, journal, data), does not answer, or refused a request.
    Service,
    /// Powers of tau, or a contribution to a key, that are malformed or do not verify.
    BadCeremony,
    /// A file that cannot be read or is shorter than expected.
    Unreadable,
    /// An output file that cannot be written.
    Unwritable,
    /// A memory allocation failed.
    OutOfMemory,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Kind; 23] = [
        Kind::Internal,
        Kind::BadKey,
        Kind::BadKeyPoint,
        Kind::Unsupported,
        Kind::BadWitnessFile,
        Kind::BadWitnessValue,
        Kind::WrongWitness,
        Kind::Unsatisfied,
        Kind::BadInput,
        Kind::WitnessGenerator,
        Kind::BadConstraints,
        Kind::InvalidProof,
        Kind::BadProofFile,
        Kind::BadSignals,
        Kind::BadScenario,
        Kind::BadCircuit,
        Kind::DoesNotFit,
        Kind::BadConfig,
        Kind::Service,
        Kind::BadCeremony,
        Kind::Unreadable,
        Kind::Unwritable,
        Kind::OutOfMemory,
    ];

    /// The process's exit code. Never 0 (success) or 2 (invalid command line).
    pub fn exit_code(self) -> u8 {
        self.row().0
    }

    /// The kind's name in `--json`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// One-line description for the table of exit codes.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Kind::Internal => (1, "internal", "a bug, or a failure of the machine"),
            Kind::BadKey => (10, "bad-key", "the proving key is malformed or truncated"),
            Kind::BadKeyPoint => (
                11,
                "bad-key-point",
                "a point of a key is not on the curve, not in the subgroup, or zero",
            ),
            Kind::Unsupported => {
                (12, "unsupported", "the curve, protocol or version is not the expected one")
            }
            Kind::BadWitnessFile => {
                (13, "bad-witness-file", "the witness file is malformed or truncated")
            }
            Kind::BadWitnessValue => (
                14,
                "bad-witness-value",
                "a witness value is not canonical, or the first value is not 1",
            ),
            Kind::WrongWitness => (15, "wrong-witness", "the witness belongs to another circuit"),
            Kind::Unsatisfied => {
                (16, "unsatisfied", "the witness does not satisfy the constraints")
            }
            Kind::BadInput => (17, "bad-input", "the input does not match the circuit's inputs"),
            Kind::WitnessGenerator => (
                18,
                "witness-generator",
                "the witness generator is malformed, trapped, or exceeded a limit",
            ),
            Kind::BadConstraints => (
                19,
                "bad-constraints",
                "the .r1cs or .sym file is malformed or belongs to another circuit",
            ),
            Kind::InvalidProof => (20, "invalid-proof", "the proof does not verify"),
            Kind::BadProofFile => {
                (21, "bad-proof-file", "a proof, public-signals or verifying-key file is malformed")
            }
            Kind::BadSignals => (
                22,
                "bad-signals",
                "there are too few or too many public signals, or one is not canonical",
            ),
            Kind::BadScenario => {
                (23, "bad-scenario", "a scenario is malformed or contradicts itself")
            }
            Kind::BadCircuit => {
                (24, "bad-circuit", "a circuit of a catalog is missing, malformed or changed")
            }
            Kind::DoesNotFit => (
                25,
                "does-not-fit",
                "the machine lacks the memory or the device that the work needs",
            ),
            Kind::BadConfig => {
                (26, "bad-config", "the service's configuration is malformed or refused")
            }
            Kind::Service => {
                (27, "service", "the service cannot start, does not answer, or refuses the request")
            }
            Kind::BadCeremony => {
                (28, "bad-ceremony", "powers of tau or a contribution are malformed or not sound")
            }
            Kind::Unreadable => (30, "unreadable", "a file cannot be read, or ended early"),
            Kind::Unwritable => (31, "unwritable", "an output cannot be written"),
            Kind::OutOfMemory => (32, "out-of-memory", "the system refused memory"),
        }
    }
}

impl Failure {
    /// A failure with a message.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), answered: false }
    }

    /// A failure whose message begins with a file's path.
    pub fn at(kind: Kind, path: &Path, message: impl fmt::Display) -> Self {
        Self::new(kind, format_args!("{}: {message}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::new(Kind::named(fault.kind.name()).unwrap_or(Kind::Internal), fault.message)
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let named = |code: &str| Kind::named(code).unwrap_or(Kind::Internal);
        let kind = match &error {
            JobError::Failed { code, .. } => named(code),
            JobError::Input(error) => named(error.code),
            JobError::Refused(_) => Kind::DoesNotFit,
            JobError::UnknownCircuit(_) => Kind::BadCircuit,
            _ => Kind::Internal,
        };
        Self::new(kind, error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let kind = match &error {
            ManifestError::Io { .. } => Kind::Unreadable,
            _ => Kind::BadCircuit,
        };
        Self::new(kind, error)
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Manifest(error) => error.into(),
            CatalogError::Open { source, .. } => {
                Self::new(Kind::named(source.code).unwrap_or(Kind::BadCircuit), source)
            }
            error => Self::new(Kind::BadCircuit, error),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Catalog(error) => error.into(),
            LoadError::WarmUp { error, circuit } => {
                let inner = Failure::from(error);
                Self::new(inner.kind, format_args!("circuit {circuit:?}: {}", inner.message))
            }
            error => Self::new(Kind::BadCircuit, error),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(Kind::OutOfMemory, error)
    }
}

impl From<ProveError> for Failure {
    fn from(error: ProveError) -> Self {
        let kind = match &error {
            ProveError::WrongWitness { .. } => Kind::WrongWitness,
            ProveError::Unsatisfied => Kind::Unsatisfied,
            ProveError::Layout { .. } => Kind::BadKey,
            ProveError::Key(_) => Kind::BadKeyPoint,
            ProveError::Device(athanor_kernels::DeviceError::Memory(_)) => Kind::OutOfMemory,
            ProveError::Device(_) | ProveError::Randomness(_) => Kind::Internal,
        };
        Self::new(kind, error)
    }
}

impl From<WitnessError> for Failure {
    fn from(error: WitnessError) -> Self {
        Self::new(Kind::BadWitnessValue, error)
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::new(Kind::BadConstraints, error)
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let kind = match &error {
            KeyFileError::Io { action: "read", .. } => Kind::Unreadable,
            KeyFileError::Io { .. } => Kind::Unwritable,
            KeyFileError::Memory(_) => Kind::OutOfMemory,
            _ => Kind::BadKey,
        };
        Self::new(kind, error)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let kind = match &error {
            VerifyError::Invalid | VerifyError::BadProofPoint { .. } => Kind::InvalidProof,
            VerifyError::SignalCount { .. } | VerifyError::SignalNotCanonical { .. } => {
                Kind::BadSignals
            }
            VerifyError::BadKey { .. } => Kind::BadKeyPoint,
        };
        Self::new(kind, error)
    }
}

/// The table of exit codes for `athanor --help` and the manual page.
pub fn exit_codes_help() -> String {
    let rows = Kind::ALL
        .iter()
        .map(|kind| format!("\n  {:>2}  {:<18} {}", kind.exit_code(), kind.name(), kind.meaning()));
    let rest = "\n   2  usage              the command line is wrong\
                \n 130  interrupted        a second SIGINT ended the service before its jobs ended\
                \n 143  terminated         a second SIGTERM ended the service before its jobs ended";
    format!("Exit codes:\n   0  success{}{rest}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_code_and_a_name_of_its_own() {
        let codes: BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((codes.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        assert!(!codes.contains(&0) && !codes.contains(&2), "0 is success, 2 a bad command line");
    }
}
