//! `athanor demo`: the whole way, on a real circuit that comes with the binary.

use athanor_circom::demo::{self, Signal};
use athanor_groth16::{Proof, ProvingKey, Verifier, VerifyError, Witness, development_setup};
use athanor_kernels::{Bn254, DeviceError, Quotient, cpu::Cpu};
use serde_json::json;

use crate::{
    args,
    bench::circuits::Circuit,
    failure::{Failure, Kind},
    output::{answer, peak_memory, timed},
};

/// Members in the tree of the example.
const MEMBERS: usize = 100;

/// Makes a key, proves membership in a Merkle tree, verifies, and shows forgeries refused.
pub(crate) fn run(args: &args::Demo) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    pool.install(|| show(args.common.json))
}

fn show(as_json: bool) -> Result<(), Failure> {
    let say = |line: String| {
        if !as_json {
            answer(&line);
        }
    };
    let r1cs = demo::constraints();
    say(format!(
        "A member of a Merkle tree of depth {} (Poseidon, BN254) proves membership, and signals a \
         message once per scope, without saying who it is: {} constraints.",
        demo::DEPTH,
        r1cs.constraints(),
    ));
    let (key, setup) = timed(|| -> Result<_, Failure> {
        let raw = development_setup::<Bn254>(&r1cs, Quotient::OddCoset)?;
        let native = raw.to_native(&Cpu).map_err(DeviceError::from);
        Ok(ProvingKey::load(Cpu, native.map_err(athanor_groth16::ProveError::from)?)?)
    });
    let key = key?;
    let line =
        |name: &str, time: f64, remark: &str| say(format!("{name:<9}{time:>9.3} s  {remark}"));
    line("setup", setup.as_secs_f64(), "a development key, its trapdoors thrown away");

    let signal = Signal::example(MEMBERS);
    let (witness, witness_time) = timed(|| signal.witness(&r1cs));
    let witness = witness.map_err(|error| Failure::new(Kind::Internal, error))?;
    line("witness", witness_time.as_secs_f64(), &format!("{} wires", r1cs.wires));

    let witness = Witness::<Bn254>::new(witness)?;
    let public = witness.public(demo::PUBLIC).to_vec();
    let proved = key.prove(witness)?;
    let (stages, proof) = (proved.stages, proved.proof);
    line(
        "prove",
        stages.prove.as_secs_f64(),
        "two points of G1 and one of G2: 128 bytes compressed",
    );

    let verifier = Verifier::new(key.verifying_key())?;
    let (verdict, verify_time) = timed(|| verifier.verify(&public, &proof));
    verdict?;
    line("verify", verify_time.as_secs_f64(), "the proof is valid");

    let tampered = Proof { a: proof.c, ..proof.clone() };
    let mut other_statement = public.clone();
    other_statement[0] = public[1];
    let forgeries = [
        ("a tampered proof", verifier.verify(&public, &tampered)),
        ("the proof for another statement", verifier.verify(&other_statement, &proof)),
    ];
    for (what, verdict) in &forgeries {
        match verdict {
            Err(VerifyError::Invalid) => say(format!("{what} is refused")),
            verdict => {
                let message = format!("{what} was not refused as invalid: {verdict:?}");
                return Err(Failure::new(Kind::Internal, message));
            }
        }
    }
    if as_json {
        let mut seconds = serde_json::Map::new();
        seconds.insert("setup".into(), setup.as_secs_f64().into());
        seconds.insert("witness".into(), witness_time.as_secs_f64().into());
        for (name, time) in stages.named() {
            seconds.insert(name.into(), time.as_secs_f64().into());
        }
        seconds.insert("verify".into(), verify_time.as_secs_f64().into());
        let answered = json!({
            "command": "demo",
            "verified": true,
            "forgeries_refused": forgeries.len(),
            "circuit": "merkle membership",
            "depth": demo::DEPTH,
            "curve": "bn254",
            "constraints": key.constraints(),
            "wires": key.wires(),
            "public_signals": public.len(),
            "threads": rayon::current_num_threads(),
            "stages": seconds,
            "peak_memory_bytes": peak_memory(),
        });
        answer(&answered.to_string());
    }
    Ok(())
}

/// The demo's circuit, to measure with.
pub(crate) fn circuit() -> Result<Circuit<Bn254>, Failure> {
    let r1cs = demo::constraints();
    let witness = Signal::example(MEMBERS).witness(&r1cs);
    let witness = witness.map_err(|error| Failure::new(Kind::Internal, error))?;
    Circuit::with_key("merkle-20".into(), r1cs, witness)
}
