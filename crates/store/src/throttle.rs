//! Limits the rate at which a repeated error is logged.

use std::time::{Duration, Instant};

/// Shortest time between two logged events.
const INTERVAL: Duration = Duration::from_secs(10);

/// Admits one event per interval and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// `Some(suppressed)` if an event at `now` may be logged, where `suppressed` is the number of events suppressed
    /// since the last logged one; `None` if this event is suppressed.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_once_and_then_with_its_count() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.admit(start), Some(0));
        for at in 0..9 {
            assert_eq!(throttle.admit(start + Duration::from_secs(at)), None);
        }
        assert_eq!(throttle.admit(start + INTERVAL), Some(9));
        assert_eq!(throttle.admit(start + 2 * INTERVAL), Some(0));
    }
}
