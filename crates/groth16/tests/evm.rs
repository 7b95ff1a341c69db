//! The contracts, compiled by solc and run on a real EVM: they accept what our verifier accepts,
//! and nothing else.

#![allow(clippy::print_stdout)] // Prints gas, visible with --nocapture.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};
use athanor_groth16::{
    Proof, ProvingKey, VerifyingKey, Witness, development_setup,
    evm::{Call, ContractError, solidity},
    formats::json,
    synthetic::dense,
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Device, Quotient, Scalar, cpu::Cpu};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::TxEnv,
    context_interface::result::{ExecutionResult, Output},
    database::{CacheDB, EmptyDB},
    primitives::{Address, TxKind},
};
use serde_json::{Value, json};

/// Compiles a contract; solc must not print warnings.
fn compiled(test: &str, text: &str) -> Option<Vec<u8>> {
    let solc = athanor_testkit::solc(test)?;
    let input = json!({
        "language": "Solidity",
        "sources": { "verifier.sol": { "content": text } },
        "settings": {
            "optimizer": { "enabled": true },
            "outputSelection": { "*": { "*": ["evm.bytecode.object"] } },
        },
    });
    let mut command: Command = solc.command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer.get("errors").is_none(), "{}", answer["errors"]);
    let contracts = answer["contracts"]["verifier.sol"].as_object().unwrap();
    let code = contracts["Verifier"]["evm"]["bytecode"]["object"].as_str().unwrap();
    Some(
        (0..code.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&code[at..at + 2], 16).unwrap())
            .collect(),
    )
}

/// A chain with one contract on it.
struct Chain {
    database: CacheDB<EmptyDB>,
    contract: Address,
    nonce: u64,
}

/// Result of a call.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted { gas: u64 },
    Refused,
}

impl Chain {
    fn with(code: Vec<u8>) -> Self {
        let mut chain = Self {
            database: CacheDB::<EmptyDB>::default(),
            contract: Address::default(),
            nonce: 0,
        };
        let ExecutionResult::Success { output: Output::Create(_, Some(at)), .. } =
            chain.transact(TxKind::Create, code)
        else {
            panic!("the contract is not deployed");
        };
        chain.contract = at;
        chain
    }

    fn transact(&mut self, kind: TxKind, data: Vec<u8>) -> ExecutionResult {
        let transaction = TxEnv::builder()
            .kind(kind)
            .data(data.into())
            .gas_limit(10_000_000)
            .gas_price(0)
            .nonce(self.nonce)
            .build()
            .unwrap();
        self.nonce += 1;
        let mut evm = Context::mainnet().with_db(&mut self.database).build_mainnet();
        evm.transact_commit(transaction).unwrap()
    }

    fn call(&mut self, data: Vec<u8>) -> Verdict {
        match self.transact(TxKind::Call(self.contract), data) {
            ExecutionResult::Success { output, gas, .. } => {
                let answer = output.data();
                assert_eq!(answer.len(), 32);
                match answer[31] {
                    1 => Verdict::Accepted { gas: gas.tx_gas_used() },
                    _ => Verdict::Refused,
                }
            }
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => Verdict::Refused,
        }
    }

    fn verify<C: Curve>(&mut self, proof: &Proof<C>, signals: &[Scalar]) -> Verdict {
        self.call(Call::new(proof, signals).data())
    }

    fn accepts<C: Curve>(&mut self, proof: &Proof<C>, signals: &[Scalar]) -> u64 {
        match self.verify(proof, signals) {
            Verdict::Accepted { gas } => gas,
            Verdict::Refused => panic!("a good proof is refused"),
        }
    }
}

/// The non-canonical form of a signal, if it fits into 256 bits.
fn aliased<C: Curve>(signal: &Scalar) -> Scalar {
    let mut number = ark_ff::BigInt(*signal);
    assert!(!number.add_with_carry(&C::Fr::MODULUS), "two words of 256 bits stand for it");
    number.0
}

fn forgeries_are_refused<C: Curve>(chain: &mut Chain, proof: &Proof<C>, signals: &[Scalar]) {
    let mut refused = |what: &str, proof: &Proof<C>, signals: &[Scalar]| {
        assert_eq!(chain.verify(proof, signals), Verdict::Refused, "{what}");
    };
    let minus_a = (-proof.a.into_group()).into_affine();
    refused("a negated", &Proof { a: minus_a, ..proof.clone() }, signals);
    refused("c for a", &Proof { a: proof.c, ..proof.clone() }, signals);
    refused(
        "a doubled c",
        &Proof { c: (proof.c + proof.c).into_affine(), ..proof.clone() },
        signals,
    );
    let g2 = C::G2Affine::generator();
    refused("another b", &Proof { b: g2, ..proof.clone() }, signals);
    refused("a at infinity", &Proof { a: C::G1Affine::zero(), ..proof.clone() }, signals);
    refused("b at infinity", &Proof { b: C::G2Affine::zero(), ..proof.clone() }, signals);
    refused("c at infinity", &Proof { c: C::G1Affine::zero(), ..proof.clone() }, signals);
    for index in 0..signals.len() {
        let mut changed = signals.to_vec();
        changed[index] = aliased::<C>(&signals[index]);
        refused("a signal plus the order", proof, &changed);
        changed[index] = signals[index];
        changed[index][0] ^= 1;
        refused("another signal", proof, &changed);
        changed[index] = [u64::MAX; 4];
        refused("a signal of all ones", proof, &changed);
    }
    // One word of the call changed at a time: a coordinate off the curve or at or above the modulus.
    let data = Call::new(proof, signals).data();
    let points = data.len() - 4 - 32 * signals.len();
    for word in 0..points / 32 {
        let at = 4 + 32 * word;
        let mut changed = data.clone();
        changed[at + 31] ^= 1;
        assert_eq!(chain.call(changed), Verdict::Refused, "word {word} changed");
        let mut changed = data.clone();
        changed[at..at + 32].fill(0xff);
        assert_eq!(chain.call(changed), Verdict::Refused, "word {word} over the modulus");
    }
    assert_eq!(chain.call(data[..data.len() - 1].to_vec()), Verdict::Refused, "a call cut short");
}

