//! What can be wrong with a scenario, and what to change.

use crate::curve::CurveError;
use athanor_scheduler::SpecError;

/// Why a scenario cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Longer than anyone writes.
    #[error("the scenario has {bytes} bytes of text, at most {most} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Not TOML, or not this format; the text names line, key and what is expected.
    #[error("{0}")]
    Syntax(String),
    /// A setting that changes nothing that is there.
    #[error("`{setting}`: {why}")]
    Setting {
        /// As given.
        setting: String,
        /// What is wrong with it.
        why: String,
    },
    /// A list that must not be empty, or a key that must be there.
    #[error("`{key}` is missing: {what}")]
    Missing {
        /// Where.
        key: String,
        /// What to add.
        what: &'static str,
    },
    /// A number outside its bounds.
    #[error("`{key}` is {value}: give {bounds}")]
    OutOfRange {
        /// Where.
        key: String,
        /// As given.
        value: String,
        /// What is allowed.
        bounds: String,
    },
    /// A name that nothing has.
    #[error("`{key}` names \"{name}\", which no {what} has (there are: {known})")]
    Unknown {
        /// Where.
        key: String,
        /// The name.
        name: String,
        /// What kind of thing was looked for.
        what: &'static str,
        /// Those that there are.
        known: String,
    },
    /// A name that two have.
    #[error("two {what} are called \"{name}\": rename one")]
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Keys that exclude each other, or of which one must be there.
    #[error("`{key}`: give exactly one of {choices}")]
    OneOf {
        /// Where.
        key: String,
        /// The choices.
        choices: &'static str,
    },
    /// The lanes have more threads than the machine.
    #[error(
        "the CPU lanes have {lanes} threads together and `machine.threads` is {machine}: \
         use fewer lanes or fewer threads per lane"
    )]
    TooManyThreads {
        /// Of the lanes.
        lanes: u64,
        /// Of the machine.
        machine: u32,
    },
    /// More work than a simulation should take on.
    #[error("the jobs have {tasks} tasks together, at most {most} are simulated: lower `count`")]
    TooManyTasks {
        /// Partitions times stages times jobs.
        tasks: u64,
        /// The limit.
        most: u64,
    },
    /// A curve that cannot be.
    #[error("`{key}`: {why}")]
    Curve {
        /// Where.
        key: String,
        /// Why.
        why: CurveError,
    },
    /// Claims that make no profile.
    #[error("circuit \"{circuit}\": {why}")]
    Profile {
        /// Which.
        circuit: String,
        /// Why.
        why: SpecError,
    },
}
