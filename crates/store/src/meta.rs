//! The table `meta`: service time, id of the last seal key, whether the last stop was clean.

use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{StoreError, schema};

/// Service time in milliseconds at the last heartbeat.
const SERVICE_TIME: &str = "service_time";
/// Id of the seal key at the last start; empty if there was none.
const SEAL_KEY: &str = "seal_key";
/// `running` or `stopped`.
const STATE: &str = "state";

async fn get(executor: impl SqliteExecutor<'_>, name: &str) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_as("SELECT value FROM meta WHERE name = ?").bind(name);
    let found: Option<(String,)> = query.fetch_optional(executor).await?;
    Ok(found.map(|(value,)| value))
}

async fn set(executor: impl SqliteExecutor<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    let upsert = "INSERT INTO meta (name, value) VALUES (?, ?) \
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(upsert).bind(name).bind(value).execute(executor).await?;
    Ok(())
}

/// The service time to continue from: that of the last heartbeat, or of the last end of a job if it is later.
pub(crate) async fn service_time(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let recorded = get(&mut *connection, SERVICE_TIME).await?;
    let recorded = recorded.and_then(|text| text.parse().ok()).unwrap_or(0);
    let query = "SELECT MAX(ended_service) FROM jobs WHERE ended_service IS NOT NULL";
    let (last,): (Option<i64>,) = sqlx::query_as(query).fetch_one(connection).await?;
    Ok(last.map_or(recorded, |last| last.max(recorded)))
}

pub(crate) async fn set_service_time(
    executor: impl SqliteExecutor<'_>,
    millis: i64,
) -> Result<(), StoreError> {
    set(executor, SERVICE_TIME, &millis.to_string()).await
}

/// The id of the seal key at the previous start: empty if there was none, `None` if no start has recorded it.
pub(crate) async fn last_seal_key(
    executor: impl SqliteExecutor<'_>,
) -> Result<Option<String>, StoreError> {
    get(executor, SEAL_KEY).await
}

/// Records that the store is open, and the id of its seal key.
pub(crate) async fn mark_open(
    connection: &mut SqliteConnection,
    seal: Option<&str>,
) -> Result<(), StoreError> {
    set(&mut *connection, SEAL_KEY, seal.unwrap_or_default()).await?;
    set(connection, STATE, "running").await
}

/// Records that the store was closed after all writes.
pub(crate) async fn mark_closed(executor: impl SqliteExecutor<'_>) -> Result<(), StoreError> {
    set(executor, STATE, "stopped").await
}

/// Whether the last process that opened the store also closed it.
pub(crate) async fn stopped_cleanly(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    if schema::version(connection).await? != schema::VERSION {
        return Ok(false);
    }
    Ok(get(connection, STATE).await?.as_deref() == Some("stopped"))
}
