//! The `athanor` binary: reads the command line and runs one command of the library.

use std::process::ExitCode;

use athanor_cli::{args::Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    run(Cli::parse())
}
