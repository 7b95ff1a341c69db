//! The proving engine: runs jobs on threads and devices and holds resident keys and memory, as the
//! scheduler decides.
//!
//! [`Engine`] accepts [`Submission`]s and returns [`JobHandle`]s. A [`Circuit`] implements one circuit
//! of a proof system. One thread, `engine-core`, owns the scheduler and all other state: it passes the
//! reports of other threads to the scheduler and carries out the scheduler's actions.
//!
//! ```text
//!  clients ──submit, cancel──►┐                      ┌──► synth-worker-N, prover-worker-N ─┐
//!  heartbeat ──resident──────►├─► engine-core ──run──┤                                     ├─► back
//!  journal ──recorded────────►┘   (scheduler)        └──► key-loader-N ────────────────────┘
//! ```
//!
//! The alternative is a mutex around the scheduler, locked by the thread that reports an event. It saves
//! one thread switch for each event. It is rejected because memory would be freed and clients would be
//! notified under the lock, and a hung caller would hold the lock.
//!
//! **Guarantees.** An accepted job is in the journal and is answered once. Every returned result is
//! verified: the engine appends the check to every partition, and only a check produces the bytes that
//! leave the engine. Memory is reserved before it is used. If a step panics, hangs, or dies in a child
//! process, the engine tests or replaces the worker where necessary and retries the step within the
//! limits of [`Retry`].

mod backend;
mod catalog;
mod cgroup;
mod circuits;
mod config;
mod core;
mod engine;
mod heartbeat;
mod input;
mod job;
mod journal;
mod lane;
mod manifest;
pub mod memory;
mod message;
mod metrics;
pub mod modelled;
mod pulse;
mod stop;
mod sync;
pub mod worker;

pub use athanor_scheduler::{
    Claim, Class, Config as Policy, DeviceClass, Failure, JobId, Memory, Outcome, Refusal, Retry,
    Span, Trace, WorkerNeed,
};
pub use backend::{
    About, Backend, Call, Circuit, Done, Isolation, KeyShape, OpenError, Payload, Plan,
    PlannedPartition, Shape, Step, TaskError,
};
pub use catalog::{Catalog, CatalogError};
pub use circuits::CHECK;
pub use config::{CPU, Config, DeviceConfig, Observer};
pub use core::LoadError;
pub use engine::{CircuitStanding, Engine, Standing, StartError};
pub use input::{Input, InputError};
pub use job::{Finished, JobError, JobHandle, Status, Submission};
pub use journal::{Journal, JournalError, MemoryJournal, Receipt, Record, Unfinished};
pub use lane::Lane;
pub use manifest::{FileEntry, MANIFEST, Manifest, ManifestError, NAME_RULE, StageEntry, is_name};
pub use metrics::Counters;
pub use stop::Stop;
