//! The hands of the proving service: threads, devices, resident keys and memory, as the scheduler
//! decides.
//!
//! [`Engine`] takes [`Submission`]s and gives [`JobHandle`]s; a [`Circuit`] teaches it a proof
//! system. Everything else is kept by one thread, `engine-core`, which owns the scheduler: it takes
//! in what other threads report, carries out what the scheduler answers, and decides nothing itself.
//!
//! ```text
//!  clients ──submit, cancel──►┐                      ┌──► synth-worker-N, prover-worker-N ─┐
//!  heartbeat ──resident──────►├─► engine-core ──run──┤                                     ├─► back
//!  journal ──recorded────────►┘   (scheduler)        └──► key-loader-N ────────────────────┘
//! ```
//!
//! A mutex around the scheduler, driven by whichever thread has news, would save a change of threads
//! for each event. It was not taken: freeing memory and telling clients would happen under the lock,
//! and a hung caller would hold it.
//!
//! **What is promised.** A job that was accepted is in the journal, and is answered once. Its result
//! verified: the engine itself appends the check to every partition, and only a check makes the bytes
//! that leave. Memory is claimed before it is used. A step that panics, hangs, or dies in a child
//! process costs its lane a moment and the job a retry.

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
