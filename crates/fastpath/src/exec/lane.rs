//! The results that one worker collects during a block. They are merged when the block ends.

use std::time::Instant;

use crate::Transaction;
use crate::access_log::Entries;
use crate::block::Cost;
use crate::frame::{Frame, push_with};
use crate::histogram::LatencyHistogram;
use crate::hot_keys::SpaceSaving;
use crate::receipt::{Failure, Output, Path, Receipt, Status};
use crate::state::arena::Slot;

/// Maximum number of slow transactions that a worker records per block.
const TRACES: usize = 8;

/// The results, counters and buffers of one worker.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) receipts: Vec<(u32, Receipt)>,
    /// Slots that the block wrote. Each is recorded by its first writer.
    pub(crate) dirty: Vec<Slot>,
    pub(crate) fees: u64,
    pub(crate) cost: Cost,
    pub(crate) logs: Vec<(u32, Entries)>,
    pub(crate) latency: LatencyHistogram,
    pub(crate) slow: Vec<Slow>,
    pub(crate) hot: SpaceSaving<Slot>,
    /// Executions for reuse.
    #[expect(clippy::vec_box, reason = "they are large and move between the lane and its jobs")]
    pub(crate) spare: Vec<Box<Execution>>,
    clock: Clock,
    /// Transactions until the next one whose keys are counted.
    until_hot: u32,
    gaps: u32,
}

/// The buffers of one execution and its receipt, until the commit.
#[derive(Default)]
pub(crate) struct Execution {
    pub(crate) frame: Frame,
    pub(crate) receipt: Receipt,
}

/// A record of a slow transaction.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) index: u32,
    pub(crate) nanos: u64,
    pub(crate) attempts: u32,
}

/// A clock that is read once per batch, so that its cost per transaction is low.
#[derive(Default)]
struct Clock {
    stride: u32,
    left: u32,
    last: Option<Instant>,
}

/// One in `HOT_STRIDE` transactions, on average, has its keys counted.
const HOT_STRIDE: u32 = 32;

impl Lane {
    pub(crate) fn execution(&mut self, log: bool) -> Box<Execution> {
        self.spare.pop().unwrap_or_else(|| {
            Box::new(Execution { frame: Frame::new(log), receipt: Receipt::default() })
        })
    }

    /// Takes the receipt of an execution that was committed.
    #[inline]
    pub(crate) fn take_receipt(&mut self, index: u32, receipt: &mut Receipt) {
        push_with(&mut self.receipts, || (index, std::mem::take(receipt)));
    }

    /// Starts the clock. A batch of `stride` transactions shares one clock reading.
    pub(crate) fn start(&mut self, stride: u32) {
        let stride = stride.max(1);
        self.clock = Clock { stride, left: stride, last: Some(Instant::now()) };
    }

    /// Transactions that share one clock reading.
    pub(crate) fn stride(&self) -> u32 {
        self.clock.stride.max(1)
    }

    /// Records the end of a transaction.
    #[inline]
    pub(crate) fn tick(&mut self, index: u32, attempts: u32) {
        self.clock.left = self.clock.left.wrapping_sub(1);
        if self.clock.left == 0 {
            self.stamp(index, attempts);
        }
    }

    fn stamp(&mut self, index: u32, attempts: u32) {
        let now = Instant::now();
        if let Some(last) = self.clock.last.replace(now) {
            let nanos = now.duration_since(last).as_nanos() as u64 / u64::from(self.clock.stride);
            self.latency.record_many(nanos, u64::from(self.clock.stride));
            let fastest = self.slow.iter().map(|slow| slow.nanos).min().unwrap_or(0);
            if self.slow.len() < TRACES || nanos > fastest {
                if self.slow.len() == TRACES {
                    self.slow.retain(|slow| slow.nanos != fastest);
                }
                self.slow.push(Slow { index, nanos, attempts });
            }
        }
        self.clock.left = self.clock.stride;
    }

    /// Counts the written keys of one in [`HOT_STRIDE`] transactions.
    #[inline]
    pub(crate) fn count_keys(&mut self, frame: &Frame) {
        if self.until_hot == 0 {
            // Pseudo-random gaps, so that the counted transactions do not coincide with a periodic
            // pattern of the block.
            self.gaps = self.gaps.wrapping_mul(0x5851_f42d).wrapping_add(0x1405_7b7f);
            self.until_hot = 1 + (self.gaps >> 16) % (2 * HOT_STRIDE - 1);
            let written = frame.writes.iter().map(|write| write.slot);
            for slot in written.chain(frame.versions.iter().map(|&(slot, _)| slot)) {
                self.hot.add(slot, u64::from(HOT_STRIDE));
            }
        }
        self.until_hot -= 1;
    }

    /// Records a committed transaction's fee, hot keys and access log.
    #[inline]
    pub(crate) fn settle(&mut self, index: u32, frame: &mut Frame) {
        self.fees = self.fees.saturating_add(frame.fee);
        self.count_keys(frame);
        if frame.seen.is_some() {
            self.logs.push((index, Entries::take(frame)));
        }
    }
}

/// The receipt of a transaction that was refused and not executed.
pub(crate) fn refusal<T: Transaction>(transaction: &T, failure: &Failure) -> Receipt {
    let path = if transaction.private().is_some() { Path::Private } else { Path::Consensus };
    Receipt { status: Status::from(failure.clone()), output: Output::None, path, attempts: 0 }
}
