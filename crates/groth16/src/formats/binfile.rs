//! iden3's binary container: a magic, a version, and sections of (id, length, bytes).
//!
//! Sections stand in any order and start where the one before ends, on no alignment. The whole
//! table is walked when a file is opened: a duplicate, a section past the end, or bytes after the
//! last one are refused before anything is read from any of them. Ids that a format does not know
//! are left alone, as all of iden3's tools do.

use std::io::{self, Read, Seek, SeekFrom, Write};

use zeroize::Zeroize;

/// Most sections a file may have. The formats in use have at most about twenty.
pub const MAX_SECTIONS: u32 = 128;

/// Magic, version and number of sections.
const HEADER_BYTES: u64 = 12;
/// Id and length.
const SECTION_HEADER_BYTES: u64 = 12;
/// How much is read ahead for small fields. Larger reads go around the buffer.
const READ_AHEAD: u64 = 1 << 16;

/// What distinguishes one format from another in this container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The first four bytes.
    pub magic: [u8; 4],
    /// The newest version that is understood; 1 is the oldest.
    pub newest_version: u32,
    /// What its sections are called, by id from 1.
    pub sections: &'static [&'static str],
}

impl Kind {
    /// A section in words.
    fn name(&self, id: u32) -> &'static str {
        let index = (id as usize).wrapping_sub(1);
        self.sections.get(index).copied().unwrap_or("unknown")
    }

    fn extension(&self) -> String {
        String::from_utf8_lossy(&self.magic).into_owned()
    }
}

/// What is wrong with a container, whatever is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinFileError {
    /// The system could not read or write.
    #[error("cannot read or write at byte {offset}: {source}")]
    Io {
        /// Where in the file.
        offset: u64,
        /// The system's word.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("not a .{expected} file: it starts with {found:02x?}; give a .{expected} file here")]
    WrongMagic {
        /// The kind that was wanted.
        expected: String,
        /// The file's first four bytes.
        found: [u8; 4],
    },
    /// A version nobody here knows.
    #[error("a .{kind} file of version {found}; versions up to {newest} are understood")]
    UnknownVersion {
        /// The kind of file.
        kind: String,
        /// Its version.
        found: u32,
        /// The newest version that is understood.
        newest: u32,
    },
    /// More sections than any file of these formats has.
    #[error("the file says it has {found} sections; at most {most} are accepted")]
    TooManySections {
        /// How many it says.
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
        /// What does not fit.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// How long it says it is.
        needed: u64,
        /// How much the file has from there.
        left: u64,
    },
    /// The file became shorter while it was read.
    #[error("the file was cut short at byte {offset} while it was read")]
    CutShort {
        /// Where reading ended.
        offset: u64,
    },
    /// Bytes after the last section.
    #[error("{bytes} bytes follow the last section, which ends at byte {offset}")]
    TrailingBytes {
        /// Where the last section ends.
        offset: u64,
        /// How many bytes follow.
        bytes: u64,
    },
    /// Two sections with one id.
    #[error("section {id} ({name}) stands in the file twice, again at byte {offset}")]
    DuplicateSection {
        /// Its id.
        id: u32,
        /// What it is called.
        name: &'static str,
        /// Where the second one starts.
        offset: u64,
    },
    /// A section that must be there is not.
    #[error("section {id} ({name}) is missing")]
    MissingSection {
        /// Its id.
        id: u32,
        /// What it is called.
        name: &'static str,
    },
    /// A section whose length contradicts what the file says elsewhere.
    #[error("section {id} ({name}) has {found} bytes where its contents need {expected}")]
    SectionLength {
        /// Its id.
        id: u32,
        /// What it is called.
        name: &'static str,
        /// What its contents need.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A section that ends in the middle of a field.
    #[error("section {id} ({name}) ends at byte {offset}, in the middle of a field")]
    SectionEnds {
        /// Its id.
        id: u32,
        /// What it is called.
        name: &'static str,
        /// Where it ends.
        offset: u64,
    },
}

/// Where a section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it holds, by the format's numbering.
    pub id: u32,
    /// Byte of the file at which its contents start.
    pub offset: u64,
    /// Bytes of its contents.
    pub len: u64,
}

