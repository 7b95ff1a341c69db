//! Copies and compares whole sections as bytes.

use std::io::{Read, Seek, Write};

use athanor_kernels::Curve;

use super::{Query, ZkeyError, ZkeyReader, ZkeyWriter, section};

/// Size of the copy buffer in bytes.
const CHUNK: usize = 1 << 20;

/// A section of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The points of the public signals.
    Ic,
    /// The matrices.
    Coefficients,
    /// A query.
    Points(Query),
}

impl Part {
    fn section(self) -> u32 {
        match self {
            Part::Ic => section::IC,
            Part::Coefficients => section::COEFFICIENTS,
            Part::Points(query) => query.section(),
        }
    }
}

impl<C: Curve, W: Write> ZkeyWriter<C, W> {
    /// Copies a section from another key. Its contents are not checked.
    pub fn copy<R: Read + Seek>(
        &mut self,
        from: &mut ZkeyReader<C, R>,
        part: Part,
    ) -> Result<(), ZkeyError> {
        let file = &mut from.file.file;
        let section = file.section(part.section())?;
        self.file.begin(section.id, section.len)?;
        let mut reader = file.read(section)?;
        let mut bytes = vec![0; CHUNK.min(section.len as usize)];
        while reader.left() > 0 {
            let count = CHUNK.min(reader.left() as usize);
            reader.fill(&mut bytes[..count])?;
            self.file.write(&bytes[..count])?;
        }
        Ok(())
    }
}

impl<C: Curve, R: Read + Seek> ZkeyReader<C, R> {
    /// Whether a section is the same in another key, byte for byte.
    pub fn same<S: Read + Seek>(
        &mut self,
        other: &mut ZkeyReader<C, S>,
        part: Part,
    ) -> Result<bool, ZkeyError> {
        let (ours, theirs) = (&mut self.file.file, &mut other.file.file);
        let (a, b) = (ours.section(part.section())?, theirs.section(part.section())?);
        if a.len != b.len {
            return Ok(false);
        }
        let (mut a, mut b) = (ours.read(a)?, theirs.read(b)?);
        let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
        while a.left() > 0 {
            let count = CHUNK.min(a.left() as usize);
            a.fill(&mut left[..count])?;
            b.fill(&mut right[..count])?;
            if left[..count] != right[..count] {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
