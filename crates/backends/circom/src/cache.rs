//! Cache of compiled modules between runs, in a directory that only this user can access.
//!
//! **Trust.** A compiled module is machine code: a process that can change an entry runs code as this
//! user at the next proof. The cache therefore accepts an entry only if the open file belongs to this
//! user, no other user may write to it, and its directory belongs to this user and is closed to
//! others. The digest in each entry detects damage (a torn write, a bad disk), not attacks: a process
//! that can write as this user can also write a digest, but it already runs code as this user. A
//! secret key stored beside the entries would be as readable as they are, so there is none. The
//! superuser is trusted.

use std::{
    fs::File,
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use wasmtime::{Engine, Module};

/// First bytes of an entry: its kind and the version of its layout.
const MAGIC: &[u8; 16] = b"athanor module 1";
/// Magic, key, digest of the artefact.
const HEADER: usize = MAGIC.len() + 32 + 32;
/// Largest entry that is read back.
const LARGEST_ENTRY: u64 = 2 << 30;
const EXTENSION: &str = "module";

/// A private directory of compiled modules.
#[derive(Clone, Debug)]
pub struct ModuleCache {
    dir: PathBuf,
    limit: u64,
}

/// Why the cache was not used. No proof needs to fail for it: the module is compiled instead.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file or directory is accessible to other users, or belongs to one.
    #[error(
        "{} is not private: {why}; it holds machine code that will be run, so make it yours with \
         mode 0700 or choose another directory",
        path.display()
    )]
    NotPrivate {
        /// The directory or the entry.
        path: PathBuf,
        /// The fault.
        why: &'static str,
    },
    /// An entry is damaged, or stored under the wrong name.
    #[error("{} is damaged ({why}); it will be replaced", path.display())]
    Damaged {
        /// The entry.
        path: PathBuf,
        /// The fault.
        why: &'static str,
    },
    /// A file system operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory or the entry.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The module cannot be serialized or deserialized.
    #[error("{}: {why}", path.display())]
    Module {
        /// The entry.
        path: PathBuf,
        /// wasmtime's error.
        why: String,
    },
}

/// The key of a module: a digest of its bytes and of everything that its compilation depends on
/// (wasmtime's version, its settings, the processor's features).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(blake3::Hash);

impl Key {
    pub(crate) fn of(engine: &Engine, wasm: &[u8]) -> Self {
        struct Absorb(blake3::Hasher);
        impl Hasher for Absorb {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
            fn finish(&self) -> u64 {
                unreachable!("only what was written counts")
            }
        }
        let mut absorb = Absorb(blake3::Hasher::new_derive_key("athanor compiled module key 1"));
        absorb.0.update(blake3::hash(wasm).as_bytes());
        engine.precompile_compatibility_hash().hash(&mut absorb);
        Self(absorb.0.finalize())
    }
}

/// A compiled module that this program stored. Only [`ModuleCache::read`] creates one;
/// [`crate::trusted`] relies on that.
pub(crate) struct OwnEntry {
    bytes: Vec<u8>,
}

impl OwnEntry {
    pub(crate) fn artefact(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }
}

impl ModuleCache {
    /// The default for [`ModuleCache::with_limit`], in bytes.
    pub const DEFAULT_LIMIT: u64 = 1 << 30;

