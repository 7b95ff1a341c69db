//! iden3's binary container: a magic, a version, and sections of (id, length, bytes).
//!
//! Sections are in any order and contiguous, without alignment. Opening a file walks the whole table
//! and refuses a duplicate, a section past the end, or bytes after the last section, before any
//! section is read. Unknown ids are skipped, as in all of iden3's tools.

use std::io::{self, Read, Seek, SeekFrom, Write};

use zeroize::Zeroize;

/// Maximum number of sections of a file. The known formats have at most about twenty.
pub const MAX_SECTIONS: u32 = 128;

/// Magic, version and number of sections.
const HEADER_BYTES: u64 = 12;
/// Id and length.
const SECTION_HEADER_BYTES: u64 = 12;
/// Size of the read-ahead buffer for small fields. Larger reads bypass it.
const READ_AHEAD: u64 = 1 << 16;

/// A file format in this container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The first four bytes.
    pub magic: [u8; 4],
    /// Newest supported version; 1 is the oldest.
    pub newest_version: u32,
    /// Names of its sections, by id from 1.
    pub sections: &'static [&'static str],
}

impl Kind {
    /// Name of a section.
    fn name(&self, id: u32) -> &'static str {
        let index = (id as usize).wrapping_sub(1);
        self.sections.get(index).copied().unwrap_or("unknown")
    }

    fn extension(&self) -> String {
        String::from_utf8_lossy(&self.magic).into_owned()
    }
}

/// Why a container is refused, independent of the format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinFileError {
    /// Reading or writing failed.
    #[error("cannot read or write at byte {offset}: {source}")]
    Io {
        /// Offset in the file.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The file has a different format.
    #[error("not a .{expected} file: it starts with {found:02x?}; give a .{expected} file here")]
    WrongMagic {
        /// The expected format.
        expected: String,
        /// The file's first four bytes.
        found: [u8; 4],
    },
    /// The version is not supported.
    #[error("a .{kind} file of version {found}; versions up to {newest} are supported")]
    UnknownVersion {
        /// The format.
        kind: String,
        /// Its version.
        found: u32,
        /// Newest supported version.
        newest: u32,
    },
    /// The file claims more sections than [`MAX_SECTIONS`].
    #[error("the file claims {found} sections; at most {most} are accepted")]
    TooManySections {
        /// The claimed number.
        found: u32,
        /// [`MAX_SECTIONS`].
        most: u32,
    },
    /// The file ends before its table of sections does.
    #[error(
        "the file is truncated: {what} at byte {offset} needs {needed} bytes, {left} are left; \
         copy or download it again"
    )]
    Truncated {
        /// The part that does not fit.
        what: &'static str,
        /// Its offset.
        offset: u64,
        /// Its claimed length in bytes.
        needed: u64,
        /// Bytes from there to the end of the file.
        left: u64,
    },
    /// The file was truncated while it was read.
    #[error("the file was truncated at byte {offset} while it was read")]
    CutShort {
        /// Offset at which reading ended.
        offset: u64,
    },
    /// There are bytes after the last section.
    #[error("{bytes} bytes follow the last section, which ends at byte {offset}")]
    TrailingBytes {
        /// Offset of the end of the last section.
        offset: u64,
        /// Number of bytes after it.
        bytes: u64,
    },
    /// Two sections have the same id.
    #[error("section {id} ({name}) occurs twice; the second is at byte {offset}")]
    DuplicateSection {
        /// Its id.
        id: u32,
        /// Its name.
        name: &'static str,
        /// Offset of the second one.
        offset: u64,
    },
    /// A required section is missing.
    #[error("section {id} ({name}) is missing")]
    MissingSection {
        /// Its id.
        id: u32,
        /// Its name.
        name: &'static str,
    },
    /// A section's length contradicts other fields of the file.
    #[error("section {id} ({name}) has {found} bytes, but its contents need {expected}")]
    SectionLength {
        /// Its id.
        id: u32,
        /// Its name.
        name: &'static str,
        /// Length that its contents need.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// A section ends in the middle of a field.
    #[error("section {id} ({name}) ends at byte {offset}, in the middle of a field")]
    SectionEnds {
        /// Its id.
        id: u32,
        /// Its name.
        name: &'static str,
        /// Offset of its end.
        offset: u64,
    },
}

/// Position of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its id in the format's numbering.
    pub id: u32,
    /// Offset of its contents in the file.
    pub offset: u64,
    /// Bytes of its contents.
    pub len: u64,
}

/// An open container: the table of its sections. Every section lies within the file.
#[derive(Debug)]
pub struct BinFile<R> {
    inner: R,
    kind: Kind,
    version: u32,
    len: u64,
    sections: Vec<Section>,
}

