//! Circuits: list, describe, load and unload.
//!
//! ```text
//! unloaded ──load──► loading ──warm-up proof──► ready ──unload──► unloaded
//!                      │  ▲
//!                      ▼  │ load
//!                     failed
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use athanor_engine::{Catalog, JobError, LoadError, Refusal};
use serde::Serialize;
use tracing::{info, warn};

use crate::acceptance;
use crate::config::{Config, ConfigError};
use crate::events;
use crate::problem::{Problem, Reason};
use crate::responses::Circuit;
use crate::state::{App, Loading};

/// All circuits of the catalog and all loaded circuits.
pub(crate) fn list(app: &App) -> Vec<Circuit> {
    let loaded = app.engine.circuits();
    let loading = app.loading().clone();
    let mut names = app.catalog.names().unwrap_or_default();
    names.extend(loaded.iter().map(|circuit| circuit.name.clone()));
    names.sort();
    names.dedup();
    let entry = |name: String| {
        let circuit = loaded.iter().find(|circuit| circuit.name == name);
        let (state, reason) = match (circuit, loading.get(&name)) {
            (_, Some(Loading::Running)) => ("loading", None),
            (Some(_), _) => ("ready", None),
            (None, Some(Loading::Failed(why))) => ("failed", Some(why.clone())),
            (None, None) => ("unloaded", None),
        };
        Circuit {
            name,
            state,
            reason,
            proof_system: circuit.map(|circuit| circuit.about.proof_system.clone()),
            curve: circuit.map(|circuit| circuit.about.curve.clone()),
            key_resident: circuit.is_some_and(|circuit| circuit.resident),
            manifest: None,
        }
    };
    names.into_iter().map(entry).collect()
}

/// One circuit, with its manifest if the catalog has one.
pub(crate) fn describe(app: &App, name: &str) -> Result<Circuit, Problem> {
    let circuit = list(app).into_iter().find(|circuit| circuit.name == name);
    let mut circuit = circuit.ok_or_else(|| unknown_circuit(name))?;
    let manifest = app.catalog.manifest(name).ok();
    circuit.manifest = manifest.and_then(|manifest| serde_json::to_value(&manifest).ok());
    Ok(circuit)
}

fn unknown_circuit(name: &str) -> Problem {
    Problem::new(Reason::CircuitNotFound, format!("there is no circuit {name:?}"))
}

/// Why a circuit that is not loaded accepts no jobs now.
pub(crate) fn not_loaded(app: &App, name: &str) -> Problem {
    let not_ready = |why: String| Problem::new(Reason::CircuitNotReady, why);
    match app.loading().get(name) {
        Some(Loading::Running) => {
            not_ready(format!("circuit {name:?} is loading; submit again later"))
        }
        Some(Loading::Failed(why)) => {
            not_ready(format!("circuit {name:?} could not be loaded: {why}"))
        }
        None if app.catalog.manifest(name).is_ok() => {
            let message =
                format!("circuit {name:?} is in the catalog and not loaded: load it first");
            Problem::new(Reason::CircuitNotFound, message)
        }
        None => unknown_circuit(name),
    }
}

/// Circuits to load at the start: those that the configuration names, or all of the catalog.
pub(crate) fn preload_names(
    config: &Config,
    catalog: &Catalog,
) -> Result<Vec<String>, ConfigError> {
    let malformed = |why: String| ConfigError::Malformed { place: "preload".into(), why };
    let Some(names) = &config.preload else {
        return Ok(catalog.names().unwrap_or_else(|error| {
            warn!(%error, "the catalog cannot be read: no circuit is loaded");
            Vec::new()
        }));
    };
    for name in names {
        catalog.manifest(name).map_err(|error| malformed(error.to_string()))?;
    }
    Ok(names.clone())
}

/// Begins to load a circuit of the catalog, unless it is loaded. The circuit is ready after its warm-up proof.
pub(crate) fn load(app: &Arc<App>, name: &str) -> Result<Circuit, Problem> {
    app.catalog
        .manifest(name)
        .map_err(|error| Problem::new(Reason::CircuitNotFound, error.to_string()))?;
    if app.stopping.load(Ordering::Relaxed) {
        return Err(acceptance::stopping_problem());
    }
    if !app.engine.circuits().iter().any(|circuit| circuit.name == name) {
        begin_load(app, name.to_owned());
    }
    describe(app, name)
}

