//! The schedule of one block: sample some transactions, choose a mode, execute a stretch, repeat.

use std::sync::Mutex;
use std::time::Instant;

use crate::Transaction;
use crate::adaptive::sample::{Forecast, Sample};
use crate::adaptive::{Choice, Decision, Mode, Tuner};
use crate::config::Config;
use crate::exec::declared::{self, Graph};
use crate::exec::lane::Lane;
use crate::exec::optimistic::{self, Tuning};
use crate::exec::ring::Ring;
use crate::exec::{Env, Order, route, serial, shards};
use crate::pool::Pool;
use crate::receipt::Receipt;

/// Number of transactions of the first sample of a block; later samples are shorter.
const FIRST_LOOK: u32 = 64;
const LOOK: u32 = 16;
/// The reason in the decision for sampled transactions.
const A_LOOK: &str = "a look at what comes";
/// Minimum and maximum number of transactions in the plain loop between two samples, and the target
/// duration in nanoseconds. Sampling is expensive relative to cheap transactions.
const SERIAL_STRETCH: (f64, f64) = (2048.0, 16_384.0);
const SERIAL_NANOS: f64 = 2_000_000.0;
/// Maximum number of transactions executed in parallel between two samples.
const STRETCH: u32 = 1 << 16;
/// Transactions per clock reading while the plain loop is timed.
const TIMED: u32 = 32;
/// Limits of one timing of the plain loop: a number of transactions, a duration in nanoseconds, and
/// a divisor of the number of remaining transactions. At first the loop reads entries from other
/// cores' caches, so it reaches its final speed only after some thousands of cheap transactions.
const TIMED_MOST: u32 = 4096;
const TIMED_NANOS: u128 = 1_000_000;
const TIMED_PART: u32 = 3;
/// Nanoseconds of work per clock reading.
const STAMP_EVERY: f64 = 5000.0;

/// The execution of one block, with borrowed parts of an executor.
pub(crate) struct Schedule<'a, 'e, T> {
    pub(crate) env: &'a Env<'e, T>,
    pub(crate) config: &'a Config,
    pub(crate) pool: &'a Pool,
    pub(crate) lanes: &'a [Mutex<Lane>],
    pub(crate) ring: &'a mut Ring,
    pub(crate) graph: &'a mut Graph,
    pub(crate) tuner: &'a mut Tuner,
    pub(crate) sample: &'a mut Sample,
    /// Number of transactions of each shard so far.
    pub(crate) partitions: &'a mut Vec<u64>,
}

