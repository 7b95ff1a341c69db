//! The state that all requests share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use athanor_engine::{Backend, Catalog, Engine, JobHandle, Status};
use athanor_store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::callbacks::Callbacks;
use crate::config::Config;
use crate::connections::{self, Connections};
use crate::locks::NamedLocks;
use crate::quotas::{Admission, Quotas};
use crate::upload::{InputMemory, UploadLimits};

/// The shared state of the service.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: Catalog,
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    /// A reload replaces the whole value.
    config: RwLock<Arc<Config>>,
    /// Open jobs by their ids.
    open: Mutex<HashMap<String, Arc<OpenJob>>>,
    /// Counts of open jobs.
    pub(crate) quotas: Quotas,
    /// Serializes requests with the same idempotency key, and operations on the same job that is not open.
    pub(crate) locks: NamedLocks,
    /// Circuits that are loading or failed to load.
    pub(crate) loading: Mutex<BTreeMap<String, Loading>>,
    /// Circuits that are loaded at the start; set once.
    pub(crate) preloaded: OnceLock<BTreeSet<String>>,
    /// Permits to load circuits; see [`MAX_LOADS`].
    pub(crate) loads: Semaphore,
    pub(crate) began: Instant,
    /// Whether the service has been ready.
    pub(crate) started: AtomicBool,
    pub(crate) stopping: AtomicBool,
    pub(crate) refused: AtomicU64,
    /// Number of accepted jobs whose input cannot be read now.
    pub(crate) unreadable: AtomicU64,
    pub(crate) metrics: crate::metrics::Metrics,
    /// Memory for the inputs of open jobs and of uploads.
    pub(crate) input_memory: InputMemory,
    /// Permits to verify clients' proofs.
    pub(crate) verifications: Arc<Semaphore>,
    pub(crate) callbacks: Callbacks,
    pub(crate) connections: Arc<Connections>,
}

/// Limit on concurrent verifications.
const MAX_VERIFICATIONS: usize = 2;

/// Limit on circuits that load concurrently. Reading and proving of several overlap, and their warm-up proofs use
/// few entries of the engine's queue.
pub(crate) const MAX_LOADS: usize = 8;

/// The state of loading a circuit.
#[derive(Debug, Clone)]
pub(crate) enum Loading {
    Running,
    Failed(String),
}

/// A job in the engine that has not ended.
///
/// The engine's status while the job is open:
///
/// ```text
///                ┌─ new job ───────► Entering ──┐ recorded
/// insert_open ───┤                              ├──────────► Accepted ───► Ended ───► remove_open
///                └─ restored job ──► Waiting ───┘ circuit loaded             ▲
///                                       └──── refused, cancelled, stopped ───┘ (also from Entering)
/// ```
///
/// The durable state is [`athanor_store::JobState`].
pub(crate) struct OpenJob {
    /// The id that clients see.
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) circuit: String,
    pub(crate) handle: JobHandle,
    /// Whether the job has a callback.
    pub(crate) callback: bool,
    /// The job's count in the quotas.
    #[allow(dead_code, reason = "held, not read")]
    pub(crate) admission: Admission,
    /// The memory reserved for the input.
    #[allow(dead_code, reason = "held, not read")]
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

impl App {
    pub(crate) fn new(
        config: Config,
        engine: Engine,
        store: Arc<Store>,
        catalog: Catalog,
        backends: Vec<Arc<dyn Backend>>,
        input_memory: InputMemory,
        callbacks: Callbacks,
    ) -> App {
        let limits = &config.limits;
        let connections = Arc::new(Connections::new(connections::configured(limits), limits));
        App {
            engine,
            store,
            catalog,
            backends,
            config: RwLock::new(Arc::new(config)),
            open: Mutex::default(),
            quotas: Quotas::default(),
            locks: NamedLocks::default(),
            loading: Mutex::default(),
            preloaded: OnceLock::new(),
            loads: Semaphore::new(MAX_LOADS),
            began: Instant::now(),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            metrics: crate::metrics::Metrics::default(),
            input_memory,
            verifications: Arc::new(Semaphore::new(MAX_VERIFICATIONS)),
            callbacks,
            connections,
        }
    }

    pub(crate) fn open_jobs(&self) -> MutexGuard<'_, HashMap<String, Arc<OpenJob>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current configuration.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the configuration.
    pub(crate) fn replace_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The limits on one request's body.
    pub(crate) fn upload_limits(&self) -> UploadLimits {
        let limits = self.config().limits;
        UploadLimits { bytes: limits.body_bytes, timeout: Duration::from_secs(limits.body_seconds) }
    }

    pub(crate) fn loading(&self) -> MutexGuard<'_, BTreeMap<String, Loading>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of open jobs, without those that wait for a circuit that is not loaded.
    pub(crate) fn active_jobs(&self) -> usize {
        let waits = |job: &&Arc<OpenJob>| matches!(job.handle.status(), Status::Waiting { .. });
        self.open_jobs().values().filter(|job| !waits(job)).count()
    }

    /// Removes an ended job. A retried job with the same id stays.
    pub(crate) fn remove_open(&self, job: &Arc<OpenJob>) {
        let mut open = self.open_jobs();
        if open.get(&job.id).is_some_and(|found| Arc::ptr_eq(found, job)) {
            open.remove(&job.id);
        }
    }

    /// An open job of this tenant.
    pub(crate) fn find_open_job(&self, tenant: &str, public: &str) -> Option<Arc<OpenJob>> {
        self.open_jobs().get(public).filter(|job| job.tenant == tenant).cloned()
    }
}
