//! Names for things, and time as a number.
//!
//! Every id is the scheduler's own or the engine's own; nothing a client chose is a key of any map
//! here. A [`Run`] is fresh for each start, so that a report about an attempt that is over can
//! never be taken for one about the attempt that replaced it.

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

id!(/// A job, numbered in the order of acceptance: a smaller number is an older job.
    JobId(u64));
id!(/// One attempt at one piece of work; never used twice.
    RunId(u64));
id!(/// The caller's correlation number for one submit; echoed, never used as a key.
    SubmitId(u64));
id!(/// One record handed to the journal.
    RecordId(u64));
id!(/// A worker: one pool of threads, or one device. Chosen by the engine, never reused for another.
    WorkerId(u32));
id!(/// A kind of device whose members can stand in for each other.
    DeviceClass(u16));
id!(/// A proving key or any other large read-only thing that work needs resident.
    KeyId(u64));
id!(/// A circuit: what costs are learned per.
    CircuitId(u32));
id!(/// A stage of work (witness, evaluate, prove, ...): what costs are learned per.
    StageId(u16));
id!(/// Whose job it is, for fair shares.
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

/// A moment: nanoseconds since an epoch the driver chose. Only differences mean anything.
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
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// That many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Span {
        Span(nanos)
    }

    /// That many milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis.saturating_mul(1_000_000))
    }

    /// That many seconds.
    pub const fn from_secs(secs: u64) -> Span {
        Span(secs.saturating_mul(1_000_000_000))
    }

    /// That many seconds, rounded to a nanosecond; negative and non-numbers become zero.
    pub fn from_secs_f64(secs: f64) -> Span {
        Span((secs * 1e9).round() as u64)
    }

    /// Seconds.
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

/// The time from the earlier (right) to the later (left); zero if they are the wrong way round.
impl Sub for Time {
    type Output = Span;
    fn sub(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}
