//! Ten partitions of 2 KiB, the network's number for large sectors: a real sector, end to end.

mod common;
#[path = "common/reference.rs"]
mod reference;

use std::{sync::OnceLock, time::Duration};

use ark_bls12_381::Fr;
use athanor_engine::{Engine, Input, JobError, Submission};
use athanor_filecoin::{
    CheckedBy, Constraints, MinerId, Porep, SealProof, Statement, input, open, params, synthesis,
};
use athanor_groth16::{Witness, formats::bellman};
use athanor_kernels::{
    Bls12_381, Matrix, Path, Scalars, counters::counters, cpu::first_unsatisfied,
};
use common::timed;
use filecoin_proofs_api::seal::SealCommitPhase1Output;
use serde_json::Value;

#[test]
#[ignore = "the child of the tests that ask verify_seal"]
fn verifier_child() {
    common::be_the_verifier();
}

/// Made once for all tests of this setting.
struct Ten {
    porep: Porep,
    c1: SealCommitPhase1Output,
    params: std::path::PathBuf,
    constraints: Constraints,
}

fn ten() -> &'static Ten {
    static TEN: OnceLock<Ten> = OnceLock::new();
    TEN.get_or_init(|| {
        let porep = common::porep(10);
        let c1 = common::c1(&porep);
        let params = common::parameters(&porep);
        let constraints = common::constraints(&porep);
        Ten { porep, c1, params, constraints }
    })
}

fn prove(engine: &Engine, input: &Value) -> Result<SealProof, JobError> {
    let input = Input::new("json", input.to_string().into_bytes());
    let finished = engine.submit(Submission::new("porep", input))?.wait()?;
    Ok(SealProof::from_bytes(&finished.bytes).unwrap())
}

