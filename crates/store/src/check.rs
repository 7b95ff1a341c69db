//! Whether a data directory is sound, found out without changing anything in it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use crate::blobs::{Blobs, UNKNOWN};
use crate::wal::{self, WalReport};
use crate::{JOURNAL, SealKey, StoreError, lock, runtime, schema};

/// Most problems of the database that are listed.
const PROBLEMS: u32 = 20;

/// What is wrong with an accepted job's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFault {
    /// The job's public name.
    pub job: String,
    /// The blob's file name, if the row has one.
    pub blob: Option<String>,
    /// `missing`, `damaged`, `unreadable` or `sealed` (the seal key is missing or another one).
    pub fault: &'static str,
    /// In words.
    pub message: String,
}

/// What stands in a data directory.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Who has it open.
    pub holder: Option<String>,
    /// Version of the tables.
    pub version: i64,
    /// What `PRAGMA integrity_check` and the queries report; empty if the database is sound.
    pub database: Vec<String>,
    /// The write-ahead log; none if there is no such file or nothing in it.
    pub wal: Option<WalReport>,
    /// Jobs by state.
    pub jobs: BTreeMap<String, u64>,
    /// Inputs of accepted jobs that were read.
    pub blobs: u64,
    /// Those that cannot be used.
    pub faults: Vec<BlobFault>,
    /// Blobs that no job names. The next start deletes them.
    pub orphans: Vec<String>,
}

impl Report {
    /// Whether nothing is damaged and every accepted job can go on.
    pub fn is_sound(&self) -> bool {
        let wal_is_sound = self.wal.is_none_or(|wal| wal.damaged_frame.is_none());
        self.database.is_empty() && wal_is_sound && self.faults.is_empty()
    }
}

/// Checks a data directory, whether or not a service runs on it. Changes nothing.
///
/// # Errors
///
/// If there is no journal, or it cannot be opened for another reason than damage.
pub fn check(directory: &Path, seal: Option<SealKey>) -> Result<Report, StoreError> {
    let journal = directory.join(JOURNAL);
    std::fs::metadata(&journal)
        .map_err(|source| StoreError::Io { path: journal.clone(), source })?;
    let log = wal::path_of(&journal);
    let wal = wal::inspect(&log).map_err(|source| StoreError::Io { path: log, source })?;
    let mut report = Report { holder: lock::holder(directory), wal, ..Report::default() };
    let blobs = match Blobs::open_existing(&directory.join("blobs"), seal) {
        Err(StoreError::Blobs(_)) if !directory.join("blobs").exists() => None,
        opened => Some(opened?),
    };
    runtime(directory)?.block_on(async {
        // Before the rows: a blob is written before the row that names it, and deleted after.
        let names = match &blobs {
            Some(blobs) => blobs.names().await,
            None => Vec::new(),
        };
        if let Err(error) = of_database(&journal, &mut report, blobs.as_ref(), names).await {
            match error.of_journal(&journal) {
                StoreError::DamagedJournal { problem, .. } => report.database.push(problem),
                error => return Err(error),
            }
        }
        Ok(report)
    })
}

async fn of_database(
    journal: &Path,
    report: &mut Report,
    blobs: Option<&Blobs>,
    names: Vec<Result<String, StoreError>>,
) -> Result<(), StoreError> {
    // Without a log and without a service, SQLite would make a log and its index to read.
    let still = report.wal.is_none() && report.holder.is_none();
    let options = SqliteConnectOptions::new().filename(journal).read_only(true).immutable(still);
    let mut connection = options.connect().await?;
    let pragma = format!("PRAGMA integrity_check({PROBLEMS})");
    let lines: Vec<(String,)> =
        sqlx::query_as(AssertSqlSafe(pragma)).fetch_all(&mut connection).await?;
    report.database.extend(lines.into_iter().map(|(line,)| line).filter(|line| line != "ok"));
    report.version = schema::version(&mut connection).await?;
    if report.version == 0 {
        return Ok(());
    }
    if report.version > schema::VERSION {
        let (found, known) = (report.version, schema::VERSION);
        return Err(StoreError::Version { found, known });
    }
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, COUNT(*) FROM jobs GROUP BY state")
            .fetch_all(&mut connection)
            .await?;
    report.jobs = counts.into_iter().map(|(state, count)| (state, count as u64)).collect();
    inputs(&mut connection, report, blobs).await?;
    let named: Vec<(String,)> =
        sqlx::query_as("SELECT input_blob FROM jobs WHERE input_blob IS NOT NULL")
            .fetch_all(&mut connection)
            .await?;
    let named: HashSet<String> = named.into_iter().map(|(name,)| name).collect();
    report.orphans = names.into_iter().flatten().filter(|name| !named.contains(name)).collect();
    Ok(())
}

/// Reads the input of each accepted job.
async fn inputs(
    connection: &mut SqliteConnection,
    report: &mut Report,
    blobs: Option<&Blobs>,
) -> Result<(), StoreError> {
    let seal = if report.version < 3 { "'unknown'" } else { "input_seal" };
    let query = format!(
        "SELECT public, number, input_blob, {seal} FROM jobs WHERE state = 'accepted' ORDER BY number"
    );
    type Row = (String, i64, Option<String>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut *connection).await?;
    for (job, number, blob, seal) in rows {
        report.blobs += 1;
        let found = match (&blob, blobs) {
            (Some(name), Some(blobs)) => blobs.get(name, seal.as_deref()).await,
            _ => Ok(None),
        };
        let (fault, message) = match found {
            Ok(Some(_)) => continue,
            // The job may have ended meanwhile, and its input be gone for that.
            Ok(None) if !is_accepted(connection, number).await? => continue,
            Ok(None) => ("missing", "the input is gone: the job would fail as input-lost".into()),
            Err(error @ StoreError::Damaged { .. }) => ("damaged", error.to_string()),
            Err(error @ StoreError::Sealed { .. }) if seal.as_deref() != Some(UNKNOWN) => {
                ("sealed", error.to_string())
            }
            Err(StoreError::Sealed { name }) => {
                ("sealed", format!("blob {name} is damaged, or sealed with another key"))
            }
            Err(error) => ("unreadable", error.to_string()),
        };
        report.faults.push(BlobFault { job, blob, fault, message });
    }
    Ok(())
}

async fn is_accepted(connection: &mut SqliteConnection, number: i64) -> Result<bool, StoreError> {
    let query = "SELECT COUNT(*) FROM jobs WHERE number = ? AND state = 'accepted'";
    let (count,): (i64,) = sqlx::query_as(query).bind(number).fetch_one(connection).await?;
    Ok(count > 0)
}
