//! `.r1cs`: a constraint system as circom writes it.
//!
//! | section | holds |
//! |---|---|
//! | 1 | prime, numbers of wires, outputs, public and private inputs, labels and constraints |
//! | 2 | the constraints, three rows each: number of terms, then wire and coefficient of each |
//! | 3 | for each wire the label by which a `.sym` file names it |
//! | 4, 5 | custom gates and their uses, for PLONK only: refused |
//!
//! Coefficients are canonical integers, not in Montgomery form. If a wire occurs twice in one row,
//! its coefficients are added, as in snarkjs's setup.

use std::io::{Read, Seek, Write};

use ark_ff::{BigInt, PrimeField};
use athanor_kernels::{Curve, CurveId, SCALAR_WORDS};

use super::{
    binfile::{BinFile, BinFileError, BinFileWriter, Kind, SectionReader},
    field::{self, PrimeError, Role},
};
use crate::{R1cs, Rows};

/// The container of `.r1cs`.
pub const KIND: Kind = Kind {
    magic: *b"r1cs",
    newest_version: 1,
    sections: &["header", "constraints", "labels", "custom gates", "uses of custom gates"],
};
const HEADER: u32 = 1;
const CONSTRAINTS: u32 = 2;
const LABELS: u32 = 3;
const CUSTOM_GATES: u32 = 4;
const CUSTOM_GATE_USES: u32 = 5;

/// Wire and coefficient.
const TERM_BYTES: u64 = 4 + 8 * SCALAR_WORDS as u64;
/// Bytes of the three rows' term counts.
const LEAST_CONSTRAINT_BYTES: u64 = 12;
/// Maximum length of a custom gate's name in an error message.
const GATE_NAME_BYTES: usize = 64;

/// Why a constraint system's file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum R1csError {
    /// The container is malformed.
    #[error("r1cs: {0}")]
    Container(#[from] BinFileError),
    /// The field is not supported.
    #[error("r1cs: {0}")]
    Prime(#[from] PrimeError),
    /// The circuit is for a different curve than the expected one.
    #[error("r1cs: the circuit is for {found}, expected {expected}")]
    WrongCurve {
        /// The expected curve.
        expected: CurveId,
        /// The circuit's curve.
        found: CurveId,
    },
    /// The header contradicts itself.
    #[error("r1cs: impossible header: {what}")]
    Header {
        /// The contradiction.
        what: &'static str,
    },
    /// The circuit has custom gates, which a rank-1 constraint system cannot express.
    #[error(
        "r1cs: the circuit uses custom gates ({name:?}), which Groth16 cannot prove; \
         compile it without them"
    )]
    CustomGates {
        /// Name of the first gate.
        name: String,
    },
    /// A term refers to a wire that does not exist.
    #[error("r1cs: constraint {constraint} refers to wire {wire}, but there are {wires} wires")]
    WireOutOfRange {
        /// Index of the constraint, from 0.
        constraint: u32,
        /// Index of the wire.
        wire: u32,
        /// Number of wires.
        wires: u32,
    },
    /// A coefficient is not below the group order.
    #[error("r1cs: constraint {constraint} has a coefficient that is not below the group order")]
    NotCanonical {
        /// Index of the constraint, from 0.
        constraint: u32,
    },
}

/// The header of a circuit.
///
/// Order of the wires: the constant one, outputs, public inputs, private inputs, the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The curve over whose scalar field the circuit is.
    pub curve: CurveId,
    /// Number of wires, the constant one included.
    pub wires: u32,
    /// Number of public outputs.
    pub outputs: u32,
    /// Number of public inputs.
    pub public_inputs: u32,
    /// Number of private inputs.
    pub private_inputs: u32,
    /// Number of signals before simplification, each with a label.
    pub labels: u64,
    /// Number of constraints.
    pub constraints: u32,
}

impl Header {
    fn check(&self) -> Result<(), R1csError> {
        let named = [1, self.outputs, self.public_inputs, self.private_inputs];
        if named.into_iter().map(u64::from).sum::<u64>() > u64::from(self.wires) {
            return Err(R1csError::Header { what: "it has more inputs and outputs than wires" });
        }
        Ok(())
    }
}

/// An open circuit file: its sections lie within it and match the header.
#[derive(Debug)]
pub struct R1csFile<R> {
    file: BinFile<R>,
    header: Header,
}

