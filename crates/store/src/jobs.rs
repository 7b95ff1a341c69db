//! Reads and writes rows: writes follow the engine's records, reads serve clients and restarts.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use athanor_engine::{Class, JobId, Outcome, Record, Submission};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::StoreError;
use crate::row::{Callback, CallbackState, JobRow, JobState, Page};

const COLUMNS: &str = "public, number, tenant, circuit, class, deadline, idempotency_key, \
    input_kind, input_digest, input_blob, input_seal, state, code, message, created, ended, callback, \
    callback_state";

/// Milliseconds since 1970.
fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// BLAKE3 of an input's kind and bytes, in hex.
pub(crate) fn digest(submission: &Submission) -> String {
    blake3::Hash::from_bytes(submission.input.digest()).to_hex().to_string()
}

/// The values that [`write()`] needs besides the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteContext<'a> {
    /// Whether inputs of complete jobs are kept.
    pub(crate) keep_inputs: bool,
    /// Id of the key that seals inputs.
    pub(crate) seal: Option<&'a str>,
    /// The current service time in milliseconds.
    pub(crate) service_time: i64,
}

/// Writes a record. Returns the name of a blob that no row refers to any more, for the caller to delete.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    record: &Record,
    blob: Option<&str>,
    context: WriteContext<'_>,
) -> Result<Option<String>, StoreError> {
    let number = |job: &JobId| job.0 as i64;
    match record {
        Record::Accepted { job, submission } => {
            let public =
                submission.reference.as_deref().map_or_else(|| format!("job-{job}"), str::to_owned);
            // A retried job keeps its id and gets a new number.
            let old: Option<(Option<String>,)> = sqlx::query_as(
                "SELECT input_blob FROM jobs WHERE public = ? AND state != 'accepted'",
            )
            .bind(&public)
            .fetch_optional(&mut *connection)
            .await?;
            if old.is_some() {
                sqlx::query("DELETE FROM jobs WHERE public = ?")
                    .bind(&public)
                    .execute(&mut *connection)
                    .await?;
            }
            sqlx::query(
                "INSERT INTO jobs (public, number, tenant, circuit, class, deadline, \
                 idempotency_key, input_kind, input_digest, input_blob, input_seal, state, created, \
                 callback, callback_state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'accepted', ?, ?, ?)",
            )
            .bind(public)
            .bind(number(job))
            .bind(&submission.tenant)
            .bind(&submission.circuit)
            .bind(submission.class.name())
            .bind(submission.deadline.map(millis))
            .bind(submission.idempotency_key.as_deref())
            .bind(&*submission.input.kind)
            .bind(digest(submission))
            .bind(blob)
            .bind(context.seal)
            .bind(millis(SystemTime::now()))
            .bind(submission.callback.as_deref())
            .bind(submission.callback.as_ref().map(|_| CallbackState::Waiting.name()))
            .execute(&mut *connection)
            .await?;
            Ok(old.and_then(|(blob,)| blob))
        }
        Record::PartitionDone { job, partition, left } => {
            sqlx::query("INSERT OR IGNORE INTO partitions (number, part, bytes) VALUES (?, ?, ?)")
                .bind(number(job))
                .bind(i64::from(*partition))
                .bind(&left[..])
                .execute(connection)
                .await?;
            Ok(None)
        }
        Record::Ended { job, outcome, failure, result } => {
            let (code, message) = match failure {
                Some((code, message)) => (Some(*code), Some(message.as_str())),
                None => (None, None),
            };
            let state = match outcome {
                Outcome::Complete => JobState::Complete,
                Outcome::Failed { .. } => JobState::Failed,
                Outcome::Cancelled => JobState::Cancelled,
                Outcome::DeadlineMissed => JobState::DeadlineMissed,
            };
            let row: Option<(Option<String>,)> =
                sqlx::query_as("SELECT input_blob FROM jobs WHERE number = ?")
                    .bind(number(job))
                    .fetch_optional(&mut *connection)
                    .await?;
            let drop_input = result.is_some() && !context.keep_inputs;
            let unneeded = row.and_then(|(blob,)| blob).filter(|_| drop_input);
            sqlx::query(
                "UPDATE jobs SET state = ?, code = ?, message = ?, ended = ?, ended_service = ?, \
                 input_blob = CASE WHEN ? THEN NULL ELSE input_blob END \
                 WHERE number = ? AND state = 'accepted'",
            )
            .bind(state.name())
            .bind(code)
            .bind(message)
            .bind(millis(SystemTime::now()))
            .bind(context.service_time)
            .bind(drop_input)
            .bind(number(job))
            .execute(&mut *connection)
            .await?;
            sqlx::query("DELETE FROM partitions WHERE number = ?")
                .bind(number(job))
                .execute(&mut *connection)
                .await?;
            if let Some(result) = result {
                sqlx::query("INSERT OR IGNORE INTO results (number, bytes) VALUES (?, ?)")
                    .bind(number(job))
                    .bind(&result[..])
                    .execute(connection)
                    .await?;
            }
            Ok(unneeded)
        }
    }
}

