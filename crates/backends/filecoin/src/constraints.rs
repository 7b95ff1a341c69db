//! Recorded constraints on disk: made once for each kind of sector, then memory-mapped and shared.
//!
//! ```text
//! prefix, one cache line: magic (16 bytes) | header length (u64, little-endian) | zeros (8) | digest (32)
//! header (JSON), then the parts of A, B and C as it lists them, each padded to a cache line
//! ```
//!
//! The digest is BLAKE3 of everything after the prefix. Proving keys are made with A and B from this
//! file; C is needed only to explain a proof that does not verify. The file is therefore mapped, not
//! read: unused pages take no memory.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use ark_bls12_381::Fr;
use athanor_kernels::{Matrix, MatrixParts, Slab};
use serde::{Deserialize, Serialize};

use crate::{Constraints, Fault, Porep, Sizes};

const MAGIC: &[u8; 16] = b"athanor r1cs 001";
const LINE: usize = 64;
const MAX_HEADER: usize = 1 << 16;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The stock stack's name for the circuit.
    identifier: String,
    sizes: Sizes,
    /// Lengths in bytes of row ends, entries and dictionary of A, B and C.
    parts: [[usize; 3]; 3],
}

/// Path of the constraints of a kind of sector.
pub fn path_in(directory: &Path, porep: &Porep) -> Result<PathBuf, Fault> {
    let name = blake3::hash(porep.identifier()?.as_bytes()).to_hex();
    Ok(directory.join(format!("{name}.constraints")))
}

impl Constraints {
    /// Reads the constraints from the directory, or records and stores them. Faults of an existing file
    /// are reported to `warn`.
    pub fn kept(
        directory: &Path,
        porep: &Porep,
        warn: impl Fn(&str),
    ) -> Result<Constraints, Fault> {
        let (path, identifier) = (path_in(directory, porep)?, porep.identifier()?);
        match Constraints::open(&path, &identifier) {
            Ok(Some(constraints)) => return Ok(constraints),
            Ok(None) => {}
            Err(fault) => warn(&format!("{fault}; recording the constraints again")),
        }
        let constraints = porep.record()?;
        constraints.store(&path, &identifier)?;
        // Uses the mapped constraints instead of the recorded ones, since the system can reclaim their pages.
        let again = Constraints::open(&path, &identifier)?;
        again.ok_or_else(|| Fault::at("unreadable", &path, "has disappeared after it was written"))
    }

    /// Writes the constraints to a temporary file and renames it.
    pub fn store(&self, path: &Path, identifier: &str) -> Result<(), Fault> {
        let parts = [&self.a, &self.b, &self.c].map(|matrix| matrix.parts().map_err(Fault::memory));
        let [a, b, c] = parts;
        let parts = [a?, b?, c?]
            .map(|MatrixParts { row_ends, entries, dictionary }| [row_ends, entries, dictionary]);
        let header = Header {
            identifier: identifier.to_owned(),
            sizes: self.sizes,
            parts: parts.each_ref().map(|matrix| matrix.each_ref().map(Slab::len)),
        };
        let header = serde_json::to_vec(&header).map_err(Fault::internal)?;
        let all = || {
            let slabs = parts.iter().flatten().map(Slab::bytes);
            std::iter::once(&header[..]).chain(slabs)
        };
        let mut hasher = blake3::Hasher::new();
        for part in all() {
            hasher.update_rayon(part).update(padding(part.len()));
        }
        let mut prefix = [0; LINE];
        prefix[..16].copy_from_slice(MAGIC);
        prefix[16..24].copy_from_slice(&(header.len() as u64).to_le_bytes());
        prefix[32..].copy_from_slice(hasher.finalize().as_bytes());
        let write = || -> io::Result<()> {
            let directory = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&prefix)?;
            for part in all() {
                file.write_all(part)?;
                file.write_all(padding(part.len()))?;
            }
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| Fault::at("unwritable", path, error))
    }

    /// Maps stored constraints; `None` if the file does not exist.
    pub fn open(path: &Path, identifier: &str) -> Result<Option<Constraints>, Fault> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::at("unreadable", path, error)),
        };
        let slab = Slab::map(&file).map_err(|error| Fault::at("unreadable", path, error))?;
        let read = read(&slab, identifier);
        read.map(Some).map_err(|fault| Fault::at("bad-constraints", path, fault))
    }

    /// Memory in bytes if all pages are in use.
    pub fn bytes(&self) -> usize {
        self.a.bytes() + self.b.bytes() + self.c.bytes()
    }
}

fn read(slab: &Slab, identifier: &str) -> Result<Constraints, String> {
    let bytes = slab.bytes();
    let prefix = bytes.get(..LINE).ok_or("it is too short")?;
    if prefix[..16] != *MAGIC || prefix[24..32] != [0; 8] {
        return Err("it has a different kind or version".into());
    }
    let digest = blake3::Hasher::new().update_rayon(&bytes[LINE..]).finalize();
    if digest.as_bytes()[..] != prefix[32..] {
        return Err("its digest does not match its contents".into());
    }
    let length = u64::from_le_bytes(prefix[16..24].try_into().expect("eight bytes"));
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_HEADER);
    let header = length.and_then(|length| bytes.get(LINE..LINE + length));
    let header = header.ok_or("its header is too long")?;
    let mut at = (LINE + header.len()).next_multiple_of(LINE);
    let header: Header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    if header.identifier != identifier {
        return Err(format!("it is for the circuit {}", header.identifier));
    }
    let mut matrix = |[row_ends, entries, dictionary]: [usize; 3]| -> Result<Matrix<Fr>, String> {
        let mut part = |length: usize| {
            let end = at.checked_add(length).ok_or("a part's end overflows")?;
            let part = slab.slice(at..end).map_err(|error| error.to_string())?;
            at = end.next_multiple_of(LINE);
            Ok::<_, String>(part)
        };
        let parts = MatrixParts {
            row_ends: part(row_ends)?,
            entries: part(entries)?,
            dictionary: part(dictionary)?,
        };
        let matrix: Matrix<Fr> = Matrix::from_parts(header.sizes.wires().all(), parts)
            .map_err(|error| error.to_string())?;
        match matrix.rows() == header.sizes.rows() {
            true => Ok(matrix),
            false => Err("a matrix has a different number of rows than the header".into()),
        }
    };
    let [a, b, c] = header.parts;
    Ok(Constraints { a: matrix(a)?, b: matrix(b)?, c: matrix(c)?, sizes: header.sizes })
}

/// Number of padding bytes up to the next cache line.
fn padding(bytes: usize) -> &'static [u8] {
    &[0; LINE][..bytes.next_multiple_of(LINE) - bytes]
}
