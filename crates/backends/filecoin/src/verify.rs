//! The stock stack's own last word, `verify_seal`, in a process of its own.
//!
//! It takes the number of partitions from a map of the whole process, and the verifying key from a
//! directory named by the environment, kept afterwards in a cache whose name has only the sector's
//! size. So two circuits of one size cannot both be verified in one process. A process for each proof
//! costs a hundredth of a second.

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

/// Where the stock stack looks for parameters.
const PARAMETERS: &str = "FIL_PROOFS_PARAMETER_CACHE";

/// A program whose standard input and output [`serve_verifier`] has.
#[derive(Clone, Debug)]
pub struct SealVerifier {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// One question.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    partitions: u8,
    statement: Statement,
    proof: String,
}

/// What an answer begins with: the stack may say things of its own.
const ANSWER: &str = "athanor verify_seal: ";

/// Longest question: a proof has 192 bytes for each of at most 255 partitions.
const LONGEST: u64 = 1 << 20;

impl SealVerifier {
    /// Asks `verify_seal` whether the proof is the one that miner and sector need. The verifying key
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
            Fault::new("verifier", format_args!("the stock verifier cannot be asked: {error}"))
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
            None => Err(broken(&format_args!("it gave no answer ({})", output.status))),
        }
    }
}

/// Writes what is not there yet, whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The child's end: one question on standard input, its answer on standard output. To be called once,
/// first thing, by a process that does nothing else.
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

/// Makes the whole process's stock stack work with these partitions. Only for processes that do one
/// thing: what was cached before under the same size stays.
pub fn set_partitions(sector: Sector) {
    let mut all = POREP_PARTITIONS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.insert(sector.bytes, sector.partitions);
}
