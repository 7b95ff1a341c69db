//! Proving keys: read from a cache of converted keys, or converted and stored there.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use athanor_groth16::{
    ConvertError, KeyFileError, NativeKey, ProvingKey, digest_of,
    formats::{BinFileError, ZkeyError, zkey::ZkeyFile},
};
use athanor_kernels::{Curve, CurveId, Device, cpu::Cpu};
use blake3::Hash;

use crate::{Fault, FaultKind};

/// A resident key and its origin.
pub struct LoadedKey<C: Curve>
where
    Cpu: Device<C>,
{
    /// The key.
    pub key: ProvingKey<C, Cpu>,
    /// Origin of the key.
    pub source: KeySource,
}

/// Origin of a resident key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Read from the cache.
    Cached,
    /// Converted by this call and stored in the cache.
    Converted,
}

impl KeySource {
    /// Name for messages and JSON.
    pub fn name(self) -> &'static str {
        match self {
            KeySource::Cached => "cached",
            KeySource::Converted => "converted",
        }
    }
}

/// The curve of a proving key.
pub fn curve_of(path: &Path) -> Result<CurveId, Fault> {
    Ok(open_zkey(path)?.curve())
}

/// Opens a `.zkey` and reads its header.
pub(crate) fn open_zkey(path: &Path) -> Result<ZkeyFile<File>, Fault> {
    ZkeyFile::open(open(path)?).map_err(|error| bad_zkey(path, error))
}

/// The cache of converted keys.
#[derive(Clone)]
pub struct KeyCache {
    /// The directory.
    pub directory: PathBuf,
    /// Receives warnings.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Called for every converted key that was used or stored.
    pub kept: OnKept,
}

/// Callback with a converted key's path and whether it was read or made.
pub type OnKept = Arc<dyn Fn(&Path, KeySource) + Send + Sync>;

/// Makes a `.zkey` resident; converts it if the cache does not have it. Tables take at most `tables` bytes.
/// Refuses a key whose digest `expected` does not accept.
pub fn load<C: Curve>(
    path: &Path,
    cache: &KeyCache,
    tables: u64,
    expected: impl Fn(&[u8; 32]) -> Result<(), Fault>,
) -> Result<LoadedKey<C>, Fault>
where
    Cpu: Device<C>,
{
    let unreadable = |error| Fault::at(FaultKind::Unreadable, path, error);
    let mut file = open(path)?;
    let digest = digest_of(&mut file).map_err(unreadable)?;
    expected(&digest)?;
    let KeyCache { directory, warn, kept } = cache;
    let tables = usize::try_from(tables).unwrap_or(usize::MAX);
    let layout = Device::<C>::layout(&Cpu).name;
    let cached = directory.join(format!("{}.{layout}.key", Hash::from_bytes(digest)));
    match NativeKey::<C>::open(&cached) {
        Ok(native) if native.source == digest && native.layout == layout => {
            kept(&cached, KeySource::Cached);
            return Ok(LoadedKey {
                key: ProvingKey::load_with_tables(Cpu, native, tables)?,
                source: KeySource::Cached,
            });
        }
        Ok(_) => warn(&format!("{}: contains a different key; converting again", cached.display())),
        Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error @ KeyFileError::Memory(_)) => return Err(error.into()),
        Err(error) => warn(&format!("{error}; converting again")),
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let native = convert::<C>(path, &mut file, digest)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    if digest_of(&mut file).map_err(unreadable)? != digest {
        return Err(Fault::at(FaultKind::Unreadable, path, "changed while it was read; try again"));
    }
    native.store(&cached)?;
    kept(&cached, KeySource::Converted);
    let key = ProvingKey::load_with_tables(Cpu, native, tables)?;
    Ok(LoadedKey { key, source: KeySource::Converted })
}

fn convert<C: Curve>(path: &Path, file: &mut File, digest: [u8; 32]) -> Result<NativeKey<C>, Fault>
where
    Cpu: Device<C>,
{
    let zkey = ZkeyFile::open(file).map_err(|error| bad_zkey(path, error))?;
    let mut zkey = zkey.read_as::<C>().map_err(|error| bad_zkey(path, error))?;
    NativeKey::from_zkey(&Cpu, &mut zkey, digest).map_err(|error| match error {
        ConvertError::Zkey(error) => bad_zkey(path, error),
        ConvertError::Domain(error) => Fault::at(FaultKind::BadKey, path, error),
        ConvertError::Memory(error) => Fault::at(FaultKind::OutOfMemory, path, error),
    })
}

/// The fault for a malformed proving key.
pub fn bad_zkey(path: &Path, error: ZkeyError) -> Fault {
    let kind = match &error {
        ZkeyError::Container(BinFileError::Io { .. }) => FaultKind::Unreadable,
        ZkeyError::Protocol { .. } | ZkeyError::Prime(_) | ZkeyError::WrongCurve { .. } => {
            FaultKind::Unsupported
        }
        ZkeyError::NotOnCurve { .. }
        | ZkeyError::NotInSubgroup { .. }
        | ZkeyError::Infinity { .. } => FaultKind::BadKeyPoint,
        _ => FaultKind::BadKey,
    };
    Fault::at(kind, path, error)
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, Fault> {
    let unreadable = |error: std::io::Error| Fault::at(FaultKind::Unreadable, path, error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Fault::at(FaultKind::Unreadable, path, "is a directory"));
    }
    Ok(file)
}
