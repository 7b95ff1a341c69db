//! `athanor bench fastpath`: the transaction executor against a sequential loop. Private transactions
//! have real Groth16 proofs.

use std::sync::Arc;

use athanor_circom::demo::{self, Signal};
use athanor_fastpath::{
    Declaration, Mode, PrivateClaim,
    bench::{Args, BenchError, Claim, PrivateShare},
};
use athanor_groth16::{
    ProveError, ProvingKey, Verifier, Witness, development_setup, formats::json,
};
use athanor_kernels::{Bn254, DeviceError, Quotient, SCALAR_WORDS, Scalar, cpu::Cpu};

use crate::{
    args::BenchFastpath,
    failure::{Failure, Kind},
    output::{Progress, answer},
};

/// Number of distinct proofs for private transactions.
const CLAIMS: usize = 4;
/// Default fraction of private transactions of the workload that has them.
const HAS_PRIVATE_SHARE: &str = "w8";

/// Measures and prints. Fails if a result differs from the sequential loop's.
pub fn run(args: &BenchFastpath) -> Result<(), Failure> {
    let progress = Progress::new(args.json);
    let private = needs_proofs(args).then(|| {
        progress.say("making Groth16 proofs for the private share");
        private_share()
    });
    let args_of_bench = Args {
        workload_type: args.workload_type.clone(),
        zipf_alpha: args.zipf_alpha,
        read_ratio: args.read_ratio,
        hot_ratio: args.hot_ratio,
        privacy_ratio: args.privacy_ratio,
        owned_ratio: args.owned_ratio,
        work_ns: args.work_ns,
        txs: args.txs,
        accounts: args.accounts,
        heavy_every: args.heavy_every,
        partitions: args.partitions,
        threads: args.threads.clone(),
        declare: args.declare.as_deref().and_then(declaration),
        mode: args.mode.as_deref().and_then(mode),
        chunk: args.chunk,
        pin: args.pin,
        latency_us: args.latency_us,
        depth: args.depth,
        slow_one_in: args.slow_one_in,
        rounds: args.rounds,
        seed: args.seed,
        matrix: args.matrix,
        only: args.only.clone(),
        svg: args.svg.clone(),
        serve_metrics: args.serve_metrics,
        stability_seconds: args.stability,
        private: private.transpose()?,
    };
    let report = athanor_fastpath::bench::run(&args_of_bench, &mut |cell| {
        progress.say(&format!("{}: {:.2} ({})", cell.workload, cell.speedup, cell.chosen));
    });
    let text = report.and_then(|report| if args.json { report.json() } else { Ok(report.table()) });
    answer(text.map_err(failed)?.trim_end());
    Ok(())
}

fn needs_proofs(args: &BenchFastpath) -> bool {
    let requested = args.privacy_ratio.is_some_and(|share| share > 0.0);
    requested || args.matrix || args.workload_type.as_deref() == Some(HAS_PRIVATE_SHARE)
}

fn declaration(name: &str) -> Option<Declaration> {
    Some(match name {
        "exact" => Declaration::Exact,
        "superset" => Declaration::Superset,
        "guess" => Declaration::Guess,
        _ => return None,
    })
}

fn mode(name: &str) -> Option<Mode> {
    Some(match name {
        "serial" => Mode::Serial,
        "shards" => Mode::Shards,
        "declared" => Mode::Declared,
        "optimistic" => Mode::Optimistic,
        _ => return None,
    })
}

fn failed(error: BenchError) -> Failure {
    let kind = match &error {
        BenchError::UnknownWorkload(_)
        | BenchError::NoSuchCell(_)
        | BenchError::Argument { .. } => Kind::BadScenario,
        BenchError::Chart { .. } | BenchError::Io(_) => Kind::Unwritable,
        _ => Kind::Internal,
    };
    Failure::new(kind, error)
}

/// Memberships in the demo's Merkle tree, each with its proof.
fn private_share() -> Result<PrivateShare, Failure> {
    let r1cs = demo::constraints();
    let raw = development_setup::<Bn254>(&r1cs, Quotient::OddCoset)?;
    let native = raw.to_native(&Cpu).map_err(DeviceError::from).map_err(ProveError::from)?;
    let key = ProvingKey::load(Cpu, native)?;
    let claims = (0..CLAIMS).map(|_| {
        let witness = Signal::example(2).witness(&r1cs);
        let witness = witness.map_err(|error| Failure::new(Kind::Internal, error))?;
        let witness = Witness::<Bn254>::new(witness)?;
        let statement = witness.public(demo::PUBLIC).iter().flatten();
        let statement = statement.flat_map(|word| word.to_le_bytes()).collect();
        let proof = json::write_proof::<Bn254>(&key.prove(witness)?.proof).into_bytes();
        Ok(Arc::new(Claim { statement, proof }))
    });
    Ok(PrivateShare {
        claims: claims.collect::<Result<_, Failure>>()?,
        verifier: Arc::new(Membership(Verifier::new(key.verifying_key())?)),
    })
}

/// Verifies memberships.
struct Membership(Verifier<Bn254>);

impl athanor_fastpath::Verifier for Membership {
    fn verify(&self, claims: &[PrivateClaim<'_>]) -> Vec<Result<(), String>> {
        claims.iter().map(|claim| self.one(claim)).collect()
    }
}

impl Membership {
    fn one(&self, claim: &PrivateClaim<'_>) -> Result<(), String> {
        let (statement, rest) = claim.statement.as_chunks::<{ 8 * SCALAR_WORDS }>();
        if !rest.is_empty() {
            return Err("the statement is not a list of field elements".to_owned());
        }
        let statement: Vec<Scalar> = statement.iter().map(scalar).collect();
        let proof = std::str::from_utf8(claim.proof).map_err(|error| error.to_string())?;
        let proof = json::parse_proof::<Bn254>(proof).map_err(|error| error.to_string())?;
        self.0.verify(&statement, &proof).map_err(|error| error.to_string())
    }
}

fn scalar(bytes: &[u8; 8 * SCALAR_WORDS]) -> Scalar {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_share_carries_proofs_that_hold_for_their_statement_only() {
        let PrivateShare { claims, verifier } = private_share().unwrap();
        let claim = |at: usize, of: usize| PrivateClaim {
            statement: &claims[at].statement,
            proof: &claims[of].proof,
        };
        assert_eq!(verifier.verify(&[claim(0, 0), claim(1, 1)]), [Ok(()), Ok(())]);
        let mut other = claims[0].statement.clone();
        other[0] ^= 1;
        let forged = PrivateClaim { statement: &other, proof: &claims[0].proof };
        let cut = PrivateClaim { statement: &other[1..], proof: &claims[0].proof };
        assert!(verifier.verify(&[forged, cut]).iter().all(Result::is_err));
    }
}
