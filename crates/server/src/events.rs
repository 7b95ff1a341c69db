//! What the log says of jobs, circuits and requests.
//!
//! Events are lines for operators. They name jobs, circuits, tenants and stable codes, and hold nothing
//! that a client sent: no input, no value of a witness, no token, of a callback the origin only. The
//! message of a failed job is for its tenant; it may quote the trace of the circuit's own wasm, which
//! sees the input. So the log has the failure's code, and the message only where [`LOGGABLE_CODES`] says so.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use athanor_engine::{Finished, JobError, LoadError, Status, Submission};
use tracing::{Level, debug, enabled, info, warn};

use crate::auth::Caller;
use crate::problem::{Problem, Reason, reason_of_code};
use crate::state::OpenJob;

/// Targets, for the filter of the log.
const JOBS: &str = "athanor_server::jobs";
const CIRCUITS: &str = "athanor_server::circuits";
const REQUESTS: &str = "athanor_server::requests";
const CALLBACKS: &str = "athanor_server::callbacks";

/// What is known of a job before it is accepted.
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

/// A job is durable.
pub(crate) fn accepted(job: &str, summary: &JobSummary) {
    let JobSummary { circuit, tenant, class, bytes } = summary;
    info!(target: JOBS, job, circuit, tenant, class, bytes, "job accepted");
}

/// A job of the run before goes on.
pub(crate) fn resumed(job: &str, circuit: &str) {
    info!(target: JOBS, job, circuit, "job resumed");
}

/// Tells each stage of a job as it begins, if somebody listens.
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

/// A job is over.
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
            info!(target: JOBS, job, circuit, "job goes on at the next start");
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

/// Codes whose messages are made of paths, sizes and the system's own words, and of nothing that comes
/// from an input.
const LOGGABLE_CODES: [&str; 6] =
    ["bad-key", "bad-key-point", "out-of-memory", "unreadable", "unwritable", "worker-missing"];

/// A failure's code, and words that hold no value of an input.
fn loggable_reason(error: &JobError) -> (Cow<'_, str>, Cow<'_, str>) {
    let meaning = |code: &str| match code {
        "unsatisfied" => "the witness does not satisfy the circuit",
        "bad-input" | "bad-witness-file" | "bad-witness-value" | "wrong-witness" => {
            "the input is not what the circuit takes"
        }
        "witness-generator" => "the circuit's wasm failed",
        "panic" | "worker-died" => "the step ended without an answer",
        _ => "the job's own record has the message",
    };
    match error {
        JobError::Failed { code, message, .. } if LOGGABLE_CODES.contains(&&**code) => {
            (code.into(), message.into())
        }
        JobError::Failed { code, .. } => (code.into(), meaning(code).into()),
        JobError::Input(error) => (error.code.into(), meaning(error.code).into()),
        // Names and numbers of our own.
        other => (Problem::from(other.clone()).reason.name().into(), other.to_string().into()),
    }
}

/// Seconds with three decimals.
fn seconds(took: Duration) -> f64 {
    took.as_millis() as f64 / 1e3
}

/// A client's request was refused. A flood of them makes one line a second for each reason.
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
    // A name that is not in the catalog is the client's own text.
    let circuit = circuit.filter(|_| problem.reason != Reason::CircuitNotFound);
    let reason = problem.reason.name();
    match is_service_fault {
        true => warn!(target: REQUESTS, reason, tenant, circuit, suppressed, "request refused"),
        false => debug!(target: REQUESTS, reason, tenant, circuit, suppressed, "request refused"),
    }
}

/// How often a kind of line may come.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one line of each kind through in an interval, and counts the others.
struct Throttle<K>(Vec<(K, Instant, u64)>);

impl<K: PartialEq> Throttle<K> {
    const fn new() -> Throttle<K> {
        Throttle(Vec::new())
    }

    /// How many lines of the kind were held back since the last one, if this one may come.
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

/// A circuit serves.
pub(crate) fn circuit_loaded(circuit: &str, took: Duration) {
    info!(target: CIRCUITS, circuit, seconds = seconds(took), "circuit loaded");
}

/// A circuit is not served.
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

/// No more jobs are taken for a circuit.
pub(crate) fn circuit_unloaded(circuit: &str) {
    info!(target: CIRCUITS, circuit, "circuit unloaded");
}

/// Nobody answered at a job's callback.
pub(crate) fn callback_given_up(job: &str, url: &str) {
    let origin = reqwest::Url::parse(url).map(|url| url.origin().ascii_serialization());
    let origin = origin.unwrap_or_default();
    warn!(target: CALLBACKS, job, origin, "callback given up");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_makes_one_line_a_second_and_nothing_is_uncounted() {
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
        // The last ones are told with the next line.
        let suppressed = lines.admit("busy", start + Duration::from_secs(60)).unwrap();
        assert_eq!(counted + suppressed, 10_000);
        assert_eq!(lines.admit("other", start), Some(0), "kinds are apart");
    }

    #[test]
    fn a_message_is_told_only_where_no_input_can_be_in_it() {
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
