//! `athanor verify`: one proof, or a batch of proofs under one key.

use std::{
    fs,
    path::{Path, PathBuf},
};

use athanor_groth16::{
    BatchError, Claim, Proof, Refusal, Verifier, VerifyError, VerifyingKey,
    formats::{JsonError, json},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Scalar};
use rayon::prelude::*;
use serde_json::json;

use crate::{
    args,
    failure::{Failure, Kind},
    keys,
    output::answer,
};

/// Largest file of a key, proof or list of signals, in bytes.
pub(crate) const MAX_JSON: u64 = 256 << 20;
/// Largest number of bad proofs that an error message lists.
const LISTED: usize = 20;

/// Verifies proofs. Fails if one is not valid.
pub(crate) fn run(args: &args::Verify) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    let files = files(args)?;
    pool.install(|| {
        let vkey = read(&args.vkey)?;
        let curve = json::curve_of(&vkey).map_err(|error| bad_json(&args.vkey, error))?;
        match curve {
            Some(CurveId::Bn254) => verify::<Bn254>(args, &vkey, &files),
            Some(CurveId::Bls12_381) => verify::<Bls12_381>(args, &vkey, &files),
            None => Err(Failure::at(
                Kind::BadProofFile,
                &args.vkey,
                "has no curve name: expected \"curve\": \"bn128\" or \"bls12381\"",
            )),
        }
    })
}

/// Files of a proof and of its public signals.
struct Pair {
    proof: PathBuf,
    public: PathBuf,
}

fn files(args: &args::Verify) -> Result<Vec<Pair>, Failure> {
    if let Some(directory) = &args.all {
        return in_directory(directory);
    }
    let (proofs, publics) = (args.proof.len(), args.public.len());
    if proofs != publics {
        let message = format!(
            "{proofs} proofs and {publics} files of public signals: give one --public for each \
             --proof, in the same order"
        );
        return Err(Failure::new(Kind::BadProofFile, message));
    }
    let pairs = args.proof.iter().cloned().zip(args.public.iter().cloned());
    Ok(pairs.map(|(proof, public)| Pair { proof, public }).collect())
}

/// Every `*proof*.json` in a directory tree, each with the file whose name has "public" in place of
/// the last "proof".
fn in_directory(directory: &Path) -> Result<Vec<Pair>, Failure> {
    let mut proofs = Vec::new();
    for path in entries(directory)? {
        if path.is_dir() {
            proofs.extend(entries(&path)?.into_iter().filter(|path| is_proof(path)));
        } else if is_proof(&path) {
            proofs.push(path);
        }
    }
    proofs.sort();
    if proofs.is_empty() {
        let message = "has no proof: expected .json files with \"proof\" in their names";
        return Err(Failure::at(Kind::BadProofFile, directory, message));
    }
    let pairs = proofs.into_iter().map(|proof| {
        let name = proof.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (before, after) = name.rsplit_once("proof").expect("a proof's name has the word");
        Pair { public: proof.with_file_name(format!("{before}public{after}")), proof }
    });
    Ok(pairs.collect())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::at(Kind::Unreadable, directory, error);
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

fn is_proof(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("proof") && name.ends_with(".json") && path.is_file()
}

fn read(path: &Path) -> Result<String, Failure> {
    keys::read_text(path, MAX_JSON, Kind::BadProofFile)
}

fn verify<C: Curve>(args: &args::Verify, vkey: &str, files: &[Pair]) -> Result<(), Failure> {
    let key = json::parse_verifying_key::<C>(vkey);
    let key = key.map_err(|error| bad_json(&args.vkey, error))?;
    let parse = |Pair { proof, public }: &Pair| -> Result<(Proof<C>, Vec<Scalar>), Failure> {
        let parsed = json::parse_proof::<C>(&read(proof)?);
        let signals = json::parse_public::<C>(&read(public)?);
        let signals = signals.map_err(|error| bad_json(public, error))?;
        Ok((parsed.map_err(|error| bad_json(proof, error))?, signals))
    };
    let given: Vec<_> = files.par_iter().map(parse).collect::<Result<_, _>>()?;
    keys::warn_of_standing(key.standing());
    let verifier = Verifier::new(&key)?;
    match &given[..] {
        [(proof, public)] => verifier.verify(public, proof)?,
        many => {
            let claims: Vec<_> =
                many.iter().map(|(proof, public)| Claim { public, proof }).collect();
            verifier.verify_batch(&claims).map_err(|error| refused(files, error))?;
        }
    }
    answer_for(args, &key, given.len());
    Ok(())
}

fn answer_for<C: Curve>(args: &args::Verify, key: &VerifyingKey<C>, proofs: usize) {
    if args.common.json {
        let answered = json!({
            "command": "verify",
            "verified": true,
            "proofs": proofs,
            "curve": C::ID.to_string(),
            "public_signals": key.public_signals(),
            "key": { "standing": keys::standing_name(key.standing()) },
        });
        answer(&answered.to_string());
    } else if proofs == 1 {
        answer("the proof is valid");
    } else {
        answer(&format!("all {proofs} proofs are valid"));
    }
}

/// The error message for bad proofs, with their files.
fn refused(files: &[Pair], error: BatchError) -> Failure {
    let BatchError::Refused { of, bad } = error else {
        return Failure::new(Kind::Internal, error);
    };
    let signals = |error: &VerifyError| Failure::from(error.clone()).kind == Kind::BadSignals;
    let all_signals = bad.iter().all(|bad| signals(&bad.error));
    let kind = if all_signals { Kind::BadSignals } else { Kind::InvalidProof };
    let mut message =
        format!("{} of {of} proofs are not accepted; the others are valid", bad.len());
    for Refusal { index, error } in bad.iter().take(LISTED) {
        message += &format!("\n  {}: {error}", files[*index].proof.display());
    }
    if bad.len() > LISTED {
        message += &format!("\n  and {} more", bad.len() - LISTED);
    }
    Failure::new(kind, message)
}

/// The failure for a malformed JSON file.
pub(crate) fn bad_json(path: &Path, error: JsonError) -> Failure {
    let kind = match &error {
        JsonError::UnknownCurve { .. }
        | JsonError::WrongCurve { .. }
        | JsonError::Protocol { .. } => Kind::Unsupported,
        _ => Kind::BadProofFile,
    };
    Failure::at(kind, path, error)
}
