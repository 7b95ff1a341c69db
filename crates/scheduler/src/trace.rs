//! Everything that happened, as typed values: the one stream from which every table, page and
//! picture is drawn, and against which the properties are checked.
//!
//! Records come in the order in which things were decided; records of one event share its time.

use crate::action::{KeyLocation, Outcome};
use crate::event::Failure;
use crate::ids::{
    CircuitId, JobId, KeyId, RecordId, RunId, Span, StageId, SubmitId, TaskId, TenantId, Time,
    WorkerId,
};
use crate::job::{Class, Refusal, WorkerKind};
use crate::memory::Memory;
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// When.
    pub at: Time,
    /// What.
    #[serde(rename = "what")]
    pub event: TraceEvent,
}

/// Which part of the budget a partition's memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPart {
    /// What everyone shares.
    General,
    /// What is kept for the critical class.
    Reserve,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceEvent {
    /// A submit was refused.
    Refused {
        /// Its ticket.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// Why.
        why: Refusal,
    },
    /// A job was taken in (not yet acknowledged). `tag` is its tenant's virtual time, zero without
    /// shares.
    Accepted {
        /// Its ticket; none if it was restored after a restart.
        #[serde(rename = "ticket")]
        submit_id: Option<SubmitId>,
        /// Its number from now on.
        job: JobId,
        /// Its circuit.
        circuit: CircuitId,
        /// Whose it is.
        tenant: TenantId,
        /// Its class.
        class: Class,
        /// Its deadline.
        deadline: Option<Time>,
        /// Its place among tenants.
        tag: u64,
        /// How many partitions it has so far.
        partitions: u32,
    },
    /// A record was given to the journal.
    Recording {
        /// Its number.
        record: RecordId,
        /// The job it is about.
        job: JobId,
    },
    /// The journal answered.
    Recorded {
        /// Its number.
        record: RecordId,
        /// The job it is about.
        job: JobId,
        /// Whether it is durable.
        durable: bool,
    },
    /// A client was told that its job is accepted.
    Acknowledged {
        /// Its ticket.
        #[serde(rename = "ticket")]
        submit_id: SubmitId,
        /// The job.
        job: JobId,
    },
    /// A job rose to a class by age.
    Promoted {
        /// The job.
        job: JobId,
        /// Its class from now on.
        class: Class,
    },
    /// A job's graph grew.
    Grew {
        /// The job.
        job: JobId,
        /// Index of the first partition added.
        first: u32,
        /// How many.
        count: u32,
    },
    /// A step waits for nothing but a worker, its claim, its key and its credit.
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
        /// Where.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Threads it may use; zero on a device.
        threads: u32,
        /// Where its memory comes from.
        #[serde(rename = "purse")]
        budget_part: BudgetPart,
        /// What its partition holds from now on.
        holds: Memory,
        /// What its job came to hold besides, if this was the job's first start.
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
        /// Where it ran.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// How long.
        took: Span,
        /// What its partition holds from now on.
        holds: Memory,
        /// The measured peak, if it passed the claim.
        exceeded: Option<Memory>,
    },
    /// A run failed. `again` says when the partition is tried again, at the same step or from its
    /// start; `None` if it is not.
    Failed {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// Where it ran.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// How.
        failure: Failure,
        /// Failures of this partition so far.
        attempt: u32,
        /// When next.
        again: Option<Time>,
    },
    /// A run was told to stop.
    Stopping {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Where it runs.
        #[serde(rename = "lane")]
        worker: WorkerId,
    },
    /// A run that was told to stop is over; its partition holds nothing.
    Stopped {
        /// This attempt.
        run: RunId,
        /// The step.
        task: TaskId,
        /// Its stage.
        stage: StageId,
        /// Where it ran.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// How long.
        took: Span,
    },
    /// The last step of a partition is done.
    PartitionDone {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// A partition was dropped with what it held, because its job has ended.
    Dropped {
        /// The job.
        job: JobId,
        /// The partition.
        partition: u32,
    },
    /// How a job ends is decided; nothing of it starts any more.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
    /// The job holds nothing any more.
    Released {
        /// The job.
        job: JobId,
    },
    /// The client was told how its job ended.
    Answered {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
    /// A key is being brought to a place; `holds` is what it takes there of the shared pools.
    Loading {
        /// The load.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where to.
        #[serde(rename = "place")]
        location: KeyLocation,
        /// Shared memory taken.
        holds: Memory,
        /// The partition (job, index) whose place in the order it has.
        on_behalf: (JobId, u32),
    },
    /// A key is resident.
    Loaded {
        /// The load.
        run: RunId,
        /// The key.
        key: KeyId,
        /// Where.
        #[serde(rename = "place")]
        location: KeyLocation,
        /// How long it took.
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
        /// Where it lay.
        #[serde(rename = "place")]
        location: KeyLocation,
    },
    /// A key was pinned, unpinned, or its pin refused.
    Pin {
        /// The key.
        key: KeyId,
        /// Whether it is pinned now.
        pinned: bool,
        /// Whether that is what was asked for.
        granted: bool,
    },
    /// A worker is ready for work.
    #[serde(rename = "lane_joined")]
    WorkerJoined {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// What it is.
        kind: WorkerKind,
    },
    /// A worker has left.
    #[serde(rename = "lane_left")]
    WorkerLeft {
        /// The worker.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Whether it was lost with what it ran, rather than drained.
        lost: bool,
    },
    /// A device erred and serves nobody until a known answer passes.
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
    /// A known-answer test ended; a device that passed serves again.
    Probed {
        /// The test.
        run: RunId,
        /// The device.
        #[serde(rename = "lane")]
        worker: WorkerId,
        /// Whether the answer was right.
        passed: bool,
    },
    /// What the ledger holds in all, after an event that changed it.
    Reserved {
        /// Bytes by pool: jobs, partitions and keys together.
        memory: Memory,
    },
    /// A step was taken or taken back because of what is really resident.
    Pressure {
        /// Before.
        from: PressureStep,
        /// After.
        to: PressureStep,
        /// What was measured.
        resident: Memory,
        /// What the ledger says.
        reserved: Memory,
    },
    /// A report made no sense (a run that is over, a job that is not here) and changed nothing.
    Ignored {
        /// What it was.
        report: Ignored,
    },
}

/// How far the scheduler goes to bring resident memory down. Each step includes the ones before.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PressureStep {
    /// Nothing special.
    #[default]
    None,
    /// Idle keys are evicted.
    EvictIdle,
    /// The batch class starts nothing fresh while anything else is in flight.
    PauseBatch,
    /// Fewer partitions in flight; the number is the bound.
    Shrink(u32),
}

/// A report that changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// A run that is over or never was.
    Run(RunId),
    /// A job that is over or never was.
    Job(JobId),
    /// A record nobody waits for.
    Record(RecordId),
    /// A worker that is not here, or one that already is.
    #[serde(rename = "lane")]
    Worker(WorkerId),
    /// A key that was not declared.
    Key(KeyId),
}
