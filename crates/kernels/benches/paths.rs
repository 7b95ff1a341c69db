//! Compares the paths that this processor supports, interleaved: one thread, CPU time, medians.
//!
//! `cargo bench -p athanor-kernels --bench paths -- 16 18` measures sums of 2^16 and 2^18 points.
//! `-- g1 18` measures only those whose names contain `g1`. `-- tables 12 14` measures what tables
//! of precomputed multiples save on the path of the process, with a quarter of the tables and with
//! all of them, and how long all take to compute.

use std::{hint::black_box, io::Write, time::Instant};

use athanor_kernels::{
    Bls12_381, Bn254, Curve, Group, Path, SCALAR_WORDS,
    bench::{Msm, Ntt, cpu_name, medians, single_threaded},
};

fn main() -> std::io::Result<()> {
    // Cargo itself adds an option.
    let args = || std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let logs: Vec<u32> = args().filter_map(|log| log.parse().ok()).collect();
    let only: Vec<String> = args().filter(|arg| arg.parse::<u32>().is_err()).collect();
    let mut out = std::io::stdout();
    writeln!(out, "{}", cpu_name())?;
    if only.iter().any(|word| word == "tables") {
        return all_tables(&logs, &mut out);
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    for &log in &logs {
        if wanted("bn254-g1-msm") {
            sums::<<Bn254 as Curve>::G1Config>("bn254-g1-msm", log, &mut out)?;
        }
        if wanted("bls12-381-g1-msm") {
            sums::<<Bls12_381 as Curve>::G1Config>("bls12-381-g1-msm", log, &mut out)?;
        }
        if wanted("bn254-g2-msm") {
            sums::<<Bn254 as Curve>::G2Config>("bn254-g2-msm", log - 2, &mut out)?;
        }
        if wanted("bls12-381-g2-msm") {
            sums::<<Bls12_381 as Curve>::G2Config>("bls12-381-g2-msm", log - 2, &mut out)?;
        }
        if wanted("bn254-ntt") {
            transforms::<Bn254>("bn254-ntt", log, &mut out)?;
        }
        if wanted("bls12-381-ntt") {
            transforms::<Bls12_381>("bls12-381-ntt", log, &mut out)?;
        }
    }
    Ok(())
}

fn sums<P: Group<ScalarField: ark_ff::PrimeField<BigInt = ark_ff::BigInt<SCALAR_WORDS>>>>(
    name: &str,
    log: u32,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let sum = Msm::<P>::dense(1 << log);
    let sums: Vec<(Path, Msm<P>)> =
        Path::ALL.into_iter().filter_map(|path| Some((path, sum.on(path)?))).collect();
    let mut runs: Vec<_> = sums.iter().map(|(_, sum)| move || _ = black_box(sum.run())).collect();
    let mut runs: Vec<&mut (dyn FnMut() + Send)> = runs.iter_mut().map(|run| run as _).collect();
    let times = single_threaded(|| {
        let mut runs: Vec<&mut dyn FnMut()> = runs.iter_mut().map(|run| *run as _).collect();
        medians(3, &mut runs)
    });
    for ((path, _), time) in sums.iter().zip(&times) {
        let ns = time.as_secs_f64() * 1e9 / (1u64 << log) as f64;
        let ratio = times[0].as_secs_f64() / time.as_secs_f64();
        writeln!(out, "{name:17} 2^{log:<3} {path:9} {ns:8.1} ns {ratio:6.2}x")?;
    }
    Ok(())
}

fn transforms<C: Curve>(name: &str, log: u32, out: &mut impl Write) -> std::io::Result<()> {
    let ntt = Ntt::<C::Fr>::new(log);
    let mut ntts: Vec<(Path, Ntt<C::Fr>)> =
        Path::ALL.into_iter().filter_map(|path| Some((path, ntt.on(path)?))).collect();
    let times = single_threaded(|| {
        let mut runs: Vec<_> = ntts.iter_mut().map(|(_, ntt)| move || ntt.run()).collect();
        let mut runs: Vec<&mut dyn FnMut()> = runs.iter_mut().map(|run| run as _).collect();
        medians(5, &mut runs)
    });
    for ((path, _), time) in ntts.iter().zip(&times) {
        // A run takes two transforms.
        let ms = time.as_secs_f64() * 500.0;
        let ratio = times[0].as_secs_f64() / time.as_secs_f64();
        writeln!(out, "{name:17} 2^{log:<3} {path:9} {ms:8.2} ms {ratio:6.2}x")?;
    }
    Ok(())
}

fn all_tables(logs: &[u32], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", Path::chosen())?;
    for &log in logs {
        tables::<<Bn254 as Curve>::G1Config>("bn254-g1-msm", log, out)?;
        tables::<<Bn254 as Curve>::G2Config>("bn254-g2-msm", log, out)?;
        tables::<<Bls12_381 as Curve>::G1Config>("bls12-381-g1-msm", log, out)?;
        tables::<<Bls12_381 as Curve>::G2Config>("bls12-381-g2-msm", log, out)?;
    }
    Ok(())
}

fn tables<P: Group<ScalarField: ark_ff::PrimeField<BigInt = ark_ff::BigInt<SCALAR_WORDS>>>>(
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
