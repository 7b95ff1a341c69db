//! `peers groth16`: complete proofs for the same key, witness and randomness, so both sides must compute
//! the same bytes. CPU time and wall time from witness to proof, without a check on either side.

mod arkworks;
mod circuits;

use std::{io::Write, path::PathBuf, time::Instant};

use anyhow::ensure;
use athanor_groth16::{ProvingKey, Witness, development_setup, synthetic::Example};
use athanor_kernels::{
    Bls12_381, Bn254, Curve, Device, Quotient,
    bench::{cpu_name, scalars},
    cpu::Cpu,
};
use cpu_time::ProcessTime;
use serde_json::json;

use self::circuits::Circuit;

/// Athanor's built-in circuit, and a witness.
pub(crate) fn merkle() -> anyhow::Result<Example<<Bn254 as Curve>::Fr>> {
    Ok(circuits::merkle()?.example)
}

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Binary logarithms of the domain sizes of synthetic circuits, dense and over bits.
    #[arg(long, value_delimiter = ',', default_values_t = [14, 16, 18])]
    sizes: Vec<u32>,
    /// Message lengths, in bytes, of circomlib's SHA-256 (skipped with a message if Node is absent).
    #[arg(long, value_delimiter = ',', default_values_t = [32, 192, 448])]
    sha256: Vec<usize>,
    /// Constraints (.r1cs) over BN254 to use instead; a development key is made.
    #[arg(long, requires = "wtns")]
    r1cs: Option<PathBuf>,
    /// Witness for these constraints.
    #[arg(long, requires = "r1cs")]
    wtns: Option<PathBuf>,
    /// Only the synthetic circuits, over BLS12-381.
    #[arg(long, conflicts_with_all = ["r1cs", "sha256"])]
    bls12_381: bool,
    /// Threads of each side.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Number of rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build()?;
    pool.install(|| race_all(&args))
}

fn race_all(args: &Args) -> anyhow::Result<()> {
    if !args.json {
        let Args { rounds, threads, .. } = args;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}, {threads} threads, witness to proof, medians of {rounds} interleaved rounds, ms",
            cpu_name()
        )?;
        writeln!(
            out,
            "{:<14} {:>11} {:>9} {:>9} {:>9} {:>9} {:>11} {:>11}",
            "circuit",
            "constraints",
            "ours CPU",
            "ark CPU",
            "ours wall",
            "ark wall",
            "CPU ours/ark",
            "wall ours/ark",
        )?;
    }
    if let (Some(r1cs), Some(wtns)) = (&args.r1cs, &args.wtns) {
        return race(args, circuits::own(r1cs, wtns)?);
    }
    if args.bls12_381 {
        return race_synthetic::<Bls12_381>(args);
    }
    race(args, circuits::merkle()?)?;
    for &bytes in &args.sha256 {
        if let Some(circuit) = circuits::sha256(bytes)? {
            race(args, circuit)?;
        }
    }
    race_synthetic::<Bn254>(args)
}

fn race_synthetic<C: Curve>(args: &Args) -> anyhow::Result<()>
where
    Cpu: Device<C>,
{
    for &log_size in &args.sizes {
        race(args, circuits::dense::<C>(log_size))?;
        race(args, circuits::bits::<C>(log_size))?;
    }
    Ok(())
}

/// Runs both provers alternately. The first round warms up and compares the proofs.
fn race<C: Curve>(args: &Args, circuit: Circuit<C>) -> anyhow::Result<()>
where
    Cpu: Device<C>,
{
    let Circuit { name, example } = circuit;
    let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset)?;
    let ours = ProvingKey::load(Cpu, raw.to_native::<Cpu>(&Cpu)?)?;
    let theirs = arkworks::Prover::new(raw, &example);
    let witness = Witness::<C>::new(example.witness.clone())?;

    let mut times = [const { (Vec::new(), Vec::new()) }; 2];
    for round in 0..=args.rounds.max(1) {
        let randomness = scalars::<C::Fr>(2, round as u64);
        let (r, s) = (randomness[0], randomness[1]);
        let witness = witness.clone();
        let mut clock = |side: usize, run: &mut dyn FnMut() -> anyhow::Result<_>| {
            let (cpu, wall) = (ProcessTime::now(), Instant::now());
            let proof = run()?;
            if round > 0 {
                times[side].0.push(cpu.elapsed());
                times[side].1.push(wall.elapsed());
            }
            anyhow::Ok(proof)
        };
        let mut witness = Some(witness);
        let proof = clock(0, &mut || {
            let witness = witness.take().expect("one run takes one witness");
            Ok(ours.prove_with_randomness(witness, r, s)?)
        })?;
        let expected = clock(1, &mut || theirs.prove(r, s))?;
        ensure!(proof == expected, "{name}: ark-groth16 computed a different proof");
    }
    let median = |mut times: Vec<std::time::Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let [(our_cpu, our_wall), (their_cpu, their_wall)] =
        times.map(|(cpu, wall)| (median(cpu), median(wall)));
    let constraints = example.r1cs.constraints();
    let (cpu_ratio, wall_ratio) = (our_cpu / their_cpu, our_wall / their_wall);
    let mut out = std::io::stdout().lock();
    if args.json {
        let row = json!({
            "name": name,
            "curve": C::ID.to_string(),
            "constraints": constraints,
            "threads": args.threads,
            "peer": "ark-groth16",
            "cpu_ms": our_cpu,
            "peer_cpu_ms": their_cpu,
            "wall_ms": our_wall,
            "peer_wall_ms": their_wall,
            "cpu_ratio": cpu_ratio,
            "wall_ratio": wall_ratio,
        });
        writeln!(out, "{row}")?;
    } else {
        writeln!(
            out,
            "{name:<14} {constraints:>11} {our_cpu:>9.1} {their_cpu:>9.1} {our_wall:>9.1} \
             {their_wall:>9.1} {cpu_ratio:>11.3} {wall_ratio:>11.3}",
        )?;
    }
    Ok(out.flush()?)
}
