//! Circuits: which there are, and bringing them in and out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::answers::Circuit;
use crate::events;
use crate::jobs;
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
    if app.stopping.load(Ordering::Relaxed) {
        return Err(jobs::stopping());
    }
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
        let began = Instant::now();
        let loaded = app.engine.open(&app.catalog, &name, &app.backends);
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

/// Takes no more jobs for a circuit; what runs ends first.
pub(crate) fn unload(app: &App, name: &str) -> Result<Circuit, Problem> {
    app.engine.unload(name).map_err(|_| unknown(name))?;
    events::circuit_unloaded(name);
    app.loading().remove(name);
    one(app, name)
}
