//! Liveness and readiness, the same for HTTP, gRPC and systemd.
//!
//! - Live: the engine's thread responds.
//! - Ready: live, not stopping, the journal can be written, and all required circuits are loaded.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use tonic_health::server::HealthReporter;
use tracing::{info, warn};

use crate::circuits::{self, NotReady};
use crate::state::App;
use crate::{grpc, systemd};

/// Readiness and its conditions.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    /// Whether the service is not stopping.
    server: bool,
    engine: EngineHealth,
    journal: JournalHealth,
    circuits: NotReady,
}

/// Liveness of the engine's thread.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EngineHealth {
    pub(crate) live: bool,
    /// Time since its last response.
    pub(crate) age_seconds: f64,
}

#[derive(Debug, Clone, Serialize)]
struct JournalHealth {
    can_write: bool,
}

/// The engine's liveness. Does not block.
pub(crate) fn engine_health(app: &App) -> EngineHealth {
    EngineHealth {
        live: app.engine.is_responsive(),
        age_seconds: app.engine.pulse_age().as_secs_f64(),
    }
}

/// The current readiness. Takes at most one second.
pub(crate) async fn check(app: &App) -> Readiness {
    let can_write = app.store.can_write().await;
    evaluate(app, can_write)
}

fn evaluate(app: &App, can_write: bool) -> Readiness {
    let server = !app.stopping.load(Ordering::Relaxed);
    let (engine, circuits) = (engine_health(app), circuits::not_ready(app));
    let ready = server && engine.live && can_write && circuits.is_empty();
    Readiness { ready, server, engine, journal: JournalHealth { can_write }, circuits }
}

/// Interval between two evaluations: until the service is first ready, and afterwards.
const STARTING_INTERVAL: Duration = Duration::from_millis(50);
const INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two write probes of the journal. It bounds the disk writes of an idle service.
const WRITE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Reports readiness to gRPC's health service, systemd and the log. Never returns.
pub(crate) async fn watch(app: Arc<App>, reporter: HealthReporter) {
    let (mut last, mut started) = (None, false);
    let mut extended: Option<Instant> = None;
    let mut writable: Option<Instant> = None;
    loop {
        if writable.is_none_or(|since| since.elapsed() >= WRITE_CHECK_INTERVAL) {
            writable = app.store.can_write().await.then(Instant::now);
        }
        let readiness = evaluate(&app, writable.is_some());
        if last != Some(readiness.ready) {
            grpc::set_serving(&reporter, readiness.ready).await;
            log_change(&readiness, started);
            last = Some(readiness.ready);
        }
        if readiness.ready && !started {
            started = true;
            app.started.store(true, Ordering::Relaxed);
            systemd::ready();
        } else if !started
            && readiness.engine.live
            && !readiness.circuits.loading.is_empty()
            && extended.is_none_or(|at| at.elapsed() >= INTERVAL)
        {
            systemd::starting();
            extended = Some(Instant::now());
        }
        tokio::time::sleep(if started { INTERVAL } else { STARTING_INTERVAL }).await;
    }
}

fn log_change(readiness: &Readiness, started: bool) {
    let parts = serde_json::to_string(readiness).unwrap_or_default();
    match (readiness.ready, started) {
        (true, _) => info!("ready"),
        (false, true) => warn!("not ready: {parts}"),
        (false, false) => info!("not ready yet: {parts}"),
    }
}
