//! Retention: deletes ended jobs in batches and returns free pages to the file system.

use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use crate::StoreError;

/// Limit on the jobs of one transaction. Submits wait while it runs.
pub(crate) const BATCH: u32 = 100;
/// Limit on the pages that one step returns to the file system.
const VACUUM_PAGES: u32 = 250;
/// Free pages that stay in the database for later writes.
const SPARE_PAGES: i64 = 1000;

/// The query of [`delete_batch`]: ended jobs, those that ended first come first.
pub(crate) const OLDEST: &str = "SELECT number, input_blob, ended_service FROM jobs \
    WHERE ended_service IS NOT NULL ORDER BY ended_service, number LIMIT ?";

/// The number of ended jobs.
pub(crate) async fn count_ended(pool: &SqlitePool) -> Result<u64, StoreError> {
    let query = "SELECT COUNT(*) FROM jobs WHERE ended_service IS NOT NULL";
    let (count,): (i64,) = sqlx::query_as(query).fetch_one(pool).await?;
    Ok(count as u64)
}

/// The result of [`delete_batch`].
#[derive(Debug, Default)]
pub(crate) struct DeletedBatch {
    /// Number of deleted jobs.
    pub(crate) jobs: u64,
    /// Blobs of their inputs, which the caller deletes.
    pub(crate) blobs: Vec<String>,
}

/// Deletes up to [`BATCH`] ended jobs: the first `excess` of them, and those that ended at the service time
/// `before` or earlier.
pub(crate) async fn delete_batch(
    pool: &SqlitePool,
    before: i64,
    excess: u64,
) -> Result<DeletedBatch, StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let oldest: Vec<(i64, Option<String>, i64)> =
        sqlx::query_as(OLDEST).bind(i64::from(BATCH)).fetch_all(&mut *transaction).await?;
    let old = oldest.into_iter().zip(0u64..);
    let old = old.take_while(|((_, _, ended), at)| *at < excess || *ended <= before);
    let (mut numbers, mut blobs) = (Vec::new(), Vec::new());
    for ((number, blob, _), _) in old {
        numbers.push(number.to_string());
        blobs.extend(blob);
    }
    if numbers.is_empty() {
        return Ok(DeletedBatch::default());
    }
    let listed = numbers.join(",");
    for table in ["results", "partitions", "jobs"] {
        let delete = format!("DELETE FROM {table} WHERE number IN ({listed})");
        let delete = sqlx::query(AssertSqlSafe(delete)).persistent(false);
        delete.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(DeletedBatch { jobs: numbers.len() as u64, blobs })
}

/// Returns up to [`VACUUM_PAGES`] free pages to the file system. The result is whether more remain.
pub(crate) async fn vacuum(pool: &SqlitePool) -> Result<bool, StoreError> {
    let mut connection = pool.acquire().await?;
    let free = free_pages(&mut connection).await?;
    if free <= SPARE_PAGES {
        return Ok(false);
    }
    let step = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
    sqlx::query(AssertSqlSafe(step)).execute(&mut *connection).await?;
    let left = free_pages(&mut connection).await?;
    // A database that was created without incremental vacuum returns no pages: `left` equals `free`.
    Ok(left < free && left > SPARE_PAGES)
}

async fn free_pages(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let query = sqlx::query_as("PRAGMA freelist_count");
    let (pages,): (i64,) = query.fetch_one(connection).await?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_batch_is_read_from_an_index_without_sorting() {
        let place = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let path = place.path().join("journal.db");
            let (_pool, mut held) = crate::schema::open(&path).await.unwrap();
            let query = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {OLDEST}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(query).bind(1).fetch_all(&mut held).await.unwrap();
            let plan: Vec<&str> = plan.iter().map(|step| &*step.3).collect();
            // The plan is one step and does not sort. Whether it is a SEARCH or a SCAN depends on SQLite's build.
            let [step] = plan[..] else { panic!("{plan:?}") };
            assert!(step.contains("jobs USING INDEX jobs_by_service_time"), "{step}");
        });
    }
}
