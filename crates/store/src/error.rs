//! Why the store did not do what was asked.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the store. No acknowledged job is lost by any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error("the journal: {0}")]
    Database(#[from] sqlx::Error),
    /// The blob store.
    #[error("the blobs: {0}")]
    Blobs(#[from] object_store::Error),
    /// A blob is not what its name says.
    #[error("blob {name} is damaged: its digest differs")]
    Damaged {
        /// The blob.
        name: String,
    },
    /// A blob was kept under another key, or under one where none is given.
    #[error("blob {name} cannot be opened: it was sealed with another key")]
    Sealed {
        /// The blob.
        name: String,
    },
    /// The database is of a version that this program does not know.
    #[error("the journal has version {found}, this program knows {known}: use a newer program")]
    Version {
        /// The file's.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The directory belongs to another user.
    #[error("{}: belongs to another user; give the service a directory of its own", path.display())]
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
        /// How many.
        jobs: u64,
        /// One of them, by its public name.
        job: String,
        /// Id of the key that sealed them.
        expected: String,
    },
    /// Accepted jobs have inputs that another key sealed.
    #[error(
        "{jobs} accepted jobs (such as {job}) have inputs sealed with key {expected}, and the seal key that is \
         given is {given}: set `seal-key` to the file that holds {expected}"
    )]
    SealKeyWrong {
        /// How many.
        jobs: u64,
        /// One of them, by its public name.
        job: String,
        /// Id of the key that sealed them.
        expected: String,
        /// Id of the key that is given.
        given: String,
    },
    /// A journal of an older version does not say which key sealed its inputs, and the one given opens none.
    #[error(
        "none of the inputs of {jobs} accepted jobs opens with the `seal-key` setting as it is (blob {blob} does \
         not): set it as it was when they were accepted; if the key is right and the file is damaged, remove the \
         file, and its job ends as `input-lost`"
    )]
    SealKeyUnproven {
        /// How many.
        jobs: u64,
        /// One of the blobs.
        blob: String,
    },
    /// Another process has the data directory.
    #[error(
        "{}: in use by another service ({holder}): stop it, or give this one a data directory of its own",
        path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// What the holder wrote down of itself.
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
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether it says that the seal key is not the one that the jobs need.
    pub fn is_seal_key(&self) -> bool {
        matches!(
            self,
            StoreError::SealKeyMissing { .. }
                | StoreError::SealKeyWrong { .. }
                | StoreError::SealKeyUnproven { .. }
        )
    }

    /// Names the damage, if that is what a database error reports.
    pub(crate) fn of_journal(self, path: &Path) -> StoreError {
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
