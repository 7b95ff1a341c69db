//! Reading the configuration again while the service runs.
//!
//! All of it is read and checked before any of it is in force: what is malformed changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{error, info, warn};

use crate::config::{Config, ConfigError};
use crate::listen::{self, Certificates};
use crate::state::App;
use crate::systemd;

/// How the configuration is read again, at SIGHUP.
pub struct Reload {
    /// Reads it from where it was read at the start.
    pub read: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
    /// Called with the configuration in force after each reload, for what the caller keeps itself.
    pub applied: Box<dyn Fn(&Config) + Send + Sync>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// Reads the configuration again, and says in the log what came of it.
pub(crate) async fn reload(
    app: Arc<App>,
    certificates: Option<Arc<Certificates>>,
    reload: Arc<Reload>,
) {
    // A service that was never ready says so when it is.
    let started = app.started.load(Ordering::Relaxed);
    if started {
        systemd::reloading().await;
    }
    // It reads files.
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

/// Puts what may change into force; the names of settings that differ and may not.
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
    // Certificates under the same names may be new ones.
    let acceptor = config.tls.as_ref().map(listen::load_tls).transpose()?;
    if let (Some(certificates), Some(acceptor)) = (certificates, acceptor) {
        certificates.replace(acceptor);
    }
    app.connections.set_limits(&config.limits);
    app.replace_config(config);
    (reload.applied)(&app.config());
    Ok(kept)
}
