//! The demo's circuit: the distributed constraints match its source, and its witness matches circom's.

use std::{fs, path::Path};

use ark_ff::PrimeField;
use athanor_circom::{
    Inputs, Limits, WitnessCalculator,
    demo::{self, DEPTH, Fr, Member, MerkleTree, Poseidon, Signal, SolveError},
};
use athanor_kernels::{CurveId, Scalars};

fn circuits() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../circuits")
}

fn fr(value: u64) -> Fr {
    Fr::from(value)
}

/// A signal by the fourth of five members.
fn signal() -> Signal {
    let member = |i: u64| Member { identity: fr(1000 + i), trapdoor: fr(2000 + i) };
    let tree = MerkleTree::new(DEPTH, (0..5).map(|i| member(i).leaf()).collect());
    Signal {
        root: tree.root(),
        message: -fr(7),
        scope: fr(42),
        member: member(3),
        path: tree.path(3),
    }
}

/// The circuit's input for circom's calculator.
fn json_of(signal: &Signal) -> String {
    let list = |values: Vec<Fr>| {
        let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        quoted.join(", ")
    };
    format!(
        r#"{{"message": {}, "scope": {}, "identity": {}, "trapdoor": {},
            "siblings": [{}], "isRight": [{}]}}"#,
        list(vec![signal.message]),
        list(vec![signal.scope]),
        list(vec![signal.member.identity]),
        list(vec![signal.member.trapdoor]),
        list(signal.path.iter().map(|step| step.sibling).collect()),
        list(signal.path.iter().map(|step| Fr::from(step.is_right)).collect()),
    )
}

fn elements(witness: &Scalars) -> Vec<Fr> {
    witness.iter().map(|words| Fr::from_bigint(ark_ff::BigInt(*words)).unwrap()).collect()
}

#[test]
fn the_witness_begins_with_the_public_signals_and_satisfies_every_constraint() {
    let r1cs = demo::constraints();
    assert_eq!(r1cs.public, demo::PUBLIC);
    for signal in [signal(), Signal::example(1), Signal::example(100)] {
        let witness = elements(&signal.witness(&r1cs).unwrap());
        assert_eq!(witness.len(), r1cs.wires);
        assert_eq!(witness[0], fr(1));
        assert_eq!(witness[1..=demo::PUBLIC], signal.public());
        demo::check(&r1cs, &witness).unwrap();
    }
}

#[test]
fn no_wire_of_the_circuit_is_free() {
    let r1cs = demo::constraints();
    let witness = elements(&signal().witness(&r1cs).unwrap());
    for wire in (0..r1cs.wires).filter(|wire| *wire < 60 || wire % 61 == 0) {
        let mut changed = witness.clone();
        changed[wire] += fr(1);
        assert!(demo::check(&r1cs, &changed).is_err(), "wire {wire}");
    }
}

#[test]
fn who_is_not_in_the_tree_has_no_witness() {
    let r1cs = demo::constraints();
    let refused = |change: fn(&mut Signal)| {
        let mut signal = signal();
        change(&mut signal);
        matches!(signal.witness(&r1cs), Err(SolveError::Unsatisfied { .. }))
    };
    assert!(refused(|signal| signal.member.identity += fr(1)));
    assert!(refused(|signal| signal.member.trapdoor += fr(1)));
    assert!(refused(|signal| signal.root += fr(1)));
    assert!(refused(|signal| signal.path[0].sibling += fr(1)));
    assert!(refused(|signal| signal.path[DEPTH - 1].sibling += fr(1)));
    assert!(refused(|signal| signal.path[5].is_right = true));
    assert!(!refused(|signal| signal.message += fr(1)), "any message may be signalled");
    assert!(!refused(|signal| signal.scope += fr(1)), "in any scope");
}

#[test]
fn a_nullifier_tells_scopes_apart_and_nothing_else_about_a_signal() {
    let member = signal().member;
    assert_eq!(member.nullifier(fr(1)), member.nullifier(fr(1)));
    assert_ne!(member.nullifier(fr(1)), member.nullifier(fr(2)));
    assert_ne!(member.nullifier(member.trapdoor), member.leaf());
}

#[test]
fn the_circuits_constants_are_those_of_the_papers_generator() {
    let text = fs::read_to_string(circuits().join("poseidon_constants.circom")).unwrap();
    assert!(text == Poseidon::get().to_circom(), "run the example `demo_circuit`");
}

#[test]
fn the_shipped_constraints_are_what_the_source_compiles_to_and_circom_computes_the_same_witness() {
    const TEST: &str = "the_shipped_constraints_are_what_the_source_compiles_to_\
        and_circom_computes_the_same_witness";
    let Some(circom) = athanor_testkit::circom2(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    for file in ["merkle.circom", "poseidon.circom", "poseidon_constants.circom"] {
        fs::copy(circuits().join(file), dir.path().join(file)).unwrap();
    }
    circom.run(dir.path(), &["merkle.circom", "--r1cs", "--wasm", "--O1"]);
    assert!(fs::read(dir.path().join("merkle.r1cs")).unwrap() == demo::R1CS);

    let wasm = fs::read(dir.path().join("merkle_js/merkle.wasm")).unwrap();
    let limits = Limits::default();
    let circuit = WitnessCalculator::new(&wasm, None, &limits).unwrap();
    let signal = signal();
    let json = json_of(&signal);
    let inputs = Inputs::parse(json.as_bytes(), CurveId::Bn254, &limits).unwrap();
    let theirs = circuit.calculate(&inputs, None).unwrap();
    assert!(*theirs == *signal.witness(&demo::constraints()).unwrap());
}
