//! `athanor bench verify`: batch verification against single verification, CPU time.

use std::time::Duration;

use athanor_groth16::{Claim, Proof, Verifier};
use athanor_kernels::{Bls12_381, Bn254, Curve, Device, Scalar, cpu::Cpu};
use serde_json::{Value, json};

use super::{
    circuits::{Circuit, Shape},
    cpu_name, cpu_time, median,
};
use crate::{
    args::BenchVerify,
    demo,
    failure::{Failure, Kind},
    output::{Progress, answer},
};

struct Row {
    name: String,
    curve: String,
    public: usize,
    proofs: usize,
    single: Duration,
    batch: Duration,
}

/// Measures batches of each size for keys of each curve. Both ways check every point's subgroup.
pub fn run(args: &BenchVerify) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    let rows = pool.install(|| -> Result<Vec<Row>, Failure> {
        let progress = Progress::new(args.common.json);
        progress.say("making keys and proofs (keys are cached after the first time)");
        let mut rows = Vec::new();
        measure(args, Circuit::<Bn254>::synthetic(Shape::Dense, 8)?, &mut rows)?;
        measure(args, demo::circuit()?, &mut rows)?;
        measure(args, Circuit::<Bls12_381>::synthetic(Shape::Dense, 8)?, &mut rows)?;
        Ok(rows)
    })?;
    let threads = pool.current_num_threads();
    if args.common.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let answered = json!({
            "command": "bench verify",
            "cpu": cpu_name(),
            "threads": threads,
            "runs": args.runs,
            "rows": rows,
        });
        answer(&answered.to_string());
        return Ok(());
    }
    answer(&format!("{}; {threads} threads; CPU time, medians of {}", cpu_name(), args.runs));
    answer(&format!(
        "{:<14} {:<10} {:>7} {:>7} {:>14} {:>14} {:>7}",
        "key", "curve", "public", "proofs", "each alone, us", "in a batch, us", "ratio"
    ));
    for row in &rows {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / row.proofs as f64;
        let Row { name, curve, public, proofs, single, batch } = row;
        answer(&format!(
            "{name:<14} {curve:<10} {public:>7} {proofs:>7} {:>14.1} {:>14.1} {:>7.3}",
            micros(*single),
            micros(*batch),
            row.ratio(),
        ));
    }
    Ok(())
}

impl Row {
    fn ratio(&self) -> f64 {
        self.batch.as_secs_f64() / self.single.as_secs_f64()
    }

    fn json(&self) -> Value {
        json!({
            "key": self.name,
            "curve": self.curve,
            "public_signals": self.public,
            "proofs": self.proofs,
            "single_cpu_seconds": self.single.as_secs_f64(),
            "batch_cpu_seconds": self.batch.as_secs_f64(),
            "ratio": self.ratio(),
        })
    }
}

fn measure<C: Curve>(
    args: &BenchVerify,
    circuit: Circuit<C>,
    rows: &mut Vec<Row>,
) -> Result<(), Failure>
where
    Cpu: Device<C>,
{
    let key = circuit.key(0)?;
    let public = key.verifying_key().public_signals();
    // Eight distinct proofs, repeated: verification costs the same as for all-distinct proofs.
    let mut made: Vec<(Vec<Scalar>, Proof<C>)> = Vec::new();
    for _ in 0..8 {
        let witness = circuit.witness()?;
        made.push((witness.public(public).to_vec(), key.prove(witness)?.proof));
    }
    let verifier = Verifier::new(key.verifying_key())?;
    for &proofs in &args.proofs {
        let claims: Vec<Claim<'_, C>> = made
            .iter()
            .cycle()
            .take(proofs as usize)
            .map(|(public, proof)| Claim { public, proof })
            .collect();
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=args.runs {
            let start = cpu_time();
            claims.iter().try_for_each(|claim| verifier.verify(claim.public, claim.proof))?;
            let middle = cpu_time();
            let verdict = verifier.verify_batch(&claims);
            let end = cpu_time();
            verdict.map_err(|error| Failure::new(Kind::Internal, error))?;
            if round > 0 {
                times[0].push(middle - start);
                times[1].push(end - middle);
            }
        }
        let [single, batch] = times.map(median);
        let (name, curve) = (circuit.name.clone(), C::ID.to_string());
        rows.push(Row { name, curve, public, proofs: proofs as usize, single, batch });
    }
    Ok(())
}
