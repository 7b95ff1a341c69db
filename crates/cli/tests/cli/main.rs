//! The binary from outside: what scripts rely on.

mod bad_input;
mod batch;
mod cache;
mod catalog;
mod crash;
mod documents;
mod files;
mod forms;
mod grpc;
mod interop;
mod layer;
mod listen;
mod places;
mod remote;
mod serve;
mod service;
mod support;
