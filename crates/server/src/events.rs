//! Log lines about jobs, circuits and requests.
//!
//! The lines are for operators. They contain ids of jobs, names of circuits and tenants, and stable codes, but no
//! data that a client sent: no input, no value of a witness, no token, and only the origin of a callback. The
//! message of a failed job is for its tenant; it may quote the trace of the circuit's own wasm, which
//! sees the input. So the log has the failure's code, and the message only for [`LOGGABLE_CODES`].

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use athanor_engine::{Finished, JobError, LoadError, Status, Submission};
use tracing::{Level, debug, enabled, info, warn};

use crate::auth::Caller;
use crate::problem::{Problem, Reason, reason_of_code};
use crate::state::OpenJob;

/// Targets of the log filter.
const JOBS: &str = "athanor_server::jobs";
const CIRCUITS: &str = "athanor_server::circuits";
const REQUESTS: &str = "athanor_server::requests";
const CALLBACKS: &str = "athanor_server::callbacks";

/// The values of a job that its `job accepted` line contains.
pub(crate) struct JobSummary {
    circuit: String,
    tenant: String,
    class: &'static str,
    bytes: usize,
}

impl JobSummary {
    pub(crate) fn of(submission: &Submission) -> JobSummary {
        JobSummary {
            circuit: submission.circuit.clone(),
            tenant: submission.tenant.clone(),
            class: submission.class.name(),
            bytes: submission.input.bytes().len(),
        }
    }
}

/// Logs that a job is durable.
pub(crate) fn accepted(job: &str, summary: &JobSummary) {
    let JobSummary { circuit, tenant, class, bytes } = summary;
    info!(target: JOBS, job, circuit, tenant, class, bytes, "job accepted");
}

/// Logs that a job of an earlier run resumes.
pub(crate) fn resumed(job: &str, circuit: &str) {
    info!(target: JOBS, job, circuit, "job resumed");
}

/// Logs each stage of a job when it begins, if the level `debug` is enabled.
pub(crate) fn follow_stages(job: &str, open: &Arc<OpenJob>) {
    if !enabled!(target: JOBS, Level::DEBUG) {
        return;
    }
    let (job, open) = (job.to_owned(), open.clone());
    tokio::spawn(async move {
        let (mut seen, mut last) = (0, None);
        loop {
            let (status, version) = open.handle.next(seen).await;
            seen = version;
            match status {
                Status::Entering | Status::Waiting { .. } => {}
                Status::Accepted { done, partitions, stage, .. } => {
                    if let Some(stage) = stage.filter(|stage| last.as_ref() != Some(stage)) {
                        debug!(target: JOBS, job, stage = &*stage, done, partitions, "job runs");
                        last = Some(stage);
                    }
                }
                Status::Ended(_) => return,
            }
        }
    });
}

/// Logs the end of a job.
pub(crate) fn ended(
    job: &str,
    circuit: &str,
    took: Duration,
    end: &Result<Arc<Finished>, JobError>,
) {
    let seconds = seconds(took);
    let error = match end {
        Ok(finished) => {
            for (stage, took) in &finished.marks {
                let seconds = self::seconds(*took);
                debug!(target: JOBS, job, stage = &**stage, seconds, "stage took");
            }
            info!(target: JOBS, job, circuit, seconds, "job complete");
            return;
        }
        Err(error) => error,
    };
    match error {
        JobError::Cancelled => info!(target: JOBS, job, circuit, seconds, "job cancelled"),
        JobError::DeadlineMissed => {
            warn!(target: JOBS, job, circuit, seconds, "job missed its deadline");
        }
        JobError::Stopping => {
            info!(target: JOBS, job, circuit, "job resumes at the next start");
        }
        error => {
            let (code, reason) = loggable_reason(error);
            match reason_of_code(&code) {
                Reason::InvalidWitness => {
                    info!(target: JOBS, job, circuit, seconds, code = &*code, reason = &*reason, "job failed");
                }
                _ => {
                    warn!(target: JOBS, job, circuit, seconds, code = &*code, reason = &*reason, "job failed");
                }
            }
        }
    }
}

/// Codes whose messages contain only paths, sizes and messages of the operating system, and nothing of an input.
const LOGGABLE_CODES: [&str; 6] =
    ["bad-key", "bad-key-point", "out-of-memory", "unreadable", "unwritable", "worker-missing"];

/// A failure's code and a description that contains no value of an input.
fn loggable_reason(error: &JobError) -> (Cow<'_, str>, Cow<'_, str>) {
    let meaning = |code: &str| match code {
        "unsatisfied" => "the witness does not satisfy the circuit",
        "bad-input" | "bad-witness-file" | "bad-witness-value" | "wrong-witness" => {
            "the input does not have the form that the circuit needs"
        }
        "witness-generator" => "the circuit's wasm failed",
        "panic" | "worker-died" => "the step ended without a result",
        _ => "the message is in the job's record",
    };
    match error {
        JobError::Failed { code, message, .. } if LOGGABLE_CODES.contains(&&**code) => {
            (code.into(), message.into())
        }
        JobError::Failed { code, .. } => (code.into(), meaning(code).into()),
        JobError::Input(error) => (error.code.into(), meaning(error.code).into()),
        // The other messages contain only names and numbers of the service.
        other => (Problem::from(other.clone()).reason.name().into(), other.to_string().into()),
    }
}

