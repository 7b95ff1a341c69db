//! Circom circuits from a catalog.

use std::{path::Path, sync::Arc};

use athanor_engine::{Backend, Circuit, Manifest, ManifestError, OpenError};

use crate::circuit::{self, Files, Settings};

/// Opens Circom circuits.
pub struct CircomBackend {
    settings: Settings,
}

/// The backend's name in manifests.
pub const BACKEND: &str = "circom";

impl CircomBackend {
    /// Creates the backend with these caches and limits.
    pub fn new(settings: Settings) -> CircomBackend {
        CircomBackend { settings }
    }
}

/// The files of a circuit of a catalog.
pub fn files(directory: &Path, manifest: &Manifest) -> Result<Files, ManifestError> {
    let optional = |name: &str| match manifest.files.contains_key(name) {
        true => manifest.file(directory, name).map(Some),
        false => Ok(None),
    };
    Ok(Files {
        zkey: manifest.file(directory, "zkey")?,
        wasm: optional("wasm")?,
        r1cs: optional("r1cs")?,
        sym: optional("sym")?,
        native: None,
        input: "the input".into(),
    })
}

impl Backend for CircomBackend {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn open(&self, directory: &Path, manifest: &Manifest) -> Result<Arc<dyn Circuit>, OpenError> {
        let files = files(directory, manifest).map_err(|error| {
            let code = match &error {
                ManifestError::Io { .. } => "unreadable",
                _ => "bad-circuit",
            };
            OpenError::new(code, error)
        })?;
        let origin = Some((directory.to_owned(), manifest.clone()));
        Ok(circuit::open(files, origin, self.settings.clone())?.circuit)
    }
}
