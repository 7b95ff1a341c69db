//! The choice of a mode for each stretch of a block, from measured costs.
//!
//! Every mode gives the same result, so the choice may depend on the clock. [`Tuner::choose`]
//! compares predicted times per transaction. The plain loop is always a candidate; another mode
//! must be predicted faster than it by [`MARGIN`]. The overhead of each mode is learned from the
//! stretches that it executed.

use std::fmt;

mod plain_loop;
pub(crate) mod sample;

use plain_loop::PlainLoop;
use sample::Forecast;

/// A way to execute a stretch of a block. All modes give the same result.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The plain loop: one thread executes the transactions in block order.
    Serial,
    /// Shards with a single writer each, for transactions over owned objects.
    Shards,
    /// Parallel execution under the partial order that declared access sets require.
    Declared,
    /// Speculative parallel execution with validation.
    Optimistic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serial => "serial",
            Self::Shards => "shards",
            Self::Declared => "declared",
            Self::Optimistic => "optimistic",
        })
    }
}

/// The executor's choice for a stretch of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Mode of execution.
    pub mode: Mode,
    /// Number of transactions.
    pub count: u32,
    /// Number of threads.
    pub threads: usize,
    /// Transactions per claim.
    pub chunk: u32,
    /// Number of shards; 1 in modes without shards.
    pub partitions: usize,
    /// Reason for the choice, for people.
    pub reason: String,
}

/// A choice before its execution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) mode: Mode,
    pub(crate) chunk: u32,
    /// Whether higher transactions can read uncommitted writes.
    pub(crate) share: bool,
    /// Conflicts per commit above which the plain loop is predicted to be faster.
    pub(crate) most_conflicts: f64,
    /// Predicted wall-clock nanoseconds per transaction, without the mode's overhead.
    pub(crate) ideal: f64,
    pub(crate) reason: String,
}

impl Choice {
    /// A configured choice, without a measurement.
    pub(crate) fn fixed(mode: Mode, chunk: u32) -> Self {
        Self {
            mode,
            chunk,
            share: true,
            most_conflicts: f64::INFINITY,
            ideal: 0.0,
            reason: "as configured".into(),
        }
    }
}

/// Minimum work of a parallel stretch, in nanoseconds of one thread. Less work does not repay
/// waking the threads.
const LEAST_STRETCH: f64 = 30_000.0;
/// A mode's predicted time must be below this share of the plain loop's time.
const MARGIN: f64 = 0.92;
/// Nanoseconds to pass the frontier from one worker to another.
const HAND_OVER: f64 = 300.0;
/// Maximum duration of one claim's work, in nanoseconds.
const LONGEST_CHUNK: f64 = 16_000.0;
/// Conflict probability per pair of transactions up to which uncommitted writes are not shared.
const RARE: f64 = 0.004;

/// Blocks in the plain loop before a mode that was too slow is tried again: initial value and
/// maximum.
const PAUSE: (u32, u32) = (4, 64);

/// Learned costs of all modes.
#[derive(Clone, Debug)]
pub(crate) struct Tuner {
    modes: [Learned; 4],
    pub(crate) partitions: usize,
    threads: usize,
    /// Cost of the plain loop.
    pub(crate) plain: PlainLoop,
}

/// Learned cost of one mode.
#[derive(Clone, Debug)]
struct Learned {
    /// Cost per transaction beyond its own work, in nanoseconds of one thread.
    overhead: f64,
    /// The overhead at the last use, if the mode was slower than the plain loop then.
    lost: Option<f64>,
    /// Blocks without this mode after the last loss. Doubles with each loss.
    pause: u32,
    /// Remaining blocks of the pause.
    rest: u32,
}

/// Overhead of each mode before any measurement, in nanoseconds.
const EXPECTED: [f64; 4] = [0.0, 60.0, 150.0, 200.0];

impl Tuner {
    pub(crate) fn new(threads: usize, partitions: usize) -> Self {
        let modes = EXPECTED.map(|overhead| Learned { overhead, lost: None, pause: 0, rest: 0 });
        Self { modes, partitions, threads, plain: PlainLoop::new() }
    }

