//! Inputs as files, each under the digest of its contents.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use zeroize::Zeroizing;

use crate::{SealKey, StoreError};

/// Stands for the key's id where an older journal did not write it down.
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

    /// Opens a directory that is there, and changes nothing.
    pub(crate) fn open_existing(
        directory: &Path,
        seal: Option<SealKey>,
    ) -> Result<Blobs, StoreError> {
        // A blob is named by a row that is synced; so must the blob be, and before it.
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Blobs { store: Arc::new(store), seal })
    }

    /// Keeps bytes under their name, which is what they are found by.
    pub(crate) async fn put(&self, digest: &str, bytes: &[u8]) -> Result<String, StoreError> {
        let name = digest.to_owned();
        let kept = match &self.seal {
            Some(seal) => seal.close(&name, bytes)?,
            None => bytes.to_vec(),
        };
        self.store.put(&Name::from(name.as_str()), PutPayload::from(kept)).await?;
        Ok(name)
    }

    /// The id of the key in use.
    pub(crate) fn seal_id(&self) -> Option<String> {
        self.seal.as_ref().map(SealKey::id)
    }

    /// The bytes under a name; none if they are gone. `seal` is the id of the key that they were sealed with.
    pub(crate) async fn get(
        &self,
        name: &str,
        seal: Option<&str>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(found) = self.raw(name).await? else { return Ok(None) };
        let damaged = || StoreError::Damaged { name: name.to_owned() };
        let other_key = || StoreError::Sealed { name: name.to_owned() };
        match (seal, &self.seal) {
            (None, _) => plain(name, &found).ok_or_else(damaged).map(Some),
            (Some(UNKNOWN), _) => {
                self.guess(name, &found).map(|(bytes, _)| Some(bytes)).ok_or_else(other_key)
            }
            (Some(id), Some(key)) if key.id() == id => {
                unseal(key, name, &found).ok_or_else(damaged).map(Some)
            }
            (Some(_), _) => Err(other_key()),
        }
    }

    /// Which key sealed a blob of an older journal: the one in use, or none. Nothing if neither fits.
    pub(crate) async fn seal_of(&self, name: &str) -> Result<Option<Option<String>>, StoreError> {
        let found = self.raw(name).await?;
        Ok(found.and_then(|found| self.guess(name, &found)).map(|(_, seal)| seal))
    }

    /// Whether there is a blob of that name, readable or not.
    pub(crate) async fn exists(&self, name: &str) -> bool {
        let head = self.store.head(&Name::from(name)).await;
        !matches!(head, Err(object_store::Error::NotFound { .. }))
    }

    fn guess(&self, name: &str, found: &[u8]) -> Option<(Zeroizing<Vec<u8>>, Option<String>)> {
        let sealed = self.seal.as_ref().and_then(|key| unseal(key, name, found));
        match sealed {
            Some(bytes) => Some((bytes, self.seal_id())),
            None => plain(name, found).map(|bytes| (bytes, None)),
        }
    }

    async fn raw(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.store.get(&Name::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => Ok(Some(Zeroizing::new(found?.bytes().await?.into()))),
        }
    }

    /// Deletes every blob that is not named: what a crash left between a blob and its row. What cannot be read or
    /// deleted stays until the next start.
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
                tracing::warn!(%error, "an input that no job needs could not be deleted");
            }
        }
    }

    /// The names of all blobs, and of what cannot be listed why.
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

/// The bytes, if they have the digest that their name says.
fn checked(name: &str, bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    // The name is that of one job's copy: the digest, and then which job it belongs to.
    let digest = name.split('-').next().unwrap_or(name);
    (blake3::hash(&bytes).to_hex().as_str() == digest).then_some(bytes)
}

fn plain(name: &str, found: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    checked(name, Zeroizing::new(found.to_vec()))
}

fn unseal(key: &SealKey, name: &str, found: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    checked(name, key.open(name, found).ok()?)
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<(), StoreError> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    std::fs::File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|source| StoreError::Io { path: directory.to_owned(), source })
}

/// Makes a directory that is this user's alone, and that a power cut does not take away.
pub(crate) fn make_private(directory: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: directory.to_owned(), source };
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::create_dir_all(directory).map_err(io)?;
    // One that is there may be what a crash left before this.
    for made in missing.into_iter().chain([directory]) {
        sync(made.parent().unwrap_or(made))?;
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
