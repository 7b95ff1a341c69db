//! Variations of a scenario, and what each gives.

use super::{Capacity, Memory, Purchase, Workers};
use crate::Error;
use crate::bounds::bounds;
use crate::model::Model;
use crate::scenario::{Bytes, Scenario};
use std::collections::BTreeMap;

/// Tasks of one run: enough for a steady part, few enough for a minute in all.
const TASKS: u64 = 60_000;
/// A gain below this is noise at the edges of a run.
const WORTH: f64 = 0.02;

pub(super) fn capacity(s: &Scenario) -> Result<Capacity, Error> {
    Ok((&crate::simulate(s)?).into())
}

/// The scenario with the same mix of jobs, arriving ten times as fast as the machine could do them
/// at its bound, and as many as a steady part needs.
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
    // Every lane has the work of several whole jobs' steps to do.
    let wanted = 60.0 + 30.0 * model.lanes.len() as f64 / mean_tasks;
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

/// The scenario with that many CPU lanes in all, none if it has none. Groups of lanes keep their
/// proportions as far as whole numbers go; the machine gets the threads they need.
fn with_lanes(s: &Scenario, lanes: u32) -> Option<Scenario> {
    let now: u32 = s.cpu.iter().map(|c| c.lanes).sum();
    let mut changed = s.clone();
    let mut left = lanes;
    let groups = changed.cpu.len() as u32;
    if lanes < groups || groups == 0 {
        return None;
    }
    for (at, cpu) in changed.cpu.iter_mut().enumerate() {
        let rest = groups - at as u32 - 1;
        let share = (u64::from(cpu.lanes) * u64::from(lanes)).div_ceil(u64::from(now)) as u32;
        cpu.lanes = if rest == 0 { left } else { share.clamp(1, left - rest) };
        left -= cpu.lanes;
    }
    let threads: u64 = changed.cpu.iter().map(|c| u64::from(c.lanes) * u64::from(c.threads)).sum();
    let threads = u32::try_from(threads).ok()?;
    changed.machine.threads = changed.machine.threads.max(threads);
    Some(changed)
}

fn threads(s: &Scenario) -> u64 {
    s.cpu.iter().map(|c| u64::from(c.lanes) * u64::from(c.threads)).sum()
}

/// Numbers of lanes from one to what the machine's threads allow, a third more each time, and
/// then every number around the knee.
pub(super) fn by_workers(s: &Scenario) -> Result<Vec<Workers>, Error> {
    let mut seen: BTreeMap<u32, Capacity> = BTreeMap::new();
    let now: u32 = s.cpu.iter().map(|c| c.lanes).sum();
    let mut try_lanes = |lanes: u32| -> Result<Option<f64>, Error> {
        if let Some(known) = seen.get(&lanes) {
            return Ok(Some(known.rate()));
        }
        let fits = |v: &Scenario| threads(v) <= u64::from(s.machine.threads);
        let Some(varied) = with_lanes(s, lanes).filter(fits) else { return Ok(None) };
        let found = capacity(&varied)?;
        let rate = found.rate();
        seen.insert(lanes, found);
        Ok(Some(rate))
    };
    if now == 0 {
        return Ok(Vec::new());
    }
    try_lanes(now)?;
    let (mut lanes, mut best, mut flat) = (s.cpu.len() as u32, 0.0, 0);
    // Stop when several steps have brought nothing: more is not better for ever.
    while flat < 3 {
        let Some(rate) = try_lanes(lanes)? else { break };
        flat = if rate > best * 1.01 { 0 } else { flat + 1 };
        best = f64::max(best, rate);
        lanes = (lanes * 4 / 3).max(lanes + 1);
    }
    // Halve down to the fewest that reach the best.
    let reaching = |seen: &BTreeMap<u32, Capacity>| {
        let mut below = 0;
        for (&lanes, found) in seen {
            if found.reaches(best) {
                return (below, lanes);
            }
            below = lanes;
        }
        (0, 0)
    };
    let (mut low, mut high) = reaching(&seen);
    while high > low + 1 {
        let middle = low.midpoint(high);
        let Some(varied) = with_lanes(s, middle) else { break };
        let found = capacity(&varied)?;
        let enough = found.reaches(best);
        seen.insert(middle, found);
        if enough { high = middle } else { low = middle }
    }
    Ok(seen.into_iter().map(|(lanes, capacity)| Workers { lanes, capacity }).collect())
}

fn with_memory(s: &Scenario, memory: Bytes) -> Scenario {
    let mut varied = s.clone();
    varied.machine.memory = memory;
    varied
}

/// Sizes of memory as they are sold.
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

/// To a hundredth of the machine's memory.
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

/// One more of each thing, by name.
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
    let lanes: u32 = s.cpu.iter().map(|c| c.lanes).sum();
    if lanes > 0 {
        let more = lanes + lanes.div_ceil(2);
        single.push((
            format!("half as many CPU lanes again ({more})"),
            |s, _| {
                let lanes: u32 = s.cpu.iter().map(|c| c.lanes).sum();
                if let Some(more) = with_lanes(s, lanes + lanes.div_ceil(2)) {
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
