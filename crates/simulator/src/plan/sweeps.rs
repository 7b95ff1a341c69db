//! Variations of a scenario, and the capacity of each.

use super::{Capacity, Memory, Purchase, Workers};
use crate::Error;
use crate::bounds::bounds;
use crate::model::Model;
use crate::scenario::{Bytes, Scenario};
use std::collections::BTreeMap;

/// Steps of one simulation: enough for a steady part, few enough for a plan to take about a minute.
const TASKS: u64 = 60_000;
/// A smaller gain is within the error of a finite run.
const WORTH: f64 = 0.02;

pub(super) fn capacity(s: &Scenario) -> Result<Capacity, Error> {
    Ok((&crate::simulate(s)?).into())
}

/// The scenario with the same mix of jobs, arriving at ten times the rate that the machine's bound
/// allows, and with enough of them for a steady part.
pub(super) fn loaded(s: &Scenario) -> Result<Scenario, Error> {
    let model = Model::new(s)?;
    let floor = bounds(s, &model, None)
        .into_iter()
        .filter(|b| b.constraint.is_of_the_machine())
        .map(|b| b.seconds_per_job)
        .fold(0.0, f64::max);
    let all = model.jobs as f64;
    let tasks = |of: usize| -> f64 {
        let c = &model.circuits[model.circuit_of[of]];
        c.all_stages().map(|(_, runs)| runs).sum()
    };
    let mean_tasks: f64 =
        s.jobs.iter().enumerate().map(|(at, j)| f64::from(j.count) / all * tasks(at)).sum();
    // Every worker gets the work of several jobs.
    let wanted = 60.0 + 30.0 * model.workers.len() as f64 / mean_tasks;
    let jobs = wanted.min(TASKS as f64 / mean_tasks).max(20.0);
    let mut full = s.clone();
    for kind in &mut full.jobs {
        let share = f64::from(kind.count) / all;
        kind.count = ((share * jobs).ceil() as u32).max(1);
        kind.every = Some(0.1 * floor / share);
        kind.about_every = None;
        kind.at_a_time = None;
        kind.deadline = None;
        kind.start = 0.0;
    }
    full.scheduler.max_jobs = None;
    Ok(full)
}

/// The scenario with `workers` CPU workers in all; `None` if it has none. Groups of workers keep
/// their proportions, up to rounding; the machine gets the threads that they need.
fn with_workers(s: &Scenario, workers: u32) -> Option<Scenario> {
    let now: u32 = s.cpu.iter().map(|c| c.workers).sum();
    let mut changed = s.clone();
    let mut left = workers;
    let groups = changed.cpu.len() as u32;
    if workers < groups || groups == 0 {
        return None;
    }
    for (at, cpu) in changed.cpu.iter_mut().enumerate() {
        let rest = groups - at as u32 - 1;
        let share = (u64::from(cpu.workers) * u64::from(workers)).div_ceil(u64::from(now)) as u32;
        cpu.workers = if rest == 0 { left } else { share.clamp(1, left - rest) };
        left -= cpu.workers;
    }
    let threads: u64 =
        changed.cpu.iter().map(|c| u64::from(c.workers) * u64::from(c.threads)).sum();
    let threads = u32::try_from(threads).ok()?;
    changed.machine.threads = changed.machine.threads.max(threads);
    Some(changed)
}

fn threads(s: &Scenario) -> u64 {
    s.cpu.iter().map(|c| u64::from(c.workers) * u64::from(c.threads)).sum()
}

/// Capacity by number of CPU workers: from one to what the machine's threads allow, a third more
/// each time, then a bisection near the smallest sufficient number.
pub(super) fn by_workers(s: &Scenario) -> Result<Vec<Workers>, Error> {
    let mut seen: BTreeMap<u32, Capacity> = BTreeMap::new();
    let now: u32 = s.cpu.iter().map(|c| c.workers).sum();
    let mut try_workers = |workers: u32| -> Result<Option<f64>, Error> {
        if let Some(known) = seen.get(&workers) {
            return Ok(Some(known.rate()));
        }
        let fits = |v: &Scenario| threads(v) <= u64::from(s.machine.threads);
        let Some(varied) = with_workers(s, workers).filter(fits) else { return Ok(None) };
        let found = capacity(&varied)?;
        let rate = found.rate();
        seen.insert(workers, found);
        Ok(Some(rate))
    };
    if now == 0 {
        return Ok(Vec::new());
    }
    try_workers(now)?;
    let (mut workers, mut best, mut flat) = (s.cpu.len() as u32, 0.0, 0);
    // Stop after several steps without a gain.
    while flat < 3 {
        let Some(rate) = try_workers(workers)? else { break };
        flat = if rate > best * 1.01 { 0 } else { flat + 1 };
        best = f64::max(best, rate);
        workers = (workers * 4 / 3).max(workers + 1);
    }
    // Bisect down to the fewest that reach the best.
    let reaching = |seen: &BTreeMap<u32, Capacity>| {
        let mut below = 0;
        for (&workers, found) in seen {
            if found.reaches(best) {
                return (below, workers);
            }
            below = workers;
        }
        (0, 0)
    };
    let (mut low, mut high) = reaching(&seen);
    while high > low + 1 {
        let middle = low.midpoint(high);
        let Some(varied) = with_workers(s, middle) else { break };
        let found = capacity(&varied)?;
        let enough = found.reaches(best);
        seen.insert(middle, found);
        if enough { high = middle } else { low = middle }
    }
    Ok(seen.into_iter().map(|(workers, capacity)| Workers { workers, capacity }).collect())
}

