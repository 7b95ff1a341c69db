//! Checks documents: the tables contain what their commands print.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::Place;

/// A command of `docs/phase7.md` and the seconds per job beside it.
struct Row {
    command: String,
    seconds: f64,
}

/// The rows of all tables after a command with a placeholder (`N`, `CALL`) for the first column, and of
/// all tables with a column of commands.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut blank: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with('#') {
            blank = None;
        } else if let Some(command) = line.strip_prefix("Command: `") {
            blank = command.split('`').next();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 4 {
            continue;
        }
        let own = cells.iter().position(|cell| cell.starts_with("`S="));
        let (command, figure) = match (own, blank) {
            (Some(at), _) => (cells[at].trim_matches('`').to_owned(), cells.get(at + 1)),
            (None, Some(blank)) => {
                let Some(value) = number(cells[1]) else { continue };
                let value = value.to_string();
                let filled = blank.replace("N GiB", &format!("{value} GiB"));
                (filled.replace("=N", &format!("={value}")).replace("CALL", &value), cells.get(2))
            }
            (None, None) => continue,
        };
        if let Some(seconds) = figure.and_then(|figure| number(figure)) {
            rows.push(Row { command, seconds });
        }
    }
    rows
}

/// The number at the start of a cell.
fn number(cell: &str) -> Option<f64> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let cell = cell.trim_start_matches('*');
    cell.split(|c| !digits(c)).next()?.parse().ok()
}

/// The words of a command, with `S=` expanded; quotation marks group words.
fn words(command: &str) -> Vec<String> {
    let spelled = command.replacen("S=", "simulate scenarios/", 1);
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in spelled.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words
}

#[test]
fn every_row_about_phase_7_is_what_its_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let rows = rows(&fs::read_to_string(root.join("docs/phase7.md")).unwrap());
    assert!(rows.len() >= 18, "{} rows were found", rows.len());
    let place = Place::new("bn128");
    std::os::unix::fs::symlink(root.join("scenarios"), place.path("scenarios")).unwrap();
    for Row { command, seconds } in rows {
        let ended = place.run(words(&command).into_iter().chain(["--json".into()]));
        assert_eq!(ended.code, 0, "{command}: {}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        // A single job has no steady part; its time is that of the whole run.
        let steady = report["seconds_per_job"].as_f64();
        let found = steady.or(report["simulated_seconds"].as_f64()).unwrap();
        assert!(
            (found - seconds).abs() <= 0.05001,
            "{command}: {found} s, the table says {seconds}"
        );
    }
}
