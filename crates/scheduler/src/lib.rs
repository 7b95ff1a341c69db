//! The mind of the engine: which task runs where, when, and with whose memory.
//!
//! [`Scheduler`] is a pure state machine. The driver calls [`Scheduler::handle`] with the time and
//! an [`Event`]; it answers with [`Action`]s to carry out and [`Trace`] records of all it decided.
//! It has no clock, thread, I/O or randomness but its seed, so the same events give the same
//! actions, in production, under property tests and in a simulator at a thousand devices. The other
//! type to know is [`JobSpec`]: a graph of partitions, each with a [`Profile`] of claims.
//!
//! # Claims
//!
//! Memory is claimed before it is used, and the claim travels with the data. A partition is a chain
//! of steps. Each [`Step`] says what the partition holds while it runs (`peak`, its input included)
//! and what it leaves for the next (`keeps`). Starting a step moves the partition's holding to
//! `peak`; finishing it moves it to `keeps`; the last step keeps nothing. A witness of 4 GiB for 25
//! seconds and an evaluation of 19 GiB for 4 are two steps with two claims, and a small machine
//! lives on the difference. What outlives a partition is the job's own hold ([`JobSpec::holds`]):
//! taken with the job's first start and returned at its end.
//!
//! A partition never holds memory while it waits for another partition: edges between partitions
//! lead only to first steps, and a step that emits new partitions (whose producer must be able to
//! wait for their consumers) claims nothing of its own. The shared copy of every key that a
//! partition's steps name is resident before it starts and stays until it ends.
//!
//! # Safe states
//!
//! Holding what you have while asking for more is how engines deadlock. Taking everything at the
//! start is how they waste memory. Between the two stands the banker's rule (Dijkstra, EWD 623)
//! with its order fixed: *running partitions, in the order in which they first got memory*. Let
//! partition `i` hold `h(i)`, let `m(i)` be the most it may still hold, and let `B` be the budget
//! less all job holds and resident keys. The state is safe if each partition can blocked_on `m(i)` from
//! what is free plus what those before it release:
//!
//! ```text
//!     slack(i) = B - m(i) - (sum of h(j) over j after i)  >=  0      for every i
//! ```
//!
//! Raising `h(k)` by `d` lowers the slack of those before `k` by `d` and no other, so a grant is
//! safe exactly if no partition before `k` has a slack below `d`. A tree of slacks answers that,
//! and names the last partition that stands in the way, in logarithmic time.
//!
//! *No deadlock.* The first in the order has nobody before it, so its growth is always safe: it can
//! always go on to its end, with the worker and key it needs, and then the next is first. When none
//! runs, only job holds and idle keys are left; a job may take its hold only if beside all job
//! holds together there is room for the largest partition, with its keys, of any of those jobs; so
//! some fresh partition can start once idle keys are out. What cannot meet this on an empty
//! machine is refused at submit, with the bytes it would need.
//!
//! # Priority
//!
//! One order everywhere: class, deadline, tenant's virtual time (if shares are on), job age,
//! partition. A step is runnable when those before it are done, its key is where it must be, its
//! claim is grantable and there is a credit for it. Whenever a worker is free, the first runnable step
//! in that order that suits it starts.
//!
//! An *elder* is a step that lacks memory and nothing else, or that is first in line for a kind of
//! worker that is all busy and lacks memory besides. It waits for the partitions up to and including
//! the last one that stands in its way once every idle key that it may evict is counted as free.
//! Work younger than it passes only if it takes nothing from the pools that the elder's claim is in,
//! or if it is itself one of those partitions, whose way to the end is the elder's own. So a pass
//! never adds to what the elder waits for: *no elder is delayed*. And the first in the grant order
//! is always among those that may pass, so the rule costs no progress. (An elder whose job may not
//! take its hold yet waits for whole jobs, and lets all their partitions pass. So does the first in
//! line for a key that is not here yet: the key may have gone to make room for those very jobs.)
//!
//! Keys follow the same order. A load is work of the first partition that wants the key; an idle
//! key is evicted only for a step before which nobody in the order wants it. On a device a step
//! takes the free one that holds its key, and has the key brought to the roomiest if none does.
//!
//! The reserve for the critical class is a second budget part with its own safe-state order; a critical
//! partition takes its memory from the reserve if it fits there and from the general budget part if not,
//! and stays with that budget part to its end.
//!
//! # Credits
//!
//! Flow follows events, not timers: a buffer is freed (a pool's bytes are its credits), a partition
//! ends (`in_flight`), a grown partition ends and its producer may emit again
//! ([`Growth::live`]). Time enters in four places only: deadlines, retry backoff, ageing, and the
//! `retry_after` of [`Refusal::Busy`]; [`Scheduler::next_wake`] tells the driver when to come back.
//!
//! # Roads not taken
//!
//! Granting whole partitions all at once is simpler and costs a small machine most of its
//! concurrency. A full banker's algorithm (any order that works, not the grant order) admits a few
//! more states and costs a search per grant. Backfilling into the surplus beside a blocked elder
//! would use more memory and needs trust in durations. A feedback loop on queue depth was tried
//! elsewhere (cuzk) and retuned three times.

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