impl<R: Read + Seek> BinFile<R> {
    /// Walks the table of sections. `inner` is read from its start; it needs no buffering, as the
    /// reader has its own.
    pub fn open(mut inner: R, kind: Kind) -> Result<Self, BinFileError> {
        let len = inner.seek(SeekFrom::End(0)).map_err(|source| io_error(0, source))?;
        let mut table = Table { inner: &mut inner, offset: 0, len };
        table.seek(0)?;
        let magic = table.take::<4>("the magic")?;
        if magic != kind.magic {
            return Err(BinFileError::WrongMagic { expected: kind.extension(), found: magic });
        }
        let version = u32::from_le_bytes(table.take("the version")?);
        if version == 0 || version > kind.newest_version {
            let newest = kind.newest_version;
            let kind = kind.extension();
            return Err(BinFileError::UnknownVersion { kind, found: version, newest });
        }
        let count = u32::from_le_bytes(table.take("the number of sections")?);
        if count > MAX_SECTIONS {
            return Err(BinFileError::TooManySections { found: count, most: MAX_SECTIONS });
        }
        table.needs("the table of sections", u64::from(count) * SECTION_HEADER_BYTES)?;
        let mut sections = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let start = table.offset;
            let id = u32::from_le_bytes(table.take("a section's id")?);
            let len = u64::from_le_bytes(table.take("a section's length")?);
            let name = kind.name(id);
            if sections.iter().any(|section: &Section| section.id == id) {
                return Err(BinFileError::DuplicateSection { id, name, offset: start });
            }
            table.needs(name, len)?;
            sections.push(Section { id, offset: table.offset, len });
            table.seek(table.offset + len)?;
        }
        if table.offset != len {
            let (offset, bytes) = (table.offset, len - table.offset);
            return Err(BinFileError::TrailingBytes { offset, bytes });
        }
        Ok(Self { inner, kind, version, len, sections })
    }

    /// The file's length in bytes.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// The file's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All sections, in the file's order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// A section, if the file has it.
    pub fn find(&self, id: u32) -> Option<Section> {
        self.sections.iter().find(|section| section.id == id).copied()
    }

    /// A required section.
    pub fn section(&self, id: u32) -> Result<Section, BinFileError> {
        let name = self.kind.name(id);
        self.find(id).ok_or(BinFileError::MissingSection { id, name })
    }

    /// A required section of exactly `expected` bytes.
    pub fn section_of(&self, id: u32, expected: u64) -> Result<Section, BinFileError> {
        let section = self.section(id)?;
        if section.len != expected {
            let (name, found) = (self.kind.name(id), section.len);
            return Err(BinFileError::SectionLength { id, name, expected, found });
        }
        Ok(section)
    }

    /// Reads a section from its start.
    pub fn read(&mut self, section: Section) -> Result<SectionReader<'_, R>, BinFileError> {
        let offset = section.offset;
        self.inner.seek(SeekFrom::Start(offset)).map_err(|source| io_error(offset, source))?;
        Ok(SectionReader {
            inner: &mut self.inner,
            section,
            name: self.kind.name(section.id),
            fetched: 0,
            ahead: Vec::new(),
            taken: 0,
        })
    }
}

/// Walks the file's outline. Compares each read with the file's length first.
struct Table<'a, R> {
    inner: &'a mut R,
    offset: u64,
    len: u64,
}

impl<R: Read + Seek> Table<'_, R> {
    fn needs(&self, what: &'static str, needed: u64) -> Result<(), BinFileError> {
        let left = self.len - self.offset;
        if needed > left {
            return Err(BinFileError::Truncated { what, offset: self.offset, needed, left });
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BinFileError> {
        self.needs(what, N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|source| io_error(self.offset, source))?;
        self.offset += N as u64;
        Ok(bytes)
    }

    fn seek(&mut self, offset: u64) -> Result<(), BinFileError> {
        self.inner.seek(SeekFrom::Start(offset)).map_err(|source| io_error(offset, source))?;
        self.offset = offset;
        Ok(())
    }
}

/// Maps an unexpected end of file: the length was known, so the file was truncated while it was read.
fn io_error(offset: u64, source: io::Error) -> BinFileError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => BinFileError::CutShort { offset },
        _ => BinFileError::Io { offset, source },
    }
}

/// A reader of one section; it never reads past the section's end. Its buffer is wiped on drop, since
/// it may hold parts of a witness.
#[derive(Debug)]
pub struct SectionReader<'a, R> {
    inner: &'a mut R,
    section: Section,
    name: &'static str,
    /// Number of bytes of the section that have been fetched from the file.
    fetched: u64,
    /// Fetched bytes; the first `taken` of them are consumed.
    ahead: Vec<u8>,
    taken: usize,
}

