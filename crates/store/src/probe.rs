//! Whether the journal can write, found out by writing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Row, SqlitePool};
use tokio::sync::watch;

use crate::{Store, StoreError};

/// How long an outcome is taken for the present: whoever asks more often causes no more writes.
const FRESH: Duration = Duration::from_secs(2);

/// A write that takes longer counts as failed until it is done.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last write that was tried, for whatever reason.
#[derive(Default)]
pub(crate) struct Probe(Mutex<Option<Attempt>>);

#[derive(Clone)]
struct Attempt {
    began: Instant,
    /// None while it is under way.
    outcome: watch::Receiver<Option<bool>>,
}

impl Probe {
    /// The writer has committed a group of records, or failed to.
    pub(crate) fn written(&self, done: bool) {
        let attempt = Attempt { began: Instant::now(), outcome: watch::channel(Some(done)).1 };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
    }

    /// The last attempt if it is recent or under way; otherwise one that `begin` begins.
    fn attempt(&self, begin: impl FnOnce(watch::Sender<Option<bool>>)) -> Attempt {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = &*last {
            let done = *attempt.outcome.borrow();
            if done.is_none() || attempt.began.elapsed() < FRESH {
                return attempt.clone();
            }
        }
        let (sender, outcome) = watch::channel(None);
        begin(sender);
        last.insert(Attempt { began: Instant::now(), outcome }).clone()
    }
}

impl Store {
    /// Whether the journal can write now. Commits a tiny change unless something was written within two seconds;
    /// answers within a second. One write is under way at most, whoever asks and gives up.
    pub async fn can_write(&self) -> bool {
        let begin = |outcome: watch::Sender<Option<bool>>| {
            let pool = self.reader.pool.clone();
            // On the store's own runtime: a request that is dropped must not drop a transaction half begun.
            self.runtime.spawn(async move {
                let written = write(&pool).await;
                outcome.send_replace(Some(written.is_ok()));
            });
        };
        let Attempt { began, mut outcome } = self.probe.attempt(begin);
        let left = PATIENCE.saturating_sub(began.elapsed());
        let waited = tokio::time::timeout(left, outcome.wait_for(Option::is_some)).await;
        matches!(waited, Ok(Ok(done)) if *done == Some(true))
    }
}

/// Writes the version of the tables as it is: SQLite writes the page, whether it differs or not.
async fn write(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let found = sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let version: i64 = found.try_get(0)?;
    let same = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::query(same).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
