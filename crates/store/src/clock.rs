//! Service time: the time during which the store was open. It does not follow the wall clock.

use std::time::{Duration, Instant};

/// Interval between two records of the service time. After a crash it continues from the last record.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(60);

/// Counts milliseconds of service time over all runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceClock {
    base: i64,
    opened: Instant,
}

impl ServiceClock {
    /// Continues from `base`, the recorded service time in milliseconds.
    pub(crate) fn starting_at(base: i64) -> ServiceClock {
        ServiceClock { base, opened: Instant::now() }
    }

    /// The current service time in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        self.base.saturating_add(millis(self.opened.elapsed()))
    }
}

/// A duration in whole milliseconds, the unit of the journal; saturates at `i64::MAX`.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
