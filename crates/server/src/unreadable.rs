//! Accepted jobs whose input cannot be read now. Their inputs are read again with exponential backoff.
//!
//! One task reads all of them, one after another, so that it does not add to the cause, such as too many open files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use athanor_store::{JobRow, Restorable, StoreError};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::jobs::job_lock;
use crate::state::App;
use crate::{callbacks, resume};

/// Pause before the first attempt, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Limit on the jobs of a pass that are logged by id, and the shortest time between two logged passes.
const LOGGED_JOBS: usize = 10;
const LOG_INTERVAL: Duration = Duration::from_secs(10);

struct PendingRead {
    row: JobRow,
    pause: Duration,
    due: Instant,
}

impl PendingRead {
    /// Schedules the next attempt after a random time between `pause / 2` and `pause`, to spread the jobs.
    fn schedule(row: JobRow, pause: Duration) -> PendingRead {
        let mut random = [0; 2];
        // Without random bytes the time is `pause / 2`.
        let _ = getrandom::fill(&mut random);
        let part = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        let due = Instant::now() + pause.mul_f64(0.5 + 0.5 * part);
        PendingRead { row, pause, due }
    }
}

/// Reads inputs again until each job is restored, lost or ended.
pub(crate) async fn retry(app: Arc<App>, unreadable: Vec<(JobRow, StoreError)>) {
    if unreadable.is_empty() {
        return;
    }
    let failed = unreadable.iter().map(|(row, error)| (&*row.public, error.to_string()));
    log_failures(failed.collect());
    let mut last_log = Instant::now();
    let mut pending: Vec<PendingRead> =
        unreadable.into_iter().map(|(row, _)| PendingRead::schedule(row, FIRST_PAUSE)).collect();
    while let Some(due) = pending.iter().map(|job| job.due).min() {
        app.unreadable.store(pending.len() as u64, Ordering::Relaxed);
        tokio::time::sleep_until(due).await;
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|job| job.due <= now);
        pending = later;
        let mut failed = Vec::new();
        for PendingRead { row, pause, .. } in due {
            if let Err(error) = read(&app, &row).await {
                failed.push((row.public.clone(), error.to_string()));
                pending.push(PendingRead::schedule(row, (pause * 2).min(LONGEST_PAUSE)));
            }
        }
        if !failed.is_empty() && last_log.elapsed() >= LOG_INTERVAL {
            last_log = Instant::now();
            log_failures(failed.iter().map(|(public, error)| (&**public, error.clone())).collect());
            info!(jobs = pending.len(), "jobs wait for inputs that cannot be read");
        }
    }
    app.unreadable.store(0, Ordering::Relaxed);
}

/// Reads the input of one job.
///
/// # Errors
///
/// If the input still cannot be read.
async fn read(app: &Arc<App>, row: &JobRow) -> Result<(), StoreError> {
    // A cancellation uses the same lock: it happens before the job is read, or when the job is open.
    let _job_lock = app.locks.lock(job_lock(&row.public)).await;
    match app.store.restorable_one(row.number).await? {
        Some(Restorable::Ready(job)) => {
            info!(job = row.public, "the job's input can be read again");
            let app = app.clone();
            let _ = tokio::task::spawn_blocking(move || resume::resume_one(&app, job)).await;
        }
        Some(Restorable::Unreadable { error, .. }) => return Err(error),
        Some(Restorable::Lost(row)) => {
            let app = app.clone();
            tokio::spawn(async move { callbacks::deliver(app, &row.public).await });
        }
        // The job was cancelled in the meantime.
        None => {}
    }
    Ok(())
}

fn log_failures(failed: Vec<(&str, String)>) {
    for (job, error) in failed.iter().take(LOGGED_JOBS) {
        warn!(
            job,
            error, "the job's input cannot be read: the job waits and its input is read again"
        );
    }
    if failed.len() > LOGGED_JOBS {
        let jobs = failed.len() - LOGGED_JOBS;
        warn!(
            jobs,
            "the inputs of more jobs cannot be read: the jobs wait and their inputs are read again"
        );
    }
}
