//! Starts, runs and stops the service.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use athanor_engine::{Backend, Catalog, Config as EngineConfig, Engine, StartError, Unfinished};
use athanor_store::{JobRow, Restorable, SealKey, Store, StoreError, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::callbacks::{self, Callbacks};
use crate::config::{Config, ConfigError};
use crate::listen::{self, Certificates, ConnectionHandler, UnixSocketListener};
use crate::machine::NoCircuitFits;
use crate::probes::ProbeListener;
use crate::reload::{self, Reload};
use crate::signals::{Command, Signals};
use crate::state::{App, MAX_LOADS};
use crate::upload::InputMemory;
use crate::{circuits, grpc, machine, readiness, resume, retention, routes, systemd, unreadable};

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal or the blobs cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// No circuit of the catalog fits into the memory budget.
    #[error(transparent)]
    NoCircuitFits(#[from] NoCircuitFits),
    /// The port or the socket cannot be opened.
    #[error("{address}: {source}")]
    Listen {
        /// The address or path.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A thread cannot be started or a signal handler cannot be installed.
    #[error("cannot start a thread or install a signal handler: {0}")]
    Runtime(std::io::Error),
}

/// Longest wait for the last responses after the drain.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for tasks of the runtime to end, such as loading of circuits.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for the engine's threads and the journal to end.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the engine to accept the drain command.
const DRAIN_CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval between two checks whether jobs still run.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or SIGINT, then drains and closes. Logs the address at which it listens.
///
/// During the drain (at most `drain-seconds`), reads and probes are answered as before, and new jobs are refused. A
/// second SIGTERM or SIGINT ends the process with exit code 143 or 130. SIGHUP reloads the configuration by `reload`.
///
/// # Errors
///
/// If the service cannot start: see [`ServeError`].
pub fn serve(
    config: Config,
    backends: Vec<Arc<dyn Backend>>,
    reload: Reload,
) -> Result<(), ServeError> {
    let signals = Signals::install().map_err(ServeError::Runtime)?;
    config.check()?;
    let seal_key = config.seal_key.as_deref().map(read_key).transpose()?;
    let options = StoreOptions { seal_key, keep_inputs: config.keep_inputs };
    let store = Arc::new(Store::open(&config.data, options)?);
    let catalog = Catalog::new(&config.circuits);
    let preload = circuits::preload_names(&config, &catalog)?;
    let tls = config.tls.as_ref().map(listen::load_tls).transpose()?;
    let tls = tls.map(|acceptor| Arc::new(Certificates::new(acceptor)));
    let callbacks = Callbacks::new(&config.callbacks)
        .map_err(|why| ConfigError::Malformed { place: "callbacks".into(), why })?;
    let mut engine_config = match config.threads {
        Some(threads) => EngineConfig::with_threads(threads),
        None => EngineConfig::for_machine(),
    };
    engine_config.memory = config.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    // The quotas limit the jobs of clients. The engine accepts MAX_LOADS more for warm-up proofs.
    engine_config.policy.max_jobs =
        config.limits.jobs.saturating_add(config.limits.jobs_critical).saturating_add(MAX_LOADS);
    engine_config.address_space = machine::address_space(&engine_config);
    let inputs = match config.limits.inputs_mib {
        Some(mib) => mib.saturating_mul(1 << 20),
        None => {
            let EngineConfig { memory, address_space, .. } = engine_config;
            athanor_engine::memory::budget(memory, address_space).bytes / machine::INPUT_SHARE
        }
    };
    // An input is held as received and in parsed form.
    engine_config.set_aside = inputs.saturating_mul(2);
    let threads = engine_config.devices.iter().map(|device| device.threads).sum();
    let engine = Engine::start(engine_config, store.clone())?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %config.data.display(),
        circuits = %config.circuits.display(),
        tokens = config.tokens.len(),
        "starting"
    );
    machine::log(&config, &engine, threads);
    machine::check(&config, &engine, &catalog)?;
    let inputs = InputMemory::new(inputs);
    let app =
        Arc::new(App::new(config, engine, store.clone(), catalog, backends, inputs, callbacks));
    // Accepted jobs are read before the runtime starts, because this call blocks on the store's runtime.
    let restorable = store.restorable()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(app.clone(), tls, (restorable, preload), signals, reload));
    shut_down(app, runtime);
    // A task that outlasted the runtime may still hold the store. Then the journal is not closed cleanly, and the next
    // start checks it.
    if let Some(store) = Arc::into_inner(store) {
        store.close();
    }
    served
}

/// Ends the remaining tasks and the engine, with time limits, because loading a circuit cannot be interrupted. All
/// records of the journal are durable.
fn shut_down(app: Arc<App>, runtime: tokio::runtime::Runtime) {
    app.engine.begin_shutdown();
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    let (ended, end) = std::sync::mpsc::channel();
    let ending = std::thread::Builder::new().name("end".into()).spawn(move || {
        drop(app);
        let _ = ended.send(());
    });
    if ending.is_ok() {
        let _ = end.recv_timeout(ENGINE_TIMEOUT);
    }
}

