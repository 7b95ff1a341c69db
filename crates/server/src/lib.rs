//! The service: jobs over HTTP, durable, behind one port.
//!
//! [`serve`] opens the journal, starts the engine, goes on with what was running, answers requests
//! until it is told to stop, and drains. The parts:
//!
//! - [`Config`]: one TOML file, unknown keys are errors; environment and flags go over it.
//! - `auth`: who asks. Tokens belong to tenants, and a tenant sees its own jobs and no others.
//! - `jobs`: a request on its way into the engine and back, idempotency and retry included.
//! - `routes`: what is at which path, in our own form, in the form that users of the Midnight proving
//!   skills know, and in rapidsnark-server's.
//! - `problem`: every failure as one enum, told as RFC 9457.
//!
//! The engine's threads and the network's are apart: a busy prover delays no health check.

mod auth;
mod config;
mod jobs;
mod metrics;
mod problem;
mod routes;
mod run;
mod state;

pub use auth::{Role, Token};
pub use config::{Config, ConfigError, Limits};
pub use problem::{Problem, Reason};
pub use run::{ServeError, serve};
