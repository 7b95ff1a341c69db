//! Defines the tables, opens the database and migrates older versions.
//!
//! The schema uses only features that SQLite and PostgreSQL share: `BIGINT`, `TEXT`, a byte column, partial unique
//! indices.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};

use crate::{StoreError, meta};

/// Limit in bytes on the write-ahead log that stays on disk after a checkpoint.
const WAL_BYTES: &str = "67108864";
/// A database up to this size is checked at each start, a larger one only if the last stop was not clean.
const CHECKED_BYTES: i64 = 256 << 20;

/// The version of the tables.
pub(crate) const VERSION: i64 = 3;

const TABLES: [&str; 8] = [
    "CREATE TABLE jobs (
        public TEXT PRIMARY KEY,
        number BIGINT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        circuit TEXT NOT NULL,
        class TEXT NOT NULL,
        deadline BIGINT,
        idempotency_key TEXT,
        input_kind TEXT NOT NULL,
        input_digest TEXT NOT NULL,
        input_blob TEXT,
        state TEXT NOT NULL,
        code TEXT,
        message TEXT,
        created BIGINT NOT NULL,
        ended BIGINT,
        callback TEXT,
        callback_state TEXT,
        input_seal TEXT,
        ended_service BIGINT
    )",
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, idempotency_key)
        WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX jobs_by_tenant ON jobs (tenant, number)",
    "CREATE INDEX jobs_by_state ON jobs (state, ended)",
    BY_SERVICE_TIME,
    "CREATE TABLE partitions (
        number BIGINT NOT NULL,
        part BIGINT NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (number, part)
    )",
    "CREATE TABLE results (
        number BIGINT PRIMARY KEY,
        bytes BLOB NOT NULL
    )",
    META,
];

/// Retention reads from this index the jobs that ended first.
const BY_SERVICE_TIME: &str = "CREATE INDEX jobs_by_service_time ON jobs (ended_service, number)
    WHERE ended_service IS NOT NULL";

/// Key-value pairs: see [`crate::meta`].
const META: &str = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)";

/// Migration from version 1 to version 2.
const MIGRATE_1_TO_2: [&str; 2] = [
    "ALTER TABLE jobs ADD COLUMN callback TEXT",
    "ALTER TABLE jobs ADD COLUMN callback_state TEXT",
];

/// Migration from version 2 to version 3. The module `seal_check` detects later which key sealed older inputs.
const MIGRATE_2_TO_3: [&str; 6] = [
    META,
    "ALTER TABLE jobs ADD COLUMN input_seal TEXT",
    "ALTER TABLE jobs ADD COLUMN ended_service BIGINT",
    "UPDATE jobs SET input_seal = 'unknown' WHERE input_blob IS NOT NULL",
    // Service time begins at zero with this version. Jobs that ended earlier get a time of at most zero.
    "UPDATE jobs SET ended_service = MIN(0, COALESCE(ended - CAST(strftime('%s', 'now') AS BIGINT) * 1000, 0))
        WHERE state != 'accepted'",
    BY_SERVICE_TIME,
];

/// Whether a connection that returns to the pool may be used again.
///
/// SQLite itself rolls a transaction back when the disk is full or fails. The rollback that sqlx then sends fails,
/// because there is no transaction, and sqlx counts the transaction as open for the rest of the connection's life.
/// Such a connection refuses every further transaction, even after the disk has free space again.
async fn is_between_transactions(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The ping makes sqlx send a queued rollback first.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Opens the database, and creates its tables if it is new.
///
/// Returns the pool and one more connection that must stay open. When the last connection closes, SQLite deletes the
/// shared-memory file of the write-ahead log, and on a full disk it cannot create it again, so that not even a read
/// would succeed.
pub(crate) async fn open(path: &Path) -> Result<(SqlitePool, SqliteConnection), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("journal_size_limit", WAL_BYTES)
        // A receipt is given after the sync, not after the write.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        // The vacuum mode must be set before the first table exists. Each connection that sets it writes, so only
        // the first one does.
        let first = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        first.connect().await?.close().await?;
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
        .connect_with(options.clone())
        .await?;
    let mut held = options.connect().await?;
    refuse_damage(&mut held, path).await?;
    migrate(&pool, &mut held).await?;
    Ok((pool, held))
}

/// Checks the database before the first change.
///
/// # Errors
///
/// [`StoreError::DamagedJournal`] if SQLite's quick check reports a problem.
async fn refuse_damage(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    if meta::stopped_cleanly(connection).await? && database_bytes(connection).await? > CHECKED_BYTES
    {
        return Ok(());
    }
    let found: Vec<(String,)> =
        sqlx::query_as("PRAGMA quick_check(1)").fetch_all(connection).await?;
    match found.into_iter().map(|(line,)| line).find(|line| line != "ok") {
        Some(problem) => Err(StoreError::DamagedJournal { path: path.to_owned(), problem }),
        None => Ok(()),
    }
}

/// Size of the database in bytes.
async fn database_bytes(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count").fetch_one(&mut *connection).await?;
    let (page,): (i64,) = sqlx::query_as("PRAGMA page_size").fetch_one(connection).await?;
    Ok(pages.saturating_mul(page))
}

/// Creates the tables, or migrates those of an older version.
async fn migrate(pool: &SqlitePool, held: &mut SqliteConnection) -> Result<(), StoreError> {
    let found = version(held).await?;
    let steps: Vec<&str> = match found {
        VERSION => return Ok(()),
        0 => TABLES.to_vec(),
        1 => [&MIGRATE_1_TO_2[..], &MIGRATE_2_TO_3].concat(),
        2 => MIGRATE_2_TO_3.to_vec(),
        found => return Err(StoreError::Version { found, known: VERSION }),
    };
    let mut transaction = pool.begin().await?;
    for step in steps {
        sqlx::query(AssertSqlSafe(step)).execute(&mut *transaction).await?;
    }
    let version = format!("PRAGMA user_version = {VERSION}");
    sqlx::query(AssertSqlSafe(version)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// The version of the tables; 0 if there are none.
pub(crate) async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_sqlite_rolled_back_does_not_break_its_connection() {
        let place = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (pool, _held) = open(&place.path().join("journal.db")).await.unwrap();
            // More iterations than the pool has connections.
            for _ in 0..8 {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                // SQLite does this when the disk is full.
                sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
                assert!(transaction.commit().await.is_err());
            }
            pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
        });
    }
}
