//! Whether the seal key is the one that accepted jobs need, before any of them is touched.
//!
//! Each row says which key sealed its input, by the key's id, or that none did. So plain and sealed inputs may
//! stand side by side: a store that gets a key seals what comes from then on and still reads what came before. What
//! stops the start is a job that could not be read: it would wait in vain, and its owner would not know why.

use sqlx::{SqliteConnection, SqlitePool};

use crate::blobs::{Blobs, UNKNOWN};
use crate::{StoreError, jobs, meta};

/// Checks the key, and notes it.
pub(crate) async fn check(
    pool: &SqlitePool,
    connection: &mut SqliteConnection,
    blobs: &Blobs,
) -> Result<(), StoreError> {
    settle_unknown(pool, blobs).await?;
    let given = blobs.seal_id();
    let query = "SELECT COUNT(*), MIN(public), MIN(input_seal) FROM jobs \
        WHERE state = 'accepted' AND input_seal != 'unknown' AND input_seal != ?";
    let found: (i64, Option<String>, Option<String>) =
        sqlx::query_as(query).bind(given.as_deref().unwrap_or_default()).fetch_one(pool).await?;
    if let (jobs, Some(job), Some(expected)) = found {
        let jobs = jobs as u64;
        return Err(match given {
            Some(given) => StoreError::SealKeyWrong { jobs, job, expected, given },
            None => StoreError::SealKeyMissing { jobs, job, expected },
        });
    }
    warn_of_change(meta::last_seal_key(pool).await?, given.as_deref());
    meta::opened(connection, given.as_deref()).await
}

/// Inputs of jobs that ended may be kept for a retry: with another key that is refused.
fn warn_of_change(last: Option<String>, given: Option<&str>) {
    let last = last.filter(|last| !last.is_empty());
    match (last.as_deref(), given) {
        (Some(last), None) => tracing::warn!(
            last,
            "inputs were sealed until now and are not any more: no seal key is given"
        ),
        (Some(last), Some(given)) if last != given => tracing::warn!(
            last,
            given,
            "the seal key is another one: jobs that ended before cannot be retried"
        ),
        _ => {}
    }
}

/// Finds out how the inputs of accepted jobs are sealed that an older version accepted. That version read none of
/// them with a wrong key, so all are of one kind.
async fn settle_unknown(pool: &SqlitePool, blobs: &Blobs) -> Result<(), StoreError> {
    let accepted = jobs::accepted(pool).await?;
    let unknown = accepted.iter().filter(|row| row.input_seal.as_deref() == Some(UNKNOWN));
    let (mut settled, mut unfitting, mut first_unfitting) = (Vec::new(), 0, None);
    for row in unknown {
        let Some(name) = &row.input_blob else { continue };
        match blobs.seal_of(name).await {
            Ok(Some(seal)) => settled.push((row.number, seal)),
            // Gone: to be reported as lost, whatever the key.
            Ok(None) if !blobs.exists(name).await => {}
            Ok(None) => {
                unfitting += 1;
                first_unfitting.get_or_insert_with(|| name.clone());
            }
            // It is read again later.
            Err(_) => {}
        }
    }
    if let (Some(blob), true) = (first_unfitting, settled.is_empty()) {
        return Err(StoreError::SealKeyUnproven { jobs: unfitting, blob });
    }
    if settled.is_empty() {
        return Ok(());
    }
    // With others that fit, one that does not is damaged; to read it with the key says so.
    let kind = settled.first().map(|(_, seal)| seal.clone());
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for (number, seal) in settled {
        let update = sqlx::query("UPDATE jobs SET input_seal = ? WHERE number = ?");
        update.bind(seal).bind(number.0 as i64).execute(&mut *transaction).await?;
    }
    if let Some(seal) = kind {
        let update = "UPDATE jobs SET input_seal = ? WHERE state = 'accepted' AND input_seal = ?";
        sqlx::query(update).bind(seal).bind(UNKNOWN).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
