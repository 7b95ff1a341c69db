//! The scheduler of a proving engine: it decides which step of which job runs where, when, and with
//! which memory.
//!
//! [`Scheduler`] is a pure state machine. The driver calls [`Scheduler::handle`] with the time and an
//! [`Event`]; the scheduler answers with [`Action`]s to carry out and [`Trace`] records of what it
//! decided. It has no clock, no threads, no I/O and no randomness but its seed, so the same events
//! give the same actions in production, in property tests and in a simulator with a thousand devices.
//! The other type to know is [`JobSpec`]: a graph of partitions, each with a [`Profile`], the list of
//! its steps and their memory claims.
//!
//! # Example
//!
//! One worker, one job of one step:
//!
//! ```
//! use athanor_scheduler::*;
//! use std::sync::Arc;
//!
//! let config = Config { budget: Memory::host(8 << 30), ..Config::default() };
//! let mut scheduler = Scheduler::new(config, 1);
//! let mut out = Output::default();
//!
//! let kind = WorkerKind::Cpu { threads: 4 };
//! scheduler.handle(Time(0), Event::WorkerJoined { worker: WorkerId(0), kind }, &mut out);
//!
//! let step = Step {
//!     stage: StageId(0),
//!     worker: WorkerNeed::Cpu { least: 1, most: 4 },
//!     claim: Claim { peak: Memory::host(2 << 30), ..Claim::default() },
//!     key: None,
//!     estimate: Span::from_secs(3),
//!     emits: 0,
//! };
//! let profile = Arc::new(Profile::new(vec![step])?);
//! let spec = JobSpec {
//!     circuit: CircuitId(0),
//!     tenant: TenantId(0),
//!     class: Class::Normal,
//!     deadline: None,
//!     holds: Memory::ZERO,
//!     partitions: vec![PartitionSpec { profile, after: vec![] }],
//!     growth: None,
//! };
//!
//! // The acceptance goes to the journal first.
//! out.clear();
//! scheduler.handle(Time(0), Event::Submit { submit_id: SubmitId(1), spec }, &mut out);
//! let [Action::Persist { record, .. }] = out.actions[..] else { panic!("{:?}", out.actions) };
//!
//! // Once it is durable, the client is told and the step starts.
//! out.clear();
//! scheduler.handle(Time(1), Event::Persisted { record }, &mut out);
//! let [Action::Acknowledge { .. }, Action::Start { run, .. }] = out.actions[..] else {
//!     panic!("{:?}", out.actions)
//! };
//! assert_eq!(scheduler.reserved(), Memory::host(2 << 30));
//!
//! // The step is done: its memory is free, and the end of the job goes to the journal.
//! out.clear();
//! scheduler.handle(Time(2), Event::Finished { run, peak: None, again: false }, &mut out);
//! assert_eq!(scheduler.reserved(), Memory::ZERO);
//! # Ok::<(), SpecError>(())
//! ```
//!
//! # What it does not do
//!
//! It runs nothing, allocates none of the memory that it grants, reads no keys and writes no journal:
//! the driver does. It trusts claims and only compares them with measurements afterwards. It does not
//! preempt: a step that has started ends by itself, unless its job ends.
//!
//! # Claims
//!
//! Memory is claimed before it is used. A partition is a chain of steps. Each [`Step`] says what the
//! partition holds while the step runs (`peak`, its input included) and what the step leaves for the
//! next one (`keeps`). Starting a step changes the partition's reservation to `peak`; finishing it
//! changes the reservation to `keeps`; the last step keeps nothing. A witness of 4 GiB for 25 seconds
//! and an evaluation of 19 GiB for 4 are two steps with two claims, so a small machine can run
//! several witnesses beside one evaluation. What outlives a partition is the job's own memory
//! ([`JobSpec::holds`]), taken at the job's first start and freed at its end.
//!
//! A partition never holds memory while it waits for another partition: edges between partitions lead
//! only to first steps, and a partition with a step that emits others (it may have to wait for its
//! consumers) claims no memory. The shared copies of all keys that a partition's steps name are
//! resident from its start to its end.
//!
//! # Safe states
//!
//! If a partition may hold memory while it asks for more, partitions can deadlock. If it must take
//! everything at its start, memory is wasted. The scheduler uses the banker's rule (Dijkstra, EWD 623)
//! with one fixed order: running partitions, in the order in which they first got memory (the *grant
//! order*). Let `h(i)` be what partition `i` holds, `m(i)` the most it may still hold, and `B` the
//! budget less the fixed memory: the own memory of jobs and the resident keys. A state is safe if each
//! partition can reach `m(i)` with what is free plus what the partitions before it release:
//!
//! ```text
//!     slack(i) = B - m(i) - (sum of h(j) over j after i)  >=  0      for every i
//! ```
//!
//! Raising `h(k)` by `d` lowers the slack of those before `k` by `d` and no other. So a grant is safe
//! exactly if no partition before `k` has a slack below `d`. A tree of slacks answers that, and finds
//! the last partition that blocks the grant, in logarithmic time.
//!
//! *No deadlock.* No partition is before the first one in the grant order, so its growth is always
//! safe: it can always go on to its end, given a worker and its keys, and then the next one is first.
//! When no partition runs, only fixed memory is taken. A job may take its own memory only if the own
//! memory of all admitted jobs, and the largest partition of any of them with its keys, fit together;
//! so a fresh partition can start once idle keys are evicted. A job that cannot meet this on an empty
//! machine is refused at submit, with the bytes that it would need.
//!
//! # Order
//!
//! There is one order, the *priority*: class, deadline, the tenant's virtual time (with fair shares),
//! job age, partition. A step is ready when the steps and partitions before it are done. The first
//! ready step in priority order starts whenever a suitable worker is free, its keys are where it needs
//! them, its memory can be granted, and the limit on partitions in flight is not reached.
//!
//! A *blocked head* is a step that lacks only memory, or that is first in line for a kind of worker
//! that is all busy and lacks memory too. It waits for the partitions up to and including the last one
//! that blocks its grant, with every key that it may evict counted as free. A step behind it in
//! priority may start only if it takes nothing from the pools of the blocked head's claim, or if it
//! belongs to one of the partitions that the head waits for. So later work never adds to what a
//! blocked head waits for. The first partition in the grant order is always among those that may go
//! on, so the rule does not stop progress. (If the head's job may not take its own memory yet, the
//! head waits for whole jobs, and all their partitions may go on. The same holds for the first in line
//! for a key that is not resident: the key may have been evicted for those jobs.)
//!
//! Keys follow the same order. A load has the priority of the first partition that needs the key. An
//! idle key is evicted only for a step before which no step in the order needs it. On a device, a step
//! goes to a free device that holds its key; if none does, its key is loaded onto the device with the
//! most unused memory.
//!
//! The reserve for the critical class is a second part of the budget with its own grant order. A
//! critical partition takes its memory from the reserve if it fits there, else from the general part,
//! and stays with that part to its end.
//!
//! # Limits and timers
//!
//! Work flows by events: a partition may start when memory is freed, or when another one ends
//! ([`Config::in_flight`]); a step that emits partitions may run again when an added one ends
//! ([`Growth::live`]). Time matters in four places only: deadlines, the backoff of retries, ageing, and
//! the `retry_after` of [`Refusal::Busy`]. [`Scheduler::next_wake`] tells the driver when to call again.
//!
//! # Alternatives
//!
//! - Granting each partition its largest peak at its start is simpler, and costs a small machine most
//!   of its concurrency.
//! - A full banker's algorithm, which accepts any order of completion, admits a few more states and
//!   costs a search per grant.
//! - Backfilling memory beside a blocked head would use more memory, and depends on predicted
//!   durations.
//! - Feedback on queue depth adds parameters that must be tuned for each machine.

mod action;
mod budgets;
mod config;
mod costs;
mod event;
mod ids;
mod jitter;
mod job;
mod keys;
mod memory;
mod planted;
#[cfg(test)]
mod properties;
mod ready;
mod reservations;
mod scheduler;
mod slack;
mod state;
mod trace;
mod workers;

pub use action::{Action, FailureReason, JournalEntry, KeyLocation, Outcome};
pub use config::{Config, Learning, Pressure, Retry, Shares};
pub use event::{Event, Failure, KeySpec};
pub use ids::{
    CircuitId, DeviceClass, JobId, KeyId, RecordId, RunId, Span, StageId, SubmitId, TaskId,
    TenantId, Time, WorkerId,
};
pub use job::{Class, Growth, JobSpec, PartitionSpec, Refusal, SpecError, WorkerKind, WorkerNeed};
pub use memory::{Claim, Memory, Pool, Profile, Step};
pub use scheduler::{Output, Scheduler};
pub use trace::{BudgetPart, Ignored, PressureStep, Trace, TraceEvent};
