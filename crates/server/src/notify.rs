//! What systemd is told, where it started the service (`Type=notify`).

use std::sync::Arc;

use sd_notify::NotifyState;

use crate::state::App;

/// It takes connections.
pub(crate) fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] ends that.
pub(crate) fn reloading() {
    // Without the time systemd takes no reload.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
    }
}

/// It drains.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Says that it lives, twice in each period that systemd allows, as long as the engine's heart
/// beats: a network that answers beside a dead engine is no life.
pub(crate) async fn watchdog(app: Arc<App>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut last = None;
    loop {
        let beats = app.engine.beats();
        if last != Some(beats) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        last = Some(beats);
        tokio::time::sleep(period / 2).await;
    }
}
