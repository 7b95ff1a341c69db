//! The service from its start to its end.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use athanor_engine::{Backend, Catalog, Config as EngineConfig, Engine, JournalError, StartError};
use athanor_store::{Keeping, SealKey, Store, StoreError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::{Config, ConfigError};
use crate::jobs;
use crate::routes;
use crate::state::{App, OpenJob};

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
    /// The port.
    #[error("{address}: {source}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
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
    let mut engine_config = match config.threads {
        Some(threads) => EngineConfig::with_threads(threads),
        None => EngineConfig::for_machine(),
    };
    engine_config.memory = config.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    engine_config.policy.max_jobs = config.limits.jobs;
    let engine = Engine::start(engine_config, store.clone())?;
    let catalog = Catalog::new(&config.circuits);
    let app = Arc::new(App::new(config, engine, store.clone(), catalog, backends));
    // Unfinished jobs are read before the runtime starts: the store has one of its own.
    let unfinished = athanor_engine::Journal::unfinished(&*store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(app.clone(), unfinished));
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

async fn run(app: Arc<App>, unfinished: Vec<athanor_engine::Unfinished>) -> Result<(), ServeError> {
    let address = app.config.listen;
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    say(&format!("listening at http://{address}"));
    let names = match &app.config.preload {
        Some(names) => names.clone(),
        None => app.catalog.names().unwrap_or_default(),
    };
    names.into_iter().for_each(|name| routes::begin_load(&app, name));
    tokio::spawn(resume(app.clone(), unfinished));
    tokio::spawn(forget(app.clone()));
    let stopped = accept(&app, &listener);
    tokio::select! {
        () = stopped => {}
        () = signal() => {}
    }
    drop(listener);
    app.stopping.store(true, Ordering::Relaxed);
    say("draining");
    let (draining, patience) = (app.clone(), Duration::from_secs(app.config.limits.drain_seconds));
    let left = tokio::task::spawn_blocking(move || draining.engine.drain(patience)).await;
    match left.unwrap_or(0) {
        0 => say("stopped"),
        left => say(&format!("stopped; {left} jobs go on at the next start")),
    }
    Ok(())
}

/// Takes connections, so many at a time.
async fn accept(app: &Arc<App>, listener: &TcpListener) {
    let router = routes::router(app.clone());
    let places = Arc::new(Semaphore::new(app.config.limits.connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file descriptors: those that are open will close.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            // A client that sends its headers byte by byte holds a place for so long and no longer.
            builder
                .http1()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(Duration::from_secs(15));
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

/// Goes on with what was running when the service stopped, as circuits become ready.
async fn resume(app: Arc<App>, unfinished: Vec<athanor_engine::Unfinished>) {
    if unfinished.is_empty() {
        return;
    }
    say(&format!("going on with {} jobs", unfinished.len()));
    for job in unfinished {
        let circuit = job.submission.circuit.clone();
        let public = job.submission.reference.as_deref().unwrap_or_default().to_owned();
        let tenant = job.submission.tenant.clone();
        loop {
            let loading =
                matches!(app.loading().get(&circuit), Some(crate::state::Loading::Running));
            if !loading {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match app.engine.restore(job) {
            Ok(handle) => jobs::follow(&app, public, OpenJob { tenant, circuit, handle }),
            Err(error) => {
                say(&format!("job {public} waits in the journal: {error}"));
            }
        }
    }
}

/// Forgets old jobs, every minute.
async fn forget(app: Arc<App>) {
    let limits = app.config.limits;
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = now.saturating_sub(Duration::from_secs(limits.keep_seconds)).as_millis();
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        if let Err(error) = app.store.forget(before, limits.keep_jobs).await {
            say(&format!("old jobs are not forgotten: {error}"));
        }
    }
}

/// SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => _ = tokio::signal::ctrl_c().await,
    }
}

fn read_key(path: &std::path::Path) -> Result<SealKey, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    SealKey::from_hex(&text).ok_or_else(|| ConfigError::Malformed {
        place: path.display().to_string(),
        why: "a key has 64 hexadecimal digits".into(),
    })
}

/// A line for the operator.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "athanor: {line}");
}
