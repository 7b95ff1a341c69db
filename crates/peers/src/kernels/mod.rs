//! `peers kernels`: one thread, CPU time, medians; every library's result is checked against ours.

mod arkworks;
mod blst;
mod halo2curves;

use std::{hint::black_box, io::Write};

use anyhow::ensure;
use ark_ff::{BigInt, PrimeField};
use athanor_kernels::{
    Bls12_381, Bn254, Curve, Group, Path, SCALAR_WORDS,
    bench::{Msm, Ntt, Row, cpu_name, medians, single_threaded},
};

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Binary logarithms of the sizes of G1 MSMs.
    #[arg(long, value_delimiter = ',', default_values_t = [14, 16, 18])]
    g1: Vec<u32>,
    /// Binary logarithms of the sizes of G2 MSMs.
    #[arg(long, value_delimiter = ',', default_values_t = [14, 16])]
    g2: Vec<u32>,
    /// Binary logarithms of the sizes of transforms.
    #[arg(long, value_delimiter = ',', default_values_t = [14, 18, 20])]
    ntt: Vec<u32>,
    /// Number of rounds; each row is their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Scalars as in a circuit over bits (98 % of them 0 or 1) instead of uniform ones.
    #[arg(long)]
    bits: bool,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

/// A library in the comparison, and its operation.
struct Contender<'a> {
    peer: Option<&'static str>,
    path: &'static str,
    run: Box<dyn FnMut() + Send + 'a>,
}

impl<'a> Contender<'a> {
    fn athanor(run: impl FnMut() + Send + 'a) -> Self {
        Self { peer: None, path: Path::chosen().name(), run: Box::new(run) }
    }

