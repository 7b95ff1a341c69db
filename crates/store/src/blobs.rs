//! Inputs as files, each under the digest of its contents.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use zeroize::Zeroizing;

use crate::{SealKey, StoreError};

pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    seal: Option<SealKey>,
}

impl Blobs {
    pub(crate) fn open(directory: &Path, seal: Option<SealKey>) -> Result<Blobs, StoreError> {
        make_private(directory)?;
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

    /// The bytes under a name; none if they are gone.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let found = match self.store.get(&Name::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found?.bytes().await?,
        };
        let bytes = match &self.seal {
            Some(seal) => seal.open(name, &found)?,
            None => Zeroizing::new(found.to_vec()),
        };
        // The name is that of one job's copy: the digest, and then which job it belongs to.
        let digest = name.split('-').next().unwrap_or(name);
        match blake3::hash(&bytes).to_hex().as_str() == digest {
            true => Ok(Some(bytes)),
            false => Err(StoreError::Damaged { name: name.to_owned() }),
        }
    }

    /// Deletes every blob that is not named: what a crash left between a blob and its row.
    pub(crate) async fn sweep(&self, named: &[String]) -> Result<(), StoreError> {
        let named: HashSet<&str> = named.iter().map(String::as_str).collect();
        let mut found = self.store.list(None);
        while let Some(blob) = found.try_next().await? {
            let name = blob.location.to_string();
            if !named.contains(name.as_str()) {
                self.delete(&name).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(&Name::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
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
