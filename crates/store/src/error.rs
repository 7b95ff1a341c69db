//! Why the store did not do what was asked.

use std::io;
use std::path::PathBuf;

/// A failure of the store. Nothing that was acknowledged is lost by any of them.
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
}
