//! `athanor serve` and `athanor config`: runs the service, and shows or checks its configuration.

use std::env;

use athanor_server::{Config, ConfigError, Reload, ServeError};
use serde_json::json;

use crate::{
    args::{ConfigToken, Serve},
    failure::{Failure, Kind},
    local,
    output::answer,
};

/// Serves until a signal stops it.
pub(crate) fn run(args: &Serve) -> Result<(), Failure> {
    let config = read(args)?;
    let filter = crate::log::start(&config.log)?;
    allow_many_files();
    let backends = local::backends(config.tables_mib.saturating_mul(1 << 20))?;
    let args = args.clone();
    let reload = Reload {
        read: Box::new(move || read(&args)),
        applied: Box::new(move |config| filter.replace(config)),
    };
    Ok(athanor_server::serve(config, backends, reload)?)
}

/// Raises the limit of open files to the system's maximum: each connection uses one.
pub(crate) fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // On failure, the number of connections follows the current limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Prints the configuration that `serve` would use, without secrets.
pub(crate) fn print(args: &Serve) -> Result<(), Failure> {
    answer(read(args)?.to_toml().trim_end());
    Ok(())
}

/// Checks that `serve` would accept the configuration.
pub(crate) fn check(args: &Serve) -> Result<(), Failure> {
    read(args)?.check()?;
    answer("the configuration is valid");
    Ok(())
}

/// Makes a token and its entry for the configuration file.
pub(crate) fn token(args: &ConfigToken) -> Result<(), Failure> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(Kind::Internal, error))?;
    let token = blake3::Hash::from_bytes(bytes).to_hex().to_string();
    let digest = blake3::hash(token.as_bytes()).to_hex().to_string();
    if args.json {
        answer(&json!({ "token": token, "tenant": args.tenant, "blake3": digest }).to_string());
        return Ok(());
    }
    answer(&format!("# for the client, shown this once: {token}"));
    answer(&format!(
        "[[tokens]]\ntenant = {:?}\nblake3 = \"{digest}\"\nrole = \"submit\"",
        args.tenant
    ));
    Ok(())
}

/// Merges the file, the environment (overrides the file) and options (override both).
fn read(args: &Serve) -> Result<Config, ConfigError> {
    let file = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let mut config = file.with_environment(|name| env::var(name).ok())?;
    if let Some(circuits) = &args.circuits {
        config.circuits.clone_from(circuits);
    }
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(socket) = &args.socket {
        config.socket = Some(socket.clone());
    }
    if let Some(threads) = args.threads {
        config.threads = Some(threads.into());
    }
    if let Some(tables) = args.tables_mib {
        config.tables_mib = tables;
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if let Some(filter) = &args.log {
        config.log.filter.clone_from(filter);
    }
    crate::log::check(&config.log)?;
    Ok(config)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let kind = match &error {
            ConfigError::Io { .. } => Kind::Unreadable,
            _ => Kind::BadConfig,
        };
        Self::new(kind, error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => error.into(),
            ServeError::Engine(error) => error.into(),
            ServeError::Store(error) if error.is_seal_key() => Self::new(Kind::BadConfig, error),
            ServeError::NoCircuitFits(error) => Self::new(Kind::DoesNotFit, error),
            error => Self::new(Kind::Service, error),
        }
    }
}
