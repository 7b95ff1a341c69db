//! Blobs: one file for each job's input, named by the digest of its content and the job's number.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use zeroize::Zeroizing;

use crate::{SealKey, StoreError};

/// Value of the column `input_seal` where a journal of an older version did not record the key's id.
pub(crate) const UNKNOWN: &str = "unknown";

pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    seal: Option<SealKey>,
}

impl Blobs {
    pub(crate) fn open(directory: &Path, seal: Option<SealKey>) -> Result<Blobs, StoreError> {
        make_private(directory)?;
        Blobs::open_existing(directory, seal)
    }

    /// Opens an existing directory without changing it.
    pub(crate) fn open_existing(
        directory: &Path,
        seal: Option<SealKey>,
    ) -> Result<Blobs, StoreError> {
        // The row that names a blob is synced, so the blob must be synced before it.
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Blobs { store: Arc::new(store), seal })
    }

    /// Writes the blob `name`, encrypted if there is a seal key. Returns the name.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Result<String, StoreError> {
        let stored = match &self.seal {
            Some(key) => key.seal(name, bytes)?,
            None => bytes.to_vec(),
        };
        self.store.put(&Name::from(name), PutPayload::from(stored)).await?;
        Ok(name.to_owned())
    }

    /// The id of the key in use.
    pub(crate) fn seal_id(&self) -> Option<String> {
        self.seal.as_ref().map(SealKey::id)
    }

    /// Reads the blob `name`; `None` if it does not exist. `seal` is the id of the key that sealed it.
    pub(crate) async fn get(
        &self,
        name: &str,
        seal: Option<&str>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(stored) = self.read_raw(name).await? else { return Ok(None) };
        let damaged = || StoreError::Damaged { name: name.to_owned() };
        let other_key = || StoreError::Sealed { name: name.to_owned() };
        match (seal, &self.seal) {
            (None, _) => verify_plain(name, &stored).ok_or_else(damaged).map(Some),
            (Some(UNKNOWN), _) => {
                self.detect(name, &stored).map(|(bytes, _)| Some(bytes)).ok_or_else(other_key)
            }
            (Some(id), Some(key)) if key.id() == id => {
                unseal(key, name, &stored).ok_or_else(damaged).map(Some)
            }
            (Some(_), _) => Err(other_key()),
        }
    }

    /// Detects the key that sealed a blob of an older journal: `Some(Some(id))` for the key in use, `Some(None)`
    /// for a plain blob, `None` if the blob does not exist or neither reading has the right digest.
    pub(crate) async fn detect_seal(
        &self,
        name: &str,
    ) -> Result<Option<Option<String>>, StoreError> {
        let stored = self.read_raw(name).await?;
        Ok(stored.and_then(|stored| self.detect(name, &stored)).map(|(_, seal)| seal))
    }

    /// Whether the blob `name` exists, readable or not.
    pub(crate) async fn exists(&self, name: &str) -> bool {
        let head = self.store.head(&Name::from(name)).await;
        !matches!(head, Err(object_store::Error::NotFound { .. }))
    }

    /// Tries the key in use, then no key. Returns the content and the id of the key that fits.
    fn detect(&self, name: &str, stored: &[u8]) -> Option<(Zeroizing<Vec<u8>>, Option<String>)> {
        let sealed = self.seal.as_ref().and_then(|key| unseal(key, name, stored));
        match sealed {
            Some(bytes) => Some((bytes, self.seal_id())),
            None => verify_plain(name, stored).map(|bytes| (bytes, None)),
        }
    }

    /// The file's bytes, sealed or plain; `None` if it does not exist.
    async fn read_raw(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.store.get(&Name::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => Ok(Some(Zeroizing::new(found?.bytes().await?.into()))),
        }
    }

    /// Deletes every blob that is not in `named`: a crash between writing a blob and writing its row leaves one.
    /// A blob that cannot be listed or deleted stays until the next start.
    pub(crate) async fn sweep(&self, named: &[String]) {
        let named: HashSet<&str> = named.iter().map(String::as_str).collect();
        let mut found = self.store.list(None);
        while let Some(blob) = found.next().await {
            let swept = match blob {
                Ok(blob) if named.contains(blob.location.as_ref()) => continue,
                Ok(blob) => self.delete(blob.location.as_ref()).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "an input that no job refers to could not be deleted");
            }
        }
    }

    /// The names of all blobs; an error for each entry that cannot be listed.
    pub(crate) async fn names(&self) -> Vec<Result<String, StoreError>> {
        let listed = self.store.list(None);
        listed.map(|blob| Ok(blob?.location.to_string())).collect().await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(&Name::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The bytes, if their digest is the one in the name; `None` otherwise.
fn verify_digest(name: &str, bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    // A name is `<digest>-<job number>`: each job has its own copy.
    let digest = name.split('-').next().unwrap_or(name);
    (blake3::hash(&bytes).to_hex().as_str() == digest).then_some(bytes)
}

/// The content of a plain blob, if its digest matches.
fn verify_plain(name: &str, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    verify_digest(name, Zeroizing::new(stored.to_vec()))
}

/// The content of a sealed blob, if the key opens it and its digest matches.
fn unseal(key: &SealKey, name: &str, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    verify_digest(name, key.open(name, stored).ok()?)
}

/// Syncs a directory, so that the names in it are durable.
pub(crate) fn sync(directory: &Path) -> Result<(), StoreError> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    std::fs::File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|source| StoreError::Io { path: directory.to_owned(), source })
}

/// Creates a directory with mode 0700, durably. An existing directory gets this mode too.
pub(crate) fn make_private(directory: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: directory.to_owned(), source };
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::create_dir_all(directory).map_err(io)?;
    // An existing directory is synced too: an earlier process may have crashed before its own sync.
    for created in missing.into_iter().chain([directory]) {
        sync(created.parent().unwrap_or(created))?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(directory).map_err(io)?;
        if metadata.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(
                |error| match error.kind() {
                    std::io::ErrorKind::PermissionDenied => {
                        StoreError::Foreign { path: directory.to_owned() }
                    }
                    _ => io(error),
                },
            )?;
        }
    }
    Ok(())
}
