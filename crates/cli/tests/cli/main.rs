//! The binary from outside: what scripts rely on.

mod bad_input;
mod catalog;
mod documents;
mod forms;
mod interop;
mod serve;
mod support;
