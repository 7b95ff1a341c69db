//! The trace: everything that the scheduler decided or was told, as typed records. Telemetry draws
//! tables and charts from it, and the property tests check it.
//!
//! Records are in the order of the decisions; records of one event have the same time.

use crate::action::{KeyLocation, Outcome};
use crate::event::Failure;
use crate::ids::{
    CircuitId, JobId, KeyId, RecordId, RunId, Span, StageId, SubmitId, TaskId, TenantId, Time,
    WorkerId,
};
use crate::job::{Class, Refusal, WorkerKind};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// One trace record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// When it happened.
    pub at: Time,
    /// What happened.
    #[serde(rename = "what")]
    pub event: TraceEvent,
}

/// The part of the memory budget from which a partition or a job takes its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPart {
    /// The budget less the reserve: for all classes.
    General,
    /// [`Config::reserve`](crate::Config::reserve): for the critical class only. Used by a service
    /// that promises latency to critical jobs.
    Reserve,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceEvent {
    /// A submit was refused.
    Refused {
        /// The submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The reason.
        why: Refusal,
    },
    /// A job was accepted and not acknowledged yet.
    Accepted {
        /// The submit; `None` if the job was restored after a restart.
        #[serde(rename = "ticket")]
        submit_id: Option<SubmitId>,
        /// The job's number.
        job: JobId,
        /// Its circuit.
        circuit: CircuitId,
        /// Its tenant.
        tenant: TenantId,
        /// Its class.
        class: Class,
        /// Its deadline.
        deadline: Option<Time>,
        /// Its start tag in virtual time, for fair shares; zero without shares.
        tag: u64,
        /// The number of its partitions so far.
        partitions: u32,
    },
    /// A record was given to the journal.
    Recording {
        /// Its number.
        record: RecordId,
        /// The job that it is about.
        job: JobId,
    },
    /// The journal answered about a record.
    Recorded {
        /// Its number.
        record: RecordId,
        /// The job that it is about.
        job: JobId,
        /// Whether the record is durable.
        durable: bool,
    },
    /// The client was told that its job is accepted.
    Acknowledged {
        /// The submit.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job.
        job: JobId,
    },
    /// A job rose one class by age.
    Promoted {
        /// The job.
        job: JobId,
        /// Its new class.
        class: Class,
    },
    /// Partitions were added to a job.
    Grew {
        /// The job.
        job: JobId,
        /// Index of the first added partition.
        first: u32,
        /// The number of added partitions.
        count: u32,
    },
    /// A step waits only for a worker, its memory, its keys and the limit on partitions in flight.
    Ready {
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
    },
    /// A step was started.
    Started {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Threads that it may use; zero on a device.
        threads: u32,
        /// The part of the budget that its memory is from.
        #[serde(rename = "purse")]
        budget_part: BudgetPart,
        /// Bytes that its partition holds from now on.
        holds: Memory,
        /// The job's own memory, if this was the job's first start; else zero.
        job_holds: Memory,
    },
    /// A step is done.
    Finished {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// The worker that ran it.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// The duration of the run.
        took: Span,
        /// Bytes that its partition holds from now on.
        holds: Memory,
        /// The measured peak, if it exceeded the claim.
        exceeded: Option<Memory>,
    },
    /// A run failed.
    Failed {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// The worker that ran it.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// The kind of failure.
        failure: Failure,
        /// Failures of this partition so far.
        attempt: u32,
        /// When the partition is tried again, from the same step or from its first; `None` if it is
        /// not.
        again: Option<Time>,
    },
    /// A run was asked to stop.
    Stopping {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// The worker that runs it.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A run that was asked to stop is over; its partition holds nothing.
    Stopped {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// The worker that ran it.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// The duration of the run.
        took: Span,
    },
    /// The last step of a partition is done.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// A partition was dropped, with what it held, because its job has ended.
    Dropped {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// The end of a job is decided; none of its steps starts any more.
    Ended {
        /// The job.
        job: JobId,
        /// The outcome.
        outcome: Outcome,
    },
    /// A job holds no memory any more.
    Released {
        /// The job.
        job: JobId,
    },
    /// The client was told how its job ended.
    Answered {
        /// The job.
        job: JobId,
        /// The outcome.
        outcome: Outcome,
    },
    /// A key load began.
    Loading {
        /// The load.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where to.
        #[serde(rename = "place")]
        location: KeyLocation,
        /// Bytes of the shared pools that it takes.
        holds: Memory,
        /// The partition (job, index) with whose priority it is loaded.
        on_behalf: (JobId, u32),
    },
    /// A key is resident.
    Loaded {
        /// The load.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where it is.
        #[serde(rename = "place")]
        location: KeyLocation,
        /// The duration of the load.
        took: Span,
    },
    /// A key load failed; its memory is free again.
    LoadFailed {
        /// The load.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where to.
        #[serde(rename = "place")]
        location: KeyLocation,
        /// When it may be tried again; `None` if it has failed for good.
        again: Option<Time>,
    },
    /// A copy of a key was evicted.
    Evicted {
        /// The key.
        key: KeyId,
        /// Where the copy was.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// A pin or unpin was requested.
    Pin {
        /// The key.
        key: KeyId,
        /// Whether the key is pinned now.
        pinned: bool,
        /// Whether the request was granted.
        granted: bool,
    },
    /// A worker is ready for work.
    #[serde(rename = "lane_joined")]
    WorkerJoined {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Its kind.
        kind: WorkerKind,
    },
    /// A worker left.
    #[serde(rename = "lane_left")]
    WorkerLeft {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// True if it was lost with the run on it, false if it was drained.
        lost: bool,
    },
    /// A device failed and gets no steps until a known-answer test passes.
    Quarantined {
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A known-answer test began.
    Probing {
        /// The test.
        run: RunId,
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A known-answer test ended. A device that passed gets steps again.
    Probed {
        /// The test.
        run: RunId,
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Whether the answer was right.
        passed: bool,
    },
    /// The reserved bytes, after an event that changed them.
    Reserved {
        /// Bytes by pool: jobs, partitions and keys together.
        memory: Memory,
    },
    /// The scheduler took or took back a step because of the resident memory.
    Pressure {
        /// The step before.
        from: PressureStep,
        /// The step after.
        to: PressureStep,
        /// The measured resident memory.
        resident: Memory,
        /// The reserved bytes.
        reserved: Memory,
    },
    /// A report was ignored: it is about something that is over or unknown.
    Ignored {
        /// What it was about.
        report: Ignored,
    },
}

/// The steps that the scheduler takes to reduce resident memory. Each includes the ones before.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PressureStep {
    /// No step.
    #[default]
    None,
    /// Idle keys are evicted.
    EvictIdle,
    /// The batch class starts no fresh partition while any other is in flight.
    PauseBatch,
    /// At most this many partitions are in flight.
    Shrink(u32),
}

/// The subject of a report that changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// A run that is over or never was.
    Run(RunId),
    /// A job that is over or never was.
    Job(JobId),
    /// A record that the scheduler does not wait for.
    Record(RecordId),
    /// A worker that is unknown, or one that joined twice.
    #[serde(rename = "lane")]
    Worker(WorkerId),
    /// A key that was not declared.
    Key(KeyId),
}
