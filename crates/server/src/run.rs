//! The service from its start to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use athanor_engine::{Backend, Catalog, Config as EngineConfig, Engine, JournalError, StartError};
use athanor_store::{Keeping, SealKey, Store, StoreError};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use crate::callbacks::{self, Callbacks};
use crate::config::{Config, ConfigError};
use crate::listen::{self, Socket};
use crate::machine::NoCircuitFits;
use crate::state::App;
use crate::upload::Allowance;
use crate::{circuits, grpc, machine, notify, readiness, resume, retention, routes, signals};

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
    /// The memory budget and the catalog.
    #[error(transparent)]
    NoCircuitFits(#[from] NoCircuitFits),
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

/// Serves until SIGTERM or SIGINT, then drains. Tells the address it listens at on standard error.
pub fn serve(config: Config, backends: Vec<Arc<dyn Backend>>) -> Result<(), ServeError> {
    config.check()?;
    let seal = config.seal_key.as_deref().map(read_key).transpose()?;
    let keeping = Keeping { seal, inputs: config.keep_inputs };
    let store = Arc::new(Store::open(&config.data, keeping)?);
    let tls = config.tls.as_ref().map(listen::acceptor).transpose()?;
    let callbacks = Callbacks::new(&config.callbacks)
        .map_err(|why| ConfigError::Malformed { place: "callbacks".into(), why })?;
    let mut engine_config = match config.threads {
        Some(threads) => EngineConfig::with_threads(threads),
        None => EngineConfig::for_machine(),
    };
    engine_config.memory = config.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    engine_config.policy.max_jobs = config.limits.jobs.saturating_add(config.limits.jobs_critical);
    engine_config.address_space = machine::address_space(&engine_config);
    let inputs = match config.limits.inputs_mib {
        Some(mib) => mib.saturating_mul(1 << 20),
        None => {
            let EngineConfig { memory, address_space, .. } = engine_config;
            athanor_engine::memory::budget(memory, address_space).bytes / machine::INPUTS
        }
    };
    // An input is held as it came and as it was parsed.
    engine_config.set_aside = inputs.saturating_mul(2);
    let threads = engine_config.devices.iter().map(|device| device.threads).sum();
    let engine = Engine::start(engine_config, store.clone())?;
    machine::log(&config, &engine, threads);
    let catalog = Catalog::new(&config.circuits);
    machine::check(&config, &engine, &catalog)?;
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
    let served = runtime.block_on(run(app.clone(), tls, unfinished));
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

async fn run(
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    unfinished: Vec<athanor_engine::Unfinished>,
) -> Result<(), ServeError> {
    let failed = |address: String| move |source| ServeError::Listen { address, source };
    let config = app.config();
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
    let scheme = if tls.is_some() { "https" } else { "http" };
    info!("listening at {scheme}://{local}");
    if let Some(path) = &config.socket {
        info!("listening at unix:{}", path.display());
    }
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
    grpc::set_serving(&health, false).await;
    let watching = tokio::spawn(readiness::watch(app.clone(), health.clone()));
    let router = routes::router(app.clone()).merge(grpc);
    let bounds = listen::Bounds::of(&config.limits);
    let port = listen::tcp(listener, tls, router.clone(), bounds.clone());
    let local = async {
        match socket {
            Some(socket) => listen::unix(socket, router, bounds).await,
            None => std::future::pending().await,
        }
    };
    // What listens is dropped, and so closed, when the signal comes.
    tokio::select! {
        () = port => {}
        () = local => {}
        () = signals::signal() => {}
    }
    app.stopping.store(true, Ordering::Relaxed);
    watching.abort();
    let _ = watching.await;
    grpc::set_serving(&health, false).await;
    notify::stopping();
    info!("draining");
    let (draining, patience) = (app.clone(), Duration::from_secs(config.limits.drain_seconds));
    let left = tokio::task::spawn_blocking(move || draining.engine.drain(patience)).await;
    match left.unwrap_or(0) {
        0 => info!("stopped"),
        left => info!(jobs = left, "stopped; the jobs that are left go on at the next start"),
    }
    Ok(())
}

fn read_key(path: &std::path::Path) -> Result<SealKey, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    SealKey::from_hex(&text).ok_or_else(|| ConfigError::Malformed {
        place: path.display().to_string(),
        why: "a key has 64 hexadecimal digits".into(),
    })
}
