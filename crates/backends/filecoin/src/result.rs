//! A verified proof on its way out, as JSON.

use serde::{Deserialize, Serialize};

use crate::{Fault, Statement};

/// Who had the last word on a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedBy {
    /// The stock stack's `verify_seal`, for the miner's sector.
    VerifySeal,
    /// The stock compound verifier, for the replica that C1 names: whose it is, was not checked.
    Compound,
}

/// A sector's proof, what it states, and who checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealProof {
    /// 192 bytes for each partition, in order; in base64.
    #[serde(with = "base64_text")]
    pub proof: Vec<u8>,
    /// The statement.
    #[serde(rename = "publicSignals")]
    pub statement: Statement,
    /// Who checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<CheckedBy>,
}

impl SealProof {
    /// As bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        serde_json::to_vec(self).map_err(Fault::internal)
    }

    /// From a job's result.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(bytes)
            .map_err(|error| Fault::new("bad-proof-file", format_args!("no seal proof: {error}")))
    }
}

mod base64_text {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
