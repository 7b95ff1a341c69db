//! Files that end too early or too late, or shrink while they are read.

use std::io::Cursor;

use athanor_groth16::formats::{
    BinFileError, WtnsError,
    binfile::{BinFile, BinFileWriter},
    wtns, zkey,
};
use athanor_kernels::{Bls12_381, Bn254, Curve};

use crate::support::{Parts, Shrunk, data, read_whole_wtns, read_whole_zkey, small_files};

#[test]
fn every_proper_beginning_of_a_file_is_refused() {
    for (name, bytes, read) in small_files() {
        read(&mut Cursor::new(&bytes)).unwrap();
        for len in 0..bytes.len() {
            let error = read(&mut Cursor::new(&bytes[..len])).unwrap_err();
            assert!(error.contains("truncated"), "{name} cut at {len}: {error}");
        }
    }
}

#[test]
fn files_cut_while_they_are_read_are_told_apart_from_truncated_ones() {
    for (name, bytes, read) in small_files() {
        // Every byte of small files; of keys, where points cost time, some.
        let step = if bytes.len() < 1000 { 1 } else { 23 };
        for ends in (0..bytes.len() as u64).step_by(step) {
            let error = read(&mut Shrunk { file: Cursor::new(&bytes), ends }).unwrap_err();
            assert!(error.contains("truncated"), "{name} cut at {ends}: {error}");
        }
    }
}

fn zkey_error<C: Curve>(bytes: &[u8]) -> String {
    read_whole_zkey::<C>(Cursor::new(bytes)).unwrap_err().to_string()
}

fn sections_shortened_and_lengthened<C: Curve>() {
    let original = Parts::of(&data::<C>("final.zkey"));
    for (index, (id, _)) in original.sections.iter().enumerate() {
        for change in [-64, -1, 1, 64] {
            let mut parts = original.clone();
            let section = &mut parts.sections[index].1;
            let len = section.len().saturating_add_signed(change);
            section.resize(len, 0);
            let error = zkey_error::<C>(&parts.bytes());
            assert!(error.contains("section"), "section {id} by {change}: {error}");
        }
    }
}

#[test]
fn a_section_of_any_other_length_than_the_headers_is_refused() {
    sections_shortened_and_lengthened::<Bn254>();
    sections_shortened_and_lengthened::<Bls12_381>();
}

#[test]
fn bytes_after_the_last_section_are_refused() {
    for (name, mut bytes, read) in small_files() {
        bytes.push(0);
        let error = read(&mut Cursor::new(&bytes)).unwrap_err();
        assert!(error.contains("1 bytes follow the last section"), "{name}: {error}");
    }
}

#[test]
fn missing_and_duplicate_sections_are_refused_by_name() {
    let original = Parts::of(&data::<Bn254>("final.zkey"));
    for index in 0..original.sections.len() {
        let (id, name) =
            (original.sections[index].0, zkey::KIND.sections[index_of(&original, index)]);
        let mut parts = original.clone();
        parts.sections.push(original.sections[index].clone());
        let error = zkey_error::<Bn254>(&parts.bytes());
        assert!(error.contains(&format!("section {id} ({name}) occurs twice")), "{error}");
        parts = original.clone();
        parts.sections.remove(index);
        if id == 10 {
            read_whole_zkey::<Bn254>(Cursor::new(parts.bytes())).unwrap();
        } else {
            let error = zkey_error::<Bn254>(&parts.bytes());
            assert!(error.contains(&format!("section {id} ({name}) is missing")), "{error}");
        }
    }
}

fn index_of(parts: &Parts, index: usize) -> usize {
    parts.sections[index].0 as usize - 1
}

#[test]
fn sections_may_stand_in_any_order_and_on_any_offset() {
    for (name, bytes, read) in small_files() {
        let original = Parts::of(&bytes);
        for turn in 0..original.sections.len() {
            let mut parts = original.clone();
            parts.sections.rotate_left(turn);
            read(&mut Cursor::new(parts.bytes())).unwrap_or_else(|e| panic!("{name}: {e}"));
            parts.sections.reverse();
            // An unknown section of odd length shifts all others out of alignment.
            parts.sections.insert(0, (77, vec![0xab; 2 * turn + 1]));
            read(&mut Cursor::new(parts.bytes())).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn lengths_of_four_gibibytes_and_of_all_ones_are_truncation_not_allocation() {
    for (name, bytes, read) in small_files() {
        let mut at = 12;
        for (_, section) in Parts::of(&bytes).sections {
            for length in [1u64 << 32, u64::MAX, u64::MAX - at as u64, bytes.len() as u64] {
                let mut bytes = bytes.clone();
                bytes[at + 4..at + 12].copy_from_slice(&length.to_le_bytes());
                let error = read(&mut Cursor::new(&bytes)).unwrap_err();
                assert!(error.contains("truncated"), "{name}: {error}");
            }
            at += 12 + section.len();
        }
    }
}

#[test]
fn more_sections_than_any_format_has_are_refused() {
    let mut bytes = data::<Bn254>("witness.wtns");
    for (count, words) in [(3u32, "truncated"), (129, "129 sections"), (u32::MAX, "sections")] {
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        let error = read_whole_wtns(Cursor::new(&bytes)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn other_kinds_and_versions_are_named() {
    let zkey = data::<Bn254>("final.zkey");
    let error = read_whole_wtns(Cursor::new(&zkey)).unwrap_err();
    let wrong =
        WtnsError::Container(BinFileError::WrongMagic { expected: "wtns".into(), found: *b"zkey" });
    assert_eq!(error.to_string(), wrong.to_string());
    for version in [0, 3, u32::MAX] {
        let mut bytes = data::<Bn254>("witness.wtns");
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        let error = wtns::read_wtns(Cursor::new(bytes)).unwrap_err();
        let unknown = matches!(
            error,
            WtnsError::Container(BinFileError::UnknownVersion { found, .. }) if found == version
        );
        assert!(unknown, "{error}");
    }
}

#[test]
fn an_unreadable_file_is_an_error_of_its_own() {
    #[derive(Debug)]
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is on fire"))
        }
    }
    impl std::io::Seek for Broken {
        fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(100)
        }
    }
    let error = BinFile::open(Broken, zkey::KIND).unwrap_err();
    assert!(matches!(error, BinFileError::Io { offset: 0, .. }), "{error}");
}

#[test]
#[should_panic(expected = "not complete")]
fn a_writer_does_not_end_a_section_that_lacks_bytes() {
    let mut file = BinFileWriter::new(Vec::new(), zkey::KIND, 1, 1).unwrap();
    file.begin(1, 4).unwrap();
    file.write(&[1, 2, 3]).unwrap();
    file.finish().unwrap();
}
