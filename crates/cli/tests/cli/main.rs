//! Tests of the binary: commands, exit codes and output.

mod bad_input;
mod batch;
mod cache;
mod catalog;
mod crash;
mod documents;
mod files;
mod forms;
mod generator;
mod grpc;
mod health;
mod interop;
mod layer;
mod listen;
mod logs;
mod places;
mod remote;
mod serve;
mod service;
mod signals;
mod store;
mod support;
mod unit;
mod waiting;
