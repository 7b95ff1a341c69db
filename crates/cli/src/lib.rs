//! The commands of the `athanor` binary, as a library that benchmarks and comparisons share.

pub mod args;
pub mod bench;
mod cache;
mod circuits;
pub mod client;
mod demo;
mod export;
pub mod failure;
#[cfg(feature = "filecoin")]
mod filecoin;
mod inspect;
pub mod keys;
mod local;
mod log;
mod measure;
pub mod output;
mod prove;
mod serve;
mod setup;
mod simulate;
mod staged;
mod store;
mod verify;

use std::process::ExitCode;

use athanor_kernels::Path;
use clap::CommandFactory;
use serde_json::json;

use args::{Bench, Circuits, Cli, Command, ServeConfig, Setup};
use failure::{Failure, Kind};

/// Runs a command, reports its failure, and returns the process's exit code.
pub fn run(cli: Cli) -> ExitCode {
    let as_json = cli.command.wants_json();
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, as_json);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        // If a forced kernel path were ignored, measurements would be attributed to the wrong path.
        Path::forced().map_err(|error| Failure::new(Kind::Unsupported, error))?;
        match self {
            Command::Prove(args) => prove::run(args),
            Command::Verify(args) => verify::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Setup(Setup::Dev(args)) => setup::dev(&args),
            Command::Circuits(Circuits::Add(args)) => circuits::add(&args),
            Command::Circuits(Circuits::List(args)) => circuits::list(&args),
            Command::Circuits(Circuits::Load(args)) => client::circuits::load(&args),
            Command::Circuits(Circuits::Unload(args)) => client::circuits::unload(&args),
            Command::Submit(args) => client::submit::run(&args),
            Command::Jobs(args) => client::jobs::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Config(ServeConfig::Print(args)) => serve::print(&args),
            Command::Config(ServeConfig::Check(args)) => serve::check(&args),
            Command::Config(ServeConfig::Token(args)) => serve::token(&args),
            Command::Setup(Setup::New(args)) => setup::ceremony::new(&args),
            Command::Setup(Setup::Contribute(args)) => setup::ceremony::contribute(&args),
            Command::Setup(Setup::Beacon(args)) => setup::ceremony::beacon(&args),
            Command::Setup(Setup::Verify(args)) => setup::ceremony::verify(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Export(export) => export::run(&export),
            Command::Cache(cache) => cache::run(&cache),
            Command::Store(store) => store::run(&store),
            #[cfg(feature = "filecoin")]
            Command::Filecoin(command) => filecoin::run(&command),
            Command::Simulate(args) => simulate::simulate(&args),
            Command::Plan(args) => simulate::plan(&args),
            Command::Bench(Bench::Groth16(args)) => bench::groth16::run(&args),
            Command::Bench(Bench::Fastpath(args)) => bench::fastpath::run(&args),
            Command::Bench(Bench::Kernels(args)) => bench::kernels::run(&args),
            Command::Bench(Bench::Engine(args)) => bench::engine::run(&args),
            Command::Bench(Bench::Service(args)) => bench::service::run(&args),
            Command::Bench(Bench::Verify(args)) => bench::verify::run(&args),
            Command::Completions { shell } => {
                let mut command = Cli::command();
                clap_complete::generate(shell, &mut command, "athanor", &mut std::io::stdout());
                Ok(())
            }
            Command::Man => clap_mangen::Man::new(Cli::command())
                .render(&mut std::io::stdout())
                .map_err(|error| Failure::new(Kind::Unwritable, error)),
        }
    }

    fn wants_json(&self) -> bool {
        match self {
            Command::Prove(args) => args.common.json,
            Command::Verify(args) => args.common.json,
            Command::Demo(args) => args.common.json,
            Command::Setup(Setup::Dev(args)) => args.common.json,
            Command::Circuits(Circuits::Add(args)) => args.common.json,
            Command::Circuits(Circuits::List(args)) => args.remote.json,
            Command::Circuits(Circuits::Load(args) | Circuits::Unload(args)) => args.remote.json,
            Command::Submit(args) => args.remote.json,
            Command::Jobs(args) => args.remote.json,
            Command::Config(ServeConfig::Token(args)) => args.json,
            Command::Serve(_) | Command::Config(_) => false,
            Command::Setup(Setup::New(args)) => args.common.json,
            Command::Setup(Setup::Contribute(args)) => args.common.json,
            Command::Setup(Setup::Beacon(args)) => args.common.json,
            Command::Setup(Setup::Verify(args)) => args.common.json,
            Command::Inspect(args) => args.json,
            Command::Cache(cache) => cache.wants_json(),
            Command::Store(store) => store.wants_json(),
            #[cfg(feature = "filecoin")]
            Command::Filecoin(command) => filecoin::wants_json(command),
            Command::Simulate(args) => args.scenario.json,
            Command::Plan(args) => args.json,
            Command::Bench(Bench::Groth16(args)) => args.common.json,
            Command::Bench(Bench::Fastpath(args)) => args.json,
            Command::Bench(Bench::Kernels(args)) => args.json,
            Command::Bench(Bench::Engine(args)) => args.common.json,
            Command::Bench(Bench::Service(args)) => args.common.json,
            Command::Bench(Bench::Verify(args)) => args.common.json,
            Command::Completions { .. } | Command::Man | Command::Export(_) => false,
        }
    }
}

/// Prints a failure: text on standard error, or with `--json` one object on standard output.
fn report(failure: &Failure, as_json: bool) {
    if as_json && failure.answered {
        return;
    }
    if as_json {
        let error = json!({
            "kind": failure.kind.name(),
            "exit_code": failure.kind.exit_code(),
            "message": failure.message,
        });
        output::answer(&json!({ "verified": false, "error": error }).to_string());
    } else {
        output::complain(&failure.message);
    }
}
