//! Loads, unloads and pins circuits.

use super::Core;
use crate::backend::{Circuit, TaskError};
use crate::circuits::Loaded;
use athanor_scheduler::{CircuitId, Event, KeyId, KeySpec, Memory, SpecError, StageId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers assigned to circuits, keys and stages so far.
#[derive(Default)]
pub(super) struct Numbers {
    circuits: u32,
    keys: u64,
    stages: BTreeMap<String, StageId>,
    /// Code and message of the last failed read of each key.
    failures: BTreeMap<KeyId, (&'static str, String)>,
}

/// Reason that a circuit is not loaded, unloaded or pinned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The catalog cannot open the circuit.
    #[error(transparent)]
    Catalog(#[from] crate::CatalogError),
    /// The circuit did not prove its warm-up input.
    #[error("circuit {circuit:?} is not loaded: its warm-up proof failed: {error}")]
    WarmUp {
        /// The circuit's name.
        circuit: String,
        /// The error of the warm-up job.
        error: crate::JobError,
    },
    /// A circuit of that name is loaded already.
    #[error("a circuit named {0:?} is loaded already: unload it first, or use another name")]
    NameTaken(String),
    /// A shape of the circuit is invalid.
    #[error("the circuit's claims make no sense: {0}")]
    Spec(#[from] SpecError),
    /// No circuit of that name is loaded.
    #[error("no circuit named {0:?} is loaded")]
    Unknown(String),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
    /// The engine's thread does not answer.
    #[error("the engine does not answer: see /health, and try again or restart it")]
    Unresponsive,
}

impl Core {
    /// Loads a circuit under a name and declares its keys to the scheduler.
    pub(crate) fn load_circuit(
        &mut self,
        name: &str,
        circuit: Arc<dyn Circuit>,
    ) -> Result<Arc<Loaded>, LoadError> {
        let shapes = circuit.keys();
        let first = self.numbers.keys;
        let ids: Vec<KeyId> = (first..first + shapes.len() as u64).map(KeyId).collect();
        let id = CircuitId(self.numbers.circuits);
        let (stages, labels) = (&mut self.numbers.stages, &mut self.labels);
        let loaded = Loaded::new(name, id, circuit.clone(), ids.clone(), |stage| {
            let next = StageId(stages.len() as u16);
            *stages.entry(stage.to_owned()).or_insert_with(|| {
                labels.stages.push(stage.to_owned());
                next
            })
        })?;
        let loaded = Arc::new(loaded);
        if !self.registry.add(loaded.clone()) {
            return Err(LoadError::NameTaken(name.into()));
        }
        self.numbers.circuits += 1;
        self.numbers.keys += ids.len() as u64;
        self.labels.circuits.push(name.to_owned());
        for (index, (key, shape)) in ids.into_iter().zip(shapes).enumerate() {
            self.labels.keys.push(format!("{name} {}", shape.name));
            let spec = KeySpec { shared: Memory::host(shape.host), device: shape.device };
            self.keys.declare(key, spec, circuit.clone(), index);
            self.tell(Event::KeyDeclared { key, spec });
        }
        Ok(loaded)
    }

    /// Closes a circuit to new jobs. Its keys are withdrawn when its last job has ended.
    pub(crate) fn unload_circuit(&mut self, name: &str) -> Result<(), LoadError> {
        let found = self.registry.remove(name);
        let loaded = found.ok_or_else(|| LoadError::Unknown(name.into()))?;
        loaded.close();
        self.withdraw_if_unused(&loaded);
        self.tell(Event::Tick);
        Ok(())
    }

    pub(super) fn withdraw_if_unused(&mut self, loaded: &Loaded) {
        if self.jobs.any_of(loaded) {
            return;
        }
        for &key in &loaded.keys {
            self.next.push_back(Event::KeyWithdrawn { key });
            self.numbers.failures.remove(&key);
            self.keys.withdraw(key);
        }
    }

    /// Pins a circuit's keys in memory, or allows their eviction when they are idle.
    pub(crate) fn pin(&mut self, name: &str, pinned: bool) -> Result<(), LoadError> {
        let loaded = self.registry.get(name).ok_or_else(|| LoadError::Unknown(name.into()))?;
        for &key in &loaded.keys {
            self.tell(if pinned { Event::Pin { key } } else { Event::Unpin { key } });
        }
        Ok(())
    }

    pub(super) fn key_failed(&mut self, key: KeyId, error: &TaskError) {
        self.numbers.failures.insert(key, (error.code, error.message.clone()));
    }

    /// Code and message of the last failed read of a key.
    pub(super) fn key_failure(&self, key: KeyId) -> Option<(&'static str, String)> {
        self.numbers.failures.get(&key).cloned()
    }
}
