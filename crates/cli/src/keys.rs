//! Proving keys for commands: found in the cache, or converted and put there.

use std::{
    env,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use athanor_groth16::{
    ConvertError, KeyFileError, NativeKey, ProvingKey, Standing, VerifyingKey, digest_of,
    formats::{BinFileError, ZkeyError, zkey::ZkeyFile},
};
use athanor_kernels::{Curve, CurveId, Device, cpu::Cpu};

use crate::{
    cache,
    failure::{Failure, Kind},
    output::warn,
};

/// A resident key and how it came to be.
pub struct LoadedKey<C: Curve>
where
    Cpu: Device<C>,
{
    /// The key.
    pub key: ProvingKey<C, Cpu>,
    /// How it was made ready.
    pub source: KeySource,
}

/// How a key was made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A cached conversion was read.
    Cached,
    /// It was converted just now, and the conversion kept.
    Converted,
}

impl KeySource {
    /// For people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            KeySource::Cached => "cached",
            KeySource::Converted => "converted",
        }
    }
}

/// The curve a proving key is for.
pub fn curve_of(path: &Path) -> Result<CurveId, Failure> {
    let file = ZkeyFile::open(open(path)?).map_err(|error| bad_zkey(path, error))?;
    Ok(file.curve())
}

/// Makes a `.zkey` resident, converting it if no conversion is cached.
pub fn load<C: Curve>(path: &Path) -> Result<LoadedKey<C>, Failure>
where
    Cpu: Device<C>,
{
    let unreadable = |error| Failure::at(Kind::Unreadable, path, error);
    let mut file = open(path)?;
    let digest = digest_of(&mut file).map_err(unreadable)?;
    let directory = cache_directory("keys")?;
    let layout = Device::<C>::layout(&Cpu).name;
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let cached = directory.join(format!("{hex}.{layout}.key"));
    match NativeKey::<C>::open(&cached) {
        Ok(native) if native.source == digest && native.layout == layout => {
            cache::note_use(&cached);
            return Ok(LoadedKey {
                key: ProvingKey::load(Cpu, native)?,
                source: KeySource::Cached,
            });
        }
        Ok(_) => warn(&format!("{}: holds another key; converting again", cached.display())),
        Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error @ KeyFileError::Memory(_)) => return Err(error.into()),
        Err(error) => warn(&format!("{error}; converting again")),
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let native = convert::<C>(path, &mut file, digest)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    if digest_of(&mut file).map_err(unreadable)? != digest {
        return Err(Failure::at(Kind::Unreadable, path, "changed while it was read; try again"));
    }
    native.store(&cached)?;
    cache::keep_within_limit(&cached)?;
    Ok(LoadedKey { key: ProvingKey::load(Cpu, native)?, source: KeySource::Converted })
}

fn convert<C: Curve>(
    path: &Path,
    file: &mut File,
    digest: [u8; 32],
) -> Result<NativeKey<C>, Failure>
where
    Cpu: Device<C>,
{
    let zkey = ZkeyFile::open(file).map_err(|error| bad_zkey(path, error))?;
    let mut zkey = zkey.read_as::<C>().map_err(|error| bad_zkey(path, error))?;
    NativeKey::from_zkey(&Cpu, &mut zkey, digest).map_err(|error| match error {
        ConvertError::Zkey(error) => bad_zkey(path, error),
        ConvertError::Domain(error) => Failure::at(Kind::BadKey, path, error),
        ConvertError::Memory(error) => Failure::at(Kind::OutOfMemory, path, error),
    })
}

/// Says what a key's making means, where it means that proofs are worth nothing.
pub fn warn_of_standing<C: Curve>(key: &VerifyingKey<C>) {
    if key.standing() == Standing::NoContribution {
        warn(
            "nobody contributed to this key (delta = gamma): ANYONE CAN FORGE PROOFS for it. \
             Use it for tests only.",
        );
    }
}

/// The standing's name in JSON.
pub fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::NoContribution => "no-contribution",
        Standing::Contributed => "contributed",
    }
}

/// A proving key that is not what it should be.
pub(crate) fn bad_zkey(path: &Path, error: ZkeyError) -> Failure {
    let kind = match &error {
        ZkeyError::Container(BinFileError::Io { .. }) => Kind::Unreadable,
        ZkeyError::Protocol { .. } | ZkeyError::Prime(_) | ZkeyError::WrongCurve { .. } => {
            Kind::Unsupported
        }
        ZkeyError::NotOnCurve { .. }
        | ZkeyError::NotInSubgroup { .. }
        | ZkeyError::Infinity { .. } => Kind::BadKeyPoint,
        _ => Kind::BadKey,
    };
    Failure::at(kind, path, error)
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: std::io::Error| Failure::at(Kind::Unreadable, path, error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::at(Kind::Unreadable, path, "is a directory"));
    }
    Ok(file)
}

/// Reads a whole text, of at most so many bytes.
pub fn read_text(path: &Path, limit: u64, too_large: Kind) -> Result<String, Failure> {
    let file = open(path)?;
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Failure::at(too_large, path, "is not UTF-8 text"))
        }
        Err(error) => Err(Failure::at(Kind::Unreadable, path, error)),
        Ok(bytes) if bytes as u64 > limit => {
            Err(Failure::at(too_large, path, format_args!("is larger than {limit} bytes")))
        }
        Ok(_) => Ok(text),
    }
}

/// A part of the cache, made if need be, for this user alone.
///
/// `ATHANOR_CACHE_DIR`, or `athanor` in the user's cache directory.
pub fn cache_directory(part: &str) -> Result<PathBuf, Failure> {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = given("ATHANOR_CACHE_DIR")
        .or_else(|| given("XDG_CACHE_HOME").map(|cache| cache.join("athanor")))
        .or_else(|| given("HOME").map(|home| home.join(".cache/athanor")))
        .ok_or_else(|| {
            Failure::new(Kind::Unwritable, "no place for the cache: set ATHANOR_CACHE_DIR or HOME")
        })?;
    let directory = base.join(part);
    let unwritable = |error| Failure::at(Kind::Unwritable, &directory, error);
    fs::create_dir_all(&base).map_err(unwritable)?;
    make_private(&base).map_err(unwritable)?;
    fs::create_dir_all(&directory).map_err(unwritable)?;
    make_private(&directory).map_err(unwritable)?;
    Ok(directory)
}

/// Refuses a directory of another user's, and takes all others' rights to ours.
#[cfg(unix)]
fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let metadata = fs::metadata(directory)?;
    // A file we just made belongs to the user we act as.
    let probe = tempfile::NamedTempFile::new_in(directory)?;
    if metadata.uid() != probe.as_file().metadata()?.uid() {
        let message = "belongs to another user; set ATHANOR_CACHE_DIR to a directory of your own";
        return Err(std::io::Error::other(message));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
