//! Verification of private transactions before their execution.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::Transaction;
use crate::exec::route::Refusals;
use crate::pool::Pool;
use crate::receipt::Failure;
use crate::sync::{AtomicU32, Ordering};
use crate::transaction::PrivateClaim;

/// Verifies proofs. The executor contains no proof system; the embedding program provides this.
///
/// Without a verifier every private transaction is refused.
pub trait Verifier: Send + Sync {
    /// Returns one verdict for each claim, in the order of `claims`: `Ok`, or the reason for the
    /// rejection. Claims come in batches of at most [`crate::Config::verify_batch`], so that an
    /// implementation can use batch verification. The verdicts must be deterministic. A missing
    /// verdict rejects its claim; a panic rejects all claims of the batch.
    fn verify(&self, claims: &[PrivateClaim<'_>]) -> Vec<Result<(), String>>;
}

/// Verifies the proofs of a block on all threads and refuses the transactions whose proofs are
/// rejected.
pub(crate) fn verify_all<T: Transaction>(
    transactions: &[T],
    verifier: Option<&dyn Verifier>,
    batch: usize,
    threads: usize,
    pool: &Pool,
    refusals: &mut Refusals,
) {
    let private: Vec<u32> = (0..transactions.len() as u32)
        .filter(|&index| {
            refusals.get(index).is_none() && transactions[index as usize].private().is_some()
        })
        .collect();
    if private.is_empty() {
        return;
    }
    let reject = |reason: &str| Failure::ProofRejected { reason: reason.to_owned() };
    let Some(verifier) = verifier else {
        for index in private {
            refusals.insert(index, reject("no verifier is configured"));
        }
        return;
    };
    // Small batches, so that all threads have work until the end.
    let batch = batch.clamp(1, private.len().div_ceil(threads));
    let batches: Vec<&[u32]> = private.chunks(batch).collect();
    let rejected: Mutex<Vec<(u32, String)>> = Mutex::default();
    let next = AtomicU32::new(0);
    pool.run(threads, &|_| {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let claims: Vec<PrivateClaim<'_>> =
                batch.iter().filter_map(|&index| transactions[index as usize].private()).collect();
            let verdicts = catch_unwind(AssertUnwindSafe(|| verifier.verify(&claims)));
            let mut rejected = crate::sync_lock(&rejected);
            for (i, &index) in batch.iter().enumerate() {
                match verdicts.as_ref().map(|verdicts| verdicts.get(i)) {
                    Ok(Some(Ok(()))) => {}
                    Ok(Some(Err(reason))) => rejected.push((index, reason.clone())),
                    Ok(None) => rejected.push((index, "the verifier gave no verdict".into())),
                    Err(_) => rejected.push((index, "the verifier panicked".into())),
                }
            }
        }
    });
    for (index, reason) in rejected.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    {
        refusals.insert(index, reject(&reason));
    }
}
