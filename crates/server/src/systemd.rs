//! Notifications to systemd (`Type=notify`).
//!
//! The notification socket blocks when its queue is full, so messages are sent from blocking threads and not from
//! network threads.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::readiness;
use crate::state::App;

/// Extension of the start timeout in microseconds. It is sent repeatedly while circuits load.
const EXTENSION: u32 = 15_000_000;

fn send(state: NotifyState<'static>) -> JoinHandle<()> {
    send_all(vec![state])
}

fn send_all(states: Vec<NotifyState<'static>>) -> JoinHandle<()> {
    spawn_blocking(move || {
        let _ = sd_notify::notify(&states);
    })
}

/// Sends READY=1: the service is ready, or a reload has ended.
pub(crate) fn ready() {
    drop(send(NotifyState::Ready));
}

/// Sends RELOADING=1: a reload begins. [`ready`] ends it.
pub(crate) async fn reloading() {
    // systemd requires MONOTONIC_USEC with RELOADING=1.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = send_all(vec![NotifyState::Reloading, now]).await;
    }
}

/// Extends the start timeout: circuits are loading.
pub(crate) fn starting() {
    drop(send(NotifyState::ExtendTimeoutUsec(EXTENSION)));
}

/// Sends STOPPING=1: the service drains.
pub(crate) fn stopping() {
    drop(send(NotifyState::Stopping));
}

/// Sends WATCHDOG=1 twice per watchdog period while the service is live by the rule of `/health/live`, that is, while the
/// engine's thread responds. Returns at once if systemd has no watchdog for the service.
pub(crate) async fn watchdog(app: Arc<App>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        if readiness::engine_health(&app).live {
            let _ = send(NotifyState::Watchdog).await;
        }
        tokio::time::sleep(period / 2).await;
    }
}
