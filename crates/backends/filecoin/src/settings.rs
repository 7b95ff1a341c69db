//! Settings that circuits share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{SealVerifier, params::KeySource};

/// Settings that circuits share.
#[derive(Clone)]
pub struct Settings {
    /// Directory of converted keys and recorded constraints.
    pub keys: PathBuf,
    /// Receives warnings.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Called for every converted key that was used or stored.
    pub kept: OnKept,
    /// The stock `verify_seal` in a separate process. If `None`, assembled proofs are checked by the
    /// stock compound verifier in this process, and the result records that.
    pub verifier: Option<SealVerifier>,
}

/// Callback with a converted key's path and whether it was read or made.
pub type OnKept = Arc<dyn Fn(&Path, KeySource) + Send + Sync>;

impl Settings {
    /// Settings with that directory, and without callbacks and verifier process.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        let (warn, kept) = (Arc::new(|_: &str| {}), Arc::new(|_: &Path, _| {}));
        Self { keys: keys.into(), warn, kept, verifier: None }
    }
}
