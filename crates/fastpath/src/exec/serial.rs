//! The plain loop: one thread executes the transactions in order. It is the reference for all
//! modes.

use std::time::Instant;

use super::ahead::Ahead;
use super::lane::{Lane, refusal};
use super::{Env, Order};
use crate::Transaction;
use crate::adaptive::sample::Sample;
use crate::context::{Source, attempt};
use crate::frame::Frame;
use crate::receipt::Receipt;

/// Groups that [`Ahead`] skips after a group without names.
const GAP: u32 = 7;

/// Executes the first `count` places of a stretch.
pub(crate) fn run<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    lane: &mut Lane,
    receipts: &mut [Receipt],
) {
    let world = env.world(Source::Committed);
    let mut execution = lane.execution(env.log);
    let frame = &mut execution.frame;
    let mut ahead = Ahead::new(env, order, 0..count, GAP);
    for position in 0..count {
        let slots = ahead.slots(position);
        let index = order.at(position);
        let transaction = &env.transactions[index as usize];
        let receipt = &mut receipts[index as usize];
        if let Some(failure) = env.refusals.get(index) {
            *receipt = refusal(transaction, failure);
            continue;
        }
        receipt.attempts = 1;
        if attempt(transaction, &world, slots, frame, receipt).is_err() {
            // The store behind the executor failed: the block is discarded.
            break;
        }
        commit(env, index, frame, lane);
    }
    lane.cost.serial += u64::from(count);
    lane.cost.executions += u64::from(count);
    lane.spare.push(execution);
}

/// Executes as [`run`] does, and records the duration and the accesses of each transaction in
/// `sample`.
pub(crate) fn run_sampled<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    lane: &mut Lane,
    receipts: &mut [Receipt],
    sample: &mut Sample,
) {
    let world = env.world(Source::Noted);
    let mut execution = lane.execution(env.log);
    let frame = &mut execution.frame;
    for position in 0..count {
        let index = order.at(position);
        let transaction = &env.transactions[index as usize];
        let receipt = &mut receipts[index as usize];
        if let Some(failure) = env.refusals.get(index) {
            *receipt = refusal(transaction, failure);
            continue;
        }
        let start = Instant::now();
        receipt.attempts = 1;
        if attempt(transaction, &world, &[], frame, receipt).is_err() {
            break;
        }
        let nanos = start.elapsed().as_nanos() as u64;
        sample.note(transaction, frame, nanos);
        commit(env, index, frame, lane);
    }
    lane.cost.serial += u64::from(count);
    lane.cost.executions += u64::from(count);
    lane.spare.push(execution);
}

/// Commits an execution that read the committed state.
#[inline]
pub(crate) fn commit<T>(env: &Env<'_, T>, index: u32, frame: &mut Frame, lane: &mut Lane) {
    let applied = frame.apply(env.arena, env.stamp(index, 0), env.since(), &mut lane.dirty);
    debug_assert!(applied, "credits were checked as they were made");
    lane.settle(index, frame);
    lane.tick(index, 1);
}
