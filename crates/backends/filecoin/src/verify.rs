//! Runs the stock stack's `verify_seal` in a separate process.
//!
//! `verify_seal` takes the number of partitions from a process-wide map and the verifying key from a
//! directory in an environment variable, and caches the key by sector size. So one process cannot verify
//! two circuits of the same sector size. A process per proof costs about 10 ms.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use filecoin_proofs::constants::POREP_PARTITIONS;
use filecoin_proofs_api::seal;
use serde::{Deserialize, Serialize};
use storage_proofs_core::parameter_cache::verifying_key_id;

use crate::{Fault, Porep, Sector, Statement};

/// Environment variable for the stock stack's parameter directory.
const PARAMETERS: &str = "FIL_PROOFS_PARAMETER_CACHE";

/// A program that runs [`serve_verifier`] on its standard input and output.
#[derive(Clone, Debug)]
pub struct SealVerifier {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A verification request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    partitions: u8,
    statement: Statement,
    proof: String,
}

/// Prefix of the response, since the stack may print other lines.
const ANSWER: &str = "athanor verify_seal: ";

/// Largest request in bytes: a proof has 192 bytes for each of at most 255 partitions.
const LONGEST: u64 = 1 << 20;

impl SealVerifier {
    /// Verifies with `verify_seal` that the proof is valid for the miner and sector. The verifying key
    /// is written below `directory`, under its stock name.
    pub fn verify(
        &self,
        directory: &Path,
        porep: &Porep,
        verifying_key: &[u8],
        statement: &Statement,
        proof: &[u8],
    ) -> Result<bool, Fault> {
        let broken = |error: &dyn std::fmt::Display| {
            Fault::new("verifier", format_args!("the stock verifier process failed: {error}"))
        };
        let place = directory.join(blake3::hash(verifying_key).to_hex().as_str());
        let key = place.join(verifying_key_id(&porep.identifier()?));
        keep(&key, verifying_key).map_err(|error| broken(&error))?;
        let question = Question {
            partitions: porep.sector().partitions,
            statement: statement.clone(),
            proof: STANDARD.encode(proof),
        };
        let question = serde_json::to_vec(&question).map_err(Fault::internal)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env(PARAMETERS, &place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| broken(&error))?;
        if let Some(mut to) = child.stdin.take() {
            to.write_all(&question).map_err(|error| broken(&error))?;
        }
        let output = child.wait_with_output().map_err(|error| broken(&error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let answer = said.lines().find_map(|line| Some(line.split_once(ANSWER)?.1.trim()));
        match answer {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(Fault::new("invalid-proof", format_args!("verify_seal: {other}"))),
            None => Err(broken(&format_args!("it wrote no response ({})", output.status))),
        }
    }
}

/// Writes a file atomically, if it does not exist.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|existing| existing == bytes) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The child's side: reads one request from standard input and writes the response to standard output.
/// Call it once, at the start of a process that does nothing else.
pub fn serve_verifier(from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    from.take(LONGEST).read_to_end(&mut text)?;
    match answer(&text) {
        Ok(valid) => writeln!(to, "\n{ANSWER}{valid}"),
        Err(fault) => writeln!(to, "\n{ANSWER}{fault}"),
    }
}

fn answer(text: &[u8]) -> Result<bool, Fault> {
    let question: Question = serde_json::from_slice(text).map_err(Fault::bad_input)?;
    let Question { partitions, statement, proof } = question;
    let proof = STANDARD.decode(proof).map_err(Fault::bad_input)?;
    let bytes = u64::from(statement.registered_proof.sector_size());
    set_partitions(Sector::new(bytes, partitions)?);
    let (Some(miner), Some(sector)) = (statement.miner, statement.sector_number) else {
        return Err(Fault::bad_input("verify_seal needs the miner and the sector's number"));
    };
    let verified = seal::verify_seal(
        statement.registered_proof,
        statement.comm_r,
        statement.comm_d,
        miner.prover_id(),
        sector.into(),
        statement.ticket,
        statement.seed,
        &proof,
    );
    verified.map_err(|error| Fault::bad_input(format_args!("{error:#}")))
}

/// Sets the process-wide number of partitions. Only for processes with one kind of sector: earlier
/// cache entries for the same size stay.
pub fn set_partitions(sector: Sector) {
    let mut all = POREP_PARTITIONS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.insert(sector.bytes, sector.partitions);
}
