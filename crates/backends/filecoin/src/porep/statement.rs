//! The statement of a seal proof.

use std::{fmt, str::FromStr};

use filecoin_proofs_api::{RegisteredSealProof, seal::SealCommitPhase1Output};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Fault;

/// The statement of a sector's proof: everything that its verifier needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The kind of proof.
    pub registered_proof: RegisteredSealProof,
    /// The miner, if it is known.
    pub miner: Option<MinerId>,
    /// The sector's number, if it is known.
    pub sector_number: Option<u64>,
    /// Commitment to the replica.
    #[serde(with = "hex32")]
    pub comm_r: [u8; 32],
    /// Commitment to the data.
    #[serde(with = "hex32")]
    pub comm_d: [u8; 32],
    /// The replica id, derived from miner, sector, ticket and data.
    #[serde(with = "hex32")]
    pub replica_id: [u8; 32],
    /// The challenges' randomness.
    #[serde(with = "hex32")]
    pub seed: [u8; 32],
    /// The replica's randomness.
    #[serde(with = "hex32")]
    pub ticket: [u8; 32],
}

impl Statement {
    /// The statement of a C1 output, without miner and sector number.
    pub(crate) fn of(c1: &SealCommitPhase1Output) -> Result<Self, Fault> {
        let named = [("comm_r", &c1.comm_r), ("comm_d", &c1.comm_d), ("seed", &c1.seed)];
        if let Some((name, _)) = named.iter().find(|(_, bytes)| **bytes == [0; 32]) {
            return Err(Fault::bad_input(format_args!("{name} is all zeros")));
        }
        let replica_id: &[u8] = c1.replica_id.as_ref();
        Ok(Self {
            registered_proof: c1.registered_proof,
            miner: None,
            sector_number: None,
            comm_r: c1.comm_r,
            comm_d: c1.comm_d,
            replica_id: replica_id.try_into().map_err(Fault::internal)?,
            seed: c1.seed,
            ticket: c1.ticket,
        })
    }
}

/// A miner's actor number, written `f01000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerId(pub u64);

impl MinerId {
    /// The prover id of the stack: the number in unsigned LEB128, padded with zeros.
    pub fn prover_id(self) -> [u8; 32] {
        let (mut id, mut rest) = ([0; 32], self.0);
        for byte in &mut id {
            *byte = (rest & 0x7f) as u8;
            rest >>= 7;
            if rest == 0 {
                break;
            }
            *byte |= 0x80;
        }
        id
    }
}

impl FromStr for MinerId {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let digits = ["f0", "t0", ""].iter().find_map(|prefix| text.strip_prefix(prefix));
        let number = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let number = number.and_then(|digits| digits.parse().ok());
        number.map(MinerId).ok_or_else(|| {
            Fault::bad_input(format_args!(
                "{text:?} is not a valid miner: give its actor number, such as f01000"
            ))
        })
    }
}

impl fmt::Display for MinerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f0{}", self.0)
    }
}

impl Serialize for MinerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MinerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(u64),
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
            Form::Number(number) => Ok(MinerId(number)),
        }
    }
}

/// 32 bytes as hexadecimal digits.
mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&blake3::Hash::from_bytes(*bytes).to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let hash = blake3::Hash::from_hex(text.as_bytes()).map_err(D::Error::custom)?;
        Ok(*hash.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miner_is_a_number_in_leb128() {
        let id = "f01000".parse::<MinerId>().unwrap();
        assert_eq!((id, id.to_string()), (MinerId(1000), "f01000".to_owned()));
        assert_eq!(id.prover_id()[..3], [0xe8, 0x07, 0]);
        assert_eq!(MinerId(0).prover_id(), [0; 32]);
        assert_eq!(MinerId(u64::MAX).prover_id()[9..11], [1, 0]);
        assert_eq!("t01000".parse::<MinerId>().unwrap(), id);
        assert_eq!("1000".parse::<MinerId>().unwrap(), id);
        for bad in ["", "f0", "f1abc", "f0-1", "f0 1", "f018446744073709551616"] {
            assert_eq!(bad.parse::<MinerId>().unwrap_err().code, "bad-input", "{bad}");
        }
    }
}