/// Seconds with three decimals.
fn seconds(took: Duration) -> f64 {
    took.as_millis() as f64 / 1e3
}

/// Logs that a request was refused, at most once per second and reason.
pub(crate) fn refused(caller: Option<&Caller>, circuit: Option<&str>, problem: &Problem) {
    static LINES: Mutex<Throttle<Reason>> = Mutex::new(Throttle::new());
    let is_service_fault = matches!(
        problem.reason,
        Reason::Busy | Reason::OutOfMemory | Reason::Storage | Reason::Internal
    );
    if !is_service_fault && !enabled!(target: REQUESTS, Level::DEBUG) {
        return;
    }
    let suppressed = {
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.admit(problem.reason, Instant::now())
    };
    let Some(suppressed) = suppressed else { return };
    let tenant = caller.map(|caller| caller.tenant.as_str());
    // A name that is not in the catalog is text of the client.
    let circuit = circuit.filter(|_| problem.reason != Reason::CircuitNotFound);
    let reason = problem.reason.name();
    match is_service_fault {
        true => warn!(target: REQUESTS, reason, tenant, circuit, suppressed, "request refused"),
        false => debug!(target: REQUESTS, reason, tenant, circuit, suppressed, "request refused"),
    }
}

/// Shortest time between two lines of a kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// Admits one line of each kind per interval and counts the others.
struct Throttle<K>(Vec<(K, Instant, u64)>);

impl<K: PartialEq> Throttle<K> {
    const fn new() -> Throttle<K> {
        Throttle(Vec::new())
    }

    /// `Some(suppressed)` if this line may be logged, where `suppressed` is the number of lines of the kind suppressed
    /// since the last one; `None` if this line is suppressed.
    fn admit(&mut self, kind: K, now: Instant) -> Option<u64> {
        let Some((_, last, suppressed)) = self.0.iter_mut().find(|(known, ..)| *known == kind)
        else {
            self.0.push((kind, now, 0));
            return Some(0);
        };
        if now.saturating_duration_since(*last) < INTERVAL {
            *suppressed += 1;
            return None;
        }
        *last = now;
        Some(std::mem::take(suppressed))
    }
}

/// Logs that a circuit is ready.
pub(crate) fn circuit_loaded(circuit: &str, took: Duration) {
    info!(target: CIRCUITS, circuit, seconds = seconds(took), "circuit loaded");
}

/// Logs that a circuit could not be loaded.
pub(crate) fn circuit_failed(circuit: &str, took: Duration, error: &LoadError) {
    let seconds = seconds(took);
    let reason = match error {
        LoadError::WarmUp { error: JobError::Stopping, .. } | LoadError::Stopped => {
            debug!(target: CIRCUITS, circuit, seconds, "circuit not loaded: the service stops");
            return;
        }
        LoadError::WarmUp { error, .. } => {
            let (code, reason) = loggable_reason(error);
            format!("the warm-up proof failed: {code}: {reason}")
        }
        other => other.to_string(),
    };
    warn!(target: CIRCUITS, circuit, seconds, reason, "circuit not loaded");
}

/// Logs that a circuit was unloaded.
pub(crate) fn circuit_unloaded(circuit: &str) {
    info!(target: CIRCUITS, circuit, "circuit unloaded");
}

/// Logs that all attempts of a callback failed.
pub(crate) fn callback_given_up(job: &str, url: &str) {
    let origin = reqwest::Url::parse(url).map(|url| url.origin().ascii_serialization());
    let origin = origin.unwrap_or_default();
    warn!(target: CALLBACKS, job, origin, "callback given up");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_once_a_second_and_all_lines_are_counted() {
        let start = Instant::now();
        let mut lines = Throttle::new();
        let mut logged = 0;
        let mut counted = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if let Some(suppressed) = lines.admit("busy", now) {
                logged += 1;
                counted += suppressed + 1;
            }
        }
        assert_eq!(logged, 10);
        // The last suppressed lines are counted in the next line.
        let suppressed = lines.admit("busy", start + Duration::from_secs(60)).unwrap();
        assert_eq!(counted + suppressed, 10_000);
        assert_eq!(lines.admit("other", start), Some(0), "kinds are independent");
    }

    #[test]
    fn a_message_is_logged_only_if_it_cannot_contain_an_input() {
        let failed = |code: &str| JobError::Failed {
            code: code.into(),
            message: "signal a is 31337".into(),
            retry: false,
        };
        for code in ["unsatisfied", "witness-generator", "bad-input", "panic", "new-code"] {
            let error = failed(code);
            let (logged, reason) = loggable_reason(&error);
            assert_eq!(logged, code);
            assert!(!reason.contains("31337"), "{code}: {reason}");
        }
        assert!(loggable_reason(&failed("unreadable")).1.contains("31337"));
        let input = athanor_engine::InputError::new("bad-input", "signal a is 31337");
        let input = JobError::Input(input);
        assert!(!loggable_reason(&input).1.contains("31337"));
    }
}