    /// Opens a directory; creates it with mode 0700 if it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let dir = dir.into();
        private::create_dir(&dir).map_err(|source| CacheError::Io { path: dir.clone(), source })?;
        let meta = dir
            .symlink_metadata()
            .map_err(|source| CacheError::Io { path: dir.clone(), source })?;
        match private::dir_problem(&meta) {
            Some(why) => Err(CacheError::NotPrivate { path: dir, why }),
            None => Ok(Self { dir, limit: Self::DEFAULT_LIMIT }),
        }
    }

    /// Sets the size limit of all entries together in bytes. The least recently used are removed first.
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Finds a module; `None` if there is none under this key.
    pub(crate) fn load(&self, engine: &Engine, key: Key) -> Result<Option<Module>, CacheError> {
        let path = self.path(key);
        let Some(entry) = self.read(&path, key)? else {
            return Ok(None);
        };
        let module = crate::trusted::module_of(engine, &entry)
            .map_err(|error| CacheError::Module { path, why: error.to_string() })?;
        Ok(Some(module))
    }

    /// Reads an entry and checks its owner, through one open file, so that it cannot change in
    /// between.
    fn read(&self, path: &Path, key: Key) -> Result<Option<OwnEntry>, CacheError> {
        let io = |source| CacheError::Io { path: path.to_owned(), source };
        let damaged = |why| CacheError::Damaged { path: path.to_owned(), why };
        let mut file = match private::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let meta = file.metadata().map_err(io)?;
        if let Some(why) = private::entry_problem(&meta) {
            return Err(CacheError::NotPrivate { path: path.to_owned(), why });
        }
        if !(HEADER as u64..=LARGEST_ENTRY).contains(&meta.len()) {
            return Err(damaged("wrong size"));
        }
        let mut bytes = Vec::with_capacity(meta.len() as usize + 1);
        Read::by_ref(&mut file).take(meta.len() + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 != meta.len() {
            return Err(damaged("changed while it was read"));
        }
        let (magic, rest) = bytes.split_at(MAGIC.len());
        let (stored_key, rest) = rest.split_at(32);
        let (digest, artefact) = rest.split_at(32);
        if magic != MAGIC {
            return Err(damaged("not a compiled module of this version"));
        }
        if stored_key != key.0.as_bytes() {
            return Err(damaged("stored under the name of a different module"));
        }
        if digest != blake3::hash(artefact).as_bytes() {
            return Err(damaged("its digest does not match"));
        }
        // Marks the entry as just used. On a read-only disk this fails, and the cache still works.
        let _ = file.set_modified(std::time::SystemTime::now());
        Ok(Some(OwnEntry { bytes }))
    }

    /// Stores a module atomically.
    pub(crate) fn store(&self, key: Key, module: &Module) -> Result<(), CacheError> {
        let path = self.path(key);
        let artefact = module
            .serialize()
            .map_err(|error| CacheError::Module { path: path.clone(), why: error.to_string() })?;
        let io = |source| CacheError::Io { path: path.clone(), source };
        // Temporary files are created with mode 0600.
        let mut file = tempfile::Builder::new().tempfile_in(&self.dir).map_err(io)?;
        for part in [&MAGIC[..], key.0.as_bytes(), blake3::hash(&artefact).as_bytes(), &artefact] {
            file.write_all(part).map_err(io)?;
        }
        file.persist(&path).map_err(|error| io(error.error))?;
        self.evict(&path).map_err(io)
    }

    /// Removes the least recently used entries until the rest fits; never removes `keep`.
    fn evict(&self, keep: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in self.dir.read_dir()? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|ext| ext == EXTENSION) {
                let meta = entry.metadata()?;
                entries.push((path == keep, meta.modified()?, meta.len(), path));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|entry| entry.2).sum();
        for (kept, _, bytes, path) in entries {
            if total <= self.limit || kept {
                break;
            }
            std::fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }

    fn path(&self, key: Key) -> PathBuf {
        self.dir.join(key.0.to_hex().as_str()).with_extension(EXTENSION)
    }
}

#[cfg(unix)]
mod private {
    use std::{
        fs::{DirBuilder, Metadata, OpenOptions},
        os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    };

    use super::{File, Path, io};

    pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
    }

    pub(super) fn dir_problem(meta: &Metadata) -> Option<&'static str> {
        if !meta.is_dir() {
            return Some("it is not a directory");
        }
        problem(meta.uid(), meta.mode() & 0o077 != 0)
    }

    pub(super) fn entry_problem(meta: &Metadata) -> Option<&'static str> {
        if !meta.is_file() {
            return Some("it is not a file");
        }
        problem(meta.uid(), meta.mode() & 0o022 != 0)
    }

    fn problem(owner: u32, open_to_others: bool) -> Option<&'static str> {
        if owner != rustix::process::geteuid().as_raw() {
            Some("it belongs to another user")
        } else if open_to_others {
            Some("its mode allows access by other users")
        } else {
            None
        }
    }
}

/// On other systems the owner of a file cannot be checked, so nothing is cached.
#[cfg(not(unix))]
mod private {
    use std::fs::Metadata;

    use super::{File, Path, io};

    pub(super) fn create_dir(_: &Path) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "file ownership cannot be checked on this system",
        ))
    }

    pub(super) fn open(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn dir_problem(_: &Metadata) -> Option<&'static str> {
        Some("ownership cannot be checked")
    }

    pub(super) fn entry_problem(_: &Metadata) -> Option<&'static str> {
        Some("ownership cannot be checked")
    }
}

#[cfg(all(test, unix))]
#[path = "cache_tests.rs"]
mod tests;