async fn run(
    app: Arc<App>,
    tls: Option<Arc<Certificates>>,
    (restorable, preload): (Vec<Restorable>, Vec<String>),
    mut signals: Signals,
    reload: Reload,
) -> Result<(), ServeError> {
    let config = app.config();
    // Before the first request, circuits to load are marked as loading and jobs of earlier runs are open.
    let _ = app.preloaded.set(preload.iter().cloned().collect());
    preload.into_iter().for_each(|name| circuits::begin_load(&app, name));
    let (unfinished, unreadable) = partition_restorable(restorable);
    resume::resume_all(&app, unfinished);
    tokio::spawn(unreadable::retry(app.clone(), unreadable));
    let Listeners { port, socket, probes } = bind(&config, tls.is_some()).await?;
    if let Ok(address) = port.local_addr() {
        app.store.record_address(address)?;
    }
    signals.serving();
    let _probes =
        probes.map(|probes| probes.start(&app)).transpose().map_err(ServeError::Runtime)?;
    app.connections.set_limits(&config.limits);
    tokio::spawn(app.connections.clone().sweep());
    tokio::spawn(retention::run(app.clone()));
    tokio::spawn(callbacks::deliver_pending(app.clone()));
    tokio::spawn(systemd::watchdog(app.clone()));
    let (grpc, health) = grpc::router(app.clone());
    grpc::set_serving(&health, false).await;
    let watching = tokio::spawn(readiness::watch(app.clone(), health.clone()));
    let router = routes::router(app.clone()).merge(grpc);
    let (close, closing) = watch::channel(false);
    let connections = app.connections.clone();
    let handler = ConnectionHandler { app: app.clone(), router, connections, closing };
    let mut accepting = JoinSet::new();
    if let Some(socket) = socket {
        accepting.spawn(listen::accept(socket, None, handler.clone()));
    }
    accepting.spawn(listen::accept(port, tls.clone(), handler));
    let reload = Arc::new(reload);
    while let Command::Reload = signals.next_command().await {
        reload::reload(app.clone(), tls.clone(), reload.clone()).await;
    }
    app.stopping.store(true, Ordering::Relaxed);
    watching.abort();
    let _ = watching.await;
    grpc::set_serving(&health, false).await;
    systemd::stopping();
    drain(&app).await;
    end_connections(&app, accepting, close).await;
    Ok(())
}

/// The bound listeners.
struct Listeners {
    port: TcpListener,
    socket: Option<UnixSocketListener>,
    probes: Option<ProbeListener>,
}

/// Binds the port, the socket and the address for probes, and logs the addresses.
async fn bind(config: &Config, encrypted: bool) -> Result<Listeners, ServeError> {
    let failed = |address: String| move |source| ServeError::Listen { address, source };
    let address = config.listen.to_string();
    let port = listen::bind(config.listen).map_err(failed(address.clone()))?;
    let local = port.local_addr().map_err(failed(address))?;
    let socket = match &config.socket {
        Some(path) => {
            let bound = UnixSocketListener::bind(path).await;
            Some(bound.map_err(failed(path.display().to_string()))?)
        }
        None => None,
    };
    let probes = match config.listen_health {
        Some(address) => Some(ProbeListener::bind(address).map_err(failed(address.to_string()))?),
        None => None,
    };
    let scheme = if encrypted { "https" } else { "http" };
    info!("listening at {scheme}://{local}");
    if let Some(path) = &config.socket {
        info!("listening at unix:{}", path.display());
    }
    Ok(Listeners { port, socket, probes })
}

/// Waits for active jobs, at most for `drain-seconds`. Requests are still answered.
async fn drain(app: &Arc<App>) {
    let timeout = Duration::from_secs(app.config().limits.drain_seconds);
    let end = tokio::time::Instant::now() + timeout;
    info!(jobs = app.active_jobs(), seconds = timeout.as_secs(), "draining");
    // The engine accepts no more jobs. The wait is limited in case the engine does not respond.
    let draining = app.clone();
    let call = tokio::task::spawn_blocking(move || draining.engine.drain(Duration::ZERO));
    let _ = tokio::time::timeout(DRAIN_CALL_TIMEOUT.min(timeout), call).await;
    loop {
        match app.active_jobs() {
            0 => return info!("drained"),
            left if tokio::time::Instant::now() >= end => {
                return info!(jobs = left, "jobs that have not ended resume at the next start");
            }
            _ => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Closes the port, and each connection when its requests are answered.
async fn end_connections(app: &App, mut accepting: JoinSet<()>, close: watch::Sender<bool>) {
    // Requests that wait for a job end with the reason `stopping`.
    app.engine.begin_shutdown();
    accepting.shutdown().await;
    let _ = close.send(true);
    // Each connection holds a receiver, so `closed` resolves when all connections have ended.
    if tokio::time::timeout(CLOSE_TIMEOUT, close.closed()).await.is_err() {
        info!(connections = close.receiver_count(), "connections that are still open are dropped");
    }
    info!("stopped");
}

/// Splits restored jobs into those that can resume and those whose input cannot be read now. Lost jobs have ended.
fn partition_restorable(
    restorable: Vec<Restorable>,
) -> (Vec<Unfinished>, Vec<(JobRow, StoreError)>) {
    let (mut ready, mut unreadable) = (Vec::new(), Vec::new());
    for job in restorable {
        match job {
            Restorable::Ready(job) => ready.push(job),
            Restorable::Unreadable { row, error } => unreadable.push((*row, error)),
            Restorable::Lost(_) => {}
        }
    }
    (ready, unreadable)
}

/// Reads the file of the setting `seal-key`.
///
/// # Errors
///
/// If the file cannot be read or does not contain 64 hexadecimal digits.
pub fn read_key(path: &std::path::Path) -> Result<SealKey, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    SealKey::from_hex(&text).ok_or_else(|| ConfigError::Malformed {
        place: path.display().to_string(),
        why: "the file does not contain a seal key: 64 hexadecimal digits are expected".into(),
    })
}