/// An open container: the table of its sections, every one of which lies within the file.
#[derive(Debug)]
pub struct BinFile<R> {
    inner: R,
    kind: Kind,
    version: u32,
    len: u64,
    sections: Vec<Section>,
}

impl<R: Read + Seek> BinFile<R> {
    /// Walks the table of sections. `inner` is read from its beginning to its end, unbuffered:
    /// there is no need to wrap a file.
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

    /// A section that must be there.
    pub fn section(&self, id: u32) -> Result<Section, BinFileError> {
        let name = self.kind.name(id);
        self.find(id).ok_or(BinFileError::MissingSection { id, name })
    }

    /// A section that must be there and have so many bytes.
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

/// Walks the file's outline, comparing each step with the length before taking it.
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

/// A file whose length was known and that ends early was cut while it was read.
fn io_error(offset: u64, source: io::Error) -> BinFileError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => BinFileError::CutShort { offset },
        _ => BinFileError::Io { offset, source },
    }
}

/// A section being read; it cannot be read past its end. What it read ahead is wiped, since a
/// witness passes through here.
#[derive(Debug)]
pub struct SectionReader<'a, R> {
    inner: &'a mut R,
    section: Section,
    name: &'static str,
    /// Bytes of the section that were fetched from the file.
    fetched: u64,
    /// Fetched bytes, of which the first `taken` were given out.
    ahead: Vec<u8>,
    taken: usize,
}

impl<R: Read> SectionReader<'_, R> {
    /// Bytes not yet given out.
    pub fn left(&self) -> u64 {
        self.section.len - self.fetched + (self.ahead.len() - self.taken) as u64
    }

    /// Byte of the file that comes next.
    pub fn offset(&self) -> u64 {
        self.section.offset + self.section.len - self.left()
    }

    /// Fails unless so many bytes are left: to be asked before allocating for them.
    pub fn needs(&self, bytes: u64) -> Result<(), BinFileError> {
        if bytes > self.left() {
            let Section { id, offset, len } = self.section;
            return Err(BinFileError::SectionEnds { id, name: self.name, offset: offset + len });
        }
        Ok(())
    }

    /// Fails unless exactly so many bytes are left.
    pub fn needs_exactly(&self, bytes: u64) -> Result<(), BinFileError> {
        if bytes != self.left() {
            let Section { id, len: found, .. } = self.section;
            let expected = (found - self.left()).saturating_add(bytes);
            return Err(BinFileError::SectionLength { id, name: self.name, expected, found });
        }
        Ok(())
    }

    /// Fails unless everything was read.
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

/// Writes a container. Lengths are said before the contents, so that nothing is gone back to and
/// any stream will do.
#[derive(Debug)]
pub struct BinFileWriter<W> {
    inner: W,
    offset: u64,
    /// Bytes that the section begun last still lacks.
    lacking: u64,
    sections: u32,
}

impl<W: Write> BinFileWriter<W> {
    /// Starts a file of so many sections.
    pub fn new(inner: W, kind: Kind, version: u32, sections: u32) -> Result<Self, BinFileError> {
        let mut file = Self { inner, offset: 0, lacking: HEADER_BYTES, sections };
        file.write(&kind.magic)?;
        file.write(&version.to_le_bytes())?;
        file.write(&sections.to_le_bytes())?;
        Ok(file)
    }

    /// Starts a section of so many bytes; the one before must be complete.
    pub fn begin(&mut self, id: u32, len: u64) -> Result<(), BinFileError> {
        assert_eq!(self.lacking, 0, "the section before this one is not complete");
        self.sections = self.sections.checked_sub(1).expect("more sections than announced");
        self.lacking = SECTION_HEADER_BYTES;
        self.write(&id.to_le_bytes())?;
        self.write(&len.to_le_bytes())?;
        self.lacking = len;
        Ok(())
    }

    /// Writes into the section begun last.
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

    /// Ends the file, which must be complete, and gives the stream back, flushed.
    pub fn finish(mut self) -> Result<W, BinFileError> {
        assert_eq!((self.lacking, self.sections), (0, 0), "the file is not complete");
        self.inner.flush().map_err(|source| io_error(self.offset, source))?;
        Ok(self.inner)
    }
}
