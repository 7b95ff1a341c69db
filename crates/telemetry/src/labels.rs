//! Names for the scheduler's ids.

use athanor_scheduler::{CircuitId, DeviceClass, KeyId, StageId};

/// The names of stages, circuits, device classes and keys, by id. An id without a name is shown as its
/// number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// By [`StageId`].
    pub stages: Vec<String>,
    /// By [`CircuitId`].
    pub circuits: Vec<String>,
    /// By [`DeviceClass`].
    pub classes: Vec<String>,
    /// By [`KeyId`].
    pub keys: Vec<String>,
}

impl Labels {
    /// The stage's name.
    pub fn stage(&self, id: StageId) -> String {
        name(&self.stages, usize::from(id.0), "stage")
    }

    /// The circuit's name.
    pub fn circuit(&self, id: CircuitId) -> String {
        name(&self.circuits, id.0 as usize, "circuit")
    }

    /// The device class's name.
    pub fn class(&self, id: DeviceClass) -> String {
        name(&self.classes, usize::from(id.0), "device")
    }

    /// The key's name.
    pub fn key(&self, id: KeyId) -> String {
        name(&self.keys, usize::try_from(id.0).unwrap_or(usize::MAX), "key")
    }
}

fn name(names: &[String], at: usize, kind: &str) -> String {
    names.get(at).cloned().unwrap_or_else(|| format!("{kind} {at}"))
}
