//! `athanor filecoin c1`.

use std::path::PathBuf;

use athanor_filecoin::{MinerId, seal};
use clap::{Args, ValueHint};
use serde_json::json;

use super::SectorArgs;
use crate::{
    failure::{Failure, Kind},
    output::Files,
};

/// `athanor filecoin c1`.
#[derive(Debug, Args)]
pub struct C1 {
    /// Size of the sector.
    #[command(flatten)]
    sector: SectorArgs,
    /// Miner that owns the sector
    #[arg(long, value_name = "f01000", default_value = "f01000")]
    miner: MinerId,
    /// Number of the sector
    #[arg(long, value_name = "N", default_value_t = 1)]
    number: u64,
    /// Seed of the random data
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Output file
    #[arg(long, value_name = "C1.json", value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// Write the bare C1 output, without the envelope that names the sector
    #[arg(long)]
    raw: bool,
}

impl C1 {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let sector = self.sector.sector()?;
        let scratch = tempfile::tempdir().map_err(|error| Failure::new(Kind::Unwritable, error))?;
        let c1 = seal(sector, self.miner, self.number, self.seed, scratch.path())?;
        let internal = |error| Failure::new(Kind::Internal, error);
        let mut text = serde_json::to_vec(&c1).map_err(internal)?;
        if !self.raw {
            let envelope = json!({
                "SectorNum": self.number,
                "Phase1Out": athanor_filecoin::input::base64_of(&text),
                "SectorSize": sector.bytes,
            });
            text = serde_json::to_vec(&envelope).map_err(internal)?;
        }
        let mut files = Files::default();
        files.add(&self.output, &text)?;
        files.commit()
    }
}
