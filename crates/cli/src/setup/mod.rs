//! `athanor setup`: keys, for development and from ceremonies.

pub(crate) mod ceremony;

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use athanor_circom::circuit::witness;
use athanor_groth16::{
    RawKey, development_setup,
    formats::{BinFileError, ZkeyError, json},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Quotient};
use serde_json::json;

use crate::{
    args::SetupDev,
    failure::Failure,
    output::{Files, Progress, answer, peak_memory, timed, warn},
};

/// Name that a development key records as its contributor.
const NOTE: &str = "athanor setup dev: made by one process that threw its trapdoors away. For \
                    development only: whoever ran it could have kept them and forge proofs.";

/// Makes a development key and writes it in snarkjs's format.
pub(crate) fn dev(args: &SetupDev) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    pool.install(|| match witness::curve_of_constraints(&args.r1cs)? {
        CurveId::Bn254 => make::<Bn254>(args),
        CurveId::Bls12_381 => make::<Bls12_381>(args),
    })
}

fn make<C: Curve>(args: &SetupDev) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    let r1cs = witness::read_constraints::<C>(&args.r1cs)?;
    let (key, made) = timed(|| development_setup::<C>(&r1cs, Quotient::OddCoset));
    let key = key?;
    progress.stage("setup", made, &format!("{} constraints", r1cs.constraints()));
    let mut files = Files::default();
    let (written, writing) = timed(|| write_key(&mut files, &key, &args.zkey));
    written?;
    if let Some(path) = &args.vkey {
        files.add(path, json::write_verifying_key::<C>(&key.verifying).as_bytes())?;
    }
    files.commit()?;
    progress.stage("write", writing, &args.zkey.display().to_string());
    warn("this key is for development: the person who made it could forge proofs");
    if args.common.json {
        let answered = json!({
            "command": "setup dev",
            "curve": C::ID.to_string(),
            "constraints": r1cs.constraints(),
            "wires": r1cs.wires,
            "public_signals": r1cs.public,
            "stages": { "setup": made.as_secs_f64(), "write": writing.as_secs_f64() },
            "peak_memory_bytes": peak_memory(),
            "zkey": args.zkey,
        });
        answer(&answered.to_string());
    }
    Ok(())
}

/// Writes a key in snarkjs's format.
pub(crate) fn write_key<C: Curve>(
    files: &mut Files,
    key: &RawKey<C>,
    path: &Path,
) -> Result<(), Failure> {
    files.fill(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        key.write_zkey(&mut out, NOTE).map_err(|error| match error {
            ZkeyError::Container(BinFileError::Io { source, .. }) => source,
            error => io::Error::other(error),
        })?;
        out.flush()
    })
}
