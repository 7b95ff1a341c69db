//! One partition of 2 KiB, the network's number: a different circuit, with its own parameters.

mod common;

use athanor_engine::{Input, Submission};
use athanor_filecoin::{CheckedBy, SealProof};

#[test]
#[ignore = "the child of the tests that ask verify_seal"]
fn verifier_child() {
    common::be_the_verifier();
}

/// Twice the domain of the other settings, and a key of a gigabyte: takes minutes.
#[test]
fn one_partition_is_proven() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let porep = common::porep(1);
    assert_ne!(porep.identifier().unwrap(), common::porep(10).identifier().unwrap());
    let c1 = common::c1(&porep);
    let engine = common::engine(&porep);
    let input = Input::new("json", common::envelope(&c1).to_string().into_bytes());
    let finished = engine.submit(Submission::new("porep", input)).unwrap().wait().unwrap();
    let proven = SealProof::from_bytes(&finished.bytes).unwrap();
    assert_eq!((proven.proof.len(), proven.checked), (192, Some(CheckedBy::VerifySeal)));
}
