//! The binary from outside: what scripts rely on.

mod bad_input;
mod batch;
mod cache;
mod catalog;
mod documents;
mod files;
mod forms;
mod interop;
mod serve;
mod support;
