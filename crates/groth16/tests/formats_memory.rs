//! Memory of readers on hostile files. This is a separate binary without the usual test harness, since it
//! counts every allocation of the process, and the harness has a thread that also allocates.

use std::{
    io::{Cursor, Read, Seek},
    ops::Range,
};

use athanor_groth16::formats::{
    r1cs::R1csFile,
    wtns::read_wtns,
    zkey::{G1Query, ZkeyError, ZkeyFile},
};
use athanor_kernels::Bn254;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory of a reader besides the contents: its read-ahead (at most the length of a section), small
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

/// Flips bits of a file in turn; returns how many of the files were tried and how many refused.
fn flip_bits(
    name: &str,
    bits: impl Iterator<Item = usize>,
    read: impl Fn(&[u8]) -> bool,
) -> (usize, usize) {
    let original = data(name);
    assert!(within_bounds(name, &original, &read));
    let mut bytes = original.clone();
    let (mut tried, mut refused) = (0, 0);
    for bit in bits {
        bytes[bit / 8] ^= 1 << (bit % 8);
        tried += 1;
        refused += usize::from(!within_bounds(&format!("{name}, bit {bit}"), &bytes, &read));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(bytes, original);
    (tried, refused)
}

/// Writes large numbers at every offset of the given range.
fn great_numbers(name: &str, range: Range<usize>, read: impl Fn(&[u8]) -> bool) {
    let original = data(name);
    for at in range {
        for great in [&[0xff; 4][..], &[0xff; 8], &[0, 0, 0, 0, 1, 0, 0, 0], &[0, 0, 0, 0x80]] {
            let mut bytes = original.clone();
            let end = bytes.len().min(at + great.len());
            bytes[at..end].copy_from_slice(&great[..end - at]);
            within_bounds(&format!("{name}, {great:x?} at {at}"), &bytes, &read);
        }
    }
}

/// The range of a section's contents.
fn section(bytes: &[u8], id: u32) -> Range<usize> {
    let mut at = 12;
    loop {
        let len = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap()) as usize;
        if bytes[at..at + 4] == id.to_le_bytes() {
            return at + 12..at + 12 + len;
        }
        at += 12 + len;
    }
}

fn main() {
    memory_follows_the_files_size_whatever_its_numbers_say();
}

fn memory_follows_the_files_size_whatever_its_numbers_say() {
    // Rayon's threads start once and keep their memory. The first user does not wait for threads that it
    // does not need, so this waits for all: a thread that starts later allocates about 10 KiB.
    rayon::broadcast(|_| ());
    read_zkey(Cursor::new(data("final.zkey"))).unwrap();

    let zkey = |bytes: &[u8]| read_zkey(Cursor::new(bytes)).is_ok();
    let wtns = |bytes: &[u8]| read_wtns(Cursor::new(bytes)).is_ok();
    let r1cs = |bytes: &[u8]| {
        R1csFile::open(Cursor::new(bytes))
            .and_then(|mut file| Ok((file.constraints::<Bn254>()?, file.labels()?)))
            .is_ok()
    };
    for (name, read) in [("witness.wtns", &wtns as &dyn Fn(&[u8]) -> bool), ("circuit.r1cs", &r1cs)]
    {
        let len = data(name).len();
        flip_bits(name, 0..8 * len, read);
        great_numbers(name, 0..len, read);
    }

    let key = data("final.zkey");
    let (coefficients, history) = (section(&key, 4), section(&key, 10));
    // All but coefficients and the history: a bit of every byte, for all of which the file must
    // be refused. No point can be another point of the curve by one bit.
    let strict = (0..key.len()).filter(|at| !coefficients.contains(at) && !history.contains(at));
    let (tried, refused) = flip_bits("final.zkey", strict.map(|at| 8 * at + at % 8), zkey);
    // The four bytes of the history's id: without it the key is one without a history.
    assert!(tried > 3000 && refused + 4 == tried, "{refused} of {tried} refused");
    let free = coefficients.clone().chain(history.clone());
    flip_bits("final.zkey", free.map(|at| 8 * at + at % 8), zkey);

    great_numbers("final.zkey", 0..section(&key, 2).start + 84, zkey);
    for id in 3..=10 {
        let start = section(&key, id).start;
        great_numbers("final.zkey", start - 12..start + 16, zkey);
    }
    // The history's count, and the first contribution's kind, parameters and their lengths.
    let after_points = history.start + 68 + 3 * 64 + 128 + 64;
    great_numbers("final.zkey", history.start + 64..history.start + 68, zkey);
    great_numbers("final.zkey", after_points..after_points + 32, zkey);

    // A file of unknown sections, of the maximum number.
    let mut bytes = b"zkey\x01\0\0\0\x80\0\0\0".to_vec();
    (0..128u32).for_each(|id| bytes.extend([&(1000 + id).to_le_bytes()[..], &[0; 8]].concat()));
    assert!(!within_bounds("unknown sections", &bytes, zkey));
}
