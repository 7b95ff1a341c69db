//! Sampled transactions: their durations and the conflicts between them.
//!
//! Conflicts are predicted from recorded accesses and not from speculative executions. The
//! prediction costs only the recording, and the load of the machine does not change it.

use crate::Transaction;
use crate::exec::route::is_declared;
use crate::frame::{Edit, FEW, Frame};
use crate::state::arena::Slot;
use crate::transaction::Access;

/// Maximum number of entries of each kind that are kept of one transaction, to bound the cost of
/// the comparison. The lowest slots are kept: two transactions that share many entries share some
/// of those.
const KEPT: usize = 64;
/// Maximum distance of two transactions that are compared.
const REACH: usize = 16;

/// The sampled transactions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    nanos: u64,
    /// Whether it uses objects and no keys.
    objects_only: bool,
    /// Whether it declares its access set as a promise.
    declared: bool,
    reads: Vec<Slot>,
    writes: Vec<Slot>,
    credits: Vec<Slot>,
}

impl Seen {
    fn writes(&self, slot: &Slot) -> bool {
        has(&self.writes, slot) || has(&self.credits, slot)
    }

    /// Whether `later` must run after this transaction if all accesses are known in advance.
    fn orders(&self, later: &Self) -> bool {
        later.reads.iter().any(|slot| self.writes(slot))
            || later
                .writes
                .iter()
                .chain(&later.credits)
                .any(|slot| self.writes(slot) || has(&self.reads, slot))
    }
}

/// The result of a sample.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Forecast {
    /// Mean duration of a transaction in nanoseconds of wall clock. Outliers are capped at eight
    /// times the median.
    pub(crate) nanos: f64,
    /// Median duration in nanoseconds.
    pub(crate) typical: f64,
    /// Probability that a transaction reads an entry that one of the `threads - 1` transactions
    /// before it writes.
    pub(crate) near: f64,
    /// Probability that a transaction reads an entry that another one at most [`REACH`] places
    /// before it writes.
    pub(crate) far: f64,
    /// Speed-up of `threads` workers if every access is known in advance.
    pub(crate) known: f64,
    /// Share of transactions that use objects only.
    pub(crate) owned: f64,
    /// Share of transactions that promise their access set.
    pub(crate) declared: f64,
}

