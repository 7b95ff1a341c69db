//! Validation of a scenario: ranges and names.

use super::{Circuit, Jobs, Scenario, ScenarioError, Seconds, Stage};
use crate::curve::Curve;
use std::collections::HashSet;
use std::fmt::Display;

type Checked = Result<(), ScenarioError>;

const MOST_WORKERS: u32 = 100_000;
const MOST_NAMES: usize = 1_000;
const MOST_TASKS: u64 = 50_000_000;
const LONGEST: f64 = 1e9;

/// Checks what the types do not express.
pub(crate) fn check(s: &Scenario) -> Checked {
    range("machine.threads", s.machine.threads, 1, 1_000_000)?;
    seconds("machine.journal_seconds", s.machine.journal_seconds)?;
    let taken = s.machine.system.0.saturating_add(s.machine.pinned.0);
    if taken >= s.machine.memory.0 {
        return Err(ScenarioError::OutOfRange {
            key: "machine.memory".into(),
            value: s.machine.memory.to_string(),
            bounds: "more than `machine.system` and `machine.pinned` together".into(),
        });
    }
    workers(s)?;
    for (at, key) in s.key.iter().enumerate() {
        seconds(&format!("key[{at}].load_seconds"), key.load_seconds)?;
    }
    if let Some(ageing) = s.scheduler.ageing {
        seconds("scheduler.ageing", ageing)?;
    }
    if let Some(most) = s.scheduler.in_flight {
        range("scheduler.in_flight", most, 1, u32::MAX)?;
    }
    unique("keys", s.key.iter().map(|k| &k.name))?;
    unique("circuits", s.circuit.iter().map(|c| &c.name))?;
    unique("device classes", s.device.iter().map(|d| &d.class))?;
    some("circuit", s.circuit.len(), "add a [[circuit]] with its stages")?;
    some("jobs", s.jobs.len(), "add [[jobs]] with a circuit and a count")?;
    for circuit in &s.circuit {
        check_circuit(s, circuit)?;
    }
    let mut tasks = 0u64;
    for (at, jobs) in s.jobs.iter().enumerate() {
        let circuit = check_jobs(s, at, jobs)?;
        let each = u64::from(circuit.partitions) * circuit.stage.len() as u64
            + circuit.finish.len() as u64;
        tasks = tasks.saturating_add(each.saturating_mul(u64::from(jobs.count)));
    }
    if tasks > MOST_TASKS {
        return Err(ScenarioError::TooManyTasks { tasks, most: MOST_TASKS });
    }
    Ok(())
}

fn workers(s: &Scenario) -> Checked {
    let mut threads = 0u64;
    let mut count = 0u64;
    for (at, cpu) in s.cpu.iter().enumerate() {
        range(&format!("cpu[{at}].lanes"), cpu.workers, 1, MOST_WORKERS)?;
        range(&format!("cpu[{at}].threads"), cpu.threads, 1, s.machine.threads)?;
        threads += u64::from(cpu.workers) * u64::from(cpu.threads);
        count += u64::from(cpu.workers);
    }
    if threads > u64::from(s.machine.threads) {
        return Err(ScenarioError::TooManyThreads { workers: threads, machine: s.machine.threads });
    }
    for (at, device) in s.device.iter().enumerate() {
        range(&format!("device[{at}].count"), device.count, 1, MOST_WORKERS)?;
        count += u64::from(device.count);
    }
    some("cpu", count as usize, "add [[cpu]] lanes or a [[device]]")?;
    range("cpu.lanes and device.count together", count, 1, u64::from(MOST_WORKERS))
}

fn check_circuit(s: &Scenario, circuit: &Circuit) -> Checked {
    let at = format!("circuit.{}", circuit.name);
    range(&format!("{at}.partitions"), circuit.partitions, 1, 100_000)?;
    some(&format!("{at}.stage"), circuit.stage.len(), "add a [[circuit.stage]]")?;
    let stages = circuit.stage.len() + circuit.finish.len();
    range(&format!("{at}.stage"), stages, 1, 100)?;
    for stage in circuit.stage.iter().chain(&circuit.finish) {
        check_stage(s, &format!("{at}.{}", stage.name), stage)?;
    }
    Ok(())
}

