//! The service's configuration: a TOML file, overridden by the environment.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::auth::Token;

/// All settings of the service. Unknown keys are errors.
///
/// A reload (SIGHUP) applies `tokens`, certificates (`tls.certificate`, `tls.key`), `log.filter` and the `limits`
/// that are marked as reloadable. Other changes need a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Directory of the catalog of circuits.
    pub circuits: PathBuf,
    /// Circuits to load at the start; `None` for all circuits of the catalog.
    pub preload: Option<Vec<String>>,
    /// Directory of the journal and the inputs.
    pub data: PathBuf,
    /// Address of the port for REST and gRPC.
    pub listen: SocketAddr,
    /// Path of an additional Unix socket, with mode 0600.
    pub socket: Option<PathBuf>,
    /// Address of an additional listener for health and metrics, with separate threads. It uses plain HTTP and
    /// requires no token: every client that reaches the address can read the metrics.
    pub listen_health: Option<SocketAddr>,
    /// TLS on the port; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Permits an address other than loopback without tokens and without TLS: every client that reaches the port
    /// may submit jobs, and the traffic may be unencrypted. It implies `allow_plain`.
    pub allow_open: bool,
    /// Permits an address other than loopback without TLS, for example behind a proxy that encrypts. Without such a
    /// proxy, the network can read tokens and inputs.
    pub allow_plain: bool,
    /// The memory budget in MiB; `None` for the limit of the system.
    pub memory_mib: Option<u64>,
    /// Memory for the tables of each key, in MiB; 0 for no tables. Tables speed up proofs of small circuits and slow
    /// down loading of keys.
    pub tables_mib: u64,
    /// Threads for proving; `None` for all cores.
    pub threads: Option<u32>,
    /// Bearer tokens. If there are none, all clients are one tenant with the role `admin`.
    pub tokens: Vec<Token>,
    /// File with the key that encrypts inputs on disk, as 64 hexadecimal digits; `None` for no encryption.
    pub seal_key: Option<PathBuf>,
    /// Whether inputs of complete jobs are kept.
    pub keep_inputs: bool,
    /// Allowed origins of callbacks, such as `https://hooks.example.org`.
    pub callbacks: Vec<String>,
    /// Limits.
    pub limits: Limits,
    /// The log on standard error.
    pub log: Log,
}

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// `text`, or `json` for one object per line.
    pub format: LogFormat,
    /// Levels by target, such as `info,athanor_server::jobs=debug`. Reloadable. Third-party libraries log at most
    /// at `info`, because their debug lines may contain headers with tokens.
    pub filter: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{text:?} is not a log format: use text or json")),
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, filter: "info".into() }
    }
}

/// The files of the service's certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificate chain, in PEM.
    pub certificate: PathBuf,
    /// The private key of the first certificate, in PEM.
    pub key: PathBuf,
}

/// Limits. Those that are not marked as reloadable change at a restart.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Largest request body after decompression, in bytes. Reloadable. C1 output of a 32 GiB sector is 68 MB.
    pub body_bytes: usize,
    /// Memory for inputs that arrive or belong to open jobs, in MiB; `None` for an eighth of the memory budget. Twice
    /// as much is reserved in the budget, because inputs are also held in parsed form.
    pub inputs_mib: Option<u64>,
    /// Longest time in seconds for a TLS handshake, for a request's headers, and of silence between requests.
    pub header_seconds: u64,
    /// Longest time in seconds for a request's body. Reloadable.
    pub body_seconds: u64,
    /// Longest time in seconds in which the service works on no request of a connection, even if the client answers
    /// pings.
    pub idle_seconds: u64,
    /// Limit on connections with a running request. The service raises its limit on open files to the maximum; if
    /// that permits fewer connections, the limit is lower, and the log states it.
    pub connections: usize,
    /// Number of further open connections. When all are open, the connection that has been silent longest is closed
    /// for a new one. While `connections` are busy, the others serve health and metrics, and half of them serve
    /// tokens with the highest class `critical`. Other requests are refused as busy.
    pub connections_reserved: usize,
    /// Limit on connections of one client with a running request. A client is an address (a /64 network for IPv6) or
    /// a user at the Unix socket. `None` for half of `connections`, and for no limit for clients on this machine, where
    /// a reverse proxy may serve many clients.
    pub connections_per_client: Option<usize>,
    /// Limit on open jobs (accepted and not ended) of all tenants.
    pub jobs: usize,
    /// Number of critical jobs that are accepted beyond `jobs`.
    pub jobs_critical: usize,
    /// Limit on open jobs of one tenant. Reloadable.
    pub jobs_per_tenant: usize,
    /// Limit on open jobs of one circuit. Reloadable.
    pub jobs_per_circuit: usize,
    /// Longest wait for a proof in one request, in seconds. Reloadable.
    pub wait_seconds: u64,
    /// Time for which ended jobs are kept, in seconds of service time. Reloadable.
    pub keep_seconds: u64,
    /// Number of ended jobs that are kept. Reloadable.
    pub keep_jobs: u32,
    /// Longest wait for running jobs after a stop signal, in seconds. Reloadable.
    pub drain_seconds: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            circuits: "circuits".into(),
            preload: None,
            data: "athanor-data".into(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8780),
            socket: None,
            listen_health: None,
            tls: None,
            allow_open: false,
            allow_plain: false,
            memory_mib: None,
            tables_mib: 0,
            threads: None,
            tokens: Vec::new(),
            seal_key: None,
            keep_inputs: false,
            callbacks: Vec::new(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 128 << 20,
            inputs_mib: None,
            header_seconds: 15,
            body_seconds: 60,
            idle_seconds: 75,
            connections: 4096,
            connections_reserved: 64,
            connections_per_client: None,
            jobs: 10_000,
            jobs_critical: 100,
            jobs_per_tenant: 5_000,
            jobs_per_circuit: 10_000,
            wait_seconds: 600,
            keep_seconds: 7 * 24 * 3600,
            keep_jobs: 100_000,
            drain_seconds: 60,
        }
    }
}

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A value is invalid or a file is malformed.
    #[error("{place}: {why}")]
    Malformed {
        /// The file, setting or variable.
        place: String,
        /// The error.
        why: String,
    },
    /// Every client could submit jobs.
    #[error(
        "{0} is reachable from other machines and there are no tokens: add [[tokens]], listen on \
         127.0.0.1, or set allow-open = true to serve every client"
    )]
    Open(SocketAddr),
    /// The network could read tokens and inputs.
    #[error(
        "{0} is reachable from other machines without TLS: add [tls] with `certificate` and \
         `key`, listen on 127.0.0.1, or set allow-plain = true if a proxy encrypts"
    )]
    Plain(SocketAddr),
    /// A reload would remove all tokens, for example because the file was truncated.
    #[error(
        "the new configuration has no tokens: restart the service if every client may submit jobs"
    )]
    LastToken,
}

