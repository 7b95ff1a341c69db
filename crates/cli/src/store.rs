//! `athanor store`: checks a service's data directory.

use std::path::PathBuf;

use athanor_store::{Report, WalReport};
use clap::{Args, Subcommand, ValueHint};
use serde_json::{Value, json};

use crate::{
    failure::{Failure, Kind},
    output::answer,
};

/// Largest number of entries of a list in the text output.
const LISTED: usize = 10;

/// `athanor store`.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Check a data directory for damage; read-only, also while a service uses it
    Check(StoreCheck),
}

/// `athanor store check`.
#[derive(Debug, Args)]
pub struct StoreCheck {
    /// Data directory of the service, with its jobs and inputs
    #[arg(long, value_name = "DIR", default_value = "athanor-data", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// File of the service's `seal-key`, if it has one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub seal_key: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Store {
    /// Whether the command prints JSON.
    pub(crate) fn wants_json(&self) -> bool {
        let Store::Check(args) = self;
        args.json
    }
}

/// Runs the command.
pub(crate) fn run(Store::Check(args): &Store) -> Result<(), Failure> {
    let seal = args.seal_key.as_deref().map(athanor_server::read_key).transpose()?;
    let report = athanor_store::check(&args.data, seal).map_err(|error| {
        let kind = match &error {
            athanor_store::StoreError::Io { .. } => Kind::Unreadable,
            _ => Kind::Service,
        };
        Failure::new(kind, error)
    })?;
    let summary = summary(&report);
    if report.is_sound() {
        answer(&if args.json { as_json(args, &report, None) } else { summary });
        return Ok(());
    }
    let problems = problems(&report);
    let failure = Failure::at(Kind::Service, &args.data, problems);
    if args.json {
        answer(&as_json(args, &report, Some(&failure)));
        return Err(Failure { answered: true, ..failure });
    }
    answer(&summary);
    Err(failure)
}

/// Text lines: what was checked.
fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(holder) = &report.holder {
        lines.push(format!("in use: {holder}"));
    }
    let of_state: Vec<String> =
        report.jobs.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let of_state = if of_state.is_empty() { "none".to_owned() } else { of_state.join(", ") };
    lines.push(format!("jobs: {of_state}"));
    if let Some(wal) = &report.wal {
        lines.push(format!("write-ahead log: {} frames", wal.valid_frames));
    }
    lines.push(format!("inputs of accepted jobs: {} checked", report.blobs));
    if !report.orphans.is_empty() {
        let count = report.orphans.len();
        lines.push(format!("inputs that belong to no job: {count} (deleted at the next start)"));
    }
    if report.is_sound() {
        lines.push("nothing is damaged".to_owned());
    }
    lines.join("\n")
}

/// Text: the faults and what to do.
fn problems(report: &Report) -> String {
    let mut lines = Vec::new();
    let database = report.database.iter().map(|problem| format!("database: {problem}"));
    lines.extend(database.take(LISTED));
    if let Some(WalReport { damaged_frame: Some(frame), frames_behind, .. }) = report.wal {
        lines.push(format!(
            "write-ahead log: frame {frame} is damaged, and {frames_behind} intact ones behind it are not read"
        ));
    }
    for fault in report.faults.iter().take(LISTED) {
        lines.push(format!("job {}: input is {}: {}", fault.job, fault.fault, fault.message));
    }
    if report.faults.len() > LISTED {
        lines.push(format!("and the inputs of {} more jobs", report.faults.len() - LISTED));
    }
    let advice = match report.database.is_empty() {
        true => "",
        false => "\nkeep a copy of the directory, and restore a backup",
    };
    format!("the data directory is damaged\n  {}{advice}", lines.join("\n  "))
}

fn as_json(args: &StoreCheck, report: &Report, failure: Option<&Failure>) -> String {
    let wal = report.wal.map(|wal| {
        json!({
            "frames": wal.valid_frames,
            "damaged_frame": wal.damaged_frame,
            "frames_behind": wal.frames_behind,
        })
    });
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            json!({
                "job": fault.job, "blob": fault.blob,
                "fault": fault.fault, "message": fault.message,
            })
        })
        .collect();
    let error = failure.map(|failure| {
        json!({
            "kind": failure.kind.name(),
            "exit_code": failure.kind.exit_code(),
            "message": failure.message,
        })
    });
    let answered = json!({
        "command": "store check",
        "data": args.data,
        "sound": report.is_sound(),
        "holder": report.holder,
        "version": report.version,
        "database": report.database,
        "write_ahead_log": wal,
        "jobs": report.jobs,
        "inputs": { "checked": report.blobs, "faults": faults, "orphans": report.orphans },
        "error": error,
    });
    answered.to_string()
}
