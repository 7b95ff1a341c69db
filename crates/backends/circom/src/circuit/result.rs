//! Results: one JSON object with the two JSON texts of snarkjs (proof and public signals). Used for verified
//! proofs of the engine and for claims of clients.

use athanor_engine::{Failure, TaskError};
use athanor_groth16::{BatchError, Claim, Proof, Verifier, formats::json};
use athanor_kernels::{Curve, Scalar};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A proof and its public signals, each in snarkjs's format.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofBundle {
    proof: Box<RawValue>,
    #[serde(rename = "publicSignals")]
    public: Box<RawValue>,
}

impl ProofBundle {
    /// Makes the result of a verified proof.
    pub(super) fn new<C: Curve>(proof: &Proof<C>, public: &[Scalar]) -> ProofBundle {
        let raw = |text: String| RawValue::from_string(text).expect("our writer writes valid JSON");
        ProofBundle {
            proof: raw(json::write_proof::<C>(proof)),
            public: raw(json::write_public::<C>(public)),
        }
    }

    /// Serializes the result.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts can be written")
    }

    /// Parses a job's result.
    pub fn from_bytes(bytes: &[u8]) -> Result<ProofBundle, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The proof, as in `proof.json`.
    pub fn proof(&self) -> &str {
        self.proof.get()
    }

    /// The public signals, as in `public.json`.
    pub fn public(&self) -> &str {
        self.public.get()
    }
}

fn refused(error: &dyn std::fmt::Display) -> TaskError {
    TaskError::new(Failure::Permanent, "invalid-proof", error)
}

fn parse<C: Curve>(result: &[u8]) -> Result<(Proof<C>, Vec<Scalar>), TaskError> {
    let bundle = ProofBundle::from_bytes(result).map_err(|error| refused(&error))?;
    let proof = json::parse_proof::<C>(bundle.proof()).map_err(|error| refused(&error))?;
    let public = json::parse_public::<C>(bundle.public()).map_err(|error| refused(&error))?;
    Ok((proof, public))
}

/// Verifies a result from any source.
pub(super) fn verify<C: Curve>(verifier: &Verifier<C>, result: &[u8]) -> Result<(), TaskError> {
    let (proof, public) = parse::<C>(result)?;
    verifier.verify(&public, &proof).map_err(|error| refused(&error))
}

/// Verifies many results by one random linear combination.
pub(super) fn verify_many<C: Curve>(
    verifier: &Verifier<C>,
    results: &[&[u8]],
) -> Vec<Result<(), TaskError>> {
    let parsed: Vec<_> = results.iter().map(|result| parse::<C>(result)).collect();
    let (mut places, mut claims) = (Vec::new(), Vec::new());
    for (place, parsed) in parsed.iter().enumerate() {
        if let Ok((proof, public)) = parsed {
            places.push(place);
            claims.push(Claim { public, proof });
        }
    }
    let verified = verifier.verify_batch(&claims);
    let sound = |parsed: &Result<_, TaskError>| parsed.as_ref().map(|_| ()).map_err(Clone::clone);
    let mut verdicts: Vec<Result<(), TaskError>> = parsed.iter().map(sound).collect();
    match verified {
        Ok(()) => {}
        Err(BatchError::Refused { bad, .. }) => {
            for bad in bad {
                verdicts[places[bad.index]] = Err(refused(&bad.error));
            }
        }
        Err(error) => {
            let error = TaskError::internal(error);
            places.into_iter().for_each(|place| verdicts[place] = Err(error.clone()));
        }
    }
    verdicts
}
