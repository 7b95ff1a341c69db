//! The service from its start to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use athanor_engine::{Backend, Catalog, Config as EngineConfig, Engine, JournalError, StartError};
use athanor_store::{Keeping, SealKey, Store, StoreError};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::callbacks::{self, Callbacks};
use crate::config::{Config, ConfigError};
use crate::listen::{self, Certificates, Socket};
use crate::reload::{self, Reload};
use crate::signals::{Request, Signals};
use crate::state::App;
use crate::upload::Allowance;
use crate::{circuits, grpc, notify, resume, retention, routes};

/// Why the service does not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal or the blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal's jobs.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The port or the socket.
    #[error("{address}: {source}")]
    Listen {
        /// Where it should listen.
        address: String,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// The system.
    #[error("the system gave no thread: {0}")]
    Runtime(std::io::Error),
}

/// Longest wait for responses to be written after the drain.
const CLOSE: Duration = Duration::from_secs(5);
/// Longest wait for circuits that are loading to be left.
const LEAVE: Duration = Duration::from_secs(1);
/// Longest wait for the engine's threads and the journal to end.
const END: Duration = Duration::from_secs(2);
/// Longest wait for the engine to hear that it drains.
const HEAR: Duration = Duration::from_secs(2);
/// Pause between two looks at the jobs that are left.
const LOOK: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or SIGINT, then drains and closes. Tells the address it listens at on standard error.
///
/// While it drains (`drain-seconds` at most), it answers reads and probes as before, and takes no new jobs. A
/// second SIGTERM or SIGINT ends the process with 143 or 130. SIGHUP has the configuration read again.
pub fn serve(
    config: Config,
    backends: Vec<Arc<dyn Backend>>,
    reload: Reload,
) -> Result<(), ServeError> {
    let signals = Signals::install().map_err(ServeError::Runtime)?;
    config.check()?;
    let seal = config.seal_key.as_deref().map(read_key).transpose()?;
    let keeping = Keeping { seal, inputs: config.keep_inputs };
    let store = Arc::new(Store::open(&config.data, keeping)?);
    let tls = config.tls.as_ref().map(listen::acceptor).transpose()?;
    let tls = tls.map(|acceptor| Arc::new(Certificates::new(acceptor)));
    let callbacks = Callbacks::new(&config.callbacks)
        .map_err(|why| ConfigError::Malformed { place: "callbacks".into(), why })?;
    let mut engine_config = match config.threads {
        Some(threads) => EngineConfig::with_threads(threads),
        None => EngineConfig::for_machine(),
    };
    engine_config.memory = config.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    engine_config.policy.max_jobs = config.limits.jobs.saturating_add(config.limits.jobs_critical);
    let inputs = match config.limits.inputs_mib {
        Some(mib) => mib.saturating_mul(1 << 20),
        None => athanor_engine::memory::budget(engine_config.memory).bytes / 8,
    };
    // An input is held as it came and as it was parsed.
    engine_config.set_aside = inputs.saturating_mul(2);
    let engine = Engine::start(engine_config, store.clone())?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %config.data.display(),
        circuits = %config.circuits.display(),
        memory_mib = engine.budget().bytes >> 20,
        tokens = config.tokens.len(),
        "starting"
    );
    let catalog = Catalog::new(&config.circuits);
    let inputs = Allowance::new(inputs);
    let app =
        Arc::new(App::new(config, engine, store.clone(), catalog, backends, inputs, callbacks));
    // Unfinished jobs are read before the runtime starts: the store has one of its own.
    let unfinished = athanor_engine::Journal::unfinished(&*store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(app.clone(), tls, unfinished, signals, reload));
    end(app, runtime);
    served
}

/// Ends what is left, within bounds: a circuit that is being loaded cannot be interrupted, and what the
/// journal has is durable.
fn end(app: Arc<App>, runtime: tokio::runtime::Runtime) {
    app.engine.begin_shutdown();
    runtime.shutdown_timeout(LEAVE);
    let (ended, end) = std::sync::mpsc::channel();
    let ending = std::thread::Builder::new().name("end".into()).spawn(move || {
        drop(app);
        let _ = ended.send(());
    });
    if ending.is_ok() {
        let _ = end.recv_timeout(END);
    }
}

