//! An engine for the duration of one command: the same engine as the service's, with one client.

use std::sync::Arc;

use athanor_circom::{
    CircomBackend, Limits, ModuleCache,
    circuit::{
        Settings,
        keys::{KeyCache, KeySource},
    },
};
use athanor_engine::{Backend, Config, Engine, MemoryJournal, Observer};

use crate::{cache, failure::Failure, keys, output::warn};

/// Settings of Circom circuits: caches of converted keys and compiled generators.
pub(crate) fn settings() -> Result<Settings, Failure> {
    let modules = ModuleCache::open(keys::cache_directory("wasm")?);
    let modules =
        modules.inspect_err(|error| warn(&format!("modules are not cached: {error}"))).ok();
    Ok(Settings { keys: key_cache()?, modules, limits: Limits::default(), tables: 0 })
}

/// The cache of converted keys, with its size limit.
pub(crate) fn key_cache() -> Result<KeyCache, Failure> {
    Ok(KeyCache {
        directory: keys::cache_directory("keys")?,
        warn: Arc::new(warn),
        kept: Arc::new(|path, source| cache::keep(path, source == KeySource::Converted)),
    })
}

/// Every proof system in this build. `tables`: memory limit of each key's tables in bytes.
pub(crate) fn backends(tables: u64) -> Result<Vec<Arc<dyn Backend>>, Failure> {
    Ok(vec![
        Arc::new(CircomBackend::new(Settings { tables, ..settings()? })),
        #[cfg(feature = "filecoin")]
        crate::filecoin::backend()?,
    ])
}

/// Default number of threads.
pub(crate) fn threads(requested: Option<u16>) -> u32 {
    requested.map_or_else(
        || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        u32::from,
    )
}

/// An engine with that number of threads.
pub(crate) fn engine(threads: u32, observer: Option<Observer>) -> Result<Engine, Failure> {
    let config = Config { observer, ..Config::with_threads(threads) };
    Ok(Engine::start(config, Arc::new(MemoryJournal))?)
}