impl Sample {
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
    }

    /// Keeps the newest `n` transactions.
    pub(crate) fn keep(&mut self, n: usize) {
        self.seen.drain(..self.seen.len().saturating_sub(n));
    }

    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(crate) fn note<T: Transaction>(&mut self, transaction: &T, frame: &Frame, nanos: u64) {
        let slots = |credit: bool| {
            let is_credit = move |edit: &Edit| matches!(edit, Edit::Credit(_)) == credit;
            lowest(frame.writes.iter().filter(move |w| is_credit(&w.edit)).map(|w| w.slot))
        };
        self.seen.push(Seen {
            nanos,
            objects_only: matches!(transaction.access(), Access::Objects),
            declared: is_declared(transaction),
            reads: lowest(frame.reads.iter().map(|read| read.slot)),
            writes: slots(false),
            credits: slots(true),
        });
    }

    pub(crate) fn forecast(&self, threads: usize, clock_nanos: f64) -> Option<Forecast> {
        if self.seen.is_empty() {
            return None;
        }
        let n = self.seen.len() as f64;
        let mut sorted: Vec<u64> = self.seen.iter().map(|seen| seen.nanos).collect();
        sorted.sort_unstable();
        // An interrupt during one of few transactions must not dominate the mean. A heavy tail may.
        let middle = sorted[sorted.len() / 2];
        let cap = middle.saturating_mul(8).max(1000);
        let mean = sorted.iter().map(|&nanos| nanos.min(cap) as f64).sum::<f64>() / n;
        let (near, far) = self.conflicts(threads);
        let share = |f: fn(&Seen) -> bool| self.seen.iter().filter(|s| f(s)).count() as f64 / n;
        let declared = share(|seen| seen.declared);
        Some(Forecast {
            nanos: (mean - clock_nanos).max(1.0),
            typical: (middle as f64 - clock_nanos).max(1.0),
            near,
            far,
            known: if declared > 0.5 { self.greedy(threads) } else { 1.0 },
            owned: share(|seen| seen.objects_only),
            declared,
        })
    }

    fn conflicts(&self, threads: usize) -> (f64, f64) {
        let mut near = 0;
        let (mut pairs, mut conflicts) = (0_u32, 0_u32);
        for (i, later) in self.seen.iter().enumerate() {
            let mut is_near = false;
            for distance in 1..=REACH.min(i) {
                let earlier = &self.seen[i - distance];
                let meet = later.reads.iter().any(|slot| earlier.writes(slot));
                pairs += 1;
                conflicts += u32::from(meet);
                is_near |= meet && distance < threads;
            }
            near += u32::from(is_near);
        }
        let rate = |part: u32, of: u32| if of == 0 { 0.0 } else { f64::from(part) / f64::from(of) };
        (rate(near, self.seen.len().saturating_sub(1) as u32), rate(conflicts, pairs))
    }

    /// The speed-up of list scheduling in block order with known accesses and unit costs, over the
    /// last 64 transactions.
    fn greedy(&self, threads: usize) -> f64 {
        let seen = &self.seen[self.seen.len().saturating_sub(64)..];
        let below = |i: usize| {
            (0..i).filter(|&j| seen[j].orders(&seen[i])).fold(0_u64, |mask, j| mask | 1 << j)
        };
        let needs: Vec<u64> = (0..seen.len()).map(below).collect();
        let (mut done, mut time) = (0_u64, 0_u32);
        while done.count_ones() < seen.len() as u32 {
            let ready = |i: &usize| done >> i & 1 == 0 && needs[*i] & !done == 0;
            let start = (0..seen.len()).filter(ready).take(threads);
            done |= start.fold(0, |mask, i| mask | 1 << i);
            time += 1;
        }
        seen.len() as f64 / f64::from(time.max(1))
    }
}

fn lowest(slots: impl Iterator<Item = Slot>) -> Vec<Slot> {
    let mut slots: Vec<Slot> = slots.collect();
    slots.sort_unstable();
    slots.dedup();
    slots.truncate(KEPT);
    slots
}

/// Whether the sorted list `slots` contains `slot`.
fn has(slots: &[Slot], slot: &Slot) -> bool {
    if slots.len() <= FEW { slots.contains(slot) } else { slots.binary_search(slot).is_ok() }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn sample(accesses: impl Iterator<Item = (Vec<Slot>, Vec<Slot>)>) -> Sample {
        let seen = accesses
            .map(|(reads, writes)| Seen {
                nanos: 1000,
                objects_only: false,
                declared: true,
                reads,
                writes,
                credits: Vec::new(),
            })
            .collect();
        Sample { seen }
    }

    #[test]
    fn a_chain_has_no_parallelism_and_strangers_have_all_of_it() {
        let chain = sample((0..64).map(|_| (vec![1], vec![1]))).forecast(2, 0.0).unwrap();
        assert_eq!((chain.near, chain.known), (1.0, 1.0));
        let strangers = sample((0..64).map(|i| (vec![i], vec![i]))).forecast(4, 0.0).unwrap();
        assert_eq!((strangers.near, strangers.far, strangers.known), (0.0, 0.0, 4.0));
        let two_chains =
            sample((0..64).map(|i| (vec![i % 2], vec![i % 2]))).forecast(4, 0.0).unwrap();
        assert_eq!((two_chains.near, two_chains.known), (62.0 / 63.0, 2.0));
    }

    #[test]
    fn readers_of_one_key_do_not_conflict() {
        let readers = sample((0..64).map(|i| (vec![0, 1 + i], vec![1 + i])));
        assert_eq!(readers.forecast(2, 0.0).unwrap().known, 2.0);
    }
}
