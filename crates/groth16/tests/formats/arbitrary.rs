//! Random bytes, and real files with changed bytes: never a panic.

use std::io::Cursor;

use athanor_groth16::formats::{json, sym};
use athanor_kernels::{Bls12_381, Bn254};
use proptest::prelude::*;

use crate::support::{small_files, text};

fn parse_json(text: &str) {
    let _ = json::curve_of(text);
    let _ = json::parse_proof::<Bn254>(text);
    let _ = json::parse_proof::<Bls12_381>(text);
    let _ = json::parse_verifying_key::<Bn254>(text);
    let _ = json::parse_public::<Bn254>(text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        for (_, _, read) in small_files() {
            let _ = read(&mut Cursor::new(&bytes));
        }
        parse_json(&String::from_utf8_lossy(&bytes));
        let _ = sym::WireNames::read(&bytes[..]);
    }

    #[test]
    fn arbitrary_bytes_behind_a_real_magic_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        sections in 0u8..8,
    ) {
        for (_, file, read) in small_files() {
            let mut forged = file[..8].to_vec();
            forged.extend([sections, 0, 0, 0]);
            forged.extend(&bytes);
            let _ = read(&mut Cursor::new(&forged));
        }
    }

    #[test]
    fn real_files_with_bytes_changed_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let files = small_files();
        let (_, mut bytes, read) = files[which.index(files.len())].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&mut Cursor::new(&bytes));
    }

    #[test]
    fn real_json_with_bytes_changed_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for name in ["proof.json", "public.json", "verification_key.json"] {
            let mut chars: Vec<char> = text::<Bn254>(name).chars().collect();
            for (at, new) in &changes {
                let at = at.index(chars.len());
                chars[at] = *new;
            }
            let changed: String = chars.iter().collect();
            parse_json(&changed);
            let cut: String = chars[..cut.index(chars.len())].iter().collect();
            parse_json(&cut);
        }
    }

    #[test]
    fn names_of_any_shape_are_read_or_refused(text in "[0-9a-z,.\\-\\[\\]\n]{0,200}") {
        let _ = sym::WireNames::read(text.as_bytes());
    }
}
