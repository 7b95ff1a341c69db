//! What a transaction takes in the plain loop, which a look at single transactions does not tell.
//!
//! A transaction that is looked at costs more than it does in the loop: by the clock, and because the
//! last stretch left what it touches in other cores' caches. So a part of a stretch is timed whole now
//! and then, and forecasts are scaled by what came of it.

use super::{Mode, sample::Forecast};

/// Most blocks from one timing to the next.
const SELDOM: u32 = 16;
/// A mean so many times the typical time speaks of transactions that really take longer.
const TAIL: f64 = 3.0;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct PlainLoop {
    /// What a transaction takes in the loop, over what it takes when it is looked at.
    ratio: f64,
    /// Blocks from the next timing to the one after.
    every: u32,
    /// Blocks until the next timing.
    until: u32,
    /// What was chosen last.
    mode: Mode,
}

impl PlainLoop {
    pub(super) fn new() -> Self {
        Self { ratio: 1.0, every: 1, until: 0, mode: Mode::Serial }
    }

    /// A block begins.
    pub(crate) fn begin(&mut self) {
        self.until = self.until.saturating_sub(1);
    }

    /// Whether something else was chosen last.
    pub(crate) fn left(&self) -> bool {
        self.mode != Mode::Serial
    }

    /// Whether the loop should be timed: often at first and when the mode changed, then seldom.
    pub(crate) fn wants_timing(&self) -> bool {
        self.until == 0
    }

    /// A typical transaction of those that were looked at took so long in the loop.
    pub(crate) fn time(&mut self, looked: &Forecast, nanos: f64) {
        // A few that take many times as long are part of the work; less of a tail comes of looking.
        let of = if looked.nanos < TAIL * looked.typical { looked.nanos } else { looked.typical };
        self.approach(nanos / of);
        self.until = self.every;
        self.every = (2 * self.every).min(SELDOM);
    }

    /// A stretch in the loop took so long for each transaction, those that take longest included.
    pub(crate) fn learn(&mut self, looked: &Forecast, nanos: f64) {
        self.approach(nanos / looked.nanos);
    }

    fn approach(&mut self, ratio: f64) {
        self.ratio += (ratio.clamp(0.05, 1.5) - self.ratio) * 0.7;
    }

    /// The forecast for the loop.
    pub(crate) fn correct(&self, forecast: Forecast) -> Forecast {
        Forecast { nanos: (forecast.nanos * self.ratio).max(1.0), ..forecast }
    }

    /// What was chosen is carried out. Only leaving the loop or coming back to it changes whose caches
    /// hold the state, and so what the loop takes.
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
        // Looked at, it seems to take a microsecond; in the loop it takes a tenth of that.
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
