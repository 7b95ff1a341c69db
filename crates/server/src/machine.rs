//! What the service takes of this machine, and whether it is enough.

use athanor_engine::{Catalog, Config as EngineConfig, Engine, Manifest, memory};
use tracing::{info, warn};

use crate::config::Config;

/// Address space of one witness generator: its sandbox reserves 4 GiB and guards for a module's memory, of which the
/// module fills a few MiB, so that accesses need no check of bounds (wasmtime's default on 64-bit machines).
const SANDBOX: u64 = (4 << 30) + (128 << 20);

/// No circuit of the catalog can prove anything.
#[derive(Debug, thiserror::Error)]
#[error(
    "no circuit of the catalog fits in the memory budget of {budget_mib} MiB, which is from {limit}: the smallest, \
     {circuit:?}, needs {needs_mib} MiB for its key and a proof, beside {taken_mib} MiB for the process and for \
     inputs: {}; it takes {least_mib} MiB", limit.remedy()
)]
pub struct NoCircuitFits {
    budget_mib: u64,
    limit: memory::Source,
    circuit: String,
    needs_mib: u64,
    taken_mib: u64,
    least_mib: u64,
}

/// Bytes of address space that witness generators reserve at most: one on each worker of the CPU.
pub(crate) fn address_space(config: &EngineConfig) -> u64 {
    SANDBOX.saturating_mul(config.lanes.len() as u64)
}

/// Says in one line what the service works with.
pub(crate) fn log(config: &Config, engine: &Engine, threads: u32) {
    let budget = engine.budget();
    let threads_from = match config.threads {
        Some(_) => "the configuration",
        None => "the affinity and the CPU quota of this process",
    };
    info!(
        memory_mib = budget.bytes >> 20,
        memory_from = %budget.source,
        threads,
        threads_from,
        "resources"
    );
}

/// Refuses a budget that holds no circuit of the catalog, and warns of each that it does not hold.
pub(crate) fn check(
    config: &Config,
    engine: &Engine,
    catalog: &Catalog,
) -> Result<(), NoCircuitFits> {
    let Some(room) = engine.standing().map(|standing| standing.budget) else { return Ok(()) };
    let names = catalog.names().unwrap_or_default();
    let needs = names.into_iter().filter_map(|name| {
        let manifest = catalog.manifest(&name).ok()?;
        Some((needs(&manifest), name))
    });
    let needs: Vec<(u64, String)> = needs.collect();
    for (bytes, circuit) in needs.iter().filter(|(bytes, _)| *bytes > room) {
        warn!(
            circuit,
            needs_mib = mib(*bytes),
            free_mib = room >> 20,
            "circuit does not fit in the memory budget: {}",
            engine.budget().source.remedy()
        );
    }
    match needs.into_iter().min() {
        Some((bytes, circuit)) if bytes > room => {
            Err(too_small(config, engine, room, bytes, circuit))
        }
        _ => Ok(()),
    }
}

/// What a circuit's key and the largest stage of one proof hold, by the claims that were measured when it was added;
/// zero where nothing was measured.
fn needs(manifest: &Manifest) -> u64 {
    let keys = manifest.keys.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
    let stage = manifest.stages.values().map(|stage| stage.peak).max();
    keys.saturating_add(stage.unwrap_or(0))
}

fn too_small(
    config: &Config,
    engine: &Engine,
    room: u64,
    needs: u64,
    circuit: String,
) -> NoCircuitFits {
    let budget = engine.budget();
    let taken = budget.bytes.saturating_sub(room);
    // Inputs get a part of whatever the budget is, unless the configuration says how much.
    let least = match config.limits.inputs_mib {
        Some(_) => taken.saturating_add(needs),
        None => {
            let process = taken.saturating_sub(budget.bytes / INPUTS * 2);
            process.saturating_add(needs).saturating_mul(INPUTS) / (INPUTS - 2)
        }
    };
    NoCircuitFits {
        budget_mib: budget.bytes >> 20,
        limit: budget.source,
        circuit,
        needs_mib: mib(needs),
        taken_mib: mib(taken),
        least_mib: mib(memory::limit_for(least, budget.source)) + 1,
    }
}

/// The part of the memory that inputs get, as they came; as much again is set aside for what they are parsed to.
pub(crate) const INPUTS: u64 = 8;

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
