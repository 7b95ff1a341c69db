//! What tables of a key's multiples save, and what they take: one thread, CPU time, medians, interleaved.
//!
//! `cargo run --release -p athanor-kernels --example tables -- 12 14 16` measures sums of so many points
//! (logarithms), without tables, with a quarter of the multiples and with all.

use std::{hint::black_box, io::Write, time::Instant};

use athanor_kernels::{
    Bls12_381, Bn254, Curve, Group, Path, SCALAR_WORDS,
    bench::{Msm, cpu_name, medians, single_threaded},
};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}; {}", cpu_name(), Path::chosen())?;
    for log in std::env::args().skip(1).filter_map(|log| log.parse().ok()) {
        measure::<<Bn254 as Curve>::G1Config>("bn254-g1-msm", log, &mut out)?;
        measure::<<Bn254 as Curve>::G2Config>("bn254-g2-msm", log, &mut out)?;
        measure::<<Bls12_381 as Curve>::G1Config>("bls12-381-g1-msm", log, &mut out)?;
        measure::<<Bls12_381 as Curve>::G2Config>("bls12-381-g2-msm", log, &mut out)?;
    }
    Ok(())
}

fn measure<P: Group<ScalarField: ark_ff::PrimeField<BigInt = ark_ff::BigInt<SCALAR_WORDS>>>>(
    name: &str,
    log: u32,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let alone = Msm::<P>::dense(1 << log);
    let start = Instant::now();
    let all = alone.with_tables(usize::MAX);
    let making = start.elapsed();
    let some = alone.with_tables(all.table_bytes() / 4);
    let times = single_threaded(|| {
        let mut runs = [&alone, &some, &all].map(|sum| move || _ = black_box(black_box(sum).run()));
        let mut runs: Vec<&mut dyn FnMut()> = runs.iter_mut().map(|run| run as _).collect();
        medians(5, &mut runs)
    });
    let [alone, some_time, all_time] = [0, 1, 2].map(|at| times[at].as_secs_f64() * 1e3);
    writeln!(
        out,
        "{name:17} 2^{log:<3} {alone:9.2} ms; {:6.2}x with {:4} MiB, {:6.2}x with {:4} MiB (made in {:.2} s)",
        alone / some_time,
        some.table_bytes() >> 20,
        alone / all_time,
        all.table_bytes() >> 20,
        making.as_secs_f64(),
    )
}
