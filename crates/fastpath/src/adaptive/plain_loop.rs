//! The duration of a transaction in the plain loop, estimated from timed parts of the loop.
//!
//! A sampled transaction takes longer than in the loop, because of the clock reads and because the
//! last parallel stretch left its entries in the caches of other cores. A part of a stretch is
//! therefore timed as a whole from time to time, and forecasts are scaled by the result.

use super::{Mode, sample::Forecast};

/// Maximum number of blocks between two timings.
const SELDOM: u32 = 16;
/// If the mean of a sample is at least this many times its typical value, the tail is real work.
const TAIL: f64 = 3.0;

/// The ratio of loop time to sampled time, and when to measure it again.
#[derive(Clone, Debug)]
pub(crate) struct PlainLoop {
    /// Duration of a transaction in the loop, divided by its sampled duration.
    ratio: f64,
    /// Blocks between the next timing and the one after it.
    every: u32,
    /// Blocks until the next timing.
    until: u32,
    /// The mode that was chosen last.
    mode: Mode,
}

impl PlainLoop {
    pub(super) fn new() -> Self {
        Self { ratio: 1.0, every: 1, until: 0, mode: Mode::Serial }
    }

    /// Records the start of a block.
    pub(crate) fn begin(&mut self) {
        self.until = self.until.saturating_sub(1);
    }

    /// Whether a mode other than the plain loop was chosen last.
    pub(crate) fn left(&self) -> bool {
        self.mode != Mode::Serial
    }

    /// Whether the loop should be timed now: frequently at first and after a change of mode, rarely
    /// later.
    pub(crate) fn wants_timing(&self) -> bool {
        self.until == 0
    }

    /// Records a timing: a typical transaction took `nanos` nanoseconds in the loop. `looked` is
    /// the forecast of the sampled transactions.
    pub(crate) fn time(&mut self, looked: &Forecast, nanos: f64) {
        // A small number of much longer transactions are part of the work. A shorter tail is an
        // artefact of the sampling.
        let of = if looked.nanos < TAIL * looked.typical { looked.nanos } else { looked.typical };
        self.approach(nanos / of);
        self.until = self.every;
        self.every = (2 * self.every).min(SELDOM);
    }

    /// Records a stretch in the loop that took `nanos` nanoseconds per transaction on average.
    pub(crate) fn learn(&mut self, looked: &Forecast, nanos: f64) {
        self.approach(nanos / looked.nanos);
    }

    fn approach(&mut self, ratio: f64) {
        self.ratio += (ratio.clamp(0.05, 1.5) - self.ratio) * 0.7;
    }

    /// Scales a forecast to durations in the loop.
    pub(crate) fn correct(&self, forecast: Forecast) -> Forecast {
        Forecast { nanos: (forecast.nanos * self.ratio).max(1.0), ..forecast }
    }

    /// Records the chosen mode. Only a change from or to the plain loop changes which cores' caches
    /// hold the state, and with it the duration in the loop.
    pub(crate) fn chose(&mut self, mode: Mode) {
        let before = std::mem::replace(&mut self.mode, mode);
        if (before == Mode::Serial) != (mode == Mode::Serial) {
            (self.every, self.until) = (1, 1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Tuner;
    use super::*;

    #[test]
    fn a_look_that_misleads_is_corrected_by_the_clock() {
        let mut tuner = Tuner::new(2, 8);
        // Sampled, a transaction takes a microsecond; in the loop it takes a tenth of that.
        let forecast = Forecast {
            nanos: 1000.0,
            typical: 1000.0,
            near: 0.0,
            far: 0.0,
            known: 1.0,
            owned: 0.0,
            declared: 0.0,
        };
        assert_eq!(tuner.choose(&forecast, 10_000, &[]).mode, Mode::Optimistic);
        let mut timed = Vec::new();
        for block in 0..100 {
            tuner.plain.begin();
            if tuner.plain.wants_timing() {
                tuner.plain.time(&forecast, 100.0);
                timed.push(block);
            }
            let forecast = tuner.plain.correct(forecast);
            let mode = tuner.choose(&forecast, 10_000, &[]).mode;
            tuner.plain.chose(mode);
        }
        assert_eq!(tuner.plain.mode, Mode::Serial);
        assert!(timed.len() < 20 && timed[1] == 1, "{timed:?}");
    }
}
