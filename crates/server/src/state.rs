//! What every request sees.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use athanor_engine::{Backend, Catalog, Engine, JobHandle};
use athanor_store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::callbacks::Callbacks;
use crate::config::Config;
use crate::connections::{self, Connections};
use crate::upload::{Allowance, Bounds};

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: Catalog,
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    /// Replaced as a whole when it is reloaded.
    config: RwLock<Arc<Config>>,
    /// Jobs under way, by the name that clients know.
    open: Mutex<HashMap<String, Arc<OpenJob>>>,
    /// One request at a time for each idempotency key.
    pub(crate) keys: tokio::sync::Mutex<()>,
    /// Circuits that are being loaded, or that failed to, and why.
    pub(crate) loading: Mutex<BTreeMap<String, Loading>>,
    pub(crate) began: Instant,
    pub(crate) stopping: AtomicBool,
    pub(crate) refused: AtomicU64,
    pub(crate) metrics: crate::metrics::Metrics,
    /// Memory for inputs.
    pub(crate) inputs: Allowance,
    /// Turns to verify clients' proofs.
    pub(crate) verifying: Arc<Semaphore>,
    pub(crate) callbacks: Callbacks,
    pub(crate) connections: Arc<Connections>,
}

/// Verifications at once.
const VERIFYING: usize = 2;

/// A circuit on its way in.
#[derive(Debug, Clone)]
pub(crate) enum Loading {
    Running,
    Failed(String),
}

/// A job under way.
pub(crate) struct OpenJob {
    pub(crate) tenant: String,
    pub(crate) circuit: String,
    pub(crate) handle: JobHandle,
    /// Whether somebody wants to be told of its end.
    pub(crate) callback: bool,
    /// The memory of its input, given back with this.
    #[allow(dead_code, reason = "held, not read")]
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl App {
    pub(crate) fn new(
        config: Config,
        engine: Engine,
        store: Arc<Store>,
        catalog: Catalog,
        backends: Vec<Arc<dyn Backend>>,
        inputs: Allowance,
        callbacks: Callbacks,
    ) -> App {
        let limits = &config.limits;
        let connections = Arc::new(Connections::new(connections::wanted(limits), limits));
        App {
            engine,
            store,
            catalog,
            backends,
            config: RwLock::new(Arc::new(config)),
            open: Mutex::default(),
            keys: tokio::sync::Mutex::new(()),
            loading: Mutex::default(),
            began: Instant::now(),
            stopping: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            metrics: crate::metrics::Metrics::default(),
            inputs,
            verifying: Arc::new(Semaphore::new(VERIFYING)),
            callbacks,
            connections,
        }
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<OpenJob>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration that is in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a client may send in one request.
    pub(crate) fn bounds(&self) -> Bounds {
        let limits = self.config().limits;
        Bounds { bytes: limits.body_bytes, time: Duration::from_secs(limits.body_seconds) }
    }

    pub(crate) fn loading(&self) -> MutexGuard<'_, BTreeMap<String, Loading>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job of that tenant that is under way.
    pub(crate) fn open_job(&self, tenant: &str, public: &str) -> Option<Arc<OpenJob>> {
        self.open().get(public).filter(|job| job.tenant == tenant).cloned()
    }
}
