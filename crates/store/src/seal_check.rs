//! Checks at the start, before any change, that the seal key is the one that accepted jobs need.
//!
//! Each row records the id of the key that sealed its input, or that the input is plain. Plain and sealed inputs can
//! coexist: a store that gets a key seals new inputs and still reads old ones. The start fails if the input of an
//! accepted job needs a different key, because that job could never run.

use sqlx::{SqliteConnection, SqlitePool};

use crate::blobs::{Blobs, UNKNOWN};
use crate::{StoreError, jobs, meta};

/// Checks the key and records its id.
pub(crate) async fn check(
    pool: &SqlitePool,
    connection: &mut SqliteConnection,
    blobs: &Blobs,
) -> Result<(), StoreError> {
    resolve_unknown(pool, blobs).await?;
    let given = blobs.seal_id();
    let query = "SELECT COUNT(*), MIN(public), MIN(input_seal) FROM jobs \
        WHERE state = 'accepted' AND input_seal != 'unknown' AND input_seal != ?";
    let mismatch: (i64, Option<String>, Option<String>) =
        sqlx::query_as(query).bind(given.as_deref().unwrap_or_default()).fetch_one(pool).await?;
    if let (jobs, Some(job), Some(expected)) = mismatch {
        let jobs = jobs as u64;
        return Err(match given {
            Some(given) => StoreError::SealKeyWrong { jobs, job, expected, given },
            None => StoreError::SealKeyMissing { jobs, job, expected },
        });
    }
    warn_of_change(meta::last_seal_key(pool).await?, given.as_deref());
    meta::mark_open(connection, given.as_deref()).await
}

/// Warns if the key differs from that of the last start: a retry of an ended job whose input the old key sealed is
/// refused.
fn warn_of_change(last: Option<String>, given: Option<&str>) {
    let last = last.filter(|last| !last.is_empty());
    match (last.as_deref(), given) {
        (Some(last), None) => tracing::warn!(
            last,
            "no seal key is given: new inputs are stored without encryption, unlike before"
        ),
        (Some(last), Some(given)) if last != given => tracing::warn!(
            last,
            given,
            "the seal key has changed: ended jobs whose inputs the last key sealed cannot be retried"
        ),
        _ => {}
    }
}

/// Detects how inputs of accepted jobs from an older version are sealed, and records it. That version refused jobs
/// that it could not read, so all of them have the same key or none.
async fn resolve_unknown(pool: &SqlitePool, blobs: &Blobs) -> Result<(), StoreError> {
    let accepted = jobs::accepted(pool).await?;
    let unknown = accepted.iter().filter(|row| row.input_seal.as_deref() == Some(UNKNOWN));
    let (mut resolved, mut unresolved, mut first_unresolved) = (Vec::new(), 0, None);
    for row in unknown {
        let Some(name) = &row.input_blob else { continue };
        match blobs.detect_seal(name).await {
            Ok(Some(seal)) => resolved.push((row.number, seal)),
            // A missing blob is reported as lost later, whatever the key.
            Ok(None) if !blobs.exists(name).await => {}
            Ok(None) => {
                unresolved += 1;
                first_unresolved.get_or_insert_with(|| name.clone());
            }
            // A blob that cannot be read now is read again later.
            Err(_) => {}
        }
    }
    if let (Some(blob), true) = (first_unresolved, resolved.is_empty()) {
        return Err(StoreError::SealKeyUnproven { jobs: unresolved, blob });
    }
    if resolved.is_empty() {
        return Ok(());
    }
    // If some blobs fit the key, the others are damaged. They get the same key, so that reading them reports the
    // damage.
    let seal_of_all = resolved.first().map(|(_, seal)| seal.clone());
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for (number, seal) in resolved {
        let update = sqlx::query("UPDATE jobs SET input_seal = ? WHERE number = ?");
        update.bind(seal).bind(number.0 as i64).execute(&mut *transaction).await?;
    }
    if let Some(seal) = seal_of_all {
        let update = "UPDATE jobs SET input_seal = ? WHERE state = 'accepted' AND input_seal = ?";
        sqlx::query(update).bind(seal).bind(UNKNOWN).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
