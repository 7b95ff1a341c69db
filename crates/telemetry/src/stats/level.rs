//! A step function of time and its integral.

use athanor_scheduler::Time;

/// The current value, and its integral since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    now: u64,
    since: Time,
    integral: u128,
}

impl Level {
    pub(super) fn set(&mut self, at: Time, value: u64) {
        self.integral = self.integral(at);
        self.since = self.since.max(at);
        self.now = value;
    }

    pub(super) fn change(&mut self, at: Time, by: i64) {
        self.set(at, self.now.saturating_add_signed(by));
    }

    /// The integral up to `at`, in units times nanoseconds.
    pub(super) fn integral(&self, at: Time) -> u128 {
        self.integral + u128::from(self.now) * u128::from((at - self.since).0)
    }
}
