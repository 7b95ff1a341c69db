//! What systemd is told, where it started the service (`Type=notify`).
//!
//! Its socket takes a few messages and then blocks until they are read, so none is sent from a thread of the network.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::readiness;
use crate::state::App;

/// Time that systemd allows the start to take from now on, in microseconds; said again while circuits load.
const EXTENSION: u32 = 15_000_000;

fn send(state: NotifyState<'static>) -> JoinHandle<()> {
    send_all(vec![state])
}

fn send_all(states: Vec<NotifyState<'static>>) -> JoinHandle<()> {
    spawn_blocking(move || {
        let _ = sd_notify::notify(&states);
    })
}

/// It can serve, for the first time.
pub(crate) fn ready() {
    drop(send(NotifyState::Ready));
}

/// It reads its configuration again; [`ready`] ends that.
pub(crate) async fn reloading() {
    // Without the time systemd takes no reload.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = send_all(vec![NotifyState::Reloading, now]).await;
    }
}

/// It is on its way: circuits are being loaded.
pub(crate) fn starting() {
    drop(send(NotifyState::ExtendTimeoutUsec(EXTENSION)));
}

/// It drains.
pub(crate) fn stopping() {
    drop(send(NotifyState::Stopping));
}

/// Says that it lives, twice in each period that systemd allows, by the same rule as `/health/live`: a network that
/// answers beside an engine that does not is no life.
pub(crate) async fn watchdog(app: Arc<App>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        if readiness::engine_health(&app).live {
            let _ = send(NotifyState::Watchdog).await;
        }
        tokio::time::sleep(period / 2).await;
    }
}
