//! `athanor verify`.

use std::path::Path;

use athanor_groth16::{
    Verifier,
    formats::{JsonError, json},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};
use serde_json::json;

use crate::{
    args,
    failure::{Failure, Kind},
    keys,
    output::answer,
};

/// No key, proof or list of signals that a verifier can use is larger.
const MAX_JSON: u64 = 256 << 20;

/// Verifies a proof; a proof that is not valid is a failure.
pub(crate) fn run(args: &args::Verify) -> Result<(), Failure> {
    let read = |path: &Path| keys::read_text(path, MAX_JSON, Kind::BadProofFile);
    let texts = Texts {
        vkey: (read(&args.vkey)?, &args.vkey),
        public: (read(&args.public)?, &args.public),
        proof: (read(&args.proof)?, &args.proof),
    };
    let (vkey, path) = &texts.vkey;
    let curve = json::curve_of(vkey).map_err(|error| bad_json(path, error))?;
    match curve {
        Some(CurveId::Bn254) => texts.verify::<Bn254>(args.json),
        Some(CurveId::Bls12_381) => texts.verify::<Bls12_381>(args.json),
        None => Err(Failure::at(Kind::BadProofFile, path, "names no curve")),
    }
}

struct Texts<'a> {
    vkey: (String, &'a Path),
    public: (String, &'a Path),
    proof: (String, &'a Path),
}

impl Texts<'_> {
    fn verify<C: Curve>(&self, as_json: bool) -> Result<(), Failure> {
        let bad = |path| move |error| bad_json(path, error);
        let key = json::parse_verifying_key::<C>(&self.vkey.0).map_err(bad(self.vkey.1))?;
        let proof = json::parse_proof::<C>(&self.proof.0).map_err(bad(self.proof.1))?;
        let public = json::parse_public::<C>(&self.public.0).map_err(bad(self.public.1))?;
        keys::warn_of_standing(key.standing());
        Verifier::new(&key)?.verify(&public, &proof)?;
        if as_json {
            let answered = json!({
                "command": "verify",
                "verified": true,
                "curve": C::ID.to_string(),
                "public_signals": public.len(),
                "key": { "standing": keys::standing_name(key.standing()) },
            });
            answer(&answered.to_string());
        } else {
            answer("the proof is valid");
        }
        Ok(())
    }
}

fn bad_json(path: &Path, error: JsonError) -> Failure {
    let kind = match &error {
        JsonError::UnknownCurve { .. }
        | JsonError::WrongCurve { .. }
        | JsonError::Protocol { .. } => Kind::Unsupported,
        _ => Kind::BadProofFile,
    };
    Failure::at(kind, path, error)
}
