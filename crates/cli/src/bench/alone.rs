//! Measures the stages of a proof one by one on one thread, beside the hardware's lower bound for each.

use std::time::Duration;

use athanor_groth16::{ProvingKey, Witness};
use athanor_kernels::{
    Curve, Device, Path,
    bench::{Floor, read_ns_per_byte, single_threaded},
    counters::{Counters, counters},
    cpu::Cpu,
};
use serde_json::{Value, json};

use super::{cpu_time, median};
use crate::{failure::Failure, output::answer};

/// Field products of an affine addition with a shared inversion: five multiplications and a squaring.
const PRODUCTS: f64 = 6.0;

/// One stage.
pub struct Alone {
    name: &'static str,
    cpu: Duration,
    /// Amount of work, and its unit.
    work: (f64, &'static str),
    floor: Duration,
}

/// Runs the stages `runs` times, after one warm-up run.
pub fn measure<C: Curve>(
    key: &ProvingKey<C, Cpu>,
    witness: &Witness<C>,
    runs: u32,
) -> Result<Vec<Alone>, Failure>
where
    Cpu: Device<C>,
{
    let path = Path::chosen();
    let mut times: Vec<(&'static str, Vec<Duration>, Counters)> = Vec::new();
    for run in 0..=runs {
        let witness = witness.clone();
        let mut stages = Vec::new();
        single_threaded(|| {
            let mut before = (cpu_time(), counters(path));
            key.run_stages(witness, |name| {
                let now = (cpu_time(), counters(path));
                stages.push((name, now.0 - before.0, difference(now.1, before.1)));
                before = now;
            })
        })?;
        for (at, (name, time, work)) in stages.into_iter().enumerate() {
            if run == 0 {
                times.push((name, Vec::new(), work));
            } else {
                times[at].1.push(time);
            }
        }
    }
    let (floor, byte) = (Floor::measure::<C>(path), read_ns_per_byte());
    let stage = |(name, times, did): (&'static str, Vec<Duration>, Counters)| {
        let additions = did.additions as f64;
        let (work, nanos) = match name {
            "evaluate" => {
                let bytes = key.matrix_bytes() as f64;
                ((bytes, "bytes"), bytes * byte)
            }
            "quotient" => {
                let products = quotient_products(key.domain_size(), did.transforms);
                ((products, "products"), products * floor.scalar)
            }
            "msm_b_g2" => ((additions, "additions"), additions * PRODUCTS * floor.extension),
            _ => ((additions, "additions"), additions * PRODUCTS * floor.base),
        };
        Alone { name, cpu: median(times), work, floor: Duration::from_nanos(nanos as u64) }
    };
    Ok(times.into_iter().map(stage).collect())
}

/// Products of `transforms` transforms, one shift per pair of transforms, and two pointwise products.
fn quotient_products(size: usize, transforms: u64) -> f64 {
    let (n, transforms) = (size as f64, transforms as f64);
    let transform = n / 2.0 * f64::from(size.max(2).ilog2());
    transforms * transform + transforms / 2.0 * n + 2.0 * n
}

fn difference(after: Counters, before: Counters) -> Counters {
    Counters {
        msms: after.msms - before.msms,
        additions: after.additions - before.additions,
        inversions: after.inversions - before.inversions,
        evaluations: after.evaluations - before.evaluations,
        transforms: after.transforms - before.transforms,
    }
}

impl Alone {
    /// The JSON form.
    pub fn json(&self) -> Value {
        json!({
            "stage": self.name,
            "cpu_seconds": self.cpu.as_secs_f64(),
            "work": self.work.0,
            "unit": self.work.1,
            "floor_seconds": self.floor.as_secs_f64(),
        })
    }
}

/// Prints the table.
pub fn print(circuit: &str, stages: &[Alone]) {
    answer(&format!(
        "\n{circuit}: stages alone on one thread, CPU time, {}; floor: multiplier or memory by itself",
        Path::chosen()
    ));
    answer(&format!(
        "{:<10} {:>12} {:<10} {:>10} {:>10} {:>6}",
        "stage", "work", "", "ms", "floor", "of it"
    ));
    let total = |pick: fn(&Alone) -> Duration| stages.iter().map(pick).sum::<Duration>();
    let line = |name: &str, work: (f64, &str), cpu: Duration, floor: Duration| {
        let [ms, least] = [cpu, floor].map(|time| time.as_secs_f64() * 1e3);
        let (amount, unit) = work;
        let amount = if unit.is_empty() { String::new() } else { format!("{amount:.0}") };
        let share = 100.0 * least / ms.max(f64::MIN_POSITIVE);
        answer(&format!(
            "{name:<10} {amount:>12} {unit:<10} {ms:>10.1} {least:>10.1} {share:>5.0}%"
        ));
    };
    for stage in stages {
        line(stage.name, stage.work, stage.cpu, stage.floor);
    }
    line("all", (0.0, ""), total(|stage| stage.cpu), total(|stage| stage.floor));
}
