//! Errors of the store.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the store. None of them loses an acknowledged job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A query of the database failed.
    #[error("journal database: {0}")]
    Database(#[from] sqlx::Error),
    /// An operation of the blob store failed.
    #[error("blob store: {0}")]
    Blobs(#[from] object_store::Error),
    /// The content of a blob does not have the digest in its name.
    #[error("blob {name} is damaged: its content does not have the digest in its name")]
    Damaged {
        /// The blob.
        name: String,
    },
    /// A blob was sealed with a key other than the given one, or no key is given.
    #[error("blob {name} cannot be decrypted: it was sealed with a different key")]
    Sealed {
        /// The blob.
        name: String,
    },
    /// The database has a version that this program does not support.
    #[error(
        "the journal has version {found}, this program supports up to {known}: use a newer program"
    )]
    Version {
        /// The version of the file.
        found: i64,
        /// The newest supported version.
        known: i64,
    },
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The directory belongs to another user.
    #[error("{}: belongs to another user: use a data directory that this user owns", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Accepted jobs have sealed inputs, and no seal key is given.
    #[error(
        "{jobs} accepted jobs (such as {job}) have inputs sealed with key {expected}, and no seal key is given: \
         set `seal-key` to the file that holds this key"
    )]
    SealKeyMissing {
        /// Number of these jobs.
        jobs: u64,
        /// The id of one of them.
        job: String,
        /// Id of the key that sealed their inputs.
        expected: String,
    },
    /// Accepted jobs have inputs that were sealed with a different key.
    #[error(
        "{jobs} accepted jobs (such as {job}) have inputs sealed with key {expected}, and the given seal key is \
         {given}: set `seal-key` to the file that holds {expected}"
    )]
    SealKeyWrong {
        /// Number of these jobs.
        jobs: u64,
        /// The id of one of them.
        job: String,
        /// Id of the key that sealed their inputs.
        expected: String,
        /// Id of the given key.
        given: String,
    },
    /// A journal of an older version does not record which key sealed its inputs, and the given key opens none.
    #[error(
        "no input of {jobs} accepted jobs can be read with the current `seal-key` setting (one of them is blob \
         {blob}): restore the setting with which they were accepted; if the key is right and the blob is damaged, \
         remove the blob, and its job ends as `input-lost`"
    )]
    SealKeyUnproven {
        /// Number of these jobs.
        jobs: u64,
        /// One of the blobs.
        blob: String,
    },
    /// Another process has locked the data directory.
    #[error(
        "{}: in use by another service ({holder}): stop it, or use a different data directory",
        path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The description that the holder wrote into the lock file.
        holder: String,
    },
    /// The database is damaged.
    #[error(
        "{}: the journal is damaged ({problem}): run `athanor store check --data DIR`, keep a copy of the \
         directory, and restore a backup",
        path.display()
    )]
    DamagedJournal {
        /// The database file.
        path: PathBuf,
        /// The first problem that SQLite reports.
        problem: String,
    },
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the error is that accepted jobs need a seal key other than the given one.
    pub fn is_seal_key(&self) -> bool {
        matches!(
            self,
            StoreError::SealKeyMissing { .. }
                | StoreError::SealKeyWrong { .. }
                | StoreError::SealKeyUnproven { .. }
        )
    }

    /// Turns a database error that reports damage into [`StoreError::DamagedJournal`].
    pub(crate) fn classify_damage(self, path: &Path) -> StoreError {
        match self {
            StoreError::Database(sqlx::Error::Database(error)) if is_damage(&*error) => {
                StoreError::DamagedJournal { path: path.to_owned(), problem: error.to_string() }
            }
            error => error,
        }
    }
}

/// `SQLITE_CORRUPT` with its extended codes, or `SQLITE_NOTADB`.
fn is_damage(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
}
