//! Resumes the jobs of earlier runs that the journal has as accepted.

use std::sync::Arc;

use athanor_engine::Unfinished;
use tracing::info;

use crate::acceptance;
use crate::events;
use crate::state::{App, OpenJob};

/// Makes all of these jobs open, before any client is served. Each job runs when its circuit is ready. Until
/// then it waits, can be listed and cancelled, and does not delay other jobs.
pub(crate) fn resume_all(app: &Arc<App>, unfinished: Vec<Unfinished>) {
    if !unfinished.is_empty() {
        info!(jobs = unfinished.len(), "resuming jobs of an earlier run");
    }
    unfinished.into_iter().for_each(|job| resume_one(app, job));
}

/// Makes one job open. Must be called within the service's runtime.
pub(crate) fn resume_one(app: &Arc<App>, job: Unfinished) {
    let submission = job.submission.clone();
    // An accepted job resumes whether or not the quotas and the memory for inputs are exhausted.
    let admission = app.quotas.admit_accepted(&submission.tenant, &submission.circuit);
    let memory = app.input_memory.reserve(submission.input.bytes().len()).ok();
    let handle = app.engine.restore(job);
    let job = OpenJob {
        id: submission.reference.as_deref().unwrap_or_default().to_owned(),
        tenant: submission.tenant.clone(),
        circuit: submission.circuit.clone(),
        handle,
        callback: submission.callback.is_some(),
        admission,
        memory,
    };
    events::resumed(&job.id, &job.circuit);
    acceptance::follow_accepted(app, job);
}
