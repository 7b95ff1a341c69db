//! Jobs of the run before: those that the journal knows as accepted go on.

use std::sync::Arc;

use athanor_engine::Unfinished;
use tracing::info;

use crate::acceptance;
use crate::events;
use crate::state::{App, OpenJob};

/// Makes all of them open jobs, before any client is served. Each goes on when its circuit is ready;
/// until then it waits, can be listed and cancelled, and holds up no other.
pub(crate) fn resume_all(app: &Arc<App>, unfinished: Vec<Unfinished>) {
    if !unfinished.is_empty() {
        info!(jobs = unfinished.len(), "resuming jobs of the run before");
    }
    unfinished.into_iter().for_each(|job| resume_one(app, job));
}

/// Makes one of them an open job. Call this within the service's runtime.
pub(crate) fn resume_one(app: &Arc<App>, job: Unfinished) {
    let submission = job.submission.clone();
    // What was accepted goes on, whether there is room for more or not.
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
