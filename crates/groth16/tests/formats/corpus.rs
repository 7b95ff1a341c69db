//! Reads the fuzz targets' corpus with a stable compiler: no file causes a panic.

use std::{fs, path::Path};

#[allow(unreachable_pub, reason = "the fuzz targets see them as well")]
#[path = "../../../../fuzz/entries.rs"]
mod entries;

/// Reads bytes as one kind of file.
type Entry = fn(&[u8]);

fn each(folder: &Path, read: Entry) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            read(&fs::read(&path).unwrap());
            count += 1;
        }
    }
    count
}

#[test]
fn every_file_of_the_corpus_is_read_to_an_end() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = root.join("../../fuzz/corpus");
    let entries: [(&str, Entry); 6] = [
        ("zkey", entries::zkey),
        ("ptau", entries::ptau),
        ("r1cs", entries::r1cs),
        ("wtns", entries::wtns),
        ("sym", entries::sym),
        ("json", entries::json),
    ];
    for (kind, read) in entries {
        assert!(each(&corpus.join(kind), read) >= 3, "{kind} has a corpus");
        for curve in ["bn128", "bls12381"] {
            // Real files, most of them of another kind.
            assert!(each(&root.join("tests/data").join(curve), read) >= 8);
        }
    }
}
