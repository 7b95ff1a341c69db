//! Files of the key cache: a header and sections under one digest.
//!
//! ```text
//! prefix, one cache line: magic (16 bytes) | header length (u64, little-endian) | zeros (8) | digest (32)
//! header, then the sections, each padded with zeros to a multiple of the cache line
//! ```
//!
//! The digest is BLAKE3 of everything after the prefix, so a damaged file is noticed. The file is read, not
//! mapped: a process that touches a mapped file after it was truncated is killed. It is written under a temporary
//! name and renamed, so no reader sees a part of it.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use athanor_kernels::{Slab, SlabMut};

use crate::KeyFileError;

/// Sections start at multiples of this many bytes.
pub(crate) const LINE: usize = 64;
/// Upper bound of the header's length in bytes.
const MAX_HEADER: usize = 1 << 20;

/// Writes a file and renames it to `path`. `magic` names its kind and version.
pub(crate) fn write(
    path: &Path,
    magic: &[u8; 16],
    header: &[u8],
    sections: &[&[u8]],
) -> Result<(), KeyFileError> {
    let io = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
    let parts = || std::iter::once(header).chain(sections.iter().copied());
    let mut hasher = blake3::Hasher::new();
    for part in parts() {
        hasher.update_rayon(part).update(padding(part.len()));
    }
    let mut prefix = [0; LINE];
    prefix[..16].copy_from_slice(magic);
    prefix[16..24].copy_from_slice(&(header.len() as u64).to_le_bytes());
    prefix[32..].copy_from_slice(hasher.finalize().as_bytes());

    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))
        .map_err(io("write"))?;
    file.write_all(&prefix).map_err(io("write"))?;
    for part in parts() {
        file.write_all(part).map_err(io("write"))?;
        file.write_all(padding(part.len())).map_err(io("write"))?;
    }
    file.as_file().sync_all().map_err(io("write"))?;
    file.persist(path).map_err(|error| io("rename")(error.error))?;
    Ok(())
}

/// Reads a file and checks its digest. Returns the header, and the sections as they lie behind it.
pub(crate) fn read(path: &Path, magic: &[u8; 16]) -> Result<(Slab, Slab), KeyFileError> {
    let io = |source| KeyFileError::Io { action: "read", path: path.to_owned(), source };
    let damaged =
        |fault: &str| KeyFileError::Damaged { path: path.to_owned(), fault: fault.to_owned() };
    let mut file = File::open(path).map_err(io)?;
    let mut prefix = [0; LINE];
    let bytes = file.metadata().map_err(io)?.len().checked_sub(LINE as u64);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| damaged("it is too short"))?;
    file.read_exact(&mut prefix).map_err(io)?;
    let header_bytes = u64::from_le_bytes(prefix[16..24].try_into().expect("eight bytes"));
    let header_bytes = usize::try_from(header_bytes).unwrap_or(usize::MAX);
    let known = prefix[..16] == *magic && prefix[24..32] == [0; 8];
    if !known || header_bytes > MAX_HEADER.min(bytes) {
        return Err(damaged("it has a different kind or version"));
    }
    let mut contents = SlabMut::zeroed(bytes)?;
    file.read_exact(contents.bytes()).map_err(io)?;
    let contents = contents.freeze();
    let digest = blake3::Hasher::new().update_rayon(contents.bytes()).finalize();
    if digest.as_bytes()[..] != prefix[32..] {
        return Err(damaged("its digest does not match its contents"));
    }
    let start = header_bytes.next_multiple_of(LINE).min(bytes);
    Ok((contents.slice(0..header_bytes)?, contents.slice(start..bytes)?))
}

/// Zeros that extend `bytes` to a multiple of the cache line.
fn padding(bytes: usize) -> &'static [u8] {
    &[0; LINE][..bytes.next_multiple_of(LINE) - bytes]
}
