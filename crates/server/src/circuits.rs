//! Circuits: which there are, and bringing them in and out.

use std::sync::Arc;

use athanor_engine::LoadError;
use serde::Serialize;

use crate::answers::Circuit;
use crate::problem::{Problem, Reason};
use crate::state::{App, Loading};

/// All of the catalog, and those that are loaded beside it.
pub(crate) fn all(app: &App) -> Vec<Circuit> {
    let loaded = app.engine.circuits();
    let loading = app.loading().clone();
    let mut names = app.catalog.names().unwrap_or_default();
    names.extend(loaded.iter().map(|circuit| circuit.name.clone()));
    names.sort();
    names.dedup();
    let describe = |name: String| {
        let found = loaded.iter().find(|circuit| circuit.name == name);
        let (state, reason) = match (found, loading.get(&name)) {
            (_, Some(Loading::Running)) => ("loading", None),
            (Some(_), _) => ("ready", None),
            (None, Some(Loading::Failed(why))) => ("failed", Some(why.clone())),
            (None, None) => ("unloaded", None),
        };
        Circuit {
            name,
            state,
            reason,
            proof_system: found.map(|circuit| circuit.about.proof_system.clone()),
            curve: found.map(|circuit| circuit.about.curve.clone()),
            key_resident: found.is_some_and(|circuit| circuit.resident),
            manifest: None,
        }
    };
    names.into_iter().map(describe).collect()
}

/// One, with what the catalog says of it.
pub(crate) fn one(app: &App, name: &str) -> Result<Circuit, Problem> {
    let found = all(app).into_iter().find(|circuit| circuit.name == name);
    let mut found = found.ok_or_else(|| unknown(name))?;
    let manifest = app.catalog.manifest(name).ok();
    found.manifest = manifest.and_then(|manifest| serde_json::to_value(&manifest).ok());
    Ok(found)
}

fn unknown(name: &str) -> Problem {
    Problem::new(Reason::CircuitNotFound, format!("there is no circuit {name:?}"))
}

/// Begins to load a circuit of the catalog, unless it is here; it is ready after its warm-up proof.
pub(crate) fn load(app: &Arc<App>, name: &str) -> Result<Circuit, Problem> {
    app.catalog
        .manifest(name)
        .map_err(|error| Problem::new(Reason::CircuitNotFound, error.to_string()))?;
    if !app.engine.circuits().iter().any(|circuit| circuit.name == name) {
        begin_load(app, name.to_owned());
    }
    one(app, name)
}

/// Loads a circuit on a thread of its own, unless that is under way.
pub(crate) fn begin_load(app: &Arc<App>, name: String) {
    if let Some(Loading::Running) = app.loading().insert(name.clone(), Loading::Running) {
        return;
    }
    let app = app.clone();
    tokio::task::spawn_blocking(move || {
        let loaded = app.engine.open(&app.catalog, &name, &app.backends);
        let mut loading = app.loading();
        match loaded {
            Ok(()) => _ = loading.remove(&name),
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(circuit = name, why, "circuit is not served");
                loading.insert(name, Loading::Failed(why));
            }
        }
    });
}

/// Takes no more jobs for a circuit; what runs ends first.
pub(crate) fn unload(app: &App, name: &str) -> Result<Circuit, Problem> {
    // The engine's thread is waited for: other requests go on elsewhere.
    tokio::task::block_in_place(|| app.engine.unload(name)).map_err(|error| match error {
        LoadError::Unknown(_) => unknown(name),
        error => Problem::new(Reason::Internal, error.to_string()),
    })?;
    app.loading().remove(name);
    one(app, name)
}

/// Circuits that the service should have and has not, by name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NotReady {
    pub(crate) loading: Vec<String>,
    pub(crate) failed: Vec<String>,
    /// Whether one of those that failed is required: `preload` names it.
    #[serde(skip)]
    required_failed: bool,
}

impl NotReady {
    /// Whether every required circuit is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.loading.is_empty() && !self.required_failed
    }
}

/// What is not ready. One that failed is required only if the configuration names it.
pub(crate) fn not_ready(app: &App) -> NotReady {
    let config = app.config();
    let required = config.preload.as_deref().unwrap_or_default();
    let mut found = NotReady { loading: Vec::new(), failed: Vec::new(), required_failed: false };
    for (name, state) in app.loading().iter() {
        match state {
            Loading::Running => found.loading.push(name.clone()),
            Loading::Failed(_) => {
                found.required_failed |= required.contains(name);
                found.failed.push(name.clone());
            }
        }
    }
    found
}
