//! Errors in a scenario, with what to change.

use crate::curve::CurveError;
use athanor_scheduler::SpecError;

/// Why a scenario cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The text is too long.
    #[error("the scenario has {bytes} bytes of text, at most {most} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The text is not TOML or not in this format; the message names the line, the key and what is
    /// expected.
    #[error("{0}")]
    Syntax(String),
    /// A setting names a key that does not exist.
    #[error("`{setting}`: {why}")]
    Setting {
        /// As given.
        setting: String,
        /// What is wrong.
        why: String,
    },
    /// A list is empty, or a required key is missing.
    #[error("`{key}` is missing: {what}")]
    Missing {
        /// The key.
        key: String,
        /// What to add.
        what: &'static str,
    },
    /// A number is outside its bounds.
    #[error("`{key}` is {value}: give {bounds}")]
    OutOfRange {
        /// The key.
        key: String,
        /// As given.
        value: String,
        /// What is allowed.
        bounds: String,
    },
    /// A name refers to nothing.
    #[error("`{key}` names \"{name}\", which no {what} has (there are: {known})")]
    Unknown {
        /// The key.
        key: String,
        /// The name.
        name: String,
        /// The kind of thing that it should name.
        what: &'static str,
        /// The known names.
        known: String,
    },
    /// Two things of one kind have the same name.
    #[error("two {what} are called \"{name}\": rename one")]
    Duplicate {
        /// The kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Exactly one of several keys must be given.
    #[error("`{key}`: give exactly one of {choices}")]
    OneOf {
        /// The table.
        key: String,
        /// The choices.
        choices: &'static str,
    },
    /// The CPU workers have more threads than the machine.
    #[error(
        "the CPU workers have {workers} threads together and `machine.threads` is {machine}: \
         lower `cpu.lanes` or `cpu.threads`"
    )]
    TooManyThreads {
        /// Threads of the CPU workers.
        workers: u64,
        /// Threads of the machine.
        machine: u32,
    },
    /// The scenario has too many steps.
    #[error("the jobs have {tasks} tasks together, at most {most} are simulated: lower `count`")]
    TooManyTasks {
        /// Partitions times stages times jobs.
        tasks: u64,
        /// The limit.
        most: u64,
    },
    /// The points of a stage define no curve.
    #[error("`{key}`: {why}")]
    Curve {
        /// The key.
        key: String,
        /// The reason.
        why: CurveError,
    },
    /// The claims of a circuit's stages are invalid.
    #[error("circuit \"{circuit}\": {why}")]
    Profile {
        /// The circuit.
        circuit: String,
        /// The reason.
        why: SpecError,
    },
}
