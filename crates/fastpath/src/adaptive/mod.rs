//! How a stretch of a block is executed, and why: measured costs in, a mode out.
//!
//! Every mode gives the same result, so the choice may depend on the clock. It compares predicted
//! times per transaction; the plain loop is always among the candidates, and anything else must
//! beat it with a margin. What a mode costs beyond the transactions' own work is learned from each
//! stretch that it ran.

use std::fmt;

mod plain_loop;
pub(crate) mod sample;

use plain_loop::PlainLoop;
use sample::Forecast;

/// A way to execute.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The plain loop.
    Serial,
    /// Single-writer shards, for owned objects.
    Shards,
    /// In the order that declared access sets ask for, and no stricter.
    Declared,
    /// Ahead of the order, with validation.
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

/// What the executor chose for a stretch of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// How it was executed.
    pub mode: Mode,
    /// How many transactions.
    pub count: u32,
    /// On how many threads.
    pub threads: usize,
    /// Transactions claimed at once.
    pub chunk: u32,
    /// Shards, where there are any.
    pub partitions: usize,
    /// What spoke for it.
    pub reason: String,
}

/// A choice before it is carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) mode: Mode,
    pub(crate) chunk: u32,
    /// Whether uncommitted writes are shown to higher transactions.
    pub(crate) share: bool,
    /// Conflicts per commit past which the plain loop would have been faster.
    pub(crate) most_conflicts: f64,
    /// Predicted wall-clock nanoseconds per transaction, without the mode's overhead.
    pub(crate) ideal: f64,
    pub(crate) reason: String,
}

impl Choice {
    /// A choice that nothing was measured for.
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

/// Nanoseconds that a stretch must hold to be worth waking threads for.
const LEAST_STRETCH: f64 = 30_000.0;
/// A mode must promise less than this share of the plain loop's time.
const MARGIN: f64 = 0.92;
/// Nanoseconds to hand the frontier from one worker to another.
const HAND_OVER: f64 = 300.0;
/// How long claimed work may take before the frontier passes on, nanoseconds.
const LONGEST_CHUNK: f64 = 16_000.0;
/// Chance of a conflict per pair below which nobody needs to see uncommitted writes.
const RARE: f64 = 0.004;

/// Blocks in the plain loop until a mode that lost is tried again: at first, and at most.
const PAUSE: (u32, u32) = (4, 64);

/// What was learned of the modes.
#[derive(Clone, Debug)]
pub(crate) struct Tuner {
    modes: [Learned; 4],
    pub(crate) partitions: usize,
    threads: usize,
    /// What the plain loop takes.
    pub(crate) plain: PlainLoop,
}

/// What was learned of one mode.
#[derive(Clone, Debug)]
struct Learned {
    /// What it costs beyond the work, nanoseconds of one thread for each transaction.
    overhead: f64,
    /// The same of the last time, if it was slower than the plain loop.
    lost: Option<f64>,
    /// Blocks that it was left out of after it lost, each time twice as many.
    pause: u32,
    /// How many of them are left.
    rest: u32,
}

/// What each mode costs beyond the work until it was measured.
const EXPECTED: [f64; 4] = [0.0, 60.0, 150.0, 200.0];

impl Tuner {
    pub(crate) fn new(threads: usize, partitions: usize) -> Self {
        let modes = EXPECTED.map(|overhead| Learned { overhead, lost: None, pause: 0, rest: 0 });
        Self { modes, partitions, threads, plain: PlainLoop::new() }
    }

    /// The mode for `count` transactions like those of the forecast.
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
            // What is not owned may have to wait its turn.
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
        // Where the plain loop would break even.
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
    pub(crate) fn learn(&mut self, choice: &Choice, alone: f64, measured: f64) {
        let threads = self.threads as f64;
        let mode = &mut self.modes[choice.mode as usize];
        let observed = ((measured - choice.ideal) * threads).clamp(0.0, 50_000.0);
        if measured <= alone {
            (mode.lost, mode.pause) = (None, 0);
            mode.overhead += (observed - mode.overhead) * 0.3;
        } else if let Some(before) = mode.lost.replace(observed) {
            // Once may have been another program's doing; what is lost twice counts at once.
            mode.overhead = mode.overhead.max(observed.min(before));
            mode.pause = (2 * mode.pause).clamp(PAUSE.0, PAUSE.1);
            mode.rest = mode.pause;
        }
    }

    /// A block went by in the plain loop: what made the other modes slow may be over.
    pub(crate) fn forgive(&mut self) {
        for (mode, expected) in self.modes.iter_mut().zip(EXPECTED) {
            let share = if mode.rest == 1 { 1.0 } else { 0.03 };
            mode.overhead += (expected - mode.overhead).min(0.0) * share;
            mode.rest = mode.rest.saturating_sub(1);
        }
    }

    /// Adjusts the shards to how evenly the last block filled them.
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
        // From now on each loss follows one.
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