/// Decodes a row of [`select_jobs`].
fn decode(row: &SqliteRow) -> Result<JobRow, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(JobRow {
        public: text("public")?,
        number: JobId(row.try_get::<i64, _>("number")? as u64),
        tenant: text("tenant")?,
        circuit: text("circuit")?,
        class: Class::named(&text("class")?).unwrap_or_default(),
        deadline: row.try_get("deadline")?,
        idempotency_key: row.try_get("idempotency_key")?,
        input_kind: text("input_kind")?,
        input_digest: text("input_digest")?,
        input_blob: row.try_get("input_blob")?,
        input_seal: row.try_get("input_seal")?,
        state: JobState::named(&text("state")?),
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        created: row.try_get("created")?,
        ended: row.try_get("ended")?,
        callback: match row.try_get("callback")? {
            Some(url) => Some(Callback { url, state: text("callback_state")? }),
            None => None,
        },
    })
}

/// A query of the jobs that `rest` selects.
fn select_jobs(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs {rest}"))
}

pub(crate) async fn by_public(
    pool: &SqlitePool,
    public: &str,
) -> Result<Option<JobRow>, StoreError> {
    let found =
        sqlx::query(select_jobs("WHERE public = ?")).bind(public).fetch_optional(pool).await?;
    Ok(found.as_ref().map(decode).transpose()?)
}

pub(crate) async fn by_key(
    pool: &SqlitePool,
    tenant: &str,
    key: &str,
) -> Result<Option<JobRow>, StoreError> {
    let query = sqlx::query(select_jobs("WHERE tenant = ? AND idempotency_key = ?"));
    let found = query.bind(tenant).bind(key).fetch_optional(pool).await?;
    Ok(found.as_ref().map(decode).transpose()?)
}

pub(crate) async fn list(
    pool: &SqlitePool,
    tenant: &str,
    page: &Page,
) -> Result<Vec<JobRow>, StoreError> {
    let before = page.before.map_or(i64::MAX, |before| before as i64);
    let query =
        sqlx::query(select_jobs("WHERE tenant = ? AND number < ? ORDER BY number DESC LIMIT ?"));
    let rows = query.bind(tenant).bind(before).bind(i64::from(page.limit)).fetch_all(pool).await?;
    Ok(rows.iter().map(decode).collect::<Result<_, _>>()?)
}

/// Ended jobs whose callback is pending.
pub(crate) async fn pending_callbacks(pool: &SqlitePool) -> Result<Vec<JobRow>, StoreError> {
    let query = sqlx::query(select_jobs("WHERE callback_state = ? AND state != 'accepted'"));
    let rows = query.bind(CallbackState::Waiting.name()).fetch_all(pool).await?;
    Ok(rows.iter().map(decode).collect::<Result<_, _>>()?)
}

pub(crate) async fn set_callback(
    pool: &SqlitePool,
    public: &str,
    state: CallbackState,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE jobs SET callback_state = ? WHERE public = ?");
    query.bind(state.name()).bind(public).execute(pool).await?;
    Ok(())
}

pub(crate) async fn result(pool: &SqlitePool, public: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let found: Option<(Vec<u8>,)> = sqlx::query_as(
        "SELECT bytes FROM results JOIN jobs ON jobs.number = results.number WHERE public = ?",
    )
    .bind(public)
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|(bytes,)| bytes))
}

pub(crate) async fn next_number(pool: &SqlitePool) -> Result<u64, StoreError> {
    let (last,): (Option<i64>,) =
        sqlx::query_as("SELECT MAX(number) FROM jobs").fetch_one(pool).await?;
    Ok(last.map_or(0, |last| last as u64 + 1))
}

/// Rows of the accepted jobs that have not ended, in order of their numbers.
pub(crate) async fn accepted(pool: &SqlitePool) -> Result<Vec<JobRow>, StoreError> {
    let query = sqlx::query(select_jobs("WHERE state = 'accepted' ORDER BY number"));
    Ok(query.fetch_all(pool).await?.iter().map(decode).collect::<Result<_, _>>()?)
}

/// The row of the accepted job with this number; `None` if it has ended.
pub(crate) async fn accepted_job(
    pool: &SqlitePool,
    job: JobId,
) -> Result<Option<JobRow>, StoreError> {
    let query = sqlx::query(select_jobs("WHERE number = ? AND state = 'accepted'"));
    let found = query.bind(job.0 as i64).fetch_optional(pool).await?;
    Ok(found.as_ref().map(decode).transpose()?)
}

/// The results of a job's finished partitions.
pub(crate) async fn partitions(
    pool: &SqlitePool,
    job: JobId,
) -> Result<Vec<(u32, Arc<[u8]>)>, StoreError> {
    let finished: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT part, bytes FROM partitions WHERE number = ? ORDER BY part")
            .bind(job.0 as i64)
            .fetch_all(pool)
            .await?;
    Ok(finished.into_iter().map(|(part, bytes)| (part as u32, bytes.into())).collect())
}

/// Ends an accepted job as failed with the code `input-lost`.
pub(crate) async fn end_input_lost(
    pool: &SqlitePool,
    job: JobId,
    service_time: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET state = 'failed', code = 'input-lost', ended = ?, ended_service = ?, \
         message = 'the input was removed or damaged before the job ran: submit it again' \
         WHERE number = ? AND state = 'accepted'",
    )
    .bind(millis(SystemTime::now()))
    .bind(service_time)
    .bind(job.0 as i64)
    .execute(pool)
    .await?;
    Ok(())
}

/// All blobs that a row refers to.
pub(crate) async fn named_blobs(pool: &SqlitePool) -> Result<Vec<String>, StoreError> {
    let query = "SELECT input_blob FROM jobs WHERE input_blob IS NOT NULL";
    let rows: Vec<(String,)> = sqlx::query_as(query).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(blob,)| blob).collect())
}