#[test]
fn a_sealed_sector_is_proven_and_verify_seal_takes_that_proof_and_no_other() {
    let Ten { porep, c1, params, .. } = ten();
    let engine = common::engine(porep);
    let before = Path::ALL.map(|path| counters(path).evaluations);
    let proven = timed("ten partitions", || prove(&engine, &common::envelope(c1)).unwrap());
    // The compiled constraints were used: A and B once per partition.
    let path = Path::chosen() as usize;
    let after = Path::ALL.map(|path| counters(path).evaluations);
    assert!(after[path] - before[path] >= 20, "{before:?} {after:?}");
    assert_eq!(proven.checked, Some(CheckedBy::VerifySeal));
    assert_eq!(proven.proof.len(), 1920);
    engine.verify("porep", &proven.to_bytes().unwrap()).unwrap();

    let file = std::fs::File::open(params).unwrap();
    let key = bellman::BellmanReader::open(file).unwrap().verifying_key_bytes().to_vec();
    let place = tempfile::tempdir().unwrap();
    let ask = |statement: &Statement, proof: &[u8]| {
        common::verifier().verify(place.path(), porep, &key, statement, proof)
    };
    let (statement, parts) = (&proven.statement, proven.proof.chunks(192).collect::<Vec<_>>());
    let of = |order: &[usize]| order.iter().flat_map(|at| parts[*at].to_vec()).collect::<Vec<u8>>();
    assert!(ask(statement, &of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap());
    let swapped = of(&[1, 0, 2, 3, 4, 5, 6, 7, 8, 9]);
    let repeated = of(&[0, 0, 2, 3, 4, 5, 6, 7, 8, 9]);
    let missing = of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let longer = of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
    assert!(!ask(statement, &swapped).unwrap());
    assert!(!ask(statement, &repeated).unwrap());
    assert!(ask(statement, &missing).is_err());
    assert!(ask(statement, &longer).is_err());
    let other = Statement { sector_number: Some(8), ..statement.clone() };
    assert!(!ask(&other, &proven.proof).unwrap(), "another sector of the miner");
    for proof in [swapped, repeated, missing] {
        let bytes = SealProof { proof, ..proven.clone() }.to_bytes().unwrap();
        assert!(engine.verify("porep", &bytes).is_err());
    }
}

#[test]
fn every_partition_satisfies_every_row_and_a_changed_wire_does_not() {
    let Ten { porep, c1, constraints, .. } = ten();
    let Constraints { sizes, a, b, c } = constraints;
    assert_eq!((sizes.inputs, sizes.aux, sizes.rows()), (22, 1_343_122, 1_344_268));
    let vanilla = porep.vanilla(c1.clone()).unwrap();
    for partition in 0..10 {
        vanilla.check(partition).unwrap();
        let witness = vanilla.witness(partition, sizes.wires()).unwrap();
        assert_eq!(first_unsatisfied([a, b, c], witness.scalars()), None, "{partition}");
        let inputs = vanilla.inputs(partition).unwrap();
        assert_eq!(witness.public(21), inputs, "the public inputs of partition {partition}");
        let mut changed = witness.scalars().to_vec();
        changed[500_000][0] ^= 1;
        let changed = Scalars::new(changed);
        assert!(first_unsatisfied([a, b, c], &changed).is_some(), "{partition}");
    }
}

fn same(blank: &Matrix<Fr>, concrete: &Matrix<Fr>) -> bool {
    blank.rows() == concrete.rows() && blank.iter().eq(concrete.iter())
}

#[test]
fn constraints_of_the_blank_circuit_are_those_of_a_concrete_one() {
    let Ten { c1, constraints, .. } = ten();
    let concrete = synthesis::record(|| reference::circuit(c1, 10, 6)).unwrap();
    assert_eq!(constraints.sizes, concrete.sizes);
    assert!(same(&constraints.a, &concrete.a));
    assert!(same(&constraints.b, &concrete.b));
    assert!(same(&constraints.c, &concrete.c));
    let listed =
        [&constraints.a, &constraints.b, &constraints.c].map(Matrix::distinct_coefficients);
    assert!(listed.iter().all(|count| *count < 1600), "{listed:?}");
}

#[test]
fn for_the_same_randomness_the_proof_has_the_stock_provers_bytes() {
    let Ten { porep, c1, params, constraints } = ten();
    let loaded = params::load(porep, params, None, &common::settings()).unwrap();
    let vanilla = porep.vanilla(c1.clone()).unwrap();
    let witness: Witness<Bls12_381> = vanilla.witness(4, constraints.sizes.wires()).unwrap();
    let own = timed("own, one partition", || {
        loaded.key.prove_with_randomness(witness, Fr::from(101u64), Fr::from(102u64)).unwrap()
    });
    let circuit = reference::circuit(c1, 10, 4);
    let mapped = reference::mapped(params);
    let stock = timed("bellperson, one partition", || reference::prove(circuit, &mapped, 101, 102));
    assert_eq!(bellman::proof_bytes(&own)[..], stock);
}

#[test]
fn a_corrupted_vanilla_proof_fails_its_job_alone_and_names_the_partition() {
    let Ten { porep, c1, params, .. } = ten();
    let mut value = serde_json::to_value(c1).unwrap();
    common::corrupt(&mut value, 3);
    let engine = common::engine(porep);
    match prove(&engine, &value).unwrap_err() {
        JobError::Failed { code, message, retry } => {
            assert_eq!((code.as_str(), retry), ("bad-input", false), "{message}");
            assert!(message.starts_with("partition 3: "), "{message}");
        }
        other => panic!("{other}"),
    }
    // A running step finishes; then the job holds no memory, and at most the key stays.
    assert_eq!(engine.drain(Duration::from_secs(300)), 0);
    let standing = engine.standing().unwrap();
    let circuit = open(porep.clone(), params, None, None, common::settings()).unwrap();
    let key = circuit.keys()[0].host;
    assert!([0, key].contains(&standing.reserved), "{} of {key}", standing.reserved);
    assert_eq!(standing.stats.counts().failed, 1);
}

#[test]
fn what_is_no_c1_of_this_circuit_is_refused_before_anything_runs() {
    let Ten { porep, c1, .. } = ten();
    let refused = |bytes: &[u8]| {
        let fault = input::parse(porep, bytes, None).err().expect("it is refused");
        assert!(["bad-input", "unsupported"].contains(&fault.code), "{fault}");
        fault.message
    };
    let text = serde_json::to_string(c1).unwrap();
    input::parse(porep, text.as_bytes(), None).unwrap();
    for length in [0, 1, 1000, text.len() / 2, text.len() - 1] {
        refused(&text.as_bytes()[..length]);
    }
    assert!(refused(b"{}").contains("Phase1Out"));
    assert!(refused(&vec![b'['; 1 << 20]).contains("is not a C1 output"));
    assert!(refused(b"{\"registered_proof\" 3}").contains("not JSON (line 1"));
    assert!(refused(&vec![b' '; 200_000_000]).contains("200000000"));
    let swap = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        refused(text.replace(from, to).as_bytes())
    };
    assert!(swap("StackedDrg2KiBV1_1", "StackedDrg32GiBV1_1").contains("this circuit is for 2KiB"));
    let other = swap("\"StackedDrg2KiBV1_1\"", "\"StackedDrg2KiBV1_2_Feat_NonInteractivePoRep\"");
    assert!(other.contains("non-interactive"));

    let mut short = serde_json::to_value(c1).unwrap();
    short["vanilla_proofs"]["StackedDrg2KiBV1"].as_array_mut().unwrap().pop();
    assert!(
        refused(short.to_string().as_bytes()).contains("9 partitions, but this circuit has 10")
    );
    let mut empty = serde_json::to_value(c1).unwrap();
    empty["vanilla_proofs"]["StackedDrg2KiBV1"][3].as_array_mut().unwrap().clear();
    assert!(refused(empty.to_string().as_bytes()).contains("partition 3 of the C1 output has 0"));

    let mut envelope = common::envelope(c1);
    envelope["SectorSize"] = (32u64 << 30).into();
    assert!(refused(envelope.to_string().as_bytes()).contains("34359738368"));
    let mut envelope = common::envelope(c1);
    envelope["Phase1Out"] = "%%%".into();
    assert!(refused(envelope.to_string().as_bytes()).contains("base64"));
    let mut envelope = common::envelope(c1);
    envelope["SectorNum"] = 8.into();
    assert!(refused(envelope.to_string().as_bytes()).contains("f01000"));
    let mut envelope = common::envelope(c1);
    envelope["Miner"] = serde_json::to_value(MinerId(1001)).unwrap();
    assert!(refused(envelope.to_string().as_bytes()).contains("f01001"));
}
