//! Parameters: their files, their trust, and local parameters for tests.

mod generate;
mod load;

use std::path::{Path, PathBuf};

use athanor_groth16::formats::bellman::Trust;
use blake2::{Blake2b512, Digest};
use serde::{Deserialize, Serialize};
use storage_proofs_core::parameter_cache::{get_parameter_data, parameter_id};

pub use generate::{Generated, generate};
pub use load::{KeySource, LoadedKey, load};

use crate::{Fault, Porep};

/// The stock stack's name for a parameter file.
pub fn file_name(porep: &Porep) -> Result<String, Fault> {
    Ok(parameter_id(&porep.identifier()?))
}

/// The file that is written beside local parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Whether they may be used in production: always false.
    pub production: bool,
    /// The reason.
    pub note: String,
    /// The sector and its partitions.
    pub sector: String,
    /// BLAKE3 of the parameter file.
    pub blake3: String,
}

impl Standing {
    pub(crate) fn local(porep: &Porep, digest: &[u8; 32]) -> Self {
        Self {
            production: false,
            note: "NOT FOR PRODUCTION: made on one machine, by a process that knew the trapdoors. \
                   Whoever kept them forges proofs. No network accepts proofs under these \
                   parameters."
                .into(),
            sector: porep.sector().to_string(),
            blake3: hex(digest),
        }
    }

    /// Path of the note for a parameter file.
    pub fn path_for(params: &Path) -> PathBuf {
        let mut path = params.as_os_str().to_owned();
        path.push(".json");
        path.into()
    }

    /// Reads the note beside a parameter file, if there is one.
    pub fn beside(params: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path_for(params)).ok()?).ok()
    }
}

/// Trust in a parameter file with that digest: the network publishes the digests of its parameters, and
/// this program made local parameters.
fn trust(porep: &Porep, params: &Path, digest: &[u8; 32]) -> Result<Trust, Fault> {
    if Standing::beside(params).is_some_and(|standing| standing.blake3 == hex(digest)) {
        return Ok(Trust::Vouched);
    }
    let identifier = porep.identifier()?;
    let Some(published) = get_parameter_data(&identifier) else {
        return Ok(Trust::Foreign);
    };
    let unreadable = |error| Fault::at("unreadable", params, error);
    let mut hasher = Blake2b512::new();
    let mut file = std::fs::File::open(params).map_err(unreadable)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(unreadable)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    // The network publishes the first half of the digest.
    let same = !published.digest.is_empty() && digest.starts_with(&published.digest);
    Ok(if same { Trust::Vouched } else { Trust::Foreign })
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}
