//! Jobs of the run before: those that the journal knows as accepted go on.

use std::sync::Arc;
use std::time::Duration;

use athanor_engine::Unfinished;
use tracing::{info, warn};

use crate::jobs;
use crate::state::{App, Loading, OpenJob};

/// Goes on with what was running when the service stopped, as circuits become ready.
pub(crate) async fn resume(app: Arc<App>, unfinished: Vec<Unfinished>) {
    if unfinished.is_empty() {
        return;
    }
    info!(jobs = unfinished.len(), "resuming jobs of the run before");
    for job in unfinished {
        restore(app.clone(), job).await;
    }
}

/// Goes on with one of them, once its circuit is not being loaded any more.
pub(crate) async fn restore(app: Arc<App>, job: Unfinished) {
    let circuit = job.submission.circuit.clone();
    let public = job.submission.reference.as_deref().unwrap_or_default().to_owned();
    let tenant = job.submission.tenant.clone();
    let callback = job.submission.callback.is_some();
    // What was accepted goes on, whether there is room for more or not.
    let room = app.inputs.take(job.submission.input.bytes().len()).ok();
    loop {
        let loading = matches!(app.loading().get(&circuit), Some(Loading::Running));
        if !loading {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match app.engine.restore(job) {
        Ok(handle) => {
            jobs::follow(&app, public, OpenJob { tenant, circuit, handle, callback, room })
        }
        Err(error) => {
            warn!(job = public, %error, "job waits in the journal");
        }
    }
}
