//! Errors that repeat are logged now and then, with their number.

use std::time::{Duration, Instant};

/// Shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one event through per interval and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Whether an event at `now` is to be logged; then the number of those that were not, since the last one.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
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
        assert_eq!(throttle.pass(start), Some(0));
        for at in 0..9 {
            assert_eq!(throttle.pass(start + Duration::from_secs(at)), None);
        }
        assert_eq!(throttle.pass(start + INTERVAL), Some(9));
        assert_eq!(throttle.pass(start + 2 * INTERVAL), Some(0));
    }
}
