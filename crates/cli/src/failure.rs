//! How a command fails: a kind that scripts can act on, and words for the person.

use std::{fmt, path::Path};

use athanor_circom::Fault;
use athanor_engine::{CatalogError, JobError, LoadError, ManifestError, StartError};
use athanor_groth16::{KeyFileError, ProveError, SetupError, VerifyError, WitnessError};

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure; decides the exit code.
    pub kind: Kind,
    /// What happened and what to do.
    pub message: String,
    /// The command has answered with a JSON object of its own, which tells of this.
    pub answered: bool,
}

/// The kinds of failure, each with an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bug or an exhausted machine: nothing the caller did.
    Internal,
    /// A proving key that is malformed.
    BadKey,
    /// A proving or verifying key with points off the curve or outside the subgroup.
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
    /// The proof is not valid.
    InvalidProof,
    /// A proof, public or verifying-key file that is malformed.
    BadProofFile,
    /// Public signals in the wrong number or not canonical.
    BadSignals,
    /// A scenario that makes no sense.
    BadScenario,
    /// A circuit of a catalog that is not there, malformed or changed.
    BadCircuit,
    /// The machine has not the memory that the work needs, or no lane for it.
    DoesNotFit,
    /// A configuration of the service that makes no sense.
    BadConfig,
    /// The service could not start: its port, its journal, its data.
    Service,
    /// Powers of tau, or a contribution to a key, that are malformed or not sound.
    BadCeremony,
    /// A file that cannot be read, or ended while it was read.
    Unreadable,
    /// An output that cannot be written.
    Unwritable,
    /// The system refused memory.
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

    /// The process's exit code. 2 is taken: a command line that makes no sense.
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

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Kind::Internal => (1, "internal", "a bug, or the machine gave out"),
            Kind::BadKey => (10, "bad-key", "the proving key is malformed or truncated"),
            Kind::BadKeyPoint => (
                11,
                "bad-key-point",
                "a key's point is off the curve, outside the subgroup or zero",
            ),
            Kind::Unsupported => {
                (12, "unsupported", "another curve, protocol or version than expected")
            }
            Kind::BadWitnessFile => {
                (13, "bad-witness-file", "the witness file is malformed or truncated")
            }
            Kind::BadWitnessValue => {
                (14, "bad-witness-value", "a witness value is not canonical, or the first is not 1")
            }
            Kind::WrongWitness => (15, "wrong-witness", "the witness belongs to another circuit"),
            Kind::Unsatisfied => {
                (16, "unsatisfied", "the witness does not satisfy the constraints")
            }
            Kind::BadInput => (17, "bad-input", "the input is not what the circuit takes"),
            Kind::WitnessGenerator => (
                18,
                "witness-generator",
                "the witness generator is malformed, trapped or hit a limit",
            ),
            Kind::BadConstraints => {
                (19, "bad-constraints", "the .r1cs or .sym file is malformed or of another circuit")
            }
            Kind::InvalidProof => (20, "invalid-proof", "the proof does not verify"),
            Kind::BadProofFile => {
                (21, "bad-proof-file", "a proof, public or verifying-key file is malformed")
            }
            Kind::BadSignals => {
                (22, "bad-signals", "public signals are too few, too many or not canonical")
            }
            Kind::BadScenario => (23, "bad-scenario", "a scenario makes no sense"),
            Kind::BadCircuit => {
                (24, "bad-circuit", "a circuit of a catalog is not there, malformed or changed")
            }
            Kind::DoesNotFit => (25, "does-not-fit", "this machine has not what the work needs"),
            Kind::BadConfig => (26, "bad-config", "the service's configuration makes no sense"),
            Kind::Service => (27, "service", "the service could not start: port, journal or data"),
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
    /// A failure with its words.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), answered: false }
    }

    /// A failure that concerns a file.
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
    let rest = "\n   2  usage              the command line makes no sense\
                \n 130  interrupted        a second SIGINT ended the service before its jobs\
                \n 143  terminated         a second SIGTERM ended the service before its jobs";
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
