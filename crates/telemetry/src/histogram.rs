//! A log-linear histogram: quantiles with bounded relative error, in bounded memory.
//!
//! Values below `2^BITS` have a bucket each. Above that, every power of two is divided into `2^BITS`
//! equal buckets (the layout of Tene's HdrHistogram). The relative error of a quantile is at most
//! `2^-BITS` at every magnitude, without bucket bounds chosen beforehand.

/// Binary logarithm of the number of buckets per power of two.
const BITS: u32 = 7;
const CUT: u64 = 1 << BITS;

/// Counts of values; durations are recorded in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Grows up to the largest index seen: at most 58 * 128 counters.
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Histogram {
    /// The largest relative error of [`Histogram::quantile`].
    pub const ERROR: f64 = 1.0 / CUT as f64;

    /// An empty one.
    pub fn new() -> Histogram {
        Histogram::default()
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        let at = index(value);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// Adds all values of another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        if other.count == 0 {
            return;
        }
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The exact mean; zero if empty.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The exact smallest value; zero if empty.
    pub fn min(&self) -> u64 {
        self.min
    }

    /// The exact largest value; zero if empty.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The `q`-quantile: the smallest recorded value that at least the fraction `q` of all values do not
    /// exceed. The result is at most [`Histogram::ERROR`] (relative) too large, and never above the
    /// maximum. `None` if empty.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(upper(at).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }
}

fn index(value: u64) -> usize {
    if value < CUT {
        return value as usize;
    }
    let shift = value.ilog2() - BITS;
    (u64::from(shift) * CUT + (value >> shift)) as usize
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < 2 * CUT {
        return at;
    }
    let shift = at / CUT - 1;
    let top = at - shift * CUT;
    ((top << shift) - 1).saturating_add(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values around every power of two.
    fn edges() -> impl Iterator<Item = u64> {
        (0..64).flat_map(|bit| {
            let v = 1u64 << bit;
            [v - 1, v, v + 1, v.saturating_add(v / 3)]
        })
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for v in edges().chain([u64::MAX]) {
            let at = index(v);
            assert!(upper(at) >= v, "{v}");
            assert!(at == 0 || upper(at - 1) < v, "{v}");
            assert!((upper(at) - v) as f64 <= v as f64 * Histogram::ERROR, "{v}");
        }
    }

    #[test]
    fn quantiles_agree_with_sorting_to_within_the_stated_error() {
        let mut state = 7u64;
        let mut values: Vec<u64> = (0..10_000)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) >> ((state >> 20) % 25)
            })
            .collect();
        let mut h = Histogram::new();
        values.iter().for_each(|&v| h.record(v));
        values.sort_unstable();
        for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[((q * 10_000.0_f64).ceil() as usize).max(1) - 1];
            let got = h.quantile(q).unwrap();
            assert!(got >= exact && (got - exact) as f64 <= exact as f64 * Histogram::ERROR + 1e-9);
        }
        let mut small = Histogram::new();
        (1..=100).for_each(|v| small.record(v));
        for (q, exact) in [(0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)] {
            assert_eq!(small.quantile(q), Some(exact), "small values are exact");
        }
        let sum: u64 = values.iter().sum();
        assert_eq!(h.mean(), sum as f64 / 10_000.0);
        assert_eq!((h.min(), h.max()), (values[0], values[9_999]));
    }

    #[test]
    fn merging_equals_recording_everything_in_one() {
        let (mut a, mut b, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for (at, v) in edges().enumerate() {
            if at % 3 == 0 {
                a.record(v)
            } else {
                b.record(v)
            }
            both.record(v);
        }
        a.merge(&b);
        a.merge(&Histogram::new());
        assert_eq!(a, both);
        assert_eq!(Histogram::new().quantile(0.5), None);
    }
}
