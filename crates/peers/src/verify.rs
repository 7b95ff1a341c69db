//! `peers verify`: proofs under one key, singly and in a batch, against ark-groth16 singly; CPU time on
//! one thread. Both sides check that every point of every proof is on its curve and in its subgroup, as
//! untrusted proofs require.

use std::{hint::black_box, io::Write, time::Duration};

use anyhow::ensure;
use ark_ff::{BigInt, PrimeField};
use ark_groth16::{Groth16, PreparedVerifyingKey, prepare_verifying_key};
use athanor_groth16::{
    Claim, Proof, ProvingKey, Verifier, VerifyingKey, Witness, development_setup,
    synthetic::{self, Example},
};
use athanor_kernels::{
    Bls12_381, Bn254, Curve, Device, Quotient, Scalar,
    bench::{cpu_name, medians, single_threaded},
    cpu::Cpu,
};
use serde_json::json;

use crate::groth16::merkle;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Numbers of proofs.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 256])]
    proofs: Vec<usize>,
    /// Number of rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    single_threaded(|| {
        if !args.json {
            let mut out = std::io::stdout().lock();
            let rounds = args.rounds;
            writeln!(
                out,
                "{}, one thread, CPU time, medians of {rounds} interleaved rounds, us a proof; \
                subgroups checked on both sides",
                cpu_name()
            )?;
            writeln!(
                out,
                "{:<12} {:<10} {:>7} {:>7} {:>10} {:>10} {:>10} {:>12} {:>12}",
                "key",
                "curve",
                "public",
                "proofs",
                "one by one",
                "batch",
                "arkworks",
                "batch/single",
                "batch/ark"
            )?;
        }
        race::<Bn254>(&args, "dense-2^8", synthetic::dense::<Bn254>(254, 1))?;
        race::<Bn254>(&args, "merkle", merkle()?)?;
        race::<Bls12_381>(&args, "dense-2^8", synthetic::dense::<Bls12_381>(254, 1))
    })
}

/// Number of distinct proofs, which are repeated; verification costs the same as for distinct proofs.
const MADE: usize = 8;

fn race<C: Curve>(args: &Args, name: &str, example: Example<C::Fr>) -> anyhow::Result<()>
where
    Cpu: Device<C>,
{
    let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset)?;
    let native = raw.to_native::<Cpu>(&Cpu)?;
    let key = ProvingKey::load(Cpu, native)?;
    let public = key.verifying_key().public_signals();
    let mut made: Vec<(Vec<Scalar>, Proof<C>)> = Vec::new();
    for _ in 0..MADE {
        let witness = Witness::<C>::new(example.witness.clone())?;
        made.push((witness.public(public).to_vec(), key.prove(witness)?.proof));
    }
    let ours = Verifier::new(key.verifying_key())?;
    let theirs = Peer::new(key.verifying_key(), &made);
    ensure!(theirs.accepts_all(MADE), "{name}: ark-groth16 refuses a proof of ours");
    for &proofs in &args.proofs {
        let claims: Vec<Claim<'_, C>> = made
            .iter()
            .cycle()
            .take(proofs)
            .map(|(public, proof)| Claim { public, proof })
            .collect();
        let mut singly = || {
            let all = claims.iter().all(|claim| ours.verify(claim.public, claim.proof).is_ok());
            assert!(black_box(all));
        };
        let mut together = || assert!(black_box(ours.verify_batch(&claims).is_ok()));
        let mut arkworks = || assert!(black_box(theirs.accepts_all(proofs)));
        let contenders: &mut [&mut dyn FnMut()] = &mut [&mut singly, &mut together, &mut arkworks];
        let times = medians(args.rounds, contenders);
        report(args, Row { name, curve: C::ID.to_string(), public, proofs, times: &times })?;
    }
    Ok(())
}

struct Row<'a> {
    name: &'a str,
    curve: String,
    public: usize,
    proofs: usize,
    /// CPU times: ours singly, ours in a batch, arkworks.
    times: &'a [Duration],
}

fn report(args: &Args, row: Row<'_>) -> anyhow::Result<()> {
    let Row { name, curve, public, proofs, times } = row;
    let micros = |time: &Duration| time.as_secs_f64() * 1e6 / proofs as f64;
    let [single, batch, peer] = [0, 1, 2].map(|side| micros(&times[side]));
    let mut out = std::io::stdout().lock();
    if args.json {
        let row = json!({
            "key": name,
            "curve": curve,
            "public_signals": public,
            "proofs": proofs,
            "single_us": single,
            "batch_us": batch,
            "peer": "ark-groth16",
            "peer_us": peer,
            "batch_over_single": batch / single,
            "batch_over_peer": batch / peer,
        });
        writeln!(out, "{row}")?;
    } else {
        writeln!(
            out,
            "{name:<12} {curve:<10} {public:>7} {proofs:>7} {single:>10.1} {batch:>10.1} \
             {peer:>10.1} {:>12.3} {:>12.3}",
            batch / single,
            batch / peer,
        )?;
    }
    Ok(out.flush()?)
}

/// ark-groth16, with the checks of its deserialisation.
struct Peer<C: Curve> {
    key: PreparedVerifyingKey<C>,
    made: Vec<(Vec<C::Fr>, ark_groth16::Proof<C>)>,
}

impl<C: Curve> Peer<C> {
    fn new(key: &VerifyingKey<C>, made: &[(Vec<Scalar>, Proof<C>)]) -> Self {
        let key = prepare_verifying_key(&ark_groth16::VerifyingKey {
            alpha_g1: key.alpha_g1,
            beta_g2: key.beta_g2,
            gamma_g2: key.gamma_g2,
            delta_g2: key.delta_g2,
            gamma_abc_g1: key.ic.clone(),
        });
        let value = |&words| C::Fr::from_bigint(BigInt(words)).expect("witnesses are canonical");
        let made = made.iter().map(|(public, proof)| {
            let Proof { a, b, c } = *proof;
            (public.iter().map(value).collect(), ark_groth16::Proof { a, b, c })
        });
        Self { key, made: made.collect() }
    }

    fn accepts_all(&self, proofs: usize) -> bool {
        self.made.iter().cycle().take(proofs).all(|(public, proof)| {
            is_sound(&proof.a)
                && is_sound(&proof.b)
                && is_sound(&proof.c)
                && Groth16::<C>::verify_proof(&self.key, proof, public).unwrap_or(false)
        })
    }
}

/// Whether a point is on its curve and in its subgroup.
fn is_sound<P: ark_ec::short_weierstrass::SWCurveConfig>(
    point: &ark_ec::short_weierstrass::Affine<P>,
) -> bool {
    point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve()
}
