//! Deletes ended jobs by age and number.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use crate::state::App;

/// Interval between two runs.
const INTERVAL: Duration = Duration::from_secs(60);

/// Deletes old jobs at the start and every minute. Ages are in service time. Never returns.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let limits = app.config().limits;
        let age = Duration::from_secs(limits.keep_seconds);
        match app.store.delete_ended(age, limits.keep_jobs).await {
            Ok(0) => {}
            Ok(jobs) => debug!(jobs, "old jobs were deleted"),
            Err(error) => warn!(%error, "old jobs could not be deleted"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