    /// Chooses the mode for `count` transactions that resemble those of the forecast. `exclude`
    /// lists modes that may not be chosen.
    pub(crate) fn choose(&self, forecast: &Forecast, count: u32, exclude: &[Mode]) -> Choice {
        let serial = |reason: String| Choice {
            mode: Mode::Serial,
            chunk: 1,
            share: false,
            most_conflicts: 0.0,
            ideal: forecast.nanos,
            reason,
        };
        if self.threads < 2 {
            return serial("one thread".into());
        }
        if forecast.nanos * f64::from(count) < LEAST_STRETCH {
            return serial(format!("{count} of {:.0} ns are too little work", forecast.nanos));
        }
        let mut best = (forecast.nanos * MARGIN, None);
        let mut consider = |choice: Choice| {
            let overhead = self.modes[choice.mode as usize].overhead;
            let time = choice.ideal + overhead / self.threads as f64;
            if !exclude.contains(&choice.mode) && time < best.0 {
                best = (time, Some(choice));
            }
        };
        if forecast.owned > 0.0 {
            consider(self.shards(forecast));
        }
        if forecast.declared > 0.99 {
            consider(self.declared(forecast));
        }
        for chunk in [1, 2, 4, 8, 16] {
            if chunk == 1 || f64::from(chunk) * forecast.nanos <= LONGEST_CHUNK {
                consider(self.optimistic(forecast, chunk));
            }
        }
        match best {
            (time, Some(mut choice)) => {
                choice.reason = format!(
                    "{}: {time:.0} ns against {:.0} ns alone",
                    choice.reason, forecast.nanos
                );
                choice
            }
            (_, None) => serial(format!(
                "{:.0} ns, {:.0} % conflicts: nothing promises less",
                forecast.nanos,
                forecast.near * 100.0
            )),
        }
    }

    fn shards(&self, forecast: &Forecast) -> Choice {
        let threads = self.threads as f64;
        Choice {
            mode: Mode::Shards,
            chunk: 1,
            share: false,
            most_conflicts: 0.0,
            // Transactions that are not owned may be ordered one after the other.
            ideal: forecast.nanos * (forecast.owned / threads + (1.0 - forecast.owned)),
            reason: format!("{:.0} % own their objects", forecast.owned * 100.0),
        }
    }

    fn declared(&self, forecast: &Forecast) -> Choice {
        let chunk = (4000.0 / forecast.nanos).clamp(1.0, 8.0) as u32;
        Choice {
            mode: Mode::Declared,
            chunk,
            share: false,
            most_conflicts: 0.0,
            ideal: forecast.nanos / forecast.known.min(self.threads as f64),
            reason: format!("declared sets allow {:.2} at once", forecast.known),
        }
    }

    fn optimistic(&self, forecast: &Forecast, chunk: u32) -> Choice {
        let threads = self.threads as f64;
        let others = threads - 1.0;
        let conflict =
            (1.0 - (1.0 - forecast.far).powf(f64::from(chunk) * others)).max(forecast.near);
        let work = forecast.nanos + HAND_OVER / f64::from(chunk);
        let time = |conflict: f64| work * (1.0 + conflict * others) / threads;
        // The conflict rate at which the plain loop is as fast.
        let most = (forecast.nanos * threads / work - 1.0) / others;
        Choice {
            mode: Mode::Optimistic,
            chunk,
            share: forecast.far > RARE,
            most_conflicts: most.clamp(0.05, 0.95),
            ideal: time(conflict),
            reason: format!("{:.1} % conflicts in chunks of {chunk}", conflict * 100.0),
        }
    }

