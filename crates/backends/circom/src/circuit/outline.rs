//! The outline of a circuit's key: read from the key cache, or from the key's file and then stored in the cache.

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Mutex,
};

use athanor_groth16::{
    KeyFileError, KeyOutline, OutlineError, VerifyingKey, formats::zkey::ZkeyFile,
};
use athanor_kernels::Curve;
use blake3::Hash;

use super::keys::{KeyCache, bad_zkey};
use crate::{Fault, FaultKind};

/// An outline, and whether the cache lacks it.
pub(super) struct CachedOutline<C: Curve> {
    /// The outline itself.
    pub(super) contents: KeyOutline<C>,
    /// Digest under which the outline must still be stored.
    to_store: Mutex<Option<Hash>>,
}

impl<C: Curve> CachedOutline<C> {
    /// Reads the outline of the key `zkey` at `path`. `digest` is the digest that the key's file should have, if it
    /// is known; only then is the cache used.
    pub(super) fn read(
        zkey: ZkeyFile<File>,
        path: &Path,
        cache: &KeyCache,
        digest: Option<Hash>,
    ) -> Result<Self, Fault> {
        if let Some(digest) = digest {
            match KeyOutline::open(&path_in(cache, digest), digest.as_bytes()) {
                Ok(contents) if contents.header == *zkey.header() => {
                    return Ok(Self { contents, to_store: Mutex::new(None) });
                }
                // The file has been replaced since; loading the key reports that.
                Ok(_) => {}
                Err(KeyFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => (cache.warn)(&format!("{error}; reading {}", path.display())),
            }
        }
        let mut zkey = zkey.read_as::<C>().map_err(|error| bad_zkey(path, error))?;
        let contents = KeyOutline::from_zkey(&mut zkey).map_err(|error| match error {
            OutlineError::Zkey(error) => bad_zkey(path, error),
            OutlineError::VerifyingKey(error) => Fault::at(FaultKind::BadKeyPoint, path, error),
        })?;
        Ok(Self { contents, to_store: Mutex::new(digest) })
    }

    /// Stores the outline if the cache lacks it. `loaded` is the verifying key of the proving key, whose file had the
    /// expected digest when it was loaded; the outline was read earlier and may be of an older file.
    ///
    /// A failure is a warning: without the cache, only time is lost.
    pub(super) fn store(&self, cache: &KeyCache, loaded: &VerifyingKey<C>) {
        if *loaded != self.contents.verifying_key {
            return;
        }
        let digest = self.to_store.lock().unwrap_or_else(|error| error.into_inner()).take();
        let Some(digest) = digest else { return };
        if let Err(error) = self.contents.store(&path_in(cache, digest), digest.as_bytes()) {
            (cache.warn)(&error.to_string());
        }
    }
}

/// Path of the outline of the key with this digest.
fn path_in(cache: &KeyCache, digest: Hash) -> PathBuf {
    cache.directory.join(format!("{digest}.outline"))
}