impl<T: Transaction> Schedule<'_, '_, T> {
    /// Executes the block. Returns the choices.
    pub(crate) fn run(&mut self, receipts: &mut [Receipt]) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let total = self.env.transactions.len() as u32;
        for lane in self.lanes {
            crate::sync_lock(lane).start(LOOK);
        }
        if self.config.adaptive {
            self.tuner.plain.begin();
            if self.tuner.plain.left() {
                self.pool.wake();
            }
            self.stretches(Order::From(0), total, receipts, &mut decisions, &[]);
            if decisions.iter().all(|decision| decision.mode == Mode::Serial) {
                self.tuner.forgive();
            }
        } else {
            let choice = self.fixed();
            self.carry_out(Order::From(0), total, &choice, receipts, &mut decisions);
        }
        decisions
    }

    /// Executes a stretch, with a new sample before each choice. `exclude` lists modes that may not
    /// be chosen.
    fn stretches(
        &mut self,
        order: Order<'_>,
        count: u32,
        receipts: &mut [Receipt],
        decisions: &mut Vec<Decision>,
        exclude: &[Mode],
    ) {
        let mut at = 0;
        let mut clock = 0.0;
        let mut given_up = Vec::from(exclude);
        while at < count {
            if clock == 0.0 {
                clock = clock_nanos();
            }
            let look = if self.sample.len() < LOOK as usize { FIRST_LOOK } else { LOOK };
            let look = look.min(count - at);
            self.sample.keep((FIRST_LOOK - look) as usize);
            let mut lane = crate::sync_lock(&self.lanes[0]);
            lane.start(LOOK);
            serial::run_sampled(self.env, order.skip(at), look, &mut lane, receipts, self.sample);
            drop(lane);
            note(decisions, look, A_LOOK);
            at += look;
            if at == count {
                break;
            }
            let Some(forecast) = self.sample.forecast(self.config.threads, clock) else {
                // All sampled transactions were refused.
                continue;
            };
            let timed = ((count - at) / TIMED_PART).min(TIMED_MOST);
            if self.config.threads > 1 && timed >= 2 * TIMED && self.tuner.plain.wants_timing() {
                let (done, nanos) = self.time_plain(order.skip(at), timed, receipts);
                note(decisions, done, "the plain loop is timed");
                self.tuner.plain.time(&forecast, nanos);
                at += done;
            }
            let looked = forecast;
            let forecast = self.tuner.plain.correct(looked);
            let choice = self.tuner.choose(&forecast, count - at, &given_up);
            if exclude.is_empty() {
                self.tuner.plain.chose(choice.mode);
            }
            let stretch = (count - at).min(match choice.mode {
                Mode::Serial => {
                    (SERIAL_NANOS / forecast.nanos).clamp(SERIAL_STRETCH.0, SERIAL_STRETCH.1) as u32
                }
                _ => STRETCH,
            });
            self.set_stamps(&forecast);
            let start = Instant::now();
            let done = self.carry_out(order.skip(at), stretch, &choice, receipts, decisions);
            let measured = start.elapsed().as_nanos() as f64 / f64::from(done.max(1));
            match choice.mode {
                Mode::Serial => self.tuner.plain.learn(&looked, measured),
                _ => self.tuner.learn(&choice, forecast.nanos, measured),
            }
            if done < stretch {
                given_up.push(choice.mode);
            }
            at += done;
        }
    }

    /// Executes the beginning of a stretch in the plain loop. Returns the number of transactions
    /// and the nanoseconds per transaction: the lower quartile of the timed parts, because the
    /// first parts find their entries in other cores' caches.
    fn time_plain(&mut self, order: Order<'_>, count: u32, receipts: &mut [Receipt]) -> (u32, f64) {
        let mut lane = crate::sync_lock(&self.lanes[0]);
        let (began, mut at, mut parts) = (Instant::now(), 0, Vec::new());
        while at < count && began.elapsed().as_nanos() < TIMED_NANOS {
            let part = TIMED.min(count - at);
            let start = Instant::now();
            serial::run(self.env, order.skip(at), part, &mut lane, receipts);
            parts.push(start.elapsed().as_nanos() as f64 / f64::from(part));
            at += part;
        }
        parts.sort_unstable_by(f64::total_cmp);
        (at, parts[parts.len() / 4])
    }

    /// Executes a choice. Returns the number of executed transactions.
    fn carry_out(
        &mut self,
        order: Order<'_>,
        count: u32,
        choice: &Choice,
        receipts: &mut [Receipt],
        decisions: &mut Vec<Decision>,
    ) -> u32 {
        let Self { env, config, pool, lanes, .. } = *self;
        let threads = config.threads.max(1);
        match choice.mode {
            Mode::Serial => {
                let mut lane = crate::sync_lock(&lanes[0]);
                serial::run(env, order, count, &mut lane, receipts);
                drop(lane);
                note(decisions, count, &choice.reason);
                count
            }
            Mode::Optimistic => {
                let tuning = Tuning {
                    threads,
                    chunk: choice.chunk,
                    share: choice.share,
                    most_conflicts: choice.most_conflicts,
                };
                let done = optimistic::run(env, order, count, tuning, self.ring, pool, lanes);
                decisions.push(Decision { chunk: choice.chunk, ..decision(choice, done, threads) });
                done
            }
            Mode::Declared => {
                let graph = &mut *self.graph;
                // The rest of the stretch may not promise its accesses, even if the sample does.
                let promised = (0..count).take_while(|&position| {
                    route::is_declared(&env.transactions[order.at(position) as usize])
                });
                let done = promised.count() as u32;
                if done > 0 {
                    let chunk = choice.chunk;
                    declared::run(env, order, done, threads, chunk, graph, pool, lanes);
                    decisions.push(Decision { chunk, ..decision(choice, done, threads) });
                }
                done
            }
            Mode::Shards => self.carry_out_sharded(order, count, choice, receipts, decisions),
        }
    }

    /// Executes the fast path first and the remaining transactions afterwards. The order of the two
    /// does not change the result: no mutable object of the fast part is used by the rest.
    fn carry_out_sharded(
        &mut self,
        order: Order<'_>,
        count: u32,
        choice: &Choice,
        receipts: &mut [Receipt],
        decisions: &mut Vec<Decision>,
    ) -> u32 {
        let Self { env, config, pool, lanes, .. } = *self;
        let threads = config.threads.max(1);
        let shards = self.tuner.partitions;
        let routes = route::scan(env, order, count, shards, threads, pool);
        if routes.fast > 0 {
            let stride = crate::sync_lock(&lanes[0]).stride();
            shards::run(env, &routes.outboxes, shards, threads, stride, pool, lanes);
            let sizes = (0..shards)
                .map(|shard| routes.outboxes.iter().map(|outbox| outbox[shard].len()).sum());
            let sizes: Vec<usize> = sizes.collect();
            self.partitions.resize(self.partitions.len().max(shards), 0);
            for (total, size) in self.partitions.iter_mut().zip(&sizes) {
                *total += *size as u64;
            }
            let fullest = sizes.iter().max().copied().unwrap_or(0);
            self.tuner.balance(fullest, routes.fast);
            let fast = routes.fast as u32;
            decisions.push(Decision { partitions: shards, ..decision(choice, fast, threads) });
        }
        let ordered = routes.ordered.len() as u32;
        if ordered == 0 {
            return count;
        }
        let order = Order::Some(&routes.ordered);
        if config.adaptive {
            // The samples so far include the transactions of the shards, so they do not describe
            // the rest.
            self.sample.clear();
            self.stretches(order, ordered, receipts, decisions, &[Mode::Shards]);
            self.sample.clear();
        } else {
            let mode = if routes.declared == routes.ordered.len() {
                Mode::Declared
            } else {
                Mode::Optimistic
            };
            let choice = Choice { mode, ..choice.clone() };
            self.carry_out(order, ordered, &choice, receipts, decisions);
        }
        count
    }

    /// The choice if adaptation is off.
    fn fixed(&self) -> Choice {
        let all_declared = || self.env.transactions.iter().all(route::is_declared);
        let mode = match self.config.mode {
            Mode::Declared if !all_declared() => Mode::Optimistic,
            mode => mode,
        };
        Choice::fixed(mode, self.config.chunk.clamp(1, 16))
    }

    fn set_stamps(&self, forecast: &Forecast) {
        let stride = (STAMP_EVERY / forecast.nanos).clamp(1.0, 1024.0) as u32;
        for lane in self.lanes {
            crate::sync_lock(lane).start(stride);
        }
    }
}

fn decision(choice: &Choice, count: u32, threads: usize) -> Decision {
    Decision {
        mode: choice.mode,
        count,
        threads,
        chunk: 1,
        partitions: 1,
        reason: choice.reason.clone(),
    }
}

/// Records a stretch in the plain loop, joined with the previous decision if that was the plain
/// loop too. The last reason replaces the earlier ones, unless it is [`A_LOOK`].
fn note(decisions: &mut Vec<Decision>, count: u32, reason: &str) {
    match decisions.last_mut() {
        Some(last) if last.mode == Mode::Serial => {
            last.count += count;
            if reason != A_LOOK {
                reason.clone_into(&mut last.reason);
            }
        }
        _ => decisions.push(Decision {
            mode: Mode::Serial,
            count,
            threads: 1,
            chunk: 1,
            partitions: 1,
            reason: reason.to_owned(),
        }),
    }
}

/// Duration of one clock reading in nanoseconds, as the mean of 16.
fn clock_nanos() -> f64 {
    let start = Instant::now();
    for _ in 0..15 {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / 16.0
}
