//! A flag that says: nobody wants this any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared between the engine, which sets it once, and a run, which looks at it between its parts.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Not set.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Sets it.
    pub fn set(&self) {
        // Nothing is handed over with the flag but the flag.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