/// Settings that a reload applies.
const RELOADABLE: [&str; 12] = [
    "limits.body-bytes",
    "limits.body-seconds",
    "limits.drain-seconds",
    "limits.jobs-per-circuit",
    "limits.jobs-per-tenant",
    "limits.keep-jobs",
    "limits.keep-seconds",
    "limits.wait-seconds",
    "log.filter",
    "tls.certificate",
    "tls.key",
    "tokens",
];

/// Copies the reloadable settings from `new` to `old`. Adds the names of other settings that differ to `kept`.
fn merge_reloadable(old: &mut Table, new: &Table, path: &str, kept: &mut Vec<String>) {
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (old.get_mut(&name), new.get(&name)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                merge_reloadable(old, new, &path, kept)
            }
            (before, after) if before.as_deref() == after => {}
            (_, after) if RELOADABLE.contains(&&*path) => match after {
                Some(after) => _ = old.insert(name, after.clone()),
                None => _ = old.remove(&name),
            },
            _ => kept.push(path),
        }
    }
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let place = path.display().to_string();
        toml::from_str(&text)
            .map_err(|error| ConfigError::Malformed { place, why: error.to_string() })
    }

    /// Overrides settings by the environment: `ATHANOR_LOG`, and the variables of the Midnight proving skills. Empty
    /// variables are ignored.
    pub fn with_environment(
        mut self,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ConfigError> {
            text.trim().parse().map_err(|_| ConfigError::Malformed {
                place: name.into(),
                why: format!("{text:?} is not a valid number for this setting"),
            })
        }
        let variable = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        if let Some(text) = variable("PROVER_THREADS") {
            self.threads = Some(number("PROVER_THREADS", &text)?);
        }
        if let Some(text) = variable("PROVER_MEMORY_LIMIT") {
            self.memory_mib = Some(number("PROVER_MEMORY_LIMIT", &text)?);
        }
        if let Some(text) = variable("PROVER_PORT") {
            self.listen.set_port(number("PROVER_PORT", &text)?);
        }
        if let Some(text) = variable("PROVER_PRELOAD_CIRCUITS") {
            self.preload = Some(text.split(',').map(|name| name.trim().to_owned()).collect());
        }
        if let Some(text) = variable("CIRCUIT_KEYS_PATH") {
            self.circuits = text.into();
        }
        if let Some(text) = variable("ATHANOR_LOG") {
            self.log.filter = text;
        }
        Ok(self)
    }

    /// Checks that the service can run with this configuration.
    pub fn check(&self) -> Result<(), ConfigError> {
        let invalid = |why: String| ConfigError::Malformed { place: "configuration".into(), why };
        if !self.listen.ip().is_loopback() && self.tokens.is_empty() && !self.allow_open {
            return Err(ConfigError::Open(self.listen));
        }
        if !self.listen.ip().is_loopback()
            && self.tls.is_none()
            && !(self.allow_plain || self.allow_open)
        {
            return Err(ConfigError::Plain(self.listen));
        }
        for origin in &self.callbacks {
            crate::callbacks::origin(origin).map_err(invalid)?;
        }
        for token in &self.tokens {
            token.check().map_err(invalid)?;
        }
        if self.threads == Some(0) {
            return Err(invalid("threads must be at least 1".into()));
        }
        let Limits { connections, connections_per_client, idle_seconds, .. } = self.limits;
        for (name, value) in [
            ("connections", connections),
            ("connections-per-client", connections_per_client.unwrap_or(1)),
            ("idle-seconds", usize::from(idle_seconds > 0)),
        ] {
            if value == 0 {
                return Err(invalid(format!("limits.{name} must be at least 1")));
            }
        }
        Ok(())
    }

    /// This configuration with the reloadable settings of `new`, and the names of other settings that differ.
    pub(crate) fn reloaded(&self, new: &Config) -> Result<(Config, Vec<String>), ConfigError> {
        let invalid = |why: String| ConfigError::Malformed { place: "configuration".into(), why };
        let mut old = Table::try_from(self).map_err(|error| invalid(error.to_string()))?;
        let new = Table::try_from(new).map_err(|error| invalid(error.to_string()))?;
        let mut kept = Vec::new();
        merge_reloadable(&mut old, &new, "", &mut kept);
        let config = old.try_into().map_err(|error| invalid(error.to_string()))?;
        Ok((config, kept))
    }

    /// As TOML, without secrets.
    pub fn to_toml(&self) -> String {
        let mut shown = self.clone();
        shown.tokens.iter_mut().for_each(Token::hide);
        toml::to_string(&shown).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors_and_the_default_survives_a_round_trip() {
        assert!(toml::from_str::<Config>("lissten = \"x\"").is_err());
        assert!(toml::from_str::<Config>("[limits]\nbody = 1").is_err());
        let text = Config::default().to_toml();
        assert_eq!(toml::from_str::<Config>(&text).unwrap().to_toml(), text);
    }

    #[test]
    fn the_environment_overrides_the_file_and_a_bad_variable_is_named() {
        let set = |name: &str| {
            let value = match name {
                "PROVER_THREADS" => "3",
                "PROVER_MEMORY_LIMIT" => "4096",
                "PROVER_PORT" => "9000",
                "PROVER_PRELOAD_CIRCUITS" => "a, b",
                "CIRCUIT_KEYS_PATH" => "/keys",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::default().with_environment(set).unwrap();
        assert_eq!((config.threads, config.memory_mib), (Some(3), Some(4096)));
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.preload.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(config.circuits, Path::new("/keys"));
        let bad = |name: &str| (name == "PROVER_PORT").then(|| "99999".to_owned());
        let error = Config::default().with_environment(bad).unwrap_err();
        assert!(error.to_string().contains("PROVER_PORT"));
    }

    #[test]
    fn a_public_port_without_tokens_or_tls_is_refused_unless_it_is_allowed() {
        let mut config = Config { listen: "0.0.0.0:1".parse().unwrap(), ..Config::default() };
        assert!(matches!(config.check(), Err(ConfigError::Open(_))));
        config.allow_open = true;
        config.check().unwrap();
        config.allow_open = false;
        let blake3 = "00".repeat(32);
        let token = format!("tenant = 'a'\nblake3 = '{blake3}'\nrole = 'read'");
        config.tokens.push(toml::from_str(&token).unwrap());
        assert!(matches!(config.check(), Err(ConfigError::Plain(_))));
        config.allow_plain = true;
        config.check().unwrap();
    }

    #[test]
    fn a_reload_changes_what_may_change_and_names_the_rest() {
        let token = |tenant: &str| {
            format!(
                "[[tokens]]\ntenant = {tenant:?}\nblake3 = '{}'\nrole = 'read'\n",
                "0".repeat(64)
            )
        };
        let read = |head: &str, rest: &str| -> Config {
            toml::from_str(&format!("{head}\n{}{rest}", token("a"))).unwrap()
        };
        let tls = "[tls]\ncertificate = 'a'\nkey = 'b'\n";
        let old = read("data = 'here'", tls);
        let same = old.reloaded(&old).unwrap();
        assert_eq!((same.0.to_toml(), same.1.len()), (old.to_toml(), 0));

        let new = "[limits]\nbody-bytes = 7\nbody-seconds = 7\ndrain-seconds = 7\njobs-per-circuit = 7\n\
                   jobs-per-tenant = 7\nkeep-jobs = 7\nkeep-seconds = 7\nwait-seconds = 7\njobs = 7\n\
                   [log]\nfilter = 'debug'\nformat = 'json'\n[tls]\ncertificate = 'c'\nkey = 'd'\n";
        let new = read("data = 'there'\nthreads = 3", &(token("b") + new));
        let (config, kept) = old.reloaded(&new).unwrap();
        assert_eq!(kept, ["data", "limits.jobs", "log.format", "threads"]);
        // The result is the new configuration except for the named settings.
        let mut wanted = new.clone();
        wanted.data = old.data.clone();
        wanted.threads = old.threads;
        wanted.limits.jobs = old.limits.jobs;
        wanted.log.format = old.log.format;
        assert_eq!(config.to_toml(), wanted.to_toml());
        assert_eq!(config.tokens.len(), 2);
        // A reload does not switch TLS on or off.
        let (config, kept) = old.reloaded(&read("data = 'here'", "")).unwrap();
        assert_eq!((config.tls.is_some(), kept), (true, vec!["tls".to_owned()]));
    }
}
