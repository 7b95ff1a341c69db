//! A directory of circuits, each in a directory of its own with a manifest.

use crate::backend::{Backend, Circuit, OpenError};
use crate::manifest::{MANIFEST, Manifest, ManifestError, is_name};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Circuits on disk. Nothing is loaded by looking.
#[derive(Debug, Clone)]
pub struct Catalog {
    directory: PathBuf,
}

/// Why a circuit of the catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// There is none of that name.
    #[error("{}: has no circuit {name:?}", directory.display())]
    Unknown {
        /// The catalog.
        directory: PathBuf,
        /// The name.
        name: String,
    },
    /// Its manifest or a file of it.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No backend of that name is here.
    #[error("circuit {circuit:?} wants backend {backend:?}, which this program does not have")]
    NoBackend {
        /// The circuit.
        circuit: String,
        /// The backend.
        backend: String,
    },
    /// The backend does not take it.
    #[error("circuit {circuit:?}: {source}")]
    Open {
        /// The circuit.
        circuit: String,
        /// Why.
        source: OpenError,
    },
}

impl Catalog {
    /// The circuits in that directory.
    pub fn new(directory: impl Into<PathBuf>) -> Catalog {
        Catalog { directory: directory.into() }
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of a circuit of that name, whether it is there or not.
    pub fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Names of all circuits, in order.
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

    /// A circuit's manifest.
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
