//! Detects damage in SQLite's write-ahead log, which SQLite itself does not report.
//!
//! SQLite reads a log up to the first frame with a wrong checksum and ignores the rest. After a power cut this is
//! correct: the last transaction was never synced, so its frames may be missing or out of order. But if the bad
//! frame belongs to a synced transaction, the log is damaged and accepted records are lost. With
//! `synchronous = FULL` the first frame of a transaction is written only after the sync of the previous one.
//! Therefore a transaction was synced if a frame follows its commit frame and continues its checksum. Only damage in
//! such a transaction is reported. Damage in the last transaction cannot be distinguished from a torn write.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: u32 = 0x377f_0682;
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The result of inspecting a write-ahead log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalReport {
    /// Number of frames that SQLite reads.
    pub valid_frames: u64,
    /// The first bad frame of a synced transaction, counted from 1; 0 is the file's header.
    pub damaged_frame: Option<u64>,
    /// Number of intact frames of the same log after it.
    pub frames_behind: u64,
}

/// SQLite's WAL checksum: two running sums over 32-bit words.
type Sums = (u32, u32);

/// Continues the checksum `(a, b)` over `bytes`, in the byte order of the log's magic.
fn checksum(bytes: &[u8], big_endian: bool, (mut a, mut b): Sums) -> Sums {
    let word = |four: &[u8]| {
        let four = [four[0], four[1], four[2], four[3]];
        if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

/// The big-endian number at offset `at`.
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The path of a database's write-ahead log.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Inspects a log; `None` if the file does not exist or is shorter than a header.
pub(crate) fn inspect(path: &Path) -> io::Result<Option<WalReport>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Frames that another process appends during the inspection are not read.
    let length = file.metadata()?.len();
    read(BufReader::with_capacity(1 << 16, file.take(length)))
}

fn read(mut bytes: impl BufRead) -> io::Result<Option<WalReport>> {
    let mut header = [0; HEADER];
    if !read_full(&mut bytes, &mut header)? {
        return Ok(None);
    }
    let magic = read_u32(&header, 0);
    let page = read_u32(&header, 8);
    let page_is_possible = page.is_power_of_two() && (512..=65_536).contains(&page);
    if magic & !1 != MAGIC || !page_is_possible {
        // A power cut can leave zeros, or a part of a header that was never synced. This is not damage. SQLite
        // syncs the header of a new log before it writes a frame, so a frame after a bad header shows damage.
        let damaged_frame = has_nonzero_byte(bytes)?.then_some(0);
        return Ok(Some(WalReport { damaged_frame, ..WalReport::default() }));
    }
    let frames = Frames { bytes, big_endian: magic & 1 == 1, page: page as usize };
    frames.inspect(&header).map(Some)
}

/// Whether a byte differs from zero.
fn has_nonzero_byte(bytes: impl BufRead) -> io::Result<bool> {
    for byte in bytes.bytes() {
        if byte? != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fills the whole slice; `false` if the file ends first.
fn read_full(bytes: &mut impl Read, slice: &mut [u8]) -> io::Result<bool> {
    match bytes.read_exact(slice) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

struct Frames<R> {
    bytes: R,
    big_endian: bool,
    page: usize,
}

impl<R: Read> Frames<R> {
    fn inspect(mut self, header: &[u8; HEADER]) -> io::Result<WalReport> {
        let mut report = WalReport::default();
        let salts = &header[16..24];
        let mut sums = (read_u32(header, 24), read_u32(header, 28));
        let mut first_bad = (checksum(&header[..24], self.big_endian, (0, 0)) != sums).then_some(0);
        // Whether the previous frame is a commit frame at or after the first bad frame.
        let mut after_commit = false;
        let mut frame = vec![0; FRAME_HEADER + self.page];
        for number in 1u64.. {
            if !read_full(&mut self.bytes, &mut frame)? {
                break;
            }
            let salts_match = &frame[8..16] == salts;
            let stored = (read_u32(&frame, 16), read_u32(&frame, 20));
            let expected = checksum(&frame[..8], self.big_endian, sums);
            let expected = checksum(&frame[FRAME_HEADER..], self.big_endian, expected);
            let intact = salts_match && stored == expected && read_u32(&frame, 0) != 0;
            // Frames that an earlier log left in the file are not intact: their salts differ.
            if !intact && first_bad.is_none() {
                first_bad = Some(number);
            }
            match first_bad {
                None => report.valid_frames = number,
                Some(first) if intact => {
                    report.frames_behind += 1;
                    if after_commit {
                        report.damaged_frame = Some(first);
                    }
                }
                Some(_) => {}
            }
            after_commit = first_bad.is_some() && salts_match && read_u32(&frame, 4) != 0;
            sums = stored;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as SQLite writes it; `transactions` holds the number of frames of each transaction.
    fn log(transactions: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [MAGIC, 3_007_000, PAGE as u32, 0, 7, 9] {
            bytes.extend(word.to_be_bytes());
        }
        let mut sums = checksum(&bytes, false, (0, 0));
        let push = |bytes: &mut Vec<u8>, sums: Sums| {
            bytes.extend(sums.0.to_be_bytes());
            bytes.extend(sums.1.to_be_bytes());
        };
        push(&mut bytes, sums);
        for frames in transactions {
            for left in (0..*frames).rev() {
                let commit = if left == 0 { 5u32 } else { 0 };
                let head = [2u32.to_be_bytes(), commit.to_be_bytes()].concat();
                let page = [left as u8 + 1; PAGE];
                sums = checksum(&page, false, checksum(&head, false, sums));
                bytes.extend(head);
                bytes.extend([7u32.to_be_bytes(), 9u32.to_be_bytes()].concat());
                push(&mut bytes, sums);
                bytes.extend(page);
            }
        }
        bytes
    }

    const PAGE: usize = 512;

    fn frame(number: usize) -> usize {
        HEADER + (number - 1) * (FRAME_HEADER + PAGE)
    }

    fn report(bytes: &[u8]) -> WalReport {
        read(bytes).unwrap().unwrap_or_default()
    }

    #[test]
    fn a_torn_tail_is_not_damage_and_a_bad_frame_before_a_synced_commit_is() {
        let whole = log(&[3, 2, 2]);
        assert_eq!(report(&whole), WalReport { valid_frames: 7, ..WalReport::default() });
        // Truncation at any byte is not damage.
        for length in 0..whole.len() {
            assert_eq!(report(&whole[..length]).damaged_frame, None, "cut at {length}");
        }
        let damaged_at = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            report(&bytes).damaged_frame
        };
        // A header without frames may be torn anywhere, in a file that already has its later length or not.
        for kept in (0..=HEADER).flat_map(|cut| [0..cut, cut..HEADER]) {
            for length in [HEADER, HEADER + 3 * (FRAME_HEADER + PAGE)] {
                let mut bytes = vec![0; length];
                bytes[kept.clone()].copy_from_slice(&whole[kept.clone()]);
                assert_eq!(report(&bytes).damaged_frame, None, "bytes {kept:?} of the header");
            }
        }
        // The last transaction may never have been synced: any of its pages may be missing, with or without the
        // frame header.
        for number in [6, 7] {
            for at in (frame(number) + 8..frame(number + 1)).step_by(3) {
                assert_eq!(damaged_at(at), None, "byte {at}");
            }
            let mut bytes = whole.clone();
            bytes[frame(number)..frame(number + 1)].fill(0);
            assert_eq!(report(&bytes).damaged_frame, None);
        }
        // Damage in the pages of other transactions is found. In the header of a commit frame it is not always found.
        for number in 1..=5 {
            for at in frame(number) + FRAME_HEADER..frame(number + 1) {
                assert_eq!(damaged_at(at), Some(number as u64), "byte {at}");
            }
        }
        assert_eq!(damaged_at(26), Some(0), "the header");
        assert_eq!(damaged_at(0), Some(0), "the magic");
    }

    #[test]
    fn frames_of_an_earlier_log_after_the_end_are_not_damage() {
        let (mut bytes, old) = (log(&[2]), log(&[3, 2, 2]));
        let mut rest = old[bytes.len()..].to_vec();
        // Other salts.
        for at in (0..rest.len()).step_by(FRAME_HEADER + PAGE) {
            rest[at + 8] ^= 1;
        }
        bytes.extend(rest);
        assert_eq!(report(&bytes), WalReport { valid_frames: 2, ..WalReport::default() });
        assert_eq!(report(&[0; 4096]).damaged_frame, None);
    }
}
