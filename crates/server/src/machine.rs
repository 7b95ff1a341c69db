//! Memory and threads that the service uses, and whether a circuit fits into the memory.

use athanor_engine::{Catalog, Config as EngineConfig, Engine, Manifest, memory};
use tracing::{info, warn};

use crate::config::Config;

/// Address space of one witness generator. Its sandbox reserves 4 GiB and guard pages for a module's memory, of which
/// the module uses a few MiB, so that accesses need no bounds check (wasmtime's default on 64-bit machines).
const SANDBOX_BYTES: u64 = (4 << 30) + (128 << 20);

/// No circuit of the catalog fits into the memory budget.
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

/// Limit in bytes on the address space that witness generators reserve: one generator per CPU worker.
pub(crate) fn address_space(config: &EngineConfig) -> u64 {
    SANDBOX_BYTES.saturating_mul(config.lanes.len() as u64)
}

/// Logs the memory budget and the number of threads.
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

/// Checks that at least one circuit of the catalog fits into the budget. Warns about each that does not.
pub(crate) fn check(
    config: &Config,
    engine: &Engine,
    catalog: &Catalog,
) -> Result<(), NoCircuitFits> {
    let Some(available) = engine.standing().map(|standing| standing.budget) else { return Ok(()) };
    let names = catalog.names().unwrap_or_default();
    let needs = names.into_iter().filter_map(|name| {
        let manifest = catalog.manifest(&name).ok()?;
        Some((required_bytes(&manifest), name))
    });
    let needs: Vec<(u64, String)> = needs.collect();
    for (bytes, circuit) in needs.iter().filter(|(bytes, _)| *bytes > available) {
        warn!(
            circuit,
            needs_mib = mib(*bytes),
            free_mib = available >> 20,
            "circuit does not fit in the memory budget: {}",
            engine.budget().source.remedy()
        );
    }
    match needs.into_iter().min() {
        Some((bytes, circuit)) if bytes > available => {
            Err(no_circuit_fits(config, engine, available, bytes, circuit))
        }
        _ => Ok(()),
    }
}

/// Memory of a circuit's key and of the largest stage of one proof, in bytes, as measured when the circuit was added;
/// zero for values that were not measured.
fn required_bytes(manifest: &Manifest) -> u64 {
    let keys = manifest.keys.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
    let stage = manifest.stages.values().map(|stage| stage.peak).max();
    keys.saturating_add(stage.unwrap_or(0))
}

fn no_circuit_fits(
    config: &Config,
    engine: &Engine,
    available: u64,
    required: u64,
    circuit: String,
) -> NoCircuitFits {
    let budget = engine.budget();
    let overhead = budget.bytes.saturating_sub(available);
    // Without `inputs-mib`, the memory for inputs is a part of the budget and grows with it.
    let smallest_budget = match config.limits.inputs_mib {
        Some(_) => overhead.saturating_add(required),
        None => {
            let process = overhead.saturating_sub(budget.bytes / INPUT_SHARE * 2);
            process.saturating_add(required).saturating_mul(INPUT_SHARE) / (INPUT_SHARE - 2)
        }
    };
    NoCircuitFits {
        budget_mib: budget.bytes >> 20,
        limit: budget.source,
        circuit,
        needs_mib: mib(required),
        taken_mib: mib(overhead),
        least_mib: mib(memory::limit_for(smallest_budget, budget.source)) + 1,
    }
}

/// Inputs may use one `INPUT_SHARE`-th of the budget as received. The same amount is set aside for their parsed form.
pub(crate) const INPUT_SHARE: u64 = 8;

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
