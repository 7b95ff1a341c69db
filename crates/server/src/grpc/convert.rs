//! Conversions of responses to gRPC messages.

use super::proto;
use crate::problem::Problem;
use crate::responses;

impl From<responses::Job> for proto::Job {
    fn from(job: responses::Job) -> proto::Job {
        let partitions = job.partitions.unwrap_or(responses::Partitions { done: 0, total: 0 });
        proto::Job {
            id: job.id,
            circuit: job.circuit,
            state: state(job.state).into(),
            class: job.class.into(),
            stage: job.stage.unwrap_or_default(),
            partitions_done: partitions.done,
            partitions: partitions.total,
            created: job.created,
            ended: job.ended.unwrap_or(0),
            error: job.error.map(|error| proto::JobError {
                code: error.code,
                detail: error.detail.unwrap_or_default(),
                retriable: error.retriable,
            }),
        }
    }
}

fn state(name: &str) -> proto::JobState {
    match name {
        "accepted" => proto::JobState::Accepted,
        "complete" => proto::JobState::Complete,
        "failed" => proto::JobState::Failed,
        "cancelled" => proto::JobState::Cancelled,
        "deadline-missed" => proto::JobState::DeadlineMissed,
        _ => proto::JobState::Unspecified,
    }
}

impl From<responses::JobEvent> for proto::JobEvent {
    fn from(event: responses::JobEvent) -> proto::JobEvent {
        let mut message =
            proto::JobEvent { event: event.name().into(), ..proto::JobEvent::default() };
        match event {
            responses::JobEvent::Entering | responses::JobEvent::Complete => {}
            responses::JobEvent::Progress { stage, partitions } => {
                message.stage = stage.unwrap_or_default();
                message.partitions_done = partitions.done;
                message.partitions = partitions.total;
            }
            responses::JobEvent::Ended(problem) => message.error = Some(problem.into()),
        }
        message
    }
}

impl From<Problem> for proto::JobError {
    fn from(problem: Problem) -> proto::JobError {
        proto::JobError {
            code: problem.reason.name().into(),
            retriable: problem.reason.retriable(),
            detail: problem.detail,
        }
    }
}

impl From<responses::Circuit> for proto::Circuit {
    fn from(circuit: responses::Circuit) -> proto::Circuit {
        proto::Circuit {
            name: circuit.name,
            state: circuit.state.into(),
            reason: circuit.reason.unwrap_or_default(),
            proof_system: circuit.proof_system.unwrap_or_default(),
            curve: circuit.curve.unwrap_or_default(),
            key_resident: circuit.key_resident,
        }
    }
}

impl From<responses::Verdict> for proto::Verdict {
    fn from(verdict: responses::Verdict) -> proto::Verdict {
        proto::Verdict { valid: verdict.valid, reason: verdict.reason.unwrap_or_default() }
    }
}

impl From<responses::Status> for proto::Status {
    fn from(status: responses::Status) -> proto::Status {
        proto::Status {
            version: status.version.into(),
            uptime_seconds: status.uptime_seconds,
            stopping: status.stopping,
            memory_budget: status.memory.budget,
            memory_reserved: status.memory.reserved,
            memory_resident: status.memory.resident,
            jobs_open: status.jobs.open,
            age_seconds: status.age_seconds,
            circuits: status.circuits.into_iter().map(Into::into).collect(),
        }
    }
}
