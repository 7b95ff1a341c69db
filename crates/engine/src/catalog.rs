//! [`Catalog`]: a directory of circuits, with one subdirectory and manifest for each circuit.

use crate::backend::{Backend, Circuit, OpenError};
use crate::manifest::{MANIFEST, Manifest, ManifestError, is_name};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of circuits on disk. Its methods load no keys.
#[derive(Debug, Clone)]
pub struct Catalog {
    directory: PathBuf,
}

/// Reason that a circuit of the catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The catalog has no circuit of that name.
    #[error("{}: has no circuit {name:?}", directory.display())]
    Unknown {
        /// The catalog's directory.
        directory: PathBuf,
        /// The circuit's name.
        name: String,
    },
    /// The manifest or a file of the circuit cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The program has no backend of that name.
    #[error("circuit {circuit:?} wants backend {backend:?}, which this program does not have")]
    NoBackend {
        /// The circuit's name.
        circuit: String,
        /// The backend's name.
        backend: String,
    },
    /// The backend cannot open the circuit.
    #[error("circuit {circuit:?}: {source}")]
    Open {
        /// The circuit's name.
        circuit: String,
        /// The backend's error.
        source: OpenError,
    },
}

impl Catalog {
    /// The catalog in a directory. It does not access the file system.
    pub fn new(directory: impl Into<PathBuf>) -> Catalog {
        Catalog { directory: directory.into() }
    }

    /// The catalog's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of a circuit of the given name. It need not exist.
    pub fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The names of all circuits in ascending order.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Io`] if the directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, ManifestError> {
        let io = |source| ManifestError::Io { path: self.directory.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_name(&name) && entry.path().join(MANIFEST).is_file() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads a circuit's manifest.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] if there is no such circuit, or its manifest is not valid.
    pub fn manifest(&self, name: &str) -> Result<Manifest, CatalogError> {
        let directory = self.place(name);
        if !is_name(name) || !directory.join(MANIFEST).is_file() {
            let (directory, name) = (self.directory.clone(), name.to_owned());
            return Err(CatalogError::Unknown { directory, name });
        }
        let manifest = Manifest::read(&directory)?;
        if manifest.name != name {
            let why = format!("is for {:?}, not for its directory's name", manifest.name);
            return Err(ManifestError::Malformed { path: directory.join(MANIFEST), why }.into());
        }
        Ok(manifest)
    }

    /// Opens a circuit with the backend that its manifest names.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] if the manifest, the backend or the circuit's files cannot be used.
    pub fn open(
        &self,
        name: &str,
        backends: &[Arc<dyn Backend>],
    ) -> Result<Arc<dyn Circuit>, CatalogError> {
        let manifest = self.manifest(name)?;
        let backend = backends.iter().find(|backend| backend.name() == manifest.backend);
        let backend = backend.ok_or_else(|| CatalogError::NoBackend {
            circuit: name.to_owned(),
            backend: manifest.backend.clone(),
        })?;
        backend
            .open(&self.place(name), &manifest)
            .map_err(|source| CatalogError::Open { circuit: name.to_owned(), source })
    }
}
