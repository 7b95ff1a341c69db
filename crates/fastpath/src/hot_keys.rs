//! The most frequent keys in bounded memory: the space-saving summary of Metwally, Agrawal and El
//! Abbadi ("Efficient computation of frequent and top-k elements in data streams", 2005).

use std::hash::Hash;

/// Number of items in a summary. In a summary built with `add`, every item with more than 1/64 of
/// the total weight is among them.
const KEPT: usize = 64;

/// The most frequent items of a stream. In a summary built with `add`, a count is never below the
/// true count of a kept item; `merge` loses the counts of items that one summary has dropped.
#[derive(Clone, Debug)]
pub(crate) struct SpaceSaving<K> {
    kept: Vec<(K, u64)>,
}

impl<K> Default for SpaceSaving<K> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord> SpaceSaving<K> {
    /// Adds `weight` to the count of `item`.
    pub(crate) fn add(&mut self, item: K, weight: u64) {
        if let Some((_, count)) = self.kept.iter_mut().find(|(kept, _)| *kept == item) {
            *count += weight;
        } else if self.kept.len() < KEPT {
            self.kept.push((item, weight));
        } else if let Some(least) = self.kept.iter_mut().min_by_key(|(_, count)| *count) {
            *least = (item, least.1 + weight);
        }
    }

    /// Adds the counts of another summary.
    pub(crate) fn merge(&mut self, other: &Self) {
        for &(item, count) in &other.kept {
            self.add(item, count);
        }
    }

    /// The `k` most frequent items, most frequent first.
    pub(crate) fn top(&self, k: usize) -> Vec<(K, u64)> {
        let mut top = self.kept.clone();
        top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        top.truncate(k);
        top
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    pub(crate) fn map<L: Copy + Eq + Hash + Ord>(&self, f: impl Fn(K) -> L) -> SpaceSaving<L> {
        SpaceSaving { kept: self.kept.iter().map(|&(item, count)| (f(item), count)).collect() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_item_is_kept_and_never_undercounted() {
        let mut summary = SpaceSaving::default();
        for i in 0..100_000_u64 {
            summary.add(if i % 10 == 0 { 7 } else { 1000 + i }, 1);
        }
        let top = summary.top(1);
        assert_eq!(top[0].0, 7);
        assert!(top[0].1 >= 10_000);
        assert!(summary.kept.len() <= KEPT);
    }
}
