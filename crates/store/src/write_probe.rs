//! Write probe: commits a small change to find out whether the journal can be written.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Row, SqlitePool};
use tokio::sync::watch;

use crate::{Store, StoreError};

/// How long an outcome is reused. It bounds the rate of probe writes.
const MAX_AGE: Duration = Duration::from_secs(2);

/// A write that takes longer counts as failed until it ends.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The last attempt to write, by the writer or by a probe.
#[derive(Default)]
pub(crate) struct WriteProbe(Mutex<Option<Attempt>>);

#[derive(Clone)]
struct Attempt {
    began: Instant,
    /// `None` while the write runs.
    outcome: watch::Receiver<Option<bool>>,
}

impl WriteProbe {
    /// Records the outcome of a write by the writer.
    pub(crate) fn record(&self, success: bool) {
        let attempt = Attempt { began: Instant::now(), outcome: watch::channel(Some(success)).1 };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
    }

    /// The last attempt if it is recent or still runs; otherwise a new one, which `begin` starts.
    fn attempt(&self, begin: impl FnOnce(watch::Sender<Option<bool>>)) -> Attempt {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = &*last {
            let outcome = *attempt.outcome.borrow();
            if outcome.is_none() || attempt.began.elapsed() < MAX_AGE {
                return attempt.clone();
            }
        }
        let (sender, outcome) = watch::channel(None);
        begin(sender);
        last.insert(Attempt { began: Instant::now(), outcome }).clone()
    }
}

impl Store {
    /// Whether the journal can be written now. Commits a small change unless an attempt ended within the last two
    /// seconds. Returns within a second. At most one probe write runs at a time, also if callers drop the future.
    pub async fn can_write(&self) -> bool {
        let begin = |outcome: watch::Sender<Option<bool>>| {
            let pool = self.reader.pool.clone();
            // Runs on the store's runtime, so that a caller that drops its future does not drop the transaction.
            self.runtime.spawn(async move {
                let written = write(&pool).await;
                outcome.send_replace(Some(written.is_ok()));
            });
        };
        let Attempt { began, mut outcome } = self.probe.attempt(begin);
        let left = TIMEOUT.saturating_sub(began.elapsed());
        let waited = tokio::time::timeout(left, outcome.wait_for(Option::is_some)).await;
        matches!(waited, Ok(Ok(done)) if *done == Some(true))
    }
}

/// Sets the schema version to its current value. SQLite writes the page even if the value is unchanged.
async fn write(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let found = sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let version: i64 = found.try_get(0)?;
    let same = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::query(same).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
