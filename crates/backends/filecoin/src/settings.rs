//! What circuits share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{SealVerifier, params::KeySource};

/// Places and ways that circuits share.
#[derive(Clone)]
pub struct Settings {
    /// Where converted keys and recorded constraints are kept.
    pub keys: PathBuf,
    /// Gets what a person should know and nothing fails for.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Told of every converted key that was used or made.
    pub kept: OnKept,
    /// The stock `verify_seal`, in a process of its own; without it assembled proofs are checked by
    /// the stock compound verifier in this process, and say so.
    pub verifier: Option<SealVerifier>,
}

/// What is told of a conversion's file, and whether it was there or was made.
pub type OnKept = Arc<dyn Fn(&Path, KeySource) + Send + Sync>;

impl Settings {
    /// With that directory, and nobody to tell.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        let (warn, kept) = (Arc::new(|_: &str| {}), Arc::new(|_: &Path, _| {}));
        Self { keys: keys.into(), warn, kept, verifier: None }
    }
}
