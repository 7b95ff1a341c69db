//! Loads a parameter file as a resident key: converts it once and caches it by digest.

use std::{
    fs::File,
    io::{BufReader, Seek},
    path::Path,
};

use athanor_groth16::{
    KeyFileError, NativeKey, ProvingKey, digest_of, formats::bellman::BellmanReader,
};
use athanor_kernels::{Bls12_381, Device, cpu::Cpu};

use super::{hex, trust};
use crate::{Constraints, Fault, Porep, Settings, fault::BAD_KEY};

/// Origin of a resident key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Read from the cache; the parameter file was not read.
    Cached,
    /// Converted by this call and stored in the cache.
    Converted,
}

/// A resident key and its origin.
pub struct LoadedKey {
    /// The key.
    pub key: ProvingKey<Bls12_381, Cpu>,
    /// Origin of the key.
    pub source: KeySource,
}

/// Makes parameters resident. With a digest (from a catalog), the parameter file is read only if the
/// cache does not have its key. Without a digest, the file is digested first.
pub fn load(
    porep: &Porep,
    params: &Path,
    expected: Option<&[u8; 32]>,
    settings: &Settings,
) -> Result<LoadedKey, Fault> {
    let unreadable = |error| Fault::at("unreadable", params, error);
    let digest_now = || digest_of(&mut File::open(params).map_err(unreadable)?).map_err(unreadable);
    let digest = match expected {
        Some(digest) => *digest,
        None => digest_now()?,
    };
    let layout = Device::<Bls12_381>::layout(&Cpu).name;
    let cached = settings.keys.join(format!("{}.{layout}.key", hex(&digest)));
    let resident = |native, source| Ok(LoadedKey { key: ProvingKey::load(Cpu, native)?, source });
    match NativeKey::<Bls12_381>::open(&cached) {
        Ok(native) if native.source == digest && native.layout == layout => {
            (settings.kept)(&cached, KeySource::Cached);
            return resident(native, KeySource::Cached);
        }
        Ok(_) => (settings.warn)(&format!(
            "{}: contains a different key; converting again",
            cached.display()
        )),
        Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error @ KeyFileError::Memory(_)) => return Err(error.into()),
        Err(error) => (settings.warn)(&format!("{error}; converting again")),
    }
    if expected.is_some() && digest_now()? != digest {
        let message = "is not the file that was added (its digest differs): add the circuit again";
        return Err(Fault::at(BAD_KEY, params, message));
    }
    let constraints = Constraints::kept(&settings.keys, porep, &*settings.warn)?;
    let trust = trust(porep, params, &digest)?;
    let mut file = File::open(params).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let mut reader = BellmanReader::open(BufReader::with_capacity(1 << 20, file))?;
    let matrices = (constraints.a, constraints.b);
    let native = NativeKey::from_bellman(&Cpu, &mut reader, matrices, trust, digest)?;
    native.store(&cached)?;
    (settings.kept)(&cached, KeySource::Converted);
    resident(native, KeySource::Converted)
}
