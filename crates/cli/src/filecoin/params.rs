//! `athanor filecoin params`.

use std::path::PathBuf;

use athanor_filecoin::{Constraints, Porep, params};
use clap::{Args, ValueHint};
use serde_json::json;

use super::{SectorArgs, settings};
use crate::{
    args::Common,
    failure::Failure,
    output::{Progress, answer, timed, warn},
};

/// `athanor filecoin params`.
#[derive(Debug, Args)]
pub struct Params {
    /// Size of the sectors.
    #[command(flatten)]
    sector: SectorArgs,
    /// Output directory; the files get the names that the stock Filecoin stack uses
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Params {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let progress = Progress::new(self.common.json);
        let porep = Porep::new(self.sector.sector()?);
        let settings = settings()?;
        let pool = self.common.pool()?;
        let (constraints, time) =
            timed(|| pool.install(|| Constraints::kept(&settings.keys, &porep, &*settings.warn)));
        let constraints = constraints?;
        progress.stage("constraints", time, &format!("{} rows", constraints.sizes.rows()));
        let (made, time) =
            timed(|| pool.install(|| params::generate(&porep, &constraints, &self.output)));
        let made = made?;
        progress.stage("parameters", time, &format!("{} bytes", made.bytes));
        warn(&format!(
            "{}: NOT FOR PRODUCTION: the person who ran this could forge proofs under these parameters",
            made.params.display()
        ));
        if self.common.json {
            let answered = json!({
                "command": "filecoin params",
                "production": false,
                "sector": porep.sector().to_string(),
                "constraints": constraints.sizes.rows(),
                "params": made.params,
                "verifying_key": made.verifying_key,
                "standing": made.standing,
                "blake3": blake3::Hash::from_bytes(made.digest).to_hex().as_str(),
                "bytes": made.bytes,
                "seconds": progress.elapsed().as_secs_f64(),
            });
            answer(&answered.to_string());
        }
        Ok(())
    }
}
