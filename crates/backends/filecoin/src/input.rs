//! Inputs: a C1 output, or the envelope in which Lotus and Curio send it.
//!
//! The envelope is `{"SectorNum", "Phase1Out": base64 of the C1 output, "SectorSize"}`. It does not
//! contain the miner; Athanor also reads an optional field `"Miner"`.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use filecoin_proofs_api::seal::SealCommitPhase1Output;
use serde::{Deserialize, de::IgnoredAny};

use crate::{Fault, MinerId, Porep, Statement, Vanilla, fault::BAD_INPUT};

/// Largest input, in bytes. A 32 GiB sector's C1 output has about 51 MB, a third more in its envelope.
pub const LARGEST: usize = 128 << 20;

/// An input, parsed and checked.
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// The vanilla proofs.
    pub vanilla: Arc<dyn Vanilla>,
}

/// The fields of the envelope, before the C1 output is parsed.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(rename = "Phase1Out", borrow)]
    phase1: Option<Cow<'a, str>>,
    #[serde(rename = "SectorNum")]
    sector: Option<u64>,
    #[serde(rename = "SectorSize")]
    size: Option<u64>,
    #[serde(rename = "Miner")]
    miner: Option<MinerId>,
    vanilla_proofs: Option<IgnoredAny>,
}

/// Parses and checks an input: its kind of proof, sector size, numbers of partitions and challenges,
/// and that the replica is that of the miner's sector, where both are known. `miner` is for inputs
/// that name none.
pub fn parse(porep: &Porep, bytes: &[u8], miner: Option<MinerId>) -> Result<Parsed, Fault> {
    if bytes.len() > LARGEST {
        return Err(Fault::bad_input(format_args!(
            "the input has {} bytes, over the limit of {LARGEST}",
            bytes.len()
        )));
    }
    let outline: Outline<'_> = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    if let Some(size) = outline.size.filter(|size| *size != porep.sector().bytes) {
        return Err(Fault::bad_input(format_args!(
            "the envelope is for a sector of {size} bytes, but this circuit is for {}",
            porep.sector().size_name()
        )));
    }
    let c1: SealCommitPhase1Output = match (&outline.phase1, outline.vanilla_proofs) {
        (Some(phase1), _) => {
            let c1 = STANDARD.decode(phase1.as_bytes()).map_err(|error| {
                Fault::bad_input(format_args!("Phase1Out is not standard base64: {error}"))
            })?;
            serde_json::from_slice(&c1).map_err(|error| malformed(&error))?
        }
        (None, Some(_)) => serde_json::from_slice(bytes).map_err(|error| malformed(&error))?,
        (None, None) => {
            return Err(Fault::bad_input(
                "is neither an output of C1 (with vanilla_proofs) nor an envelope of one (with \
                 Phase1Out)",
            ));
        }
    };
    let mut statement = Statement::of(&c1)?;
    statement.sector_number = outline.sector;
    statement.miner = outline.miner.or(miner);
    let vanilla = porep.vanilla(c1)?;
    if let (Some(miner), Some(sector)) = (statement.miner, statement.sector_number)
        && porep.replica_id(&statement, miner, sector)? != statement.replica_id
    {
        return Err(Fault::bad_input(format_args!(
            "the replica is not that of miner {miner} and sector {sector}: the network would refuse \
             its proof"
        )));
    }
    Ok(Parsed { statement, vanilla })
}

/// Adds the miner to a C1 output, with or without an envelope. Without an envelope the sector's number
/// is missing, so the owner of the replica cannot be checked.
pub fn with_miner(bytes: &[u8], miner: MinerId) -> Result<Vec<u8>, Fault> {
    let mut input: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    let miner = serde_json::to_value(miner).map_err(Fault::internal)?;
    if let Some(named) = input.get("Miner").filter(|named| **named != miner) {
        let message =
            format_args!("the input names miner {named}, but the command line names {miner}");
        return Err(Fault::bad_input(message));
    }
    input.insert("Miner".to_owned(), miner);
    serde_json::to_vec(&input).map_err(Fault::internal)
}

/// Bytes in the envelope's encoding (base64).
pub fn base64_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The message contains the position of the fault and missing or unknown names, but no values.
fn malformed(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let harmless = ["missing field", "unknown variant"].iter().any(|words| text.starts_with(words));
    let what = match error.classify() {
        serde_json::error::Category::Eof => "is truncated".to_owned(),
        serde_json::error::Category::Data if harmless => format!("is not a C1 output: {text}"),
        serde_json::error::Category::Data => {
            format!("is not a C1 output (line {}, column {})", error.line(), error.column())
        }
        _ => format!("is not JSON (line {}, column {})", error.line(), error.column()),
    };
    Fault::new(BAD_INPUT, format_args!("the input {what}"))
}
