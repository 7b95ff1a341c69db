//! Reloads the configuration while the service runs.
//!
//! The new configuration is read and checked as a whole before any setting changes. An error changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{error, info, warn};

use crate::config::{Config, ConfigError};
use crate::listen::{self, Certificates};
use crate::state::App;
use crate::systemd;

/// The caller's part of a reload at SIGHUP.
pub struct Reload {
    /// Reads the configuration from the same sources as at the start.
    pub read: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
    /// Called after each successful reload with the configuration in force, for settings that the caller applies.
    pub applied: Box<dyn Fn(&Config) + Send + Sync>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// Reloads the configuration and logs the outcome.
pub(crate) async fn reload(
    app: Arc<App>,
    certificates: Option<Arc<Certificates>>,
    reload: Arc<Reload>,
) {
    // READY=1 must not be sent before the service is first ready, so a reload before that is not reported.
    let started = app.started.load(Ordering::Relaxed);
    if started {
        systemd::reloading().await;
    }
    // Reading files blocks.
    let work = move || apply(&app, certificates.as_deref(), &reload);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(kept)) if kept.is_empty() => info!("the configuration was reloaded"),
        Ok(Ok(kept)) => warn!(
            settings = kept.join(", "),
            "the configuration was reloaded; these settings change at a restart only"
        ),
        Ok(Err(error)) => {
            error!(%error, "the configuration was not reloaded; the old one stays in force");
        }
        Err(error) => error!(%error, "the configuration was not reloaded"),
    }
    if started {
        systemd::ready();
    }
}

/// Applies the reloadable settings. Returns the names of other settings that differ.
fn apply(
    app: &App,
    certificates: Option<&Certificates>,
    reload: &Reload,
) -> Result<Vec<String>, ConfigError> {
    let old = app.config();
    let new = (reload.read)()?;
    new.check()?;
    let (config, kept) = old.reloaded(&new)?;
    config.check()?;
    if config.tokens.is_empty() && !old.tokens.is_empty() {
        return Err(ConfigError::LastToken);
    }
    // The certificate files may have new contents under unchanged names.
    let acceptor = config.tls.as_ref().map(listen::load_tls).transpose()?;
    if let (Some(certificates), Some(acceptor)) = (certificates, acceptor) {
        certificates.replace(acceptor);
    }
    app.connections.set_limits(&config.limits);
    app.replace_config(config);
    (reload.applied)(&app.config());
    Ok(kept)
}
