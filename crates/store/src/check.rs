//! Checks a data directory without changing it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use crate::blobs::{Blobs, UNKNOWN};
use crate::wal::{self, WalReport};
use crate::{JOURNAL, SealKey, StoreError, lock, runtime, schema};

/// Limit on the listed problems of the database.
const PROBLEMS: u32 = 20;

/// A fault in an accepted job's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFault {
    /// The job's id, as clients see it.
    pub job: String,
    /// The blob's file name, if the row has one.
    pub blob: Option<String>,
    /// `missing`, `damaged`, `unreadable` or `sealed` (sealed with a key that was not given).
    pub fault: &'static str,
    /// The fault as text.
    pub message: String,
}

/// The result of [`check()`].
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The process that has the directory open, as it describes itself in the lock file.
    pub holder: Option<String>,
    /// Version of the tables.
    pub version: i64,
    /// What `PRAGMA integrity_check` and the queries report; empty if the database is sound.
    pub database: Vec<String>,
    /// The write-ahead log; `None` if the file does not exist or is empty.
    pub wal: Option<WalReport>,
    /// Jobs by state.
    pub jobs: BTreeMap<String, u64>,
    /// Inputs of accepted jobs that were read.
    pub blobs: u64,
    /// Inputs that cannot be used.
    pub faults: Vec<BlobFault>,
    /// Blobs that no job refers to. The next start deletes them.
    pub orphans: Vec<String>,
}

impl Report {
    /// Whether nothing is damaged and every accepted job can resume.
    pub fn is_sound(&self) -> bool {
        let wal_is_sound = self.wal.is_none_or(|wal| wal.damaged_frame.is_none());
        self.database.is_empty() && wal_is_sound && self.faults.is_empty()
    }
}

/// Checks a data directory without changing it. A service may be running on it.
///
/// # Errors
///
/// If the journal does not exist, or cannot be opened for a reason other than damage. Damage is part of the report.
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
        // Names are listed before rows are read: a blob is written before its row, and deleted after it.
        let names = match &blobs {
            Some(blobs) => blobs.names().await,
            None => Vec::new(),
        };
        if let Err(error) = check_database(&journal, &mut report, blobs.as_ref(), names).await {
            match error.classify_damage(&journal) {
                StoreError::DamagedJournal { problem, .. } => report.database.push(problem),
                error => return Err(error),
            }
        }
        Ok(report)
    })
}

async fn check_database(
    journal: &Path,
    report: &mut Report,
    blobs: Option<&Blobs>,
    names: Vec<Result<String, StoreError>>,
) -> Result<(), StoreError> {
    // SQLite creates a log and its index to read a database that has none. `immutable` prevents this; it is
    // correct only while no other process has the database open.
    let immutable = report.wal.is_none() && report.holder.is_none();
    let options = SqliteConnectOptions::new();
    let options = options.filename(journal).read_only(true).immutable(immutable);
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
    check_inputs(&mut connection, report, blobs).await?;
    let named: Vec<(String,)> =
        sqlx::query_as("SELECT input_blob FROM jobs WHERE input_blob IS NOT NULL")
            .fetch_all(&mut connection)
            .await?;
    let named: HashSet<String> = named.into_iter().map(|(name,)| name).collect();
    report.orphans = names.into_iter().flatten().filter(|name| !named.contains(name)).collect();
    Ok(())
}

/// Reads the input of each accepted job.
async fn check_inputs(
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
        let input = match (&blob, blobs) {
            (Some(name), Some(blobs)) => blobs.get(name, seal.as_deref()).await,
            _ => Ok(None),
        };
        let (fault, message) = match input {
            Ok(Some(_)) => continue,
            // A job that has ended since the rows were read may have no input any more.
            Ok(None) if !is_accepted(connection, number).await? => continue,
            Ok(None) => {
                ("missing", "the input is missing: the job would fail as input-lost".into())
            }
            Err(error @ StoreError::Damaged { .. }) => ("damaged", error.to_string()),
            Err(error @ StoreError::Sealed { .. }) if seal.as_deref() != Some(UNKNOWN) => {
                ("sealed", error.to_string())
            }
            Err(StoreError::Sealed { name }) => {
                ("sealed", format!("blob {name} is damaged or sealed with a different key"))
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