    fn peer(name: &'static str, run: impl FnMut() + Send + 'a) -> Self {
        Self { peer: Some(name), path: "asm", run: Box::new(run) }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut report = Report { out: std::io::stdout().lock(), json: args.json, rounds: args.rounds };
    report.title()?;
    for &log in &args.g1 {
        let sum = if args.bits { Msm::bits(1 << log) } else { Msm::dense(1 << log) };
        bn254_g1(&mut report, &sum)?;
        let sum = if args.bits { Msm::bits(1 << log) } else { Msm::dense(1 << log) };
        bls12_381_g1(&mut report, &sum)?;
    }
    for &log in &args.g2 {
        let sum = if args.bits { Msm::bits(1 << log) } else { Msm::dense(1 << log) };
        bn254_g2(&mut report, &sum)?;
        let sum = if args.bits { Msm::bits(1 << log) } else { Msm::dense(1 << log) };
        bls12_381_g2(&mut report, &sum)?;
    }
    for &log in &args.ntt {
        bn254_ntt(&mut report, Ntt::new(log))?;
        bls12_381_ntt(&mut report, Ntt::new(log))?;
    }
    Ok(())
}

fn bn254_g1(report: &mut Report, sum: &Msm<<Bn254 as Curve>::G1Config>) -> anyhow::Result<()> {
    let points = halo2curves::g1(&sum.points);
    let scalars: Vec<_> = sum.scalars.iter().map(halo2curves::scalar).collect();
    let expected = halo2curves::g1(&[sum.run().into()])[0];
    ensure!(halo2curves::msm(&points, &scalars) == expected, "halo2curves disagrees");
    let mut contenders = with_arkworks(sum)?;
    contenders.push(Contender::peer("halo2curves", || {
        _ = black_box(halo2curves::msm(&points, &scalars))
    }));
    report.race("bn254-g1-msm", sum.points.len(), contenders)
}

fn bn254_g2(report: &mut Report, sum: &Msm<<Bn254 as Curve>::G2Config>) -> anyhow::Result<()> {
    let points = halo2curves::g2(&sum.points);
    let scalars: Vec<_> = sum.scalars.iter().map(halo2curves::scalar).collect();
    let expected = halo2curves::g2(&[sum.run().into()])[0];
    ensure!(halo2curves::msm(&points, &scalars) == expected, "halo2curves disagrees");
    let mut contenders = with_arkworks(sum)?;
    contenders.push(Contender::peer("halo2curves", || {
        _ = black_box(halo2curves::msm(&points, &scalars))
    }));
    report.race("bn254-g2-msm", sum.points.len(), contenders)
}

fn bls12_381_g1(
    report: &mut Report,
    sum: &Msm<<Bls12_381 as Curve>::G1Config>,
) -> anyhow::Result<()> {
    let (points, scalars) = (blst::g1(&sum.points), blst::scalars(&sum.scalars));
    let expected = blst::g1(&[sum.run().into()])[0];
    ensure!(blst::affine_g1(&blst::msm_g1(&points, &scalars)) == expected, "blst disagrees");
    let mut contenders = with_arkworks(sum)?;
    contenders.push(Contender::peer("blst", || _ = black_box(blst::msm_g1(&points, &scalars))));
    report.race("bls12-381-g1-msm", sum.points.len(), contenders)
}

fn bls12_381_g2(
    report: &mut Report,
    sum: &Msm<<Bls12_381 as Curve>::G2Config>,
) -> anyhow::Result<()> {
    let (points, scalars) = (blst::g2(&sum.points), blst::scalars(&sum.scalars));
    let expected = blst::g2(&[sum.run().into()])[0];
    ensure!(blst::affine_g2(&blst::msm_g2(&points, &scalars)) == expected, "blst disagrees");
    let mut contenders = with_arkworks(sum)?;
    contenders.push(Contender::peer("blst", || _ = black_box(blst::msm_g2(&points, &scalars))));
    report.race("bls12-381-g2-msm", sum.points.len(), contenders)
}

fn with_arkworks<P: Group>(sum: &Msm<P>) -> anyhow::Result<Vec<Contender<'_>>>
where
    P::ScalarField: PrimeField<BigInt = BigInt<SCALAR_WORDS>>,
{
    ensure!(arkworks::msm(&sum.points, &sum.scalars) == sum.run(), "arkworks disagrees");
    Ok(vec![
        Contender::athanor(|| _ = black_box(sum.run())),
        Contender::peer("arkworks", || _ = black_box(arkworks::msm(&sum.points, &sum.scalars))),
    ])
}

fn bn254_ntt(report: &mut Report, mut ours: Ntt<<Bn254 as Curve>::Fr>) -> anyhow::Result<()> {
    let n = ours.values.len();
    let mut ark = arkworks::Ntt::new(&ours.domain, ours.values.clone());
    let mut halo2 = halo2curves::Ntt::new(&ours.domain, &ours.values);
    single_threaded(|| (ours.run(), ark.run(), halo2.run()));
    ensure!(ours.values == ark.values(), "arkworks disagrees");
    let same = ours.values.iter().map(halo2curves::scalar).eq(halo2.values().iter().copied());
    ensure!(same, "halo2curves disagrees");
    let contenders = vec![
        Contender::athanor(|| ours.run()),
        Contender::peer("arkworks", || ark.run()),
        Contender::peer("halo2curves", || halo2.run()),
    ];
    report.race("bn254-ntt", n, contenders)
}

fn bls12_381_ntt(
    report: &mut Report,
    mut ours: Ntt<<Bls12_381 as Curve>::Fr>,
) -> anyhow::Result<()> {
    let n = ours.values.len();
    let mut ark = arkworks::Ntt::new(&ours.domain, ours.values.clone());
    single_threaded(|| (ours.run(), ark.run()));
    ensure!(ours.values == ark.values(), "arkworks disagrees");
    let contenders =
        vec![Contender::athanor(|| ours.run()), Contender::peer("arkworks", || ark.run())];
    report.race("bls12-381-ntt", n, contenders)
}

/// Output of the rows.
struct Report {
    out: std::io::StdoutLock<'static>,
    json: bool,
    rounds: usize,
}

impl Report {
    fn title(&mut self) -> anyhow::Result<()> {
        if !self.json {
            let (cpu, rounds) = (cpu_name(), self.rounds);
            writeln!(
                self.out,
                "{cpu}, one thread, CPU time, median of {rounds} interleaved rounds"
            )?;
        }
        Ok(())
    }

    /// Runs the contenders alternately and prints their rows; the first is ours.
    fn race(
        &mut self,
        name: &'static str,
        n: usize,
        mut contenders: Vec<Contender<'_>>,
    ) -> anyhow::Result<()> {
        // One run has two transforms.
        let elements = if name.ends_with("ntt") { 2 * n } else { n };
        let times = single_threaded(|| {
            let mut runs: Vec<&mut dyn FnMut()> =
                contenders.iter_mut().map(|contender| &mut contender.run as _).collect();
            medians(self.rounds, &mut runs)
        });
        for (contender, time) in contenders.iter().zip(&times) {
            let ns_per_element = time.as_secs_f64() * 1e9 / elements as f64;
            let Contender { peer, path, .. } = *contender;
            let row = Row { name, n, ns_per_element, path, peer };
            if self.json {
                writeln!(self.out, "{}", serde_json::to_string(&row)?)?;
            } else {
                let (who, ratio) =
                    (peer.unwrap_or("athanor"), time.as_secs_f64() / times[0].as_secs_f64());
                writeln!(
                    self.out,
                    "{name:17} {n:8}  {who:12} {path:9} {ns_per_element:9.1} ns {ratio:6.2}x"
                )?;
            }
        }
        Ok(self.out.flush()?)
    }
}
