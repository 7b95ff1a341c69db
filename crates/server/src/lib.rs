//! The service: jobs over HTTP, durable, behind one port.
//!
//! [`serve`] opens the journal, starts the engine, goes on with what was running, answers requests
//! until it is told to stop, and drains. The parts:
//!
//! - [`Config`]: one TOML file, unknown keys are errors; environment and flags go over it.
//! - `auth`: who asks. Tokens belong to tenants, and a tenant sees its own jobs and no others.
//! - `acceptance`: how a job is accepted, idempotency and retry included; `quotas` and `locks` serve it.
//! - `jobs`: what clients do with accepted jobs.
//! - `upload`: bodies on their way in, all within one allowance of memory.
//! - `answers`: what clients are told, as types.
//! - `routes`: REST: what is at which path, in our own form, in the form that users of the Midnight
//!   proving skills know, and in rapidsnark-server's.
//! - `grpc`: the same jobs and verbs as gRPC, on the same port.
//! - `listen`: sockets, TLS, and what a connection may take.
//! - `opening`: a connection's first bytes, within a time.
//! - `places`: which connections may stay; `connections`: their tasks and figures; `gate`: what each may
//!   ask.
//! - `probes`: a listener of its own for health and metrics.
//! - `problem`: every failure as one enum, told as RFC 9457 and as gRPC status.
//! - `notify`: what systemd is told.
//! - `readiness`: whether it lives and can serve.
//! - `machine`: what the service takes of this machine, and whether it is enough.
//! - `resume`: jobs of the run before go on.
//! - `unreadable`: jobs whose input cannot be read now wait for it.
//! - `retention`: ended jobs are forgotten.
//! - `signals`: what ends the service, and what has it read its configuration again.
//! - `reload`: what changes while the service runs.
//! - `events`: what the log says of jobs, circuits and requests.
//! - `callbacks`: telling a client's own server that its job has ended.
//!
//! The engine's threads and the network's are apart: a busy prover delays no health check.

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
