//! Circuits to prove: constraint systems with witnesses, generated or read from files.

use std::{fs, fs::File, io::BufReader, path::Path};

use anyhow::Context;
use athanor_circom::{
    Inputs, Limits, WitnessCalculator,
    demo::{self, Signal},
};
use athanor_groth16::{
    formats::{r1cs::R1csFile, wtns::read_wtns},
    synthetic::{self, Example},
};
use athanor_kernels::{Bn254, Curve};

/// A circuit with a witness.
pub(super) struct Circuit<C: Curve> {
    pub(super) name: String,
    pub(super) example: Example<C::Fr>,
}

/// Athanor's built-in circuit: membership in a Merkle tree of Poseidon hashes.
pub(super) fn merkle() -> anyhow::Result<Circuit<Bn254>> {
    let r1cs = demo::constraints();
    let witness = Signal::example(100).witness(&r1cs)?;
    Ok(Circuit { name: format!("merkle-{}", demo::DEPTH), example: Example { r1cs, witness } })
}

/// Full-width values on every wire, in a domain of `2^log_size` points.
pub(super) fn dense<C: Curve>(log_size: u32) -> Circuit<C> {
    Circuit {
        name: format!("dense-2^{log_size}"),
        example: synthetic::dense::<C>((1 << log_size) - 2, 1),
    }
}

/// 98 % bits, in a domain of `2^log_size` points.
pub(super) fn bits<C: Curve>(log_size: u32) -> Circuit<C> {
    Circuit {
        name: format!("bits-2^{log_size}"),
        example: synthetic::bits::<C>((1 << log_size) - 2, 1),
    }
}

/// circomlib's SHA-256 of a message; `None` if Node is absent.
pub(super) fn sha256(message_bytes: usize) -> anyhow::Result<Option<Circuit<Bn254>>> {
    let name = format!("sha256-{message_bytes}");
    let Some(files) = athanor_testkit::sha256(&name, message_bytes) else { return Ok(None) };
    let r1cs = R1csFile::open(BufReader::new(File::open(files.r1cs)?))?.constraints::<Bn254>()?;
    let limits = Limits::default();
    let circuit = WitnessCalculator::new(&fs::read(files.wasm)?, None, &limits)?;
    let bits = (0..8 * message_bytes).map(|bit| if bit % 3 == 0 { "1" } else { "0" });
    let input = format!(r#"{{"in": [{}]}}"#, bits.collect::<Vec<_>>().join(","));
    let inputs = Inputs::parse(input.as_bytes(), circuit.curve(), &limits)?;
    let witness = circuit.calculate(&inputs, None)?;
    Ok(Some(Circuit { name, example: Example { r1cs, witness } }))
}

/// A circuit and a witness from files.
pub(super) fn own(r1cs: &Path, wtns: &Path) -> anyhow::Result<Circuit<Bn254>> {
    let open = |path: &Path| {
        File::open(path).map(BufReader::new).with_context(|| path.display().to_string())
    };
    let name = r1cs.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let r1cs = R1csFile::open(open(r1cs)?)?.constraints::<Bn254>()?;
    let witness = read_wtns(open(wtns)?)?.values;
    Ok(Circuit { name, example: Example { r1cs, witness } })
}
