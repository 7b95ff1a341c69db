//! Single values of the journal: service time, the last seal key, whether the last stop was clean.

use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{StoreError, schema};

/// Milliseconds of service, as of the last heartbeat.
const SERVICE_TIME: &str = "service_time";
/// Id of the seal key of the last start; empty without one.
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

/// Where service time goes on: at the last heartbeat, or at the last end of a job if that was later.
pub(crate) async fn service_time(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let kept = get(&mut *connection, SERVICE_TIME).await?;
    let kept = kept.and_then(|text| text.parse().ok()).unwrap_or(0);
    let query = "SELECT MAX(ended_service) FROM jobs WHERE ended_service IS NOT NULL";
    let (last,): (Option<i64>,) = sqlx::query_as(query).fetch_one(connection).await?;
    Ok(last.map_or(kept, |last| last.max(kept)))
}

pub(crate) async fn set_service_time(
    executor: impl SqliteExecutor<'_>,
    millis: i64,
) -> Result<(), StoreError> {
    set(executor, SERVICE_TIME, &millis.to_string()).await
}

/// The id of the seal key of the start before; none before the first start that wrote one down.
pub(crate) async fn last_seal_key(
    executor: impl SqliteExecutor<'_>,
) -> Result<Option<String>, StoreError> {
    get(executor, SEAL_KEY).await
}

/// Notes that the store is open, and with which seal key.
pub(crate) async fn opened(
    connection: &mut SqliteConnection,
    seal: Option<&str>,
) -> Result<(), StoreError> {
    set(&mut *connection, SEAL_KEY, seal.unwrap_or_default()).await?;
    set(connection, STATE, "running").await
}

/// Notes that the store was closed after all it had to write.
pub(crate) async fn closed(executor: impl SqliteExecutor<'_>) -> Result<(), StoreError> {
    set(executor, STATE, "stopped").await
}

/// Whether the last process that had the store open closed it.
pub(crate) async fn stopped_cleanly(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    if schema::version(connection).await? != schema::VERSION {
        return Ok(false);
    }
    Ok(get(connection, STATE).await?.as_deref() == Some("stopped"))
}
