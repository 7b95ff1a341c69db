//! Ended jobs are forgotten by age and number.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::state::App;

/// Forgets old jobs, every minute.
pub(crate) async fn forget(app: Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let limits = app.config().limits;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = now.saturating_sub(Duration::from_secs(limits.keep_seconds)).as_millis();
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        if let Err(error) = app.store.forget(before, limits.keep_jobs).await {
            warn!(%error, "old jobs could not be deleted");
        }
    }
}
