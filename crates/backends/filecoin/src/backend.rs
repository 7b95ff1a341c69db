//! PoRep circuits from a catalog.

use std::{path::Path, sync::Arc};

use athanor_engine::{Backend, Circuit, Manifest, OpenError};

use crate::{Fault, MinerId, Porep, Sector, Settings, circuit};

/// The backend's name in manifests.
pub const BACKEND: &str = "filecoin";

/// Names of files and options in the manifest of a PoRep circuit.
pub mod names {
    /// The file of parameters.
    pub const PARAMS: &str = "params";
    /// The file that marks local parameters as not for production.
    pub const STANDING: &str = "standing";
    /// An input for the first proof.
    pub const INPUT: &str = "input";
    /// The option that names the sector's size.
    pub const SECTOR: &str = "sector";
    /// The option that names the miner, for inputs that name none.
    pub const MINER: &str = "miner";
}

/// Opens PoRep circuits.
pub struct FilecoinBackend {
    settings: Settings,
}

impl FilecoinBackend {
    /// Creates the backend with these settings.
    pub fn new(settings: Settings) -> FilecoinBackend {
        FilecoinBackend { settings }
    }
}

/// The sector size and the miner that a manifest names.
pub fn porep_of(manifest: &Manifest) -> Result<(Porep, Option<MinerId>), Fault> {
    let bad = |what: &dyn std::fmt::Display| {
        Fault::new("bad-circuit", format_args!("circuit {:?}: {what}", manifest.name))
    };
    let size = manifest.options.get(names::SECTOR);
    let size = size.ok_or_else(|| bad(&"its manifest has no option \"sector\""))?;
    let size: Sector = size.parse().map_err(|fault: Fault| bad(&fault))?;
    let partitions = u8::try_from(manifest.partitions).map_err(|error| bad(&error))?;
    let sector = Sector::new(size.bytes, partitions).map_err(|fault| bad(&fault))?;
    let miner = manifest.options.get(names::MINER).map(|miner| miner.parse());
    Ok((Porep::new(sector), miner.transpose().map_err(|fault: Fault| bad(&fault))?))
}

impl Backend for FilecoinBackend {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn open(&self, directory: &Path, manifest: &Manifest) -> Result<Arc<dyn Circuit>, OpenError> {
        let (porep, miner) = porep_of(manifest)?;
        let params = manifest.file(directory, names::PARAMS).map_err(Fault::from)?;
        let origin = Some((directory.to_owned(), manifest.clone()));
        Ok(circuit::open(porep, &params, origin, miner, self.settings.clone())?)
    }
}
