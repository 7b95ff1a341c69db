//! `athanor demo`: makes a key for the built-in circuit, adds the circuit to a catalog, and proves
//! and verifies with the same engine as `athanor serve`.

use std::path::Path;

use athanor_circom::{
    CircomBackend,
    circuit::{NativeGenerator, ProofBundle, WTNS},
    demo::{self, Signal},
};
use athanor_engine::{Catalog, Input, Submission};
use athanor_groth16::{
    Proof, R1cs, Verifier, VerifyError, development_setup,
    formats::{json as formats, wtns::write_wtns},
};
use athanor_kernels::{Bn254, CurveId, Quotient, Scalars};
use serde_json::json;

use crate::{
    args,
    bench::circuits::Circuit,
    circuits::NewCircuit,
    failure::{Failure, Kind},
    local,
    output::{answer, peak_memory, timed},
    setup,
};

/// Members in the example's Merkle tree.
const MEMBERS: usize = 100;

/// Name of the circuit in its catalog.
const NAME: &str = "merkle-membership";

/// Makes a key, proves membership in a Merkle tree, verifies, and checks that forgeries are refused.
pub(crate) fn run(args: &args::Demo) -> Result<(), Failure> {
    let as_json = args.common.json;
    let threads = local::threads(args.common.threads);
    let say = |line: String| {
        if !as_json {
            answer(&line);
        }
    };
    let line =
        |name: &str, time: f64, remark: &str| say(format!("{name:<9}{time:>9.3} s  {remark}"));
    let internal = |error: &dyn std::fmt::Display| Failure::new(Kind::Internal, error);
    let r1cs = demo::constraints();
    say(format!(
        "A member of a Merkle tree of depth {} (Poseidon, BN254) proves membership, and signals a \
         message once per scope, without saying who it is: {} constraints.",
        demo::DEPTH,
        r1cs.constraints(),
    ));
    let place = tempfile::tempdir().map_err(|error| Failure::new(Kind::Unwritable, error))?;
    let zkey = place.path().join("merkle.zkey");
    let (made, setup) = timed(|| make_key(&r1cs, &zkey, args.common.pool()?));
    let verifying = made?;
    line("setup", setup.as_secs_f64(), "a development key; its trapdoors are discarded");

    // As `athanor circuits add` does: proves one input before the circuit is ready.
    let wtns = place.path().join("first.wtns");
    std::fs::write(&wtns, witness_file(&r1cs)?)
        .map_err(|e| Failure::at(Kind::Unwritable, &wtns, e))?;
    let catalog = Catalog::new(place.path().join("circuits"));
    let files = vec![("zkey", zkey.as_path()), ("witness", wtns.as_path())];
    let (added, adding) =
        timed(|| NewCircuit { name: NAME, files, threads }.add(catalog.directory()));
    let added = added?;
    line("add", adding.as_secs_f64(), "to a catalog, measured by one verified proof");

    let engine = local::engine(threads, None)?;
    let backend = CircomBackend::new(local::settings()?);
    engine.load(NAME, catalog.open(NAME, &[std::sync::Arc::new(backend)])?)?;
    let (witness, witness_time) = timed(|| witness_file(&r1cs));
    line("witness", witness_time.as_secs_f64(), &format!("{} wires", r1cs.wires));
    let finished = engine.submit(Submission::new(NAME, Input::new(WTNS, witness?)))?.wait()?;
    let seconds_of = |name: &str| {
        let mark = finished.marks.iter().find(|(mark, _)| mark == name);
        mark.map_or(0.0, |(_, time)| time.as_secs_f64())
    };
    let remark = "two points of G1 and one of G2: 128 bytes compressed";
    line("prove", seconds_of("prove"), remark);

    let bundle = ProofBundle::from_bytes(&finished.bytes).map_err(|error| internal(&error))?;
    let proof = formats::parse_proof::<Bn254>(bundle.proof()).map_err(|error| internal(&error))?;
    let public =
        formats::parse_public::<Bn254>(bundle.public()).map_err(|error| internal(&error))?;
    let verifier = Verifier::new(&verifying)?;
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
        seconds.insert("add".into(), adding.as_secs_f64().into());
        seconds.insert("witness".into(), witness_time.as_secs_f64().into());
        for (name, time) in &finished.marks {
            seconds.insert(name.clone(), time.as_secs_f64().into());
        }
        seconds.insert("verify".into(), verify_time.as_secs_f64().into());
        let answered = json!({
            "command": "demo",
            "verified": true,
            "forgeries_refused": forgeries.len(),
            "circuit": "merkle membership",
            "depth": demo::DEPTH,
            "curve": "bn254",
            "constraints": r1cs.constraints(),
            "wires": added.facts.header.wires,
            "public_signals": public.len(),
            "threads": threads,
            "stages": seconds,
            "peak_memory_bytes": peak_memory(),
        });
        answer(&answered.to_string());
    }
    Ok(())
}

/// Writes a development key and returns its verifying key.
pub(crate) fn make_key(
    r1cs: &R1cs<demo::Fr>,
    zkey: &Path,
    pool: rayon::ThreadPool,
) -> Result<athanor_groth16::VerifyingKey<Bn254>, Failure> {
    pool.install(|| {
        let key = development_setup::<Bn254>(r1cs, Quotient::OddCoset)?;
        let mut files = crate::output::Files::default();
        setup::write_key(&mut files, &key, zkey)?;
        files.commit()?;
        Ok(key.verifying)
    })
}

/// A `.wtns` file for a random member.
pub(crate) fn witness_file(r1cs: &R1cs<demo::Fr>) -> Result<Vec<u8>, Failure> {
    let witness = Signal::example(MEMBERS).witness(r1cs);
    let witness = witness.map_err(|error| Failure::new(Kind::Internal, error))?;
    let mut bytes = Vec::new();
    write_wtns(&mut bytes, CurveId::Bn254, &witness)
        .map_err(|error| Failure::new(Kind::Internal, error))?;
    Ok(bytes)
}

/// Computes witnesses of random members in the process; the input is only a request number.
pub(crate) struct Members(pub(crate) R1cs<demo::Fr>);

impl NativeGenerator for Members {
    fn witness(&self, _: &[u8]) -> Result<Scalars, String> {
        Signal::example(MEMBERS).witness(&self.0).map_err(|error| error.to_string())
    }
}

/// The demo's circuit, for benchmarks.
pub(crate) fn circuit() -> Result<Circuit<Bn254>, Failure> {
    let r1cs = demo::constraints();
    let witness = Signal::example(MEMBERS).witness(&r1cs);
    let witness = witness.map_err(|error| Failure::new(Kind::Internal, error))?;
    Circuit::with_key("merkle-20".into(), r1cs, witness)
}
