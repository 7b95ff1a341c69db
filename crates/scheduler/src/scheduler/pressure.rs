//! Memory pressure: what the process really holds, compared with the budget.

use super::Scheduler;
use crate::memory::{Memory, Pool};
use crate::trace::{PressureStep, TraceEvent};

impl Scheduler {
    /// Compares resident memory with the budget and moves to the pressure step that its size calls
    /// for. A step that was taken stays until resident memory is `slack` below its threshold.
    pub(super) fn resident(&mut self, resident: Memory) {
        let full = self.fullness(resident);
        let limits = self.config.pressure;
        let from = self.pressure;
        let level =
            |bound: u32, on: bool| full >= bound.saturating_sub(if on { limits.slack } else { 0 });
        let bound = match from {
            // Still above the threshold with no more in flight than the bound allows: halve the
            // bound.
            PressureStep::Shrink(n) if full >= limits.shrink && self.in_flight <= n => n / 2,
            PressureStep::Shrink(n) => n,
            _ => self.in_flight / 2,
        };
        let to = if level(limits.shrink, matches!(from, PressureStep::Shrink(_))) {
            PressureStep::Shrink(bound.max(1))
        } else if level(limits.pause, from >= PressureStep::PauseBatch) {
            PressureStep::PauseBatch
        } else if level(limits.evict, from >= PressureStep::EvictIdle) {
            PressureStep::EvictIdle
        } else {
            PressureStep::None
        };
        if to != from {
            self.pressure = to;
            let reserved = self.reserved();
            self.push_trace(TraceEvent::Pressure { from, to, resident, reserved });
        }
    }

    /// Resident bytes in thousandths of the budget, for the pool where that is larger.
    fn fullness(&self, resident: Memory) -> u32 {
        let full = (0..Pool::SHARED.len())
            .filter(|&pool| self.config.budget[pool] > 0)
            .map(|pool| u128::from(resident[pool]) * 1000 / u128::from(self.config.budget[pool]));
        u32::try_from(full.max().unwrap_or(0)).unwrap_or(u32::MAX)
    }
}