impl<R: Read + Seek> R1csFile<R> {
    /// Reads the outline.
    pub fn open(file: R) -> Result<Self, R1csError> {
        let mut file = BinFile::open(file, KIND)?;
        refuse_custom_gates(&mut file)?;
        let mut fields = file.read(file.section(HEADER)?)?;
        let header = Header {
            curve: field::read_prime::<_, R1csError>(&mut fields, Role::Scalars)?,
            wires: fields.u32()?,
            outputs: fields.u32()?,
            public_inputs: fields.u32()?,
            private_inputs: fields.u32()?,
            labels: fields.u64()?,
            constraints: fields.u32()?,
        };
        fields.end()?;
        header.check()?;
        // This also bounds the number of wires by the file's length.
        file.section_of(LABELS, 8 * u64::from(header.wires))?;
        let constraints = file.section(CONSTRAINTS)?;
        let least = u64::from(header.constraints) * LEAST_CONSTRAINT_BYTES;
        if constraints.len < least {
            file.section_of(CONSTRAINTS, least)?;
        }
        Ok(Self { file, header })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The label of each wire in the `.sym` file.
    pub fn labels(&mut self) -> Result<Vec<u64>, R1csError> {
        let section = self.file.section(LABELS)?;
        let mut reader = self.file.read(section)?;
        let mut labels = vec![0; self.header.wires as usize];
        reader.words(&mut labels)?;
        reader.end()?;
        Ok(labels)
    }

    /// Reads the constraints and checks that every wire is in range and every coefficient canonical.
    /// Takes at most about twice the file's length in memory.
    pub fn constraints<C: Curve>(&mut self) -> Result<R1cs<C::Fr>, R1csError> {
        let Header { curve: found, wires, constraints, .. } = self.header;
        if C::ID != found {
            return Err(R1csError::WrongCurve { expected: C::ID, found });
        }
        let section = self.file.section(CONSTRAINTS)?;
        let mut reader = self.file.read(section)?;
        let mut matrices: [Rows<C::Fr>; 3] = Default::default();
        let mut row = Vec::new();
        for constraint in 0..constraints {
            for matrix in &mut matrices {
                read_row(&mut reader, constraint, wires, &mut row)?;
                matrix.push(row.drain(..));
            }
        }
        reader.end()?;
        let [a, b, c] = matrices;
        let public = (self.header.outputs + self.header.public_inputs) as usize;
        Ok(R1cs { wires: wires as usize, public, a, b, c })
    }
}

fn read_row<F, R: Read>(
    reader: &mut SectionReader<'_, R>,
    constraint: u32,
    wires: u32,
    row: &mut Vec<(u32, F)>,
) -> Result<(), R1csError>
where
    F: PrimeField<BigInt = BigInt<SCALAR_WORDS>>,
{
    let terms = reader.u32()?;
    reader.needs(u64::from(terms) * TERM_BYTES)?;
    for _ in 0..terms {
        let wire = reader.u32()?;
        if wire >= wires {
            return Err(R1csError::WireOutOfRange { constraint, wire, wires });
        }
        let mut words = [0; SCALAR_WORDS];
        reader.words(&mut words)?;
        let coefficient = F::from_bigint(BigInt(words));
        row.push((wire, coefficient.ok_or(R1csError::NotCanonical { constraint })?));
    }
    Ok(())
}

/// Refuses custom gates. Their sections may be present if they are empty.
fn refuse_custom_gates<R: Read + Seek>(file: &mut BinFile<R>) -> Result<(), R1csError> {
    for id in [CUSTOM_GATES, CUSTOM_GATE_USES] {
        let Some(section) = file.find(id) else { continue };
        let mut reader = file.read(section)?;
        if reader.u32()? == 0 {
            reader.end()?;
            continue;
        }
        let mut name = Vec::new();
        while id == CUSTOM_GATES && name.len() < GATE_NAME_BYTES && reader.left() > 0 {
            match reader.bytes()? {
                [0] => break,
                [byte] => name.push(byte),
            }
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        return Err(R1csError::CustomGates { name });
    }
    Ok(())
}

/// Writes a circuit with the sections in circom's order. The header's counts must match `r1cs`,
/// and `labels` must have one label per wire.
pub fn write_r1cs<C: Curve>(
    out: impl Write,
    header: &Header,
    r1cs: &R1cs<C::Fr>,
    labels: &[u64],
) -> Result<(), R1csError> {
    header.check()?;
    let public = header.outputs as usize + header.public_inputs as usize;
    let rows = [&r1cs.a, &r1cs.b, &r1cs.c];
    let counts = (C::ID, r1cs.wires, r1cs.public, [header.constraints as usize; 3], labels.len());
    let said = (header.curve, header.wires as usize, public, rows.map(Rows::len), r1cs.wires);
    if counts != said {
        return Err(R1csError::Header { what: "it does not match the constraint system" });
    }
    let prime = field::prime_bytes(C::ID, Role::Scalars);
    let terms: usize = rows.iter().map(|rows| rows.entries()).sum();
    let least = u64::from(header.constraints) * LEAST_CONSTRAINT_BYTES;

    let mut file = BinFileWriter::new(out, KIND, 1, 3)?;
    file.begin(CONSTRAINTS, least + terms as u64 * TERM_BYTES)?;
    for constraint in 0..r1cs.constraints() {
        for matrix in rows {
            let row = matrix.row(constraint);
            file.write(&(row.len() as u32).to_le_bytes())?;
            for &(wire, coefficient) in row {
                file.write(&wire.to_le_bytes())?;
                file.write_words(&coefficient.into_bigint().0)?;
            }
        }
    }
    file.begin(HEADER, prime.len() as u64 + 28)?;
    file.write(&prime)?;
    let Header { wires, outputs, public_inputs, private_inputs, .. } = *header;
    for count in [wires, outputs, public_inputs, private_inputs] {
        file.write(&count.to_le_bytes())?;
    }
    file.write(&header.labels.to_le_bytes())?;
    file.write(&header.constraints.to_le_bytes())?;
    file.begin(LABELS, size_of_val(labels) as u64)?;
    file.write_words(labels)?;
    file.finish()?;
    Ok(())
}
