//! Histograms of latencies in nanoseconds. The width of a bucket grows with the value.

use std::fmt;

/// Buckets per power of two. A bucket is at most 1/32 of its value wide.
const STEPS: usize = 32;
const STEP_BITS: u32 = STEPS.ilog2();
/// Values of at least 2^42 ns (more than an hour) belong to the last bucket.
const BUCKETS: usize = STEPS * (42 - STEP_BITS as usize + 1);

/// A log-linear histogram. A percentile is at most 1/32 above the exact one, for values from 1 ns
/// to 2^42 ns.
#[derive(Clone)]
pub struct LatencyHistogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }
}

impl LatencyHistogram {
    /// Creates an empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records one latency.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.record_many(nanos, 1);
    }

    /// Records `count` latencies of `nanos` each, such as those of a batch with one clock reading.
    #[inline]
    pub fn record_many(&mut self, nanos: u64, count: u64) {
        self.counts[bucket(nanos)] += count;
        self.total += count;
        self.sum += u128::from(nanos) * u128::from(count);
        self.max = self.max.max(nanos);
    }

    /// Adds the latencies of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Removes all latencies.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.sum, self.max) = (0, 0, 0);
    }

    /// Number of recorded latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Exact mean in nanoseconds; zero if the histogram is empty.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// Exact maximum in nanoseconds; zero if the histogram is empty.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The latency in nanoseconds that a share `q` (0 to 1) of all latencies does not exceed,
    /// rounded up to the end of its bucket; zero if the histogram is empty.
    #[must_use]
    pub fn percentile(&self, q: f64) -> u64 {
        let rank = ((q.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank && self.total > 0 {
                return upper(index).min(self.max);
            }
        }
        0
    }
}

impl fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyHistogram")
            .field("count", &self.total)
            .field("p50", &self.percentile(0.5))
            .field("p99", &self.percentile(0.99))
            .field("max", &self.max)
            .finish()
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let magnitude = nanos.ilog2();
    let step = (nanos >> (magnitude - STEP_BITS)) as usize - STEPS;
    ((magnitude - STEP_BITS + 1) as usize * STEPS + step).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let magnitude = index / STEPS - 1;
    let step = (index % STEPS + STEPS) as u64;
    ((step + 1) << magnitude) - 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_within_its_bucket_of_the_sorted_truth() {
        let mut histogram = LatencyHistogram::new();
        let mut values: Vec<u64> = (0..10_000_u64)
            .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (24 + i % 39))
            .collect();
        values.iter().for_each(|&value| histogram.record(value));
        values.sort_unstable();
        for q in [0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
            let truth = values[((q * 10_000_f64).ceil() as usize).clamp(1, 10_000) - 1];
            let seen = histogram.percentile(q);
            assert!(
                seen >= truth && seen as f64 <= truth as f64 * 1.032 + 1.0,
                "{q}: {seen} {truth}"
            );
        }
        assert_eq!(histogram.max(), *values.last().unwrap());
    }

    #[test]
    fn nanoseconds_are_told_apart_and_hours_do_not_overflow() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(3);
        assert_eq!(histogram.percentile(0.5), 3);
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile(0.5), 3);
        assert!(histogram.percentile(1.0) > 1 << 41);
    }

    #[test]
    fn merging_is_recording_everything_in_one() {
        let (mut a, mut b, mut both) =
            <(LatencyHistogram, LatencyHistogram, LatencyHistogram)>::default();
        for i in 0..1000 {
            if i % 3 == 0 {
                a.record(i * i)
            } else {
                b.record(i * i)
            }
            both.record(i * i);
        }
        a.merge(&b);
        assert_eq!(
            (a.counts, a.total, a.sum, a.max),
            (both.counts, both.total, both.sum, both.max)
        );
    }
}
