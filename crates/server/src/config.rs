//! The service's configuration: a TOML file, and what goes over it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::auth::Token;

/// Everything that can be chosen. Unknown keys are errors.
///
/// A reload (SIGHUP) puts new `tokens`, certificates (`tls.certificate`, `tls.key`), `log.filter` and those
/// `limits` into force that say so; other changes take a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The catalog of circuits.
    pub circuits: PathBuf,
    /// Circuits to load at the start; none for all of the catalog.
    pub preload: Option<Vec<String>>,
    /// Where jobs and inputs are kept.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// A Unix socket to listen at besides, for this user alone.
    pub socket: Option<PathBuf>,
    /// An address to answer health and metrics at besides, in plain HTTP and without tokens, by threads of
    /// its own: whoever reaches it sees the metrics.
    pub listen_health: Option<SocketAddr>,
    /// Speak TLS on the port.
    pub tls: Option<Tls>,
    /// Listen beyond this machine without tokens: anybody who reaches the port may prove.
    pub allow_open: bool,
    /// Listen beyond this machine without TLS: somebody else encrypts, or anybody on the way may
    /// read tokens and inputs.
    pub allow_plain: bool,
    /// The most memory to hold, in MiB; none to take what the system grants.
    pub memory_mib: Option<u64>,
    /// Memory that tables of each key may take beside it, in MiB: they make proofs of small circuits 1.3
    /// times as fast, and loading a key slower by some twenty proofs. 0 for none.
    pub tables_mib: u64,
    /// Threads to prove with; none for all cores.
    pub threads: Option<u32>,
    /// Who may ask; without tokens everybody is one tenant with every right.
    pub tokens: Vec<Token>,
    /// File with 64 hexadecimal digits: the key that inputs are kept under.
    pub seal_key: Option<PathBuf>,
    /// Keep inputs of jobs that have a result.
    pub keep_inputs: bool,
    /// Origins that clients may have called when a job ends, such as `https://hooks.example.org`.
    pub callbacks: Vec<String>,
    /// Limits.
    pub limits: Limits,
    /// The log on standard error.
    pub log: Log,
}

/// What the log holds, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// `text`, or `json` for one object a line.
    pub format: LogFormat,
    /// Levels by target, such as `info,athanor_server::jobs=debug`; changes at a reload. Libraries other than
    /// our own are heard up to `info`: their details may hold headers, and so tokens.
    pub filter: String,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
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

/// Where the service's certificate lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// Its chain of certificates, in PEM.
    pub certificate: PathBuf,
    /// The first one's private key, in PEM.
    pub key: PathBuf,
}

/// Limits, each with a name and a default. Those that do not change at a reload change at a restart.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Largest request body, decompressed, in bytes. Changes at a reload. What C1 says of a sector of 32 GiB is 68 MB.
    pub body_bytes: usize,
    /// Most memory for inputs that arrive or wait with their jobs, in MiB; none for an eighth of the
    /// whole. Twice as much is set aside of the memory for proofs, for inputs are parsed.
    pub inputs_mib: Option<u64>,
    /// Longest time for a handshake or a request's headers to come, and for a connection to stay
    /// silent between requests, in seconds.
    pub header_seconds: u64,
    /// Longest time for a request's body to come, in seconds. Changes at a reload.
    pub body_seconds: u64,
    /// Longest time for a connection on which the service works on no request, in seconds, even if it
    /// answers pings.
    pub idle_seconds: u64,
    /// Most connections with a request under way. Fewer where the limit on open files (which is raised
    /// as far as it goes) leaves no room for them; the log says so.
    pub connections: usize,
    /// How many more may be open. When all are, the one that has been silent longest is closed for the
    /// newest. While `connections` have requests under way, others get answers about health and metrics, and
    /// half of these serve tokens whose highest class is critical; anything else is refused as busy.
    pub connections_reserved: usize,
    /// Most connections with a request under way of one client: an address (a /64 network of IPv6), or
    /// a user at the Unix socket. None for half of `connections`, and no limit for clients on this
    /// machine, where a reverse proxy stands for many.
    pub connections_per_client: Option<usize>,
    /// Most jobs accepted and not ended, of all tenants.
    pub jobs: usize,
    /// How many critical ones are taken beyond that.
    pub jobs_critical: usize,
    /// Most of one tenant. Changes at a reload.
    pub jobs_per_tenant: usize,
    /// Most of one circuit. Changes at a reload.
    pub jobs_per_circuit: usize,
    /// Longest wait for a proof in one request, in seconds. Changes at a reload.
    pub wait_seconds: u64,
    /// How long ended jobs are kept, in seconds. Changes at a reload.
    pub keep_seconds: u64,
    /// How many ended jobs are kept. Changes at a reload.
    pub keep_jobs: u32,
    /// How long to wait for running jobs when told to stop, in seconds. Changes at a reload.
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

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It makes no sense.
    #[error("{place}: {why}")]
    Malformed {
        /// The file, or the variable.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Everybody could prove.
    #[error(
        "{0} is reachable from other machines and there are no tokens: add [[tokens]], listen on \
         127.0.0.1, or say allow-open = true if that is meant"
    )]
    Open(SocketAddr),
    /// Everybody on the way could read.
    #[error(
        "{0} is reachable from other machines and speaks no TLS: add [tls] with `certificate` and \
         `key`, listen on 127.0.0.1, or say allow-plain = true if something else encrypts"
    )]
    Plain(SocketAddr),
    /// A reload would open the service to everybody; a file that was cut short does that by mistake.
    #[error("there are no tokens any more: restart the service if everybody may prove")]
    LastToken,
}