fn files<C: Curve>() -> (VerifyingKey<C>, Proof<C>, Vec<Scalar>) {
    let folder = match C::ID {
        CurveId::Bn254 => "bn128",
        CurveId::Bls12_381 => "bls12381",
    };
    let read = |name: &str| {
        let path = format!("{}/tests/data/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let key = json::parse_verifying_key(&read("verification_key.json")).unwrap();
    let proof = json::parse_proof(&read("proof.json")).unwrap();
    (key, proof, json::parse_public::<C>(&read("public.json")).unwrap())
}

fn snarkjs_and_our_proofs_are_accepted_and_forgeries_refused<C: Curve>(test: &str)
where
    Cpu: Device<C>,
{
    // snarkjs's key and proof.
    let (key, proof, signals) = files::<C>();
    let text = solidity(&key, "Verifier").unwrap();
    let Some(code) = compiled(test, &text) else { return };
    let bytes = code.len();
    let mut chain = Chain::with(code);
    let gas = chain.accepts(&proof, &signals);
    println!("{}: {} signals, {gas} gas, {bytes} bytes of code", C::ID, signals.len());
    forgeries_are_refused(&mut chain, &proof, &signals);

    // Ours.
    let example = dense::<C>(10, 3);
    let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset).unwrap();
    let key = ProvingKey::load(Cpu, raw.to_native(&Cpu).unwrap()).unwrap();
    let witness = Witness::new(example.witness).unwrap();
    let signals = witness.public(1).to_vec();
    let proof = key.prove(witness).unwrap().proof;
    let text = solidity(&raw.verifying, "Verifier").unwrap();
    let mut chain = Chain::with(compiled(test, &text).unwrap());
    let gas = chain.accepts(&proof, &signals);
    println!("{}: 1 signal, {gas} gas", C::ID);
    forgeries_are_refused(&mut chain, &proof, &signals);
}

#[test]
fn a_contract_accepts_proofs_of_both_tools_and_no_forgery_on_bn254() {
    let test = "a_contract_accepts_proofs_of_both_tools_and_no_forgery_on_bn254";
    snarkjs_and_our_proofs_are_accepted_and_forgeries_refused::<Bn254>(test);
}

#[test]
fn a_contract_accepts_proofs_of_both_tools_and_no_forgery_on_bls12_381() {
    let test = "a_contract_accepts_proofs_of_both_tools_and_no_forgery_on_bls12_381";
    snarkjs_and_our_proofs_are_accepted_and_forgeries_refused::<Bls12_381>(test);
}

#[test]
fn calldata_is_what_snarkjs_prints() {
    let test = "calldata_is_what_snarkjs_prints";
    let Some(snarkjs) = athanor_testkit::snarkjs(test) else { return };
    let (_, proof, signals) = files::<Bn254>();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bn128");
    let printed =
        snarkjs.run(&folder, &["zkey", "export", "soliditycalldata", "public.json", "proof.json"]);
    assert_eq!(Call::new(&proof, &signals).json(), printed.trim());
}

#[test]
fn keys_that_no_contract_can_serve_are_refused_by_name() {
    let (mut key, ..) = files::<Bn254>();
    for name in ["", "1st", "a b", "a;selfdestruct"] {
        let refused = solidity(&key, name);
        assert!(matches!(refused, Err(ContractError::Name { .. })), "{name:?}");
    }
    key.ic.resize(130, key.ic[0]);
    let refused = solidity(&key, "Verifier");
    assert_eq!(refused, Err(ContractError::TooManySignals { found: 129, most: 128 }));
    key.ic.truncate(2);
    key.gamma_g2 = <Bn254 as ark_ec::pairing::Pairing>::G2Affine::zero();
    assert!(matches!(solidity(&key, "Verifier"), Err(ContractError::Key(_))));
}

#[test]
fn a_contract_of_the_most_signals_fits_the_chain() {
    let test = "a_contract_of_the_most_signals_fits_the_chain";
    fn deploys<C: Curve>(test: &str) {
        let (mut key, proof, signals) = files::<C>();
        key.ic.resize(129, key.ic[1]);
        let text = solidity(&key, "Verifier").unwrap();
        let Some(code) = compiled(test, &text) else { return };
        println!("{}: 128 signals, {} bytes of code", C::ID, code.len());
        // The key's other points have coefficient zero, so the proof is still valid.
        let signals = [&signals[..], &[[0; 4]; 125]].concat();
        Chain::with(code).accepts(&proof, &signals);
    }
    deploys::<Bn254>(test);
    deploys::<Bls12_381>(test);
}
