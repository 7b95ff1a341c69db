//! The tables, and how the database is opened.
//!
//! Only what SQLite and PostgreSQL share: `BIGINT`, `TEXT`, a byte column, partial unique indices.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};

use crate::StoreError;

/// The version of the tables.
const VERSION: i64 = 2;

const TABLES: [&str; 6] = [
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
        callback_state TEXT
    )",
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, idempotency_key)
        WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX jobs_by_tenant ON jobs (tenant, number)",
    "CREATE INDEX jobs_by_state ON jobs (state, ended)",
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
];

/// What makes tables of version 1 those of version 2.
const SINCE_1: [&str; 2] = [
    "ALTER TABLE jobs ADD COLUMN callback TEXT",
    "ALTER TABLE jobs ADD COLUMN callback_state TEXT",
];

/// Whether a connection that comes back may be used again.
///
/// SQLite itself rolls a transaction back when the disk is full or fails; the rollback that sqlx sends then has
/// nothing to roll back and fails, and sqlx counts the transaction as open for as long as the connection lives:
/// it would refuse to begin another, with room on the disk again.
async fn is_between_transactions(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback that waits is sent before this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Opens the database, and makes its tables the first time.
///
/// Beside the pool there is a connection that is only held: the last one that is closed takes the memory along
/// that all of them share, and on a full disk no other could be opened, not even to read.
pub(crate) async fn open(path: &Path) -> Result<(SqlitePool, SqliteConnection), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A receipt is given after the sync, not after the write.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
        .connect_with(options.clone())
        .await?;
    let mut held = options.connect().await?;
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut held).await?.try_get(0)?;
    let steps: &[&str] = match found {
        VERSION => return Ok((pool, held)),
        0 => &TABLES,
        1 => &SINCE_1,
        found => return Err(StoreError::Version { found, known: VERSION }),
    };
    let mut transaction = pool.begin().await?;
    for step in steps {
        sqlx::query(*step).execute(&mut *transaction).await?;
    }
    let version = format!("PRAGMA user_version = {VERSION}");
    sqlx::query(AssertSqlSafe(version)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((pool, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_the_database_itself_rolled_back_takes_no_connection_with_it() {
        let place = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (pool, _held) = open(&place.path().join("journal.db")).await.unwrap();
            // More often than there are connections.
            for _ in 0..8 {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                // What SQLite does when a disk is full.
                sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
                assert!(transaction.commit().await.is_err());
            }
            pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
        });
    }
}
