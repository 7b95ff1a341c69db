//! An engine for the length of one command: the same machine that serves, with one client.

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

/// Where circuits keep what they convert and compile.
pub(crate) fn settings() -> Result<Settings, Failure> {
    let modules = ModuleCache::open(keys::cache_directory("wasm")?);
    let modules =
        modules.inspect_err(|error| warn(&format!("modules are not cached: {error}"))).ok();
    Ok(Settings { keys: key_cache()?, modules, limits: Limits::default(), tables: 0 })
}

/// Where converted keys are kept, within their limit.
pub(crate) fn key_cache() -> Result<KeyCache, Failure> {
    Ok(KeyCache {
        directory: keys::cache_directory("keys")?,
        warn: Arc::new(warn),
        kept: Arc::new(|path, source| cache::keep(path, source == KeySource::Converted)),
    })
}

/// Every proof system that this program was built with; tables of each key may take so many bytes.
pub(crate) fn backends(tables: u64) -> Result<Vec<Arc<dyn Backend>>, Failure> {
    Ok(vec![
        Arc::new(CircomBackend::new(Settings { tables, ..settings()? })),
        #[cfg(feature = "filecoin")]
        crate::filecoin::backend()?,
    ])
}

/// Threads to use, where nobody said.
pub(crate) fn threads(asked: Option<u16>) -> u32 {
    asked.map_or_else(
        || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        u32::from,
    )
}

/// An engine over so many cores.
pub(crate) fn engine(threads: u32, observer: Option<Observer>) -> Result<Engine, Failure> {
    let config = Config { observer, ..Config::with_threads(threads) };
    Ok(Engine::start(config, Arc::new(MemoryJournal))?)
}
