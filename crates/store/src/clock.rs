//! Hours of service: time during which the store was open, whatever the wall clock says.

use std::time::{Duration, Instant};

/// How often the service time is written down. After a crash it goes on from there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(60);

/// Counts milliseconds of service over all runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceClock {
    base: i64,
    opened: Instant,
}

impl ServiceClock {
    /// Goes on from the milliseconds that were written down last.
    pub(crate) fn from(base: i64) -> ServiceClock {
        ServiceClock { base, opened: Instant::now() }
    }

    /// Milliseconds of service until now.
    pub(crate) fn now(&self) -> i64 {
        self.base.saturating_add(millis(self.opened.elapsed()))
    }
}

/// A duration in milliseconds, as the journal counts.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
