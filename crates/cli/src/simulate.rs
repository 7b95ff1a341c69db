//! `athanor simulate` and `athanor plan`: throughput and capacity of a machine from a scenario.

use std::path::Path;

use athanor_simulator::{Error, Scenario};

use crate::{
    args,
    failure::{Failure, Kind},
    keys,
    output::{Files, answer},
};

/// Largest scenario file in bytes.
const MAX_SCENARIO: u64 = 1 << 20;

/// Runs a scenario and prints a report or writes a chart.
pub(crate) fn simulate(args: &args::Simulate) -> Result<(), Failure> {
    let scenario = read(&args.scenario)?;
    let report = athanor_simulator::simulate(&scenario)
        .map_err(|error| failure(&args.scenario.file, error))?;
    if let Some(path) = &args.svg {
        let mut files = Files::default();
        files.add(path, report.to_svg().as_bytes())?;
        files.commit()?;
    }
    answer(&if args.scenario.json { report.to_json() } else { report.to_string() });
    Ok(())
}

/// Computes capacity figures from a scenario.
pub(crate) fn plan(args: &args::Scenario) -> Result<(), Failure> {
    let scenario = read(args)?;
    let plan = athanor_simulator::plan(&scenario).map_err(|error| failure(&args.file, error))?;
    answer(&if args.json { plan.to_json() } else { plan.to_string() });
    Ok(())
}

fn read(args: &args::Scenario) -> Result<Scenario, Failure> {
    let text = keys::read_text(&args.file, MAX_SCENARIO, Kind::BadScenario)?;
    Scenario::with_settings(&text, &args.settings)
        .map_err(|error| Failure::at(Kind::BadScenario, &args.file, error))
}

fn failure(file: &Path, error: Error) -> Failure {
    match error {
        Error::Scenario(error) => Failure::at(Kind::BadScenario, file, error),
        error => Failure::at(Kind::Internal, file, error),
    }
}