impl<R: Read> SectionReader<'_, R> {
    /// Number of bytes that are not consumed yet.
    pub fn left(&self) -> u64 {
        self.section.len - self.fetched + (self.ahead.len() - self.taken) as u64
    }

    /// Offset in the file of the next byte.
    pub fn offset(&self) -> u64 {
        self.section.offset + self.section.len - self.left()
    }

    /// Fails unless at least `bytes` bytes are left. Call it before an allocation of that size.
    pub fn needs(&self, bytes: u64) -> Result<(), BinFileError> {
        if bytes > self.left() {
            let Section { id, offset, len } = self.section;
            return Err(BinFileError::SectionEnds { id, name: self.name, offset: offset + len });
        }
        Ok(())
    }

    /// Fails unless exactly `bytes` bytes are left.
    pub fn needs_exactly(&self, bytes: u64) -> Result<(), BinFileError> {
        if bytes != self.left() {
            let Section { id, len: found, .. } = self.section;
            let expected = (found - self.left()).saturating_add(bytes);
            return Err(BinFileError::SectionLength { id, name: self.name, expected, found });
        }
        Ok(())
    }

    /// Fails unless the whole section was read.
    pub fn end(self) -> Result<(), BinFileError> {
        self.needs_exactly(0)
    }

    /// Fills the whole of `out`.
    pub fn fill(&mut self, out: &mut [u8]) -> Result<(), BinFileError> {
        self.needs(out.len() as u64)?;
        let (at_hand, rest) = out.split_at_mut(out.len().min(self.ahead.len() - self.taken));
        at_hand.copy_from_slice(&self.ahead[self.taken..][..at_hand.len()]);
        self.taken += at_hand.len();
        if rest.is_empty() {
            return Ok(());
        }
        if (rest.len() as u64) < READ_AHEAD {
            let ahead = READ_AHEAD.min(self.section.len - self.fetched) as usize;
            self.ahead.resize(ahead, 0);
            self.taken = rest.len();
            let mut ahead = std::mem::take(&mut self.ahead);
            let fetched = self.fetch(&mut ahead);
            self.ahead = ahead;
            fetched?;
            rest.copy_from_slice(&self.ahead[..self.taken]);
        } else {
            self.fetch(rest)?;
        }
        Ok(())
    }

    fn fetch(&mut self, out: &mut [u8]) -> Result<(), BinFileError> {
        let offset = self.section.offset + self.fetched;
        self.inner.read_exact(out).map_err(|source| io_error(offset, source))?;
        self.fetched += out.len() as u64;
        Ok(())
    }

    /// The next bytes.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], BinFileError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next little-endian 32-bit number.
    pub fn u32(&mut self) -> Result<u32, BinFileError> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// The next little-endian 64-bit number.
    pub fn u64(&mut self) -> Result<u64, BinFileError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Fills `out` with little-endian 64-bit words.
    pub fn words(&mut self, out: &mut [u64]) -> Result<(), BinFileError> {
        self.fill(bytemuck::cast_slice_mut(out))?;
        out.iter_mut().for_each(|word| *word = u64::from_le(*word));
        Ok(())
    }
}

impl<R> Drop for SectionReader<'_, R> {
    fn drop(&mut self) {
        self.ahead.zeroize();
    }
}

/// Writes a container. Lengths are given before the contents, so the stream need not be seekable.
#[derive(Debug)]
pub struct BinFileWriter<W> {
    inner: W,
    offset: u64,
    /// Number of bytes that are still to be written to the current section.
    lacking: u64,
    sections: u32,
}

impl<W: Write> BinFileWriter<W> {
    /// Starts a file of `sections` sections.
    pub fn new(inner: W, kind: Kind, version: u32, sections: u32) -> Result<Self, BinFileError> {
        let mut file = Self { inner, offset: 0, lacking: HEADER_BYTES, sections };
        file.write(&kind.magic)?;
        file.write(&version.to_le_bytes())?;
        file.write(&sections.to_le_bytes())?;
        Ok(file)
    }

    /// Starts a section of `len` bytes; the previous section must be complete.
    pub fn begin(&mut self, id: u32, len: u64) -> Result<(), BinFileError> {
        assert_eq!(self.lacking, 0, "the section before this one is not complete");
        self.sections = self.sections.checked_sub(1).expect("more sections than announced");
        self.lacking = SECTION_HEADER_BYTES;
        self.write(&id.to_le_bytes())?;
        self.write(&len.to_le_bytes())?;
        self.lacking = len;
        Ok(())
    }

    /// Writes into the current section.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BinFileError> {
        let len = bytes.len() as u64;
        self.lacking = self.lacking.checked_sub(len).expect("more bytes than announced");
        self.inner.write_all(bytes).map_err(|source| io_error(self.offset, source))?;
        self.offset += len;
        Ok(())
    }

    /// Writes 64-bit words.
    pub fn write_words(&mut self, words: &[u64]) -> Result<(), BinFileError> {
        if cfg!(target_endian = "little") {
            return self.write(bytemuck::cast_slice(words));
        }
        words.iter().try_for_each(|word| self.write(&word.to_le_bytes()))
    }

    /// Ends the file, which must be complete. Flushes the stream and returns it.
    pub fn finish(mut self) -> Result<W, BinFileError> {
        assert_eq!((self.lacking, self.sections), (0, 0), "the file is not complete");
        self.inner.flush().map_err(|source| io_error(self.offset, source))?;
        Ok(self.inner)
    }
}
