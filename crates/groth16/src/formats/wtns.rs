//! `.wtns`: a witness, the value of every wire.
//!
//! Section 1 holds the field and the number of wires, section 2 canonical little-endian integers of
//! 32 bytes. Values are read directly into memory that is wiped when dropped; no other copy is made.

use std::io::{Read, Seek, Write};

use athanor_kernels::{CurveId, SCALAR_WORDS, Scalar, Scalars};

use super::{
    binfile::{BinFile, BinFileError, BinFileWriter, Kind},
    field::{self, PrimeError, Role},
};

/// The container of `.wtns`.
pub const KIND: Kind = Kind { magic: *b"wtns", newest_version: 2, sections: &["header", "values"] };
const HEADER: u32 = 1;
const VALUES: u32 = 2;

/// Why a witness file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WtnsError {
    /// The container is malformed.
    #[error("witness: {0}")]
    Container(#[from] BinFileError),
    /// The field is not supported.
    #[error("witness: {0}")]
    Prime(#[from] PrimeError),
    /// A value is not below the group order.
    #[error(
        "witness: the value of wire {wire} is not below the group order of {curve}; \
         the file is damaged or was not made by circom"
    )]
    NotCanonical {
        /// Index of the wire.
        wire: usize,
        /// Curve of the file.
        curve: CurveId,
    },
    /// Wire 0 is not the constant one.
    #[error("witness: wire 0 is not 1; the file is damaged or was not made by circom")]
    FirstNotOne,
    /// A memory allocation failed.
    #[error("witness: no memory for {wires} values of 32 bytes")]
    OutOfMemory {
        /// Number of values.
        wires: u32,
    },
}

/// The value of every wire of a circuit, wire 0 (the constant one) included.
#[derive(Debug)]
pub struct Witness {
    /// The curve over whose scalar field the circuit is.
    pub curve: CurveId,
    /// The values, each below the group order.
    pub values: Scalars,
}

/// Reads a witness.
pub fn read_wtns(file: impl Read + Seek) -> Result<Witness, WtnsError> {
    let mut file = BinFile::open(file, KIND)?;
    let mut header = file.read(file.section(HEADER)?)?;
    let curve = field::read_prime::<_, WtnsError>(&mut header, Role::Scalars)?;
    let wires = header.u32()?;
    header.end()?;

    let values = file.section_of(VALUES, u64::from(wires) * size_of::<Scalar>() as u64)?;
    let mut scalars: Vec<Scalar> = Vec::new();
    let reserved = scalars.try_reserve_exact(wires as usize);
    reserved.map_err(|_| WtnsError::OutOfMemory { wires })?;
    scalars.resize(wires as usize, [0; SCALAR_WORDS]);
    let filled = file.read(values)?.words(scalars.as_flattened_mut());
    // From here on the values are wiped on every path.
    let values = Scalars::new(scalars);
    filled?;
    if let Some(wire) = field::first_not_canonical(curve, &values) {
        return Err(WtnsError::NotCanonical { wire, curve });
    }
    if values.first() != Some(&[1, 0, 0, 0]) {
        return Err(WtnsError::FirstNotOne);
    }
    Ok(Witness { curve, values })
}

/// Writes a witness as circom's generators do.
pub fn write_wtns(out: impl Write, curve: CurveId, values: &[Scalar]) -> Result<(), WtnsError> {
    let prime = field::prime_bytes(curve, Role::Scalars);
    let mut file = BinFileWriter::new(out, KIND, KIND.newest_version, 2)?;
    file.begin(HEADER, prime.len() as u64 + 4)?;
    file.write(&prime)?;
    file.write(&(values.len() as u32).to_le_bytes())?;
    file.begin(VALUES, size_of_val(values) as u64)?;
    file.write_words(values.as_flattened())?;
    file.finish()?;
    Ok(())
}
