//! Frames between a parent and its child, over the child's standard input and output.
//!
//! ```text
//! header length  u32, little endian
//! header         JSON
//! part count     u32, little endian
//! each part:     length u64, little endian, then the bytes
//! ```

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Largest header, in bytes.
const HEADER: u32 = 1 << 20;
/// Maximum number of parts of a frame (`PARTS`), and maximum bytes of one part (`PART`).
const PARTS: u32 = 1 << 16;
const PART: u64 = 1 << 36;

/// An instruction to run a step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) backend: String,
    pub(super) directory: std::path::PathBuf,
    pub(super) job: u64,
    pub(super) partition: u32,
    pub(super) shape: usize,
    pub(super) step: usize,
    pub(super) again: u32,
    pub(super) check: bool,
    pub(super) kind: String,
    pub(super) lane: u32,
    pub(super) device: Option<String>,
    pub(super) threads: u32,
    /// Whether the frame contains the output of the previous step. Parts: the input, the output of the
    /// previous step if `from`, the bytes of other partitions.
    pub(super) from: bool,
}

/// The result of a step. The frame of `Made` has one part, the output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Made { marks: Vec<(String, u64)>, peak: Option<u64> },
    Failed { failure: athanor_scheduler::Failure, code: String, message: String },
}

/// The parts of a frame. They can be secret and are wiped when dropped.
pub(super) type Parts = Vec<Zeroizing<Vec<u8>>>;

pub(super) fn send(
    to: &mut impl Write,
    header: &impl Serialize,
    parts: &[&[u8]],
) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    to.write_all(&(header.len() as u32).to_le_bytes())?;
    to.write_all(&header)?;
    to.write_all(&(parts.len() as u32).to_le_bytes())?;
    for part in parts {
        to.write_all(&(part.len() as u64).to_le_bytes())?;
        to.write_all(part)?;
    }
    to.flush()
}

pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Parts)> {
    let length = read_u32(from)?;
    let header = read_bytes(from, u64::from(length), u64::from(HEADER))?;
    let header = serde_json::from_slice(&header)?;
    let count = read_u32(from)?;
    if count > PARTS {
        return Err(io::Error::other("a frame of too many parts"));
    }
    let mut parts = Parts::new();
    for _ in 0..count {
        let mut length = [0; 8];
        from.read_exact(&mut length)?;
        parts.push(read_bytes(from, u64::from_le_bytes(length), PART)?);
    }
    Ok((header, parts))
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_bytes(from: &mut impl Read, length: u64, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(length.min(most + 1)).unwrap_or(usize::MAX);
    if length as u64 > most {
        return Err(io::Error::other("a part of a frame is too long"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
