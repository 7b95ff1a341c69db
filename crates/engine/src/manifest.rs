//! `circuit.toml`: the manifest of a circuit's directory, with files, digests and measured claims.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// File name of the manifest in a circuit's directory.
pub const MANIFEST: &str = "circuit.toml";

/// Bytes of a manifest that are read at most.
const LARGEST: u64 = 1 << 20;

/// The manifest of a circuit on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The circuit's name.
    pub name: String,
    /// The backend that opens it.
    pub backend: String,
    /// The proof system, for people.
    pub proof_system: String,
    /// The curve or field.
    pub curve: String,
    /// Number of partitions of one job.
    pub partitions: u32,
    /// Bytes of each resident key, by the key's name.
    #[serde(default)]
    pub keys: BTreeMap<String, u64>,
    /// Further settings for the backend, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The circuit's files by purpose.
    pub files: BTreeMap<String, FileEntry>,
    /// Memory and time of each stage, by the stage's name.
    #[serde(default)]
    pub stages: BTreeMap<String, StageEntry>,
}

/// One file of a circuit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path relative to the circuit's directory.
    pub path: PathBuf,
    /// BLAKE3 digest in hexadecimal.
    pub blake3: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// Memory and time of one run of a stage, as measured when the circuit was added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageEntry {
    /// Peak memory in bytes, including the input.
    pub peak: u64,
    /// Bytes that stay reserved for the next stage.
    pub keeps: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Reason that a circuit's directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The manifest is not valid.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file differs from its entry in the manifest.
    #[error(
        "{}: is not the file that was added ({what} differs): add the circuit again if the change \
         is meant", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The property that differs: length or digest.
        what: &'static str,
    },
    /// The manifest does not name a required file.
    #[error("{}: names no file {name:?}", directory.display())]
    Missing {
        /// The circuit's directory.
        directory: PathBuf,
        /// The file's purpose.
        name: String,
    },
}

impl Manifest {
    /// Reads and checks the manifest of a circuit's directory.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Io`] or [`ManifestError::Malformed`].
    pub fn read(directory: &Path) -> Result<Manifest, ManifestError> {
        let path = directory.join(MANIFEST);
        let io = |source| ManifestError::Io { path: path.clone(), source };
        let mut text = String::new();
        let file = File::open(&path).map_err(io)?;
        file.take(LARGEST).read_to_string(&mut text).map_err(io)?;
        let malformed = |why: String| ManifestError::Malformed { path: path.clone(), why };
        let manifest: Manifest = toml::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        manifest.check().map_err(malformed)?;
        Ok(manifest)
    }

    /// Writes the manifest to a temporary file and renames the file.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Io`] or [`ManifestError::Malformed`].
    pub fn write(&self, directory: &Path) -> Result<(), ManifestError> {
        let path = directory.join(MANIFEST);
        let io = |source| ManifestError::Io { path: path.clone(), source };
        self.check().map_err(|why| ManifestError::Malformed { path: path.clone(), why })?;
        let text = toml::to_string(self).map_err(|error| ManifestError::Malformed {
            path: path.clone(),
            why: error.to_string(),
        })?;
        let staged = directory.join(".circuit.toml.new");
        let mut file = File::create(&staged).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::rename(&staged, &path).map_err(io)
    }

    /// The path of a file, after a check of its length. The reader of the file must check its digest.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Missing`], [`ManifestError::Io`], or [`ManifestError::Changed`] if the length
    /// differs.
    pub fn file(&self, directory: &Path, name: &str) -> Result<PathBuf, ManifestError> {
        let entry = self.files.get(name).ok_or_else(|| ManifestError::Missing {
            directory: directory.to_owned(),
            name: name.to_owned(),
        })?;
        let path = directory.join(&entry.path);
        let metadata =
            path.metadata().map_err(|source| ManifestError::Io { path: path.clone(), source })?;
        match metadata.len() == entry.bytes {
            true => Ok(path),
            false => Err(ManifestError::Changed { path, what: "its length" }),
        }
    }

    /// Compares the digest of a file with the manifest.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Missing`], or [`ManifestError::Changed`] if the digest differs.
    pub fn check_digest(
        &self,
        directory: &Path,
        name: &str,
        digest: &[u8; 32],
    ) -> Result<(), ManifestError> {
        let entry = self.files.get(name).ok_or_else(|| ManifestError::Missing {
            directory: directory.to_owned(),
            name: name.to_owned(),
        })?;
        match blake3::Hash::from_bytes(*digest).to_hex().as_str() == entry.blake3 {
            true => Ok(()),
            false => {
                let path = directory.join(&entry.path);
                Err(ManifestError::Changed { path, what: "its digest" })
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("{:?} is no name for a circuit: {NAME_RULE}", self.name));
        }
        for (name, file) in &self.files {
            let below = file.path.components().all(|part| matches!(part, Component::Normal(_)));
            if !below || file.path.as_os_str().is_empty() {
                return Err(format!("file {name:?} lies outside of the circuit's directory"));
            }
        }
        for (stage, entry) in &self.stages {
            let sane =
                entry.keeps <= entry.peak && entry.seconds.is_finite() && entry.seconds >= 0.0;
            if !sane {
                return Err(format!("stage {stage:?} keeps more than its peak, or takes no time"));
            }
        }
        Ok(())
    }
}

/// The rule of [`is_name`] for error messages.
pub const NAME_RULE: &str =
    "use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', the first a letter or a digit";

/// Whether a text is a valid name of a circuit and its directory.
pub fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.len() <= 64
        && name.chars().all(known)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = FileEntry { path: "key.bin".into(), blake3: "00".into(), bytes: 3 };
        Manifest {
            name: "tree-20".into(),
            backend: "circom".into(),
            proof_system: "groth16".into(),
            curve: "bn254".into(),
            partitions: 1,
            keys: [("proving".to_owned(), 7)].into(),
            options: [("sector".to_owned(), "2KiB".to_owned())].into(),
            files: [("zkey".to_owned(), file)].into(),
            stages: [("prove".to_owned(), StageEntry { peak: 5, keeps: 2, seconds: 0.5 })].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        manifest().write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest());
    }

    #[test]
    fn a_path_that_leads_out_of_the_directory_is_refused() {
        for path in ["../key.bin", "/etc/passwd", "a/../../b", ""] {
            let mut bad = manifest();
            bad.files.get_mut("zkey").unwrap().path = path.into();
            let dir = tempfile::tempdir().unwrap();
            assert!(
                matches!(bad.write(dir.path()), Err(ManifestError::Malformed { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn names_are_directories_and_nothing_else() {
        for good in ["a", "sha256-448", "Tree_20.v2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "-x", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_changed_file_is_noticed_by_length_and_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.bin");
        std::fs::write(&path, b"key").unwrap();
        let mut manifest = manifest();
        let digest = *blake3::hash(b"key").as_bytes();
        manifest.files.get_mut("zkey").unwrap().blake3 = blake3::hash(b"key").to_hex().to_string();
        assert_eq!(manifest.file(dir.path(), "zkey").unwrap(), path);
        manifest.check_digest(dir.path(), "zkey", &digest).unwrap();
        let error = manifest.check_digest(dir.path(), "zkey", &[1; 32]).unwrap_err();
        assert!(matches!(error, ManifestError::Changed { .. }));
        std::fs::write(&path, b"keys").unwrap();
        let error = manifest.file(dir.path(), "zkey").unwrap_err();
        assert!(matches!(error, ManifestError::Changed { .. }));
        assert!(matches!(manifest.file(dir.path(), "wasm"), Err(ManifestError::Missing { .. })));
    }
}
