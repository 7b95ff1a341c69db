//! A verified proof on its way out, as bytes: the two JSON texts that snarkjs writes, in one object.

use athanor_groth16::{Proof, formats::json};
use athanor_kernels::{Curve, Scalar};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A proof and its public signals, each in snarkjs's own form.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofBundle {
    proof: Box<RawValue>,
    #[serde(rename = "publicSignals")]
    public: Box<RawValue>,
}

impl ProofBundle {
    /// Of a proof that verified.
    pub(super) fn new<C: Curve>(proof: &Proof<C>, public: &[Scalar]) -> ProofBundle {
        let raw = |text: String| RawValue::from_string(text).expect("we write valid JSON");
        ProofBundle {
            proof: raw(json::write_proof::<C>(proof)),
            public: raw(json::write_public::<C>(public)),
        }
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts can be written")
    }

    /// From a job's result.
    pub fn from_bytes(bytes: &[u8]) -> Result<ProofBundle, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The proof, as `proof.json` holds it.
    pub fn proof(&self) -> &str {
        self.proof.get()
    }

    /// The public signals, as `public.json` holds them.
    pub fn public(&self) -> &str {
        self.public.get()
    }
}
