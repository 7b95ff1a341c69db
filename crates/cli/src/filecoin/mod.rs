//! `athanor filecoin`: makes test parameters, adds PoRep circuits to a catalog, seals test sectors.

mod c1;
mod circuit;
mod params;
mod prove;

use std::{env, ffi::OsString, sync::Arc};

use athanor_engine::Backend;
use athanor_filecoin::{
    Fault, FilecoinBackend, SealVerifier, Sector, Settings, params::KeySource, serve_verifier,
};
use clap::{Args, Subcommand};

use crate::{
    cache,
    failure::{Failure, Kind},
    keys,
    output::warn,
};

pub(crate) use prove::Prove;

/// `athanor filecoin`.
#[derive(Debug, Subcommand)]
pub enum Filecoin {
    /// Make local parameters for tests and demos; they are marked as not for production
    Params(params::Params),
    /// Add a PoRep circuit to a catalog: link its parameters, convert them, write its manifest
    Circuit(circuit::Circuit),
    /// Seal random data and write the C1 output: a real input to prove
    C1(c1::C1),
    /// Run the stock `verify_seal` on one request from standard input
    #[command(hide = true)]
    VerifySeal,
}

/// Size of the sectors.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SectorArgs {
    /// Sector size: 2KiB, 8MiB, 512MiB, 32GiB or 64GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    sector: Sector,
    /// Partitions of a proof [default: the network's value for the sector size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    partitions: Option<u8>,
}

fn size(name: &str) -> Result<Sector, Fault> {
    name.parse()
}

impl SectorArgs {
    fn sector(&self) -> Result<Sector, Failure> {
        Ok(Sector::new(self.sector.bytes, self.partitions.unwrap_or(self.sector.partitions))?)
    }
}

/// Runs a command.
pub(crate) fn run(command: &Filecoin) -> Result<(), Failure> {
    match command {
        Filecoin::Params(args) => args.run(),
        Filecoin::Circuit(args) => args.run(),
        Filecoin::C1(args) => args.run(),
        Filecoin::VerifySeal => serve_verifier(std::io::stdin(), std::io::stdout())
            .map_err(|error| Failure::new(Kind::Unreadable, error)),
    }
}

/// Whether the command prints JSON.
pub(crate) fn wants_json(command: &Filecoin) -> bool {
    match command {
        Filecoin::Params(args) => args.common.json,
        Filecoin::Circuit(args) => args.common.json,
        Filecoin::C1(_) | Filecoin::VerifySeal => false,
    }
}

/// Settings with the cache directory, and with this program as the stock verifier process.
pub(crate) fn settings() -> Result<Settings, Failure> {
    let verifier = env::current_exe().ok().map(|program| SealVerifier {
        program,
        arguments: ["filecoin", "verify-seal"].map(OsString::from).to_vec(),
    });
    Ok(Settings {
        keys: keys::cache_directory("keys")?,
        warn: Arc::new(warn),
        kept: Arc::new(|path, source| cache::keep(path, source == KeySource::Converted)),
        verifier,
    })
}

/// The backend for `athanor serve`.
pub(crate) fn backend() -> Result<Arc<dyn Backend>, Failure> {
    Ok(Arc::new(FilecoinBackend::new(settings()?)))
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::new(Kind::named(fault.code).unwrap_or(Kind::Internal), fault.message)
    }
}
