//! `athanor bench groth16`: complete proofs, from witness to proof; the self-check is timed separately.

use std::time::Duration;

use athanor_circom::circuit;
use athanor_groth16::{ProvingKey, Stages, Witness};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Device, cpu::Cpu};
use serde_json::{Value, json};

use super::{
    alone::{self, Alone},
    circuits::{Circuit, Shape},
    cpu_name, cpu_time, median,
};
use crate::{
    args::BenchGroth16,
    demo,
    failure::Failure,
    local,
    output::{Progress, answer, peak_memory},
};

/// Measurements of one circuit.
struct Row {
    name: String,
    curve: CurveId,
    constraints: usize,
    /// Memory of the resident key in bytes, including tables.
    key_bytes: usize,
    runs: Vec<Run>,
    /// Each stage alone, if requested.
    alone: Vec<Alone>,
}

struct Run {
    stages: Stages,
    cpu: Duration,
}

/// Measures the given key and witness, or generated circuits.
pub fn run(args: &BenchGroth16) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    let rows = pool.install(|| match (&args.zkey, &args.wtns) {
        (Some(zkey), Some(wtns)) => match circuit::keys::curve_of(zkey)? {
            CurveId::Bn254 => own::<Bn254>(zkey, wtns, args),
            CurveId::Bls12_381 => own::<Bls12_381>(zkey, wtns, args),
        },
        _ => made(args),
    })?;
    let threads = pool.current_num_threads();
    if args.common.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let answered = json!({
            "command": "bench groth16",
            "cpu": cpu_name(),
            "threads": threads,
            "runs": args.runs,
            "tables_mib": args.tables_mib,
            "peak_memory_bytes": peak_memory(),
            "circuits": rows,
        });
        answer(&answered.to_string());
    } else {
        print_table(&rows, threads);
    }
    Ok(())
}

fn own<C: Curve>(
    zkey: &std::path::Path,
    wtns: &std::path::Path,
    args: &BenchGroth16,
) -> Result<Vec<Row>, Failure>
where
    Cpu: Device<C>,
{
    let key = circuit::keys::load::<C>(zkey, &local::key_cache()?, args.tables(), |_| Ok(()))?.key;
    let witness = circuit::witness::read::<C>(wtns, circuit::keys::open(wtns)?)?;
    let name = zkey.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(vec![measure(name, &key, &witness, args)?])
}

fn made(args: &BenchGroth16) -> Result<Vec<Row>, Failure> {
    let progress = Progress::new(args.common.json);
    let mut rows = Vec::new();
    let mut measure_one = |circuit: Circuit<Bn254>| -> Result<(), Failure> {
        let (key, witness) = (circuit.key(args.tables())?, circuit.witness()?);
        progress.say(&format!("measuring {}", circuit.name));
        rows.push(measure(circuit.name, &key, &witness, args)?);
        Ok(())
    };
    progress.say("making circuits and keys (cached after the first time)");
    measure_one(demo::circuit()?)?;
    for &log_size in &args.sizes {
        for shape in Shape::ALL {
            measure_one(Circuit::synthetic(shape, log_size)?)?;
        }
    }
    Ok(rows)
}

fn measure<C: Curve>(
    name: String,
    key: &ProvingKey<C, Cpu>,
    witness: &Witness<C>,
    args: &BenchGroth16,
) -> Result<Row, Failure>
where
    Cpu: Device<C>,
{
    let mut measured = Vec::new();
    // The first run warms caches and is not counted.
    for counted in std::iter::once(false).chain((0..args.runs).map(|_| true)) {
        let witness = witness.clone();
        let before = cpu_time();
        let stages = key.prove(witness)?.stages;
        let cpu = cpu_time() - before;
        if counted {
            measured.push(Run { stages, cpu });
        }
    }
    let alone = if args.stages { alone::measure(key, witness, args.runs)? } else { Vec::new() };
    let (constraints, key_bytes) = (key.constraints(), key.bytes());
    Ok(Row { name, curve: C::ID, constraints, key_bytes, runs: measured, alone })
}

impl Row {
    fn median_of(&self, pick: impl Fn(&Run) -> Duration) -> f64 {
        median(self.runs.iter().map(pick).collect()).as_secs_f64()
    }

    fn json(&self) -> Value {
        let names = Stages::default().named().map(|(name, _)| name);
        let stages: serde_json::Map<String, Value> = (0..names.len())
            .map(|stage| {
                let seconds = self.median_of(|run| run.stages.named()[stage].1);
                (names[stage].to_owned(), seconds.into())
            })
            .collect();
        json!({
            "name": self.name,
            "curve": self.curve.to_string(),
            "constraints": self.constraints,
            "key_bytes": self.key_bytes,
            "prove_seconds": self.median_of(|run| run.stages.prove),
            "cpu_seconds_with_check": self.median_of(|run| run.cpu),
            "stages": stages,
            "stages_alone": self.alone.iter().map(Alone::json).collect::<Vec<Value>>(),
        })
    }
}

fn print_table(rows: &[Row], threads: usize) {
    answer(&format!("{}; {threads} threads; medians; seconds", cpu_name()));
    answer("witness to proof, without the self-check; stages overlap on several threads");
    answer(&format!(
        "{:<16} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "circuit",
        "constraints",
        "prove",
        "evaluate",
        "quotient",
        "A",
        "B (G1)",
        "B (G2)",
        "L",
        "H",
        "check"
    ));
    for row in rows {
        let stage = |pick: fn(&Stages) -> Duration| row.median_of(|run| pick(&run.stages));
        answer(&format!(
            "{:<16} {:>11} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4}",
            row.name,
            row.constraints,
            stage(|stages| stages.prove),
            stage(|stages| stages.evaluate),
            stage(|stages| stages.quotient),
            stage(|stages| stages.msm_a),
            stage(|stages| stages.msm_b_g1),
            stage(|stages| stages.msm_b_g2),
            stage(|stages| stages.msm_l),
            stage(|stages| stages.msm_h),
            stage(|stages| stages.check),
        ));
    }
    for row in rows.iter().filter(|row| !row.alone.is_empty()) {
        alone::print(&row.name, &row.alone);
    }
}