/// Settings that change at a reload.
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

/// Puts what may change at a reload from `new` into `old`; adds the other settings that differ to `kept`.
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

    /// Puts the environment over it: `ATHANOR_LOG`, and the names that users of the Midnight proving skills
    /// know.
    pub fn with_environment(
        mut self,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ConfigError> {
            text.trim().parse().map_err(|_| ConfigError::Malformed {
                place: name.into(),
                why: format!("{text:?} is no number that it takes"),
            })
        }
        let given = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        if let Some(text) = given("PROVER_THREADS") {
            self.threads = Some(number("PROVER_THREADS", &text)?);
        }
        if let Some(text) = given("PROVER_MEMORY_LIMIT") {
            self.memory_mib = Some(number("PROVER_MEMORY_LIMIT", &text)?);
        }
        if let Some(text) = given("PROVER_PORT") {
            self.listen.set_port(number("PROVER_PORT", &text)?);
        }
        if let Some(text) = given("PROVER_PRELOAD_CIRCUITS") {
            self.preload = Some(text.split(',').map(|name| name.trim().to_owned()).collect());
        }
        if let Some(text) = given("CIRCUIT_KEYS_PATH") {
            self.circuits = text.into();
        }
        if let Some(text) = given("ATHANOR_LOG") {
            self.log.filter = text;
        }
        Ok(self)
    }

    /// Whether it can be served with.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |why: String| ConfigError::Malformed { place: "configuration".into(), why };
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
            crate::callbacks::origin(origin).map_err(wrong)?;
        }
        for token in &self.tokens {
            token.check().map_err(wrong)?;
        }
        if self.threads == Some(0) {
            return Err(wrong("threads must be at least 1".into()));
        }
        let Limits { connections, connections_per_client, idle_seconds, .. } = self.limits;
        for (name, value) in [
            ("connections", connections),
            ("connections-per-client", connections_per_client.unwrap_or(1)),
            ("idle-seconds", usize::from(idle_seconds > 0)),
        ] {
            if value == 0 {
                return Err(wrong(format!("limits.{name} must be at least 1")));
            }
        }
        Ok(())
    }

    /// This one with the settings of `new` that may change while the service runs, and the names of
    /// those that differ and may not.
    pub(crate) fn reloaded(&self, new: &Config) -> Result<(Config, Vec<String>), ConfigError> {
        let wrong = |why: String| ConfigError::Malformed { place: "configuration".into(), why };
        let mut old = Table::try_from(self).map_err(|error| wrong(error.to_string()))?;
        let new = Table::try_from(new).map_err(|error| wrong(error.to_string()))?;
        let mut kept = Vec::new();
        merge_reloadable(&mut old, &new, "", &mut kept);
        let config = old.try_into().map_err(|error| wrong(error.to_string()))?;
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
    fn the_environment_goes_over_the_file_and_nonsense_is_named() {
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
    fn a_public_port_without_tokens_or_tls_is_refused_unless_it_is_asked_for() {
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
        // What is in force is the new one but for the settings that were named.
        let mut wanted = new.clone();
        wanted.data = old.data.clone();
        wanted.threads = old.threads;
        wanted.limits.jobs = old.limits.jobs;
        wanted.log.format = old.log.format;
        assert_eq!(config.to_toml(), wanted.to_toml());
        assert_eq!(config.tokens.len(), 2);
        // Whether the port speaks TLS at all does not change.
        let (config, kept) = old.reloaded(&read("data = 'here'", "")).unwrap();
        assert_eq!((config.tls.is_some(), kept), (true, vec!["tls".to_owned()]));
    }
}
