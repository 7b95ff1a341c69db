//! A circuit's directory in the making: it stands in its catalog whole or not at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use athanor_engine::{FileEntry, Manifest, NAME_RULE, is_name};
use athanor_groth16::digest_of;
use tempfile::TempDir;

use crate::failure::{Failure, Kind};

/// See the module. Dropped unfinished, it is gone with all its files.
pub(crate) struct Staged {
    place: PathBuf,
    directory: TempDir,
}

impl Staged {
    /// For a circuit that the catalog does not have yet; the catalog is made if it is not there.
    pub(crate) fn new(catalog: &Path, name: &str) -> Result<Self, Failure> {
        if !is_name(name) {
            let message = format_args!("{name:?} is no name for a circuit: {NAME_RULE}");
            return Err(Failure::new(Kind::BadCircuit, message));
        }
        let place = catalog.join(name);
        if place.exists() {
            let message = "is there already: remove it first, or choose another name";
            return Err(Failure::at(Kind::BadCircuit, &place, message));
        }
        let unwritable = |error| Failure::at(Kind::Unwritable, catalog, error);
        fs::create_dir_all(catalog).map_err(unwritable)?;
        let directory = tempfile::Builder::new().prefix(".adding-").tempdir_in(catalog);
        Ok(Self { place, directory: directory.map_err(unwritable)? })
    }

    /// Where its files are for now.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Copies a file, or, where the file system allows it and `link` is set, links it.
    pub(crate) fn bring(
        &self,
        source: &Path,
        name: &Path,
        link: bool,
    ) -> Result<FileEntry, Failure> {
        let unreadable = |error| Failure::at(Kind::Unreadable, source, error);
        let target = self.path().join(name);
        // The file itself, where the name is a symbolic link to it.
        let original = source.canonicalize().map_err(unreadable)?;
        if !(link && fs::hard_link(&original, &target).is_ok()) {
            fs::copy(&original, &target).map_err(unreadable)?;
        }
        // The digest is the copy's: what is served is what was digested.
        let mut file = File::open(&target).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let digest = digest_of(&mut file).map_err(unreadable)?;
        let blake3 = blake3::Hash::from_bytes(digest).to_hex().to_string();
        Ok(FileEntry { path: name.to_owned(), blake3, bytes })
    }

    /// Writes the manifest and puts the directory in its place, which is returned.
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
