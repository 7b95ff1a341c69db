//! Identifiers and time.
//!
//! The scheduler or the engine chooses every identifier; no value that a client chose is used as
//! the key of a map. Each start gets a new [`RunId`], so a late report about an earlier attempt
//! cannot be mistaken for one about the current attempt.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(/// A job. Numbers are given in the order of acceptance: a smaller number is an older job.
    JobId(u64));
id!(/// One attempt at one piece of work: a step, a key load or a known-answer test. Never used twice.
    RunId(u64));
id!(/// The driver's number for one submit, echoed in the answer.
    SubmitId(u64));
id!(/// One record given to the journal.
    RecordId(u64));
id!(/// A worker: one pool of CPU threads, or one device. Chosen by the driver, never reused.
    WorkerId(u32));
id!(/// A class of devices that can replace each other.
    DeviceClass(u16));
id!(/// A proving key or other large read-only data that steps need resident.
    KeyId(u64));
id!(/// A circuit; costs are learned per circuit and stage.
    CircuitId(u32));
id!(/// A stage of work, such as witness or prove; costs are learned per circuit and stage.
    StageId(u16));
id!(/// A tenant: the owner of jobs, for fair shares.
    TenantId(u32));

/// One task: a step of a partition of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The job.
    pub job: JobId,
    /// Index of the partition in the job, in the order in which partitions were declared.
    pub partition: u32,
    /// Index of the step in the partition's profile.
    pub step: u16,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.partition, self.step)
    }
}

/// A point in time: nanoseconds since an epoch that the driver chooses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A length of time in nanoseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Span(pub u64);

impl Time {
    /// The epoch.
    pub const ZERO: Time = Time(0);

    /// Seconds since the epoch.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-9
    }
}

impl Span {
    /// No time.
    pub const ZERO: Span = Span(0);

    /// `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Span {
        Span(nanos)
    }

    /// `millis` milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis.saturating_mul(1_000_000))
    }

    /// `secs` seconds; saturates.
    pub const fn from_secs(secs: u64) -> Span {
        Span(secs.saturating_mul(1_000_000_000))
    }

    /// `secs` seconds, rounded to a nanosecond; negative numbers and NaN become zero.
    pub fn from_secs_f64(secs: f64) -> Span {
        Span((secs * 1e9).round() as u64)
    }

    /// The length in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-9
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

/// The time from `earlier` to `self`; zero if `earlier` is later.
impl Sub for Time {
    type Output = Span;
    fn sub(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}