fn check_stage(s: &Scenario, at: &str, stage: &Stage) -> Checked {
    let key = |name: &str| format!("{at}.{name}");
    match (&stage.threads, &stage.device) {
        (Some(threads), None) => {
            range(&key("threads"), threads.least(), 1, 1_000_000)?;
            range(&key("threads"), threads.most(), threads.least(), 1_000_000)?;
        }
        (None, Some(class)) => {
            let known = || s.device.iter().map(|d| d.class.as_str());
            named(key("device"), class, "[[device]]", known)?;
        }
        _ => return Err(ScenarioError::OneOf { key: at.into(), choices: "`threads`, `device`" }),
    }
    fraction(&key("spread"), stage.spread, 1.0)?;
    fraction(&key("failing"), stage.failing, 0.9)?;
    if let Some(name) = &stage.key {
        named(key("key"), name, "[[key]]", || s.key.iter().map(|k| k.name.as_str()))?;
    }
    curve(stage).map_err(|why| ScenarioError::Curve { key: key("seconds"), why })?;
    Ok(())
}

/// The curve of a stage.
pub(crate) fn curve(stage: &Stage) -> Result<Curve, crate::curve::CurveError> {
    match &stage.seconds {
        Seconds::Constant(seconds) => Curve::constant(*seconds),
        Seconds::Curve(points) => Curve::through(points.form, &points.points),
    }
}

fn check_jobs<'a>(s: &'a Scenario, at: usize, jobs: &Jobs) -> Result<&'a Circuit, ScenarioError> {
    let key = |name: &str| format!("jobs[{at}].{name}");
    range(&key("count"), jobs.count, 1, 10_000_000)?;
    named(key("circuit"), &jobs.circuit, "[[circuit]]", || {
        s.circuit.iter().map(|c| c.name.as_str())
    })?;
    let ways = [jobs.at_a_time.is_some(), jobs.every.is_some(), jobs.about_every.is_some()];
    if ways.iter().filter(|w| **w).count() > 1 {
        let choices = "`at_a_time`, `every`, `about_every`, or none for all at once";
        return Err(ScenarioError::OneOf { key: format!("jobs[{at}]"), choices });
    }
    if let Some(n) = jobs.at_a_time {
        range(&key("at_a_time"), n, 1, 10_000_000)?;
    }
    for (name, value) in [
        ("start", Some(jobs.start)),
        ("every", jobs.every),
        ("about_every", jobs.about_every),
        ("deadline", jobs.deadline),
    ] {
        if let Some(value) = value {
            seconds(&key(name), value)?;
        }
    }
    // The name was checked before.
    Ok(s.circuit.iter().find(|c| c.name == jobs.circuit).unwrap_or(&s.circuit[0]))
}

fn range<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Checked {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(ScenarioError::OutOfRange {
        key: key.into(),
        value: value.to_string(),
        bounds: format!("{least} to {most}"),
    })
}

fn seconds(key: &str, value: f64) -> Checked {
    range(key, value, 0.0, LONGEST)
}

fn fraction(key: &str, value: f64, most: f64) -> Checked {
    range(key, value, 0.0, most)
}

fn some(key: &str, count: usize, what: &'static str) -> Checked {
    if count > 0 { Ok(()) } else { Err(ScenarioError::Missing { key: key.into(), what }) }
}

fn named<'a, I: Iterator<Item = &'a str>>(
    key: String,
    name: &str,
    what: &'static str,
    known: impl Fn() -> I,
) -> Checked {
    if known().any(|k| k == name) {
        return Ok(());
    }
    let known = known().take(20).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".into() } else { known };
    Err(ScenarioError::Unknown { key, name: name.into(), what, known })
}

fn unique<'a>(what: &'static str, names: impl ExactSizeIterator<Item = &'a String>) -> Checked {
    range(what, names.len(), 0, MOST_NAMES)?;
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ScenarioError::Duplicate { what, name: name.clone() });
        }
    }
    Ok(())
}