async fn run(
    app: Arc<App>,
    tls: Option<Arc<Certificates>>,
    unfinished: Vec<athanor_engine::Unfinished>,
    mut signals: Signals,
    reload: Reload,
) -> Result<(), ServeError> {
    let config = app.config();
    let (listener, socket) = bind(&config, tls.is_some()).await?;
    signals.serving();
    notify::ready();
    let names = match &config.preload {
        Some(names) => names.clone(),
        None => app.catalog.names().unwrap_or_default(),
    };
    names.into_iter().for_each(|name| circuits::begin_load(&app, name));
    tokio::spawn(resume::resume(app.clone(), unfinished));
    tokio::spawn(retention::forget(app.clone()));
    tokio::spawn(callbacks::catch_up(app.clone()));
    tokio::spawn(notify::watchdog(app.clone()));
    let (grpc, health) = grpc::router(app.clone());
    grpc::set_serving(&health, true).await;
    let router = routes::router(app.clone()).merge(grpc);
    let bounds = listen::Bounds::of(&config.limits);
    let closing = Arc::new(GracefulShutdown::new());
    let mut listening = JoinSet::new();
    if let Some(socket) = socket {
        listening.spawn(listen::unix(socket, router.clone(), bounds.clone(), closing.clone()));
    }
    listening.spawn(listen::tcp(listener, tls.clone(), router, bounds, closing.clone()));
    let reload = Arc::new(reload);
    while let Request::Reload = signals.next().await {
        reload::reload(app.clone(), tls.clone(), reload.clone()).await;
    }
    app.stopping.store(true, Ordering::Relaxed);
    grpc::set_serving(&health, false).await;
    notify::stopping();
    drain(&app).await;
    close(&app, listening, closing).await;
    Ok(())
}

/// Listens at the port and at the socket, and says so.
async fn bind(
    config: &Config,
    encrypted: bool,
) -> Result<(TcpListener, Option<Socket>), ServeError> {
    let failed = |address: String| move |source| ServeError::Listen { address, source };
    let address = config.listen.to_string();
    let listener = TcpListener::bind(config.listen).await.map_err(failed(address.clone()))?;
    let local = listener.local_addr().map_err(failed(address))?;
    let socket = match &config.socket {
        Some(path) => {
            let bound = Socket::bind(path).await;
            Some(bound.map_err(failed(path.display().to_string()))?)
        }
        None => None,
    };
    let scheme = if encrypted { "https" } else { "http" };
    info!("listening at {scheme}://{local}");
    if let Some(path) = &config.socket {
        info!("listening at unix:{}", path.display());
    }
    Ok((listener, socket))
}

/// Waits for the jobs that are under way, `drain-seconds` at most. Requests are answered meanwhile.
async fn drain(app: &Arc<App>) {
    let patience = Duration::from_secs(app.config().limits.drain_seconds);
    let until = tokio::time::Instant::now() + patience;
    info!(jobs = app.open().len(), seconds = patience.as_secs(), "draining");
    // From now on the engine takes no job either. One that hangs is not waited for.
    let own = app.clone();
    let told = tokio::task::spawn_blocking(move || own.engine.drain(Duration::ZERO));
    let _ = tokio::time::timeout(HEAR.min(patience), told).await;
    loop {
        match app.open().len() {
            0 => return info!("drained"),
            left if tokio::time::Instant::now() >= until => {
                return info!(jobs = left, "jobs that are left go on at the next start");
            }
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Closes the port, and the connections when their requests are answered.
async fn close(app: &App, mut listening: JoinSet<()>, closing: Arc<GracefulShutdown>) {
    // Who waits for a job that is left hears that the service stops.
    app.engine.begin_shutdown();
    listening.shutdown().await;
    let Some(closing) = Arc::into_inner(closing) else { return };
    let open = closing.count();
    if tokio::time::timeout(CLOSE, closing.shutdown()).await.is_err() {
        info!(connections = open, "connections that were still open are cut off");
    }
    info!("stopped");
}

fn read_key(path: &std::path::Path) -> Result<SealKey, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    SealKey::from_hex(&text).ok_or_else(|| ConfigError::Malformed {
        place: path.display().to_string(),
        why: "a key has 64 hexadecimal digits".into(),
    })
}
