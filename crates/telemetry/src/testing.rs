//! A small trace for tests: one job of two partitions on one CPU lane and one device.

use athanor_scheduler::{
    BudgetPart, CircuitId, Class, DeviceClass, Failure, JobId, Memory, Outcome, RunId, Span,
    StageId, SubmitId, TaskId, TenantId, Time, Trace, TraceEvent, WorkerId, WorkerKind,
};

pub(crate) const SYNTH: StageId = StageId(0);
pub(crate) const PROVE: StageId = StageId(1);
pub(crate) const CPU: WorkerId = WorkerId(0);
pub(crate) const GPU: WorkerId = WorkerId(1);

pub(crate) fn at(ns: u64, what: TraceEvent) -> Trace {
    Trace { at: Time(ns), event: what }
}

pub(crate) fn task(job: u64, partition: u32, step: u16) -> TaskId {
    TaskId { job: JobId(job), partition, step }
}

pub(crate) fn accepted(job: u64, partitions: u32) -> TraceEvent {
    TraceEvent::Accepted {
        submit_id: Some(SubmitId(job)),
        job: JobId(job),
        circuit: CircuitId(0),
        tenant: TenantId(0),
        class: Class::Normal,
        deadline: None,
        tag: 0,
        partitions,
    }
}

pub(crate) fn started(run: u64, task: TaskId, stage: StageId, lane: WorkerId) -> TraceEvent {
    TraceEvent::Started {
        run: RunId(run),
        task,
        stage,
        worker: lane,
        threads: 1,
        budget_part: BudgetPart::General,
        holds: Memory::ZERO,
        job_holds: Memory::ZERO,
    }
}

pub(crate) fn finished(
    run: u64,
    task: TaskId,
    stage: StageId,
    lane: WorkerId,
    took: u64,
) -> TraceEvent {
    let (run, took) = (RunId(run), Span(took));
    TraceEvent::Finished {
        run,
        task,
        stage,
        worker: lane,
        took,
        holds: Memory::ZERO,
        exceeded: None,
    }
}

pub(crate) fn lanes() -> [Trace; 2] {
    let class = DeviceClass(0);
    [
        at(0, TraceEvent::WorkerJoined { worker: CPU, kind: WorkerKind::Cpu { threads: 1 } }),
        at(
            0,
            TraceEvent::WorkerJoined {
                worker: GPU,
                kind: WorkerKind::Device { class, memory: 1 << 30 },
            },
        ),
    ]
}

/// Partition 0 succeeds; partition 1 fails once on the device and is proven again.
pub(crate) fn story() -> Vec<Trace> {
    let (a0, a1) = (task(1, 0, 0), task(1, 0, 1));
    let (b0, b1) = (task(1, 1, 0), task(1, 1, 1));
    let ready = |task, stage| TraceEvent::Ready { task, stage };
    let rest = [
        at(0, accepted(1, 2)),
        at(0, ready(a0, SYNTH)),
        at(0, ready(b0, SYNTH)),
        at(5, started(1, a0, SYNTH, CPU)),
        at(5, TraceEvent::Reserved { memory: Memory::host(4) }),
        at(30, finished(1, a0, SYNTH, CPU, 25)),
        at(30, ready(a1, PROVE)),
        at(30, started(2, b0, SYNTH, CPU)),
        at(30, TraceEvent::Reserved { memory: Memory::host(8) }),
        at(40, started(3, a1, PROVE, GPU)),
        at(43, finished(3, a1, PROVE, GPU, 3)),
        at(43, TraceEvent::PartitionDone { job: JobId(1), partition: 0 }),
        at(50, finished(2, b0, SYNTH, CPU, 20)),
        at(50, ready(b1, PROVE)),
        at(50, started(4, b1, PROVE, GPU)),
        at(
            52,
            TraceEvent::Failed {
                run: RunId(4),
                task: b1,
                stage: PROVE,
                worker: GPU,
                failure: Failure::Transient,
                attempt: 1,
                again: Some(Time(56)),
            },
        ),
        at(56, ready(b1, PROVE)),
        at(56, started(5, b1, PROVE, GPU)),
        at(60, finished(5, b1, PROVE, GPU, 4)),
        at(60, TraceEvent::PartitionDone { job: JobId(1), partition: 1 }),
        at(60, TraceEvent::Reserved { memory: Memory::ZERO }),
        at(60, TraceEvent::Ended { job: JobId(1), outcome: Outcome::Complete }),
        at(60, TraceEvent::Answered { job: JobId(1), outcome: Outcome::Complete }),
    ];
    lanes().into_iter().chain(rest).collect()
}
