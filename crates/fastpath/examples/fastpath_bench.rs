//! Measures the executor: `cargo run --release -p athanor-fastpath --example fastpath_bench -- --matrix`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::str::FromStr;

use athanor_fastpath::bench::{Args, run};
use athanor_fastpath::{Declaration, Mode};

fn main() -> ExitCode {
    let mut json = false;
    let args = match parse(std::env::args().skip(1), &mut json) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("fastpath_bench: {error}");
            return ExitCode::from(2);
        }
    };
    let report = run(&args, &mut |cell| {
        eprintln!("{}: {:.2} ({})", cell.workload, cell.speedup, cell.chosen);
    });
    match report.and_then(|report| if json { report.json() } else { Ok(report.table()) }) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fastpath_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>, json: &mut bool) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value =
            || attached.clone().or_else(|| words.next()).ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--json" => *json = true,
            "--matrix" => args.matrix = true,
            "--pin" => args.pin = true,
            "--workload-type" => args.workload_type = Some(value()?),
            "--zipf-alpha" => args.zipf_alpha = Some(number(&value()?)?),
            "--read-ratio" => args.read_ratio = Some(number(&value()?)?),
            "--hot-ratio" => args.hot_ratio = Some(number(&value()?)?),
            "--privacy-ratio" => args.privacy_ratio = Some(number(&value()?)?),
            "--owned-ratio" => args.owned_ratio = Some(number(&value()?)?),
            "--work-ns" => args.work_ns = Some(number(&value()?)?),
            "--txs" => args.txs = Some(number(&value()?)?),
            "--accounts" => args.accounts = Some(number(&value()?)?),
            "--heavy-every" => args.heavy_every = Some(number(&value()?)?),
            "--partitions" => args.partitions = Some(number(&value()?)?),
            "--chunk" => args.chunk = Some(number(&value()?)?),
            "--latency-us" => args.latency_us = Some(number(&value()?)?),
            "--depth" => args.depth = Some(number(&value()?)?),
            "--slow-one-in" => args.slow_one_in = Some(number(&value()?)?),
            "--rounds" => args.rounds = number(&value()?)?,
            "--seed" => args.seed = number(&value()?)?,
            "--only" => args.only = Some(value()?),
            "--svg" => args.svg = Some(value()?.into()),
            "--serve-metrics" => args.serve_metrics = Some(number(&value()?)?),
            "--stability" => args.stability_seconds = Some(number(&value()?)?),
            "--threads" => {
                args.threads = value()?.split(',').map(number).collect::<Result<_, _>>()?;
            }
            "--declare" => {
                args.declare = Some(match value()?.as_str() {
                    "exact" => Declaration::Exact,
                    "superset" => Declaration::Superset,
                    "guess" => Declaration::Guess,
                    other => return Err(format!("unknown declaration {other:?}")),
                });
            }
            "--mode" => {
                args.mode = Some(match value()?.as_str() {
                    "serial" => Mode::Serial,
                    "shards" => Mode::Shards,
                    "declared" => Mode::Declared,
                    "optimistic" => Mode::Optimistic,
                    other => return Err(format!("unknown mode {other:?}")),
                });
            }
            other => return Err(format!("unknown option {other:?}")),
        }
    }
    Ok(args)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not such a number"))
}
