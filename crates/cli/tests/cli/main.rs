//! The binary from outside: what scripts rely on.

mod bad_input;
mod documents;
mod forms;
mod interop;
mod support;