/// Loads a circuit in a separate task, unless it is already loading.
pub(crate) fn begin_load(app: &Arc<App>, name: String) {
    if let Some(Loading::Running) = app.loading().insert(name.clone(), Loading::Running) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let began = Instant::now();
        let loaded = load_with_retries(&app, &name).await;
        let mut loading = app.loading();
        match loaded {
            Ok(()) => {
                events::circuit_loaded(&name, began.elapsed());
                loading.remove(&name);
            }
            Err(error) => {
                events::circuit_failed(&name, began.elapsed(), &error);
                loading.insert(name, Loading::Failed(error.to_string()));
            }
        }
    });
}

/// Delays in seconds between attempts to load a circuit whose warm-up proof failed with a retriable error.
const WARM_UP_DELAYS: [u64; 5] = [1, 2, 5, 15, 60];

/// Loads a circuit. A warm-up proof that is refused as busy is retried until it is admitted; one that failed with a
/// retriable error is retried after each of [`WARM_UP_DELAYS`].
async fn load_with_retries(app: &Arc<App>, name: &str) -> Result<(), LoadError> {
    let mut delays = WARM_UP_DELAYS.into_iter();
    loop {
        let Err(error) = load_once(app, name).await else { return Ok(()) };
        let wait = match &error {
            LoadError::WarmUp {
                error: JobError::Refused(Refusal::Busy { retry_after }), ..
            } => Some(Duration::from_secs_f64(retry_after.as_secs_f64().max(0.1))),
            LoadError::WarmUp { error: JobError::Failed { retry: true, .. }, .. } => {
                delays.next().map(Duration::from_secs)
            }
            _ => None,
        };
        let Some(wait) = wait.filter(|_| !app.stopping.load(Ordering::Relaxed)) else {
            return Err(error);
        };
        info!(circuit = name, %error, "circuit is loaded again in {wait:?}");
        tokio::time::sleep(wait).await;
    }
}

async fn load_once(app: &Arc<App>, name: &str) -> Result<(), LoadError> {
    let _permit = app.loads.acquire().await;
    let (app, name) = (app.clone(), name.to_owned());
    let open = move || app.engine.open(&app.catalog, &name, &app.backends);
    tokio::task::spawn_blocking(open).await.unwrap_or(Err(LoadError::Stopped))
}

/// Unloads a circuit: it accepts no more jobs. Running jobs end first.
pub(crate) fn unload(app: &App, name: &str) -> Result<Circuit, Problem> {
    if matches!(app.loading().get(name), Some(Loading::Running)) {
        let message = format!("circuit {name:?} is loading: unload it when it is ready");
        return Err(Problem::new(Reason::WrongState, message));
    }
    // The call waits for the engine's thread. `block_in_place` moves the other tasks of this thread to other threads.
    tokio::task::block_in_place(|| app.engine.unload(name)).map_err(|error| match error {
        LoadError::Unknown(_) => unknown_circuit(name),
        error => Problem::new(Reason::Internal, error.to_string()),
    })?;
    events::circuit_unloaded(name);
    app.loading().remove(name);
    describe(app, name)
}

/// Names of circuits that are not ready.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NotReady {
    pub(crate) loading: Vec<String>,
    pub(crate) failed: Vec<String>,
    /// Whether one of them is required for readiness: it has been loading since the start, or it failed and is in
    /// `preload`.
    #[serde(skip)]
    required: bool,
}

impl NotReady {
    /// Whether every required circuit is ready.
    pub(crate) fn is_empty(&self) -> bool {
        !self.required
    }
}

/// The circuits that are not ready. A circuit that a client loads later is not required.
pub(crate) fn not_ready(app: &App) -> NotReady {
    let config = app.config();
    let named = config.preload.as_deref().unwrap_or_default();
    let mut not_ready = NotReady { loading: Vec::new(), failed: Vec::new(), required: false };
    for (name, state) in app.loading().iter() {
        match state {
            Loading::Running => {
                not_ready.required |= app.preloaded.get().is_some_and(|names| names.contains(name));
                not_ready.loading.push(name.clone());
            }
            Loading::Failed(_) => {
                not_ready.required |= named.contains(name);
                not_ready.failed.push(name.clone());
            }
        }
    }
    not_ready
}
