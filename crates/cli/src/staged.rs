//! Atomic creation of a circuit's directory: it appears in its catalog complete or not at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use athanor_engine::{FileEntry, Manifest, NAME_RULE, is_name};
use athanor_groth16::digest_of;
use tempfile::TempDir;

use crate::failure::{Failure, Kind};

/// A temporary circuit directory. Dropping it before it is finished removes it and its files.
pub(crate) struct Staged {
    place: PathBuf,
    directory: TempDir,
}

impl Staged {
    /// Starts a circuit that is not in the catalog yet; creates the catalog if it does not exist.
    pub(crate) fn new(catalog: &Path, name: &str) -> Result<Self, Failure> {
        if !is_name(name) {
            let message = format_args!("{name:?} is not a valid circuit name: {NAME_RULE}");
            return Err(Failure::new(Kind::BadCircuit, message));
        }
        let place = catalog.join(name);
        if place.exists() {
            let message = "already exists: remove it first, or choose another name";
            return Err(Failure::at(Kind::BadCircuit, &place, message));
        }
        let unwritable = |error| Failure::at(Kind::Unwritable, catalog, error);
        fs::create_dir_all(catalog).map_err(unwritable)?;
        let directory = tempfile::Builder::new().prefix(".adding-").tempdir_in(catalog);
        Ok(Self { place, directory: directory.map_err(unwritable)? })
    }

    /// The temporary directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Copies a file; if `link` is set and the file system allows it, hard-links it instead.
    pub(crate) fn bring(
        &self,
        source: &Path,
        name: &Path,
        link: bool,
    ) -> Result<FileEntry, Failure> {
        let unreadable = |error| Failure::at(Kind::Unreadable, source, error);
        let target = self.path().join(name);
        // Resolves a symbolic link to the file itself.
        let original = source.canonicalize().map_err(unreadable)?;
        if !(link && fs::hard_link(&original, &target).is_ok()) {
            fs::copy(&original, &target).map_err(unreadable)?;
        }
        // The digest is of the copy, since the copy is what the service reads.
        let mut file = File::open(&target).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let digest = digest_of(&mut file).map_err(unreadable)?;
        let blake3 = blake3::Hash::from_bytes(digest).to_hex().to_string();
        Ok(FileEntry { path: name.to_owned(), blake3, bytes })
    }

    /// Writes the manifest and moves the directory into the catalog. Returns its path there.
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<PathBuf, Failure> {
        manifest.write(self.path())?;
        let staged = self.directory.keep();
        fs::rename(&staged, &self.place).map_err(|error| {
            let _ = fs::remove_dir_all(&staged);
            Failure::at(Kind::Unwritable, &self.place, error)
        })?;
        Ok(self.place)
    }
}