    /// Learns from a stretch that took `measured` nanoseconds of wall clock per transaction.
    /// `alone` is the predicted time of the plain loop.
    pub(crate) fn learn(&mut self, choice: &Choice, alone: f64, measured: f64) {
        let threads = self.threads as f64;
        let mode = &mut self.modes[choice.mode as usize];
        let observed = ((measured - choice.ideal) * threads).clamp(0.0, 50_000.0);
        if measured <= alone {
            (mode.lost, mode.pause) = (None, 0);
            mode.overhead += (observed - mode.overhead) * 0.3;
        } else if let Some(before) = mode.lost.replace(observed) {
            // One loss can have an outside cause, such as another process. After two consecutive
            // losses the smaller overhead counts.
            mode.overhead = mode.overhead.max(observed.min(before));
            mode.pause = (2 * mode.pause).clamp(PAUSE.0, PAUSE.1);
            mode.rest = mode.pause;
        }
    }

    /// Records a block that ran in the plain loop only. Lowers the learned overheads towards the
    /// expected ones, because the cause of slowness may have ended.
    pub(crate) fn forgive(&mut self) {
        for (mode, expected) in self.modes.iter_mut().zip(EXPECTED) {
            let share = if mode.rest == 1 { 1.0 } else { 0.03 };
            mode.overhead += (expected - mode.overhead).min(0.0) * share;
            mode.rest = mode.rest.saturating_sub(1);
        }
    }

    /// Adjusts the number of shards to the largest shard of the last block.
    pub(crate) fn balance(&mut self, fullest: usize, total: usize) {
        let fair = total.div_ceil(self.threads).max(1);
        let (least, most) = (self.threads, 64 * self.threads);
        if fullest * 4 > fair && self.partitions * 2 <= most {
            self.partitions *= 2;
        } else if fullest * 32 < fair && self.partitions / 2 >= least {
            self.partitions /= 2;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn forecast(nanos: f64, near: f64, far: f64) -> Forecast {
        Forecast { nanos, typical: nanos, near, far, known: 1.0, owned: 0.0, declared: 0.0 }
    }

    #[test]
    fn cheap_work_and_chains_stay_in_the_plain_loop() {
        let tuner = Tuner::new(2, 8);
        assert_eq!(tuner.choose(&forecast(100.0, 0.0, 0.0), 10_000, &[]).mode, Mode::Serial);
        assert_eq!(tuner.choose(&forecast(10_000.0, 1.0, 0.1), 10_000, &[]).mode, Mode::Serial);
        assert_eq!(tuner.choose(&forecast(10_000.0, 0.0, 0.0), 2, &[]).mode, Mode::Serial);
    }

    #[test]
    fn independent_work_runs_ahead_in_chunks_and_contended_work_one_by_one() {
        let tuner = Tuner::new(2, 8);
        let free = tuner.choose(&forecast(1000.0, 0.0, 0.0), 10_000, &[]);
        assert_eq!((free.mode, free.share), (Mode::Optimistic, false));
        assert!(free.chunk > 4);
        let contended = tuner.choose(&forecast(10_000.0, 0.38, 0.38), 10_000, &[]);
        assert_eq!((contended.mode, contended.chunk, contended.share), (Mode::Optimistic, 1, true));
    }

    #[test]
    fn a_mode_that_lost_twice_is_left_and_tried_again_later() {
        let mut tuner = Tuner::new(2, 8);
        let forecast = forecast(1000.0, 0.0, 0.0);
        let choice = tuner.choose(&forecast, 10_000, &[]);
        assert_eq!(choice.mode, Mode::Optimistic);
        for measured in [600.0, 9000.0, 600.0, 3000.0] {
            tuner.learn(&choice, 1000.0, measured);
            assert_eq!(tuner.choose(&forecast, 10_000, &[]).mode, Mode::Optimistic);
        }
        // From here on every loss follows another loss.
        for pause in [4, 8, 16, 32, 64, 64] {
            tuner.learn(&choice, 1000.0, 3000.0);
            let mut blocks = 0;
            while tuner.choose(&forecast, 10_000, &[]).mode == Mode::Serial {
                tuner.forgive();
                blocks += 1;
            }
            assert_eq!(blocks, pause);
        }
    }
}