fn with_memory(s: &Scenario, memory: Bytes) -> Scenario {
    let mut varied = s.clone();
    varied.machine.memory = memory;
    varied
}

/// Memory sizes as they are sold.
const SOLD: [f64; 13] =
    [32.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0, 768.0, 1024.0, 1536.0, 2048.0, 4096.0];

pub(super) fn by_memory(s: &Scenario) -> Result<Vec<Memory>, Error> {
    let now = s.machine.memory;
    let taken = s.machine.system.0.saturating_add(s.machine.pinned.0);
    let mut sizes: Vec<Bytes> = SOLD.iter().map(|&g| Bytes::gib(g)).collect();
    sizes.retain(|b| b.0 > taken && b.0 > now.0 / 10 && b.0 <= now.0.saturating_mul(2));
    sizes.push(now);
    sizes.sort_unstable();
    sizes.dedup();
    let row = |memory: Bytes| {
        let capacity = capacity(&with_memory(s, memory))?;
        Ok(Memory { memory_bytes: memory.0, capacity })
    };
    sizes.into_iter().map(row).collect()
}

/// Precise to a hundredth of the machine's memory.
pub(super) fn least_memory(s: &Scenario, as_is: &Capacity) -> Result<Option<Bytes>, Error> {
    if as_is.rate() <= 0.0 {
        return Ok(None);
    }
    let now = s.machine.memory.0;
    let (mut low, mut high) = (s.machine.system.0.saturating_add(s.machine.pinned.0), now);
    while high - low > now / 100 {
        let middle = low + (high - low) / 2;
        let enough = capacity(&with_memory(s, Bytes(middle)))?.reaches(as_is.rate());
        if enough { high = middle } else { low = middle }
    }
    Ok(Some(Bytes(high)))
}

/// The scenario with one more of each resource, by the resource's name.
type Change = (String, fn(&mut Scenario, usize), usize);

pub(super) fn purchases(s: &Scenario, as_is: &Capacity) -> Result<Vec<Purchase>, Error> {
    let mut single: Vec<Change> = Vec::new();
    for (at, device) in s.device.iter().enumerate() {
        let what = format!("one more {} ({} now)", device.class, device.count);
        single.push((what, |s, at| s.device[at].count += 1, at));
    }
    let memory = s.machine.memory.0;
    single.push((
        format!("half as much memory again ({})", Bytes(memory.saturating_add(memory / 2))),
        |s, _| s.machine.memory.0 += s.machine.memory.0 / 2,
        0,
    ));
    let workers: u32 = s.cpu.iter().map(|c| c.workers).sum();
    if workers > 0 {
        let more = workers + workers.div_ceil(2);
        single.push((
            format!("half as many CPU lanes again ({more})"),
            |s, _| {
                let workers: u32 = s.cpu.iter().map(|c| c.workers).sum();
                if let Some(more) = with_workers(s, workers + workers.div_ceil(2)) {
                    *s = more;
                }
            },
            0,
        ));
    }
    let mut found = Vec::new();
    let run = |what: String, changes: &[&Change]| -> Result<Purchase, Error> {
        let mut varied = s.clone();
        changes.iter().for_each(|(_, change, at)| change(&mut varied, *at));
        let capacity = capacity(&varied)?;
        let gain = if as_is.rate() > 0.0 { capacity.rate() / as_is.rate() - 1.0 } else { 0.0 };
        Ok(Purchase { what, gain, capacity })
    };
    for change in &single {
        found.push(run(change.0.clone(), &[change])?);
    }
    if found.iter().all(|p| p.gain < WORTH) {
        for (at, a) in single.iter().enumerate() {
            for b in &single[at + 1..] {
                found.push(run(format!("{} and {}", a.0, b.0), &[a, b])?);
            }
        }
    }
    found.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    Ok(found)
}
