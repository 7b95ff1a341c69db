//! Two partitions of 2 KiB: the same circuit and parameters as ten, a different setting of the stack.

mod common;

use athanor_engine::{Input, Submission};
use athanor_filecoin::{CheckedBy, SealProof};

#[test]
#[ignore = "the child of the tests that ask verify_seal"]
fn verifier_child() {
    common::be_the_verifier();
}

#[test]
fn two_partitions_are_proven_with_and_without_a_known_miner() {
    let porep = common::porep(2);
    assert_eq!(porep.identifier().unwrap(), common::porep(10).identifier().unwrap());
    let c1 = common::c1(&porep);
    let engine = common::engine(&porep);
    let prove = |input: String| {
        let input = Input::new("json", input.into_bytes());
        let finished = engine.submit(Submission::new("porep", input)).unwrap().wait().unwrap();
        SealProof::from_bytes(&finished.bytes).unwrap()
    };
    let mut corrupted = serde_json::to_value(&c1).unwrap();
    common::corrupt(&mut corrupted, 1);
    let input = Input::new("json", corrupted.to_string().into_bytes());
    let failed = engine.submit(Submission::new("porep", input)).unwrap().wait().unwrap_err();
    assert!(failed.to_string().starts_with("partition 1: "), "{failed}");
    // The next job succeeds.
    let proven = prove(common::envelope(&c1).to_string());
    assert_eq!((proven.proof.len(), proven.checked), (384, Some(CheckedBy::VerifySeal)));
    // Without a miner: the result records that the owner of the replica was not checked.
    let proven = prove(serde_json::to_string(&c1).unwrap());
    assert_eq!((proven.proof.len(), proven.checked), (384, Some(CheckedBy::Compound)));
    engine.verify("porep", &proven.to_bytes().unwrap()).unwrap();
}
