//! The service: durable proving jobs over REST and gRPC on one port.
//!
//! [`serve`] opens the journal, starts the engine, resumes accepted jobs, answers requests until a stop
//! signal, and drains. The modules:
//!
//! - [`Config`]: one TOML file; unknown keys are errors. Environment and flags override it.
//! - `auth`: bearer tokens, tenants and roles. A tenant sees only its own jobs.
//! - `acceptance`: accepts and retries jobs, with idempotency keys; uses `quotas` and `locks`.
//! - `jobs`: waits for, reads, lists, watches and cancels accepted jobs.
//! - `upload`: reads request bodies within one memory limit for all inputs.
//! - `responses`: the types of responses.
//! - `routes`: REST paths: the native API, the one of the Midnight proving skills, and rapidsnark-server's.
//! - `grpc`: the same operations as gRPC, on the same port.
//! - `client_proofs`: verifies proofs that clients send.
//! - `circuits`: lists, loads and unloads circuits.
//! - `listen`: sockets, TLS and HTTP settings of connections.
//! - `preface_timeout`: time limit for the first bytes of a connection.
//! - `connection_table`: which connections stay open; `connections`: their tasks and metrics;
//!   `connection_service`: the HTTP service of one connection.
//! - `probes`: a separate listener for health and metrics.
//! - `problem`: all failures as one enum, in the forms of RFC 9457 and gRPC.
//! - `systemd`: notifications to systemd.
//! - `readiness`: liveness and readiness.
//! - `machine`: memory and threads of the service, and whether a circuit fits.
//! - `resume`: resumes accepted jobs of earlier runs.
//! - `unreadable`: retries to read inputs of accepted jobs.
//! - `retention`: deletes ended jobs.
//! - `signals`: SIGTERM, SIGINT and SIGHUP.
//! - `reload`: applies a changed configuration to the running service.
//! - `events`: log lines about jobs, circuits and requests.
//! - `callbacks`: HTTP callbacks at the end of jobs.
//!
//! The engine and the network use separate threads, so a busy prover does not delay health checks.

mod acceptance;
mod auth;
mod callbacks;
mod circuits;
mod client_proofs;
mod config;
mod connection_service;
mod connection_table;
mod connections;
#[cfg(test)]
mod disconnect_tests;
mod events;
mod grpc;
mod jobs;
mod listen;
mod locks;
mod machine;
mod metrics;
mod preface_timeout;
mod probes;
mod problem;
mod quotas;
mod readiness;
mod reload;
mod responses;
mod resume;
mod retention;
mod routes;
mod run;
mod signals;
mod state;
mod systemd;
mod unreadable;
mod upload;

pub use auth::{Role, Token};
pub use config::{Config, ConfigError, Limits, Log, LogFormat, Tls};
pub use grpc::proto;
pub use machine::NoCircuitFits;
pub use problem::{Problem, Reason};
pub use reload::Reload;
pub use routes::openapi;
pub use run::{ServeError, read_key, serve};
