//! How much memory readers ask for, whatever a file says. One test, in a binary of its own, since
//! it counts every allocation of the process.

use std::io::{Cursor, Read, Seek};

use athanor_groth16::formats::{
    r1cs::R1csFile,
    wtns::read_wtns,
    zkey::{G1Query, ZkeyError, ZkeyFile},
};
use athanor_kernels::Bn254;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a reader needs besides the contents: its read-ahead (as long as a section at most), small
/// buffers, an error's text.
const OVERHEAD: usize = 8 << 10;

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/bn128/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn read_zkey(file: impl Read + Seek) -> Result<(), ZkeyError> {
    let mut zkey = ZkeyFile::open(file)?.read_as::<Bn254>()?;
    zkey.verifying_key()?;
    zkey.matrices()?;
    for query in [G1Query::A, G1Query::B1, G1Query::C, G1Query::H] {
        zkey.g1_points(query, usize::MAX, |_, _| Ok::<_, ZkeyError>(()))?;
    }
    zkey.g2_points(usize::MAX, |_, _| Ok::<_, ZkeyError>(()))?;
    zkey.contributions()?;
    Ok(())
}

/// Reads a file and returns whether it was accepted; fails if it took more than a few times the
/// file's size in memory.
fn within_bounds(what: &str, bytes: &[u8], read: impl Fn(&[u8]) -> bool) -> bool {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let accepted = read(bytes);
    let used = MEMORY.peak_usage().saturating_sub(before);
    assert!(used <= 4 * bytes.len() + OVERHEAD, "{what}: {used} bytes for {}", bytes.len());
    accepted
}

/// Flips every bit of a file in turn; returns how many of the files were refused.
fn flip_every_bit(name: &str, step: usize, read: impl Fn(&[u8]) -> bool) -> usize {
    let original = data(name);
    assert!(within_bounds(name, &original, &read));
    let mut bytes = original.clone();
    let mut refused = 0;
    for bit in (0..8 * bytes.len()).step_by(step) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused += usize::from(!within_bounds(&format!("{name}, bit {bit}"), &bytes, &read));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(bytes, original);
    refused
}

/// Offset and length of a section's contents.
fn section(bytes: &[u8], id: u32) -> (usize, usize) {
    let mut at = 12;
    loop {
        let len = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap()) as usize;
        if bytes[at..at + 4] == id.to_le_bytes() {
            return (at + 12, len);
        }
        at += 12 + len;
    }
}

fn every_word_of_a_file_says_four_billion(name: &str, read: impl Fn(&[u8]) -> bool) {
    let original = data(name);
    for at in 0..original.len() - 8 {
        for huge in [&[0xff; 4][..], &[0xff; 8], &[0, 0, 0, 0, 1, 0, 0, 0], &[0, 0, 0, 0x80]] {
            let mut bytes = original.clone();
            bytes[at..at + huge.len()].copy_from_slice(huge);
            within_bounds(&format!("{name}, {huge:x?} at {at}"), &bytes, &read);
        }
    }
}

#[test]
fn memory_follows_the_files_size_whatever_its_numbers_say() {
    // Rayon's threads start once and keep their memory.
    read_zkey(Cursor::new(data("final.zkey"))).unwrap();

    let zkey = |bytes: &[u8]| read_zkey(Cursor::new(bytes)).is_ok();
    let wtns = |bytes: &[u8]| read_wtns(Cursor::new(bytes)).is_ok();
    let r1cs = |bytes: &[u8]| {
        R1csFile::open(Cursor::new(bytes))
            .and_then(|mut file| Ok((file.constraints::<Bn254>()?, file.labels()?)))
            .is_ok()
    };
    flip_every_bit("witness.wtns", 1, wtns);
    flip_every_bit("circuit.r1cs", 1, r1cs);
    // Every byte has a bit of its own flipped; 9 and 8 are coprime.
    let refused = flip_every_bit("final.zkey", 9, zkey);
    // What can be another valid file after a flip: coefficients, and in the history a hash, a
    // name, a beacon and numbers. Every other flip is refused, points included.
    let bytes = data("final.zkey");
    let (coefficients, history) = (section(&bytes, 4), section(&bytes, 10));
    let free = coefficients.1 + history.1 - 2 * (3 * 64 + 128);
    assert!(refused >= bytes.len() * 8 / 9 - free * 8 / 9 - 4, "{refused} refused");

    every_word_of_a_file_says_four_billion("witness.wtns", wtns);
    every_word_of_a_file_says_four_billion("circuit.r1cs", r1cs);
    every_word_of_a_file_says_four_billion("final.zkey", zkey);

    // A file of sections that nobody knows, as many as are accepted.
    let mut bytes = b"zkey\x01\0\0\0\x80\0\0\0".to_vec();
    (0..128u32).for_each(|id| bytes.extend([&(1000 + id).to_le_bytes()[..], &[0; 8]].concat()));
    assert!(!within_bounds("unknown sections", &bytes, zkey));
}
