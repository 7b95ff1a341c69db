//! The service's configuration: a TOML file, and what goes over it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::Token;

/// Everything that can be chosen. Unknown keys are errors.
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

/// Limits, each with a name and a default.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Largest request body, decompressed, in bytes. What C1 says of a sector of 32 GiB is 68 MB.
    pub body_bytes: usize,
    /// Most memory for inputs that arrive or wait with their jobs, in MiB; none for an eighth of the
    /// whole. Twice as much is set aside of the memory for proofs, for inputs are parsed.
    pub inputs_mib: Option<u64>,
    /// Longest time for a handshake or a request's headers to come, and for a connection to stay
    /// silent between requests, in seconds.
    pub header_seconds: u64,
    /// Longest time for a request's body to come, in seconds.
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
    /// Most of one tenant.
    pub jobs_per_tenant: usize,
    /// Most of one circuit.
    pub jobs_per_circuit: usize,
    /// Longest wait for a proof in one request, in seconds.
    pub wait_seconds: u64,
    /// How long ended jobs are kept, in seconds.
    pub keep_seconds: u64,
    /// How many ended jobs are kept.
    pub keep_jobs: u32,
    /// How long to wait for running jobs when told to stop, in seconds.
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

    /// Puts the environment over it, by the names that users of the Midnight proving skills know.
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
}
