//! The result: a verified proof as JSON.

use serde::{Deserialize, Serialize};

use crate::{Fault, Statement};

/// The last check that a proof passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedBy {
    /// The stock stack's `verify_seal`, for the miner's sector.
    VerifySeal,
    /// The stock compound verifier, for the replica of the C1 output. The replica's owner was not checked.
    Compound,
}

/// A sector's proof, its statement, and the check that it passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealProof {
    /// 192 bytes per partition, in order, in base64.
    #[serde(with = "base64_text")]
    pub proof: Vec<u8>,
    /// The statement.
    #[serde(rename = "publicSignals")]
    pub statement: Statement,
    /// The last check that it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<CheckedBy>,
}

impl SealProof {
    /// Serializes the result.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        serde_json::to_vec(self).map_err(Fault::internal)
    }

    /// Parses a job's result.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(bytes).map_err(|error| {
            Fault::new("bad-proof-file", format_args!("not a seal proof: {error}"))
        })
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
