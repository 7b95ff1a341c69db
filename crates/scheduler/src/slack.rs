//! A tree over numbered slots with two operations in logarithmic time: add a value to a prefix of
//! the slots, and find the last slot of a prefix whose value is below a threshold.
//!
//! An addition stays at the node where it was made and is not pushed down, so queries do not write.

/// The value of an empty slot: above every threshold, and far enough from `i64::MAX` for additions.
const EMPTY: i64 = i64::MAX / 4;

/// See the module docs. `size` is the number of slots, a power of two.
#[derive(Debug)]
pub(crate) struct SlackTree {
    size: usize,
    /// By node: the least value below it, with the node's own `add` and without its ancestors'.
    low: Vec<i64>,
    add: Vec<i64>,
}

impl SlackTree {
    pub(crate) fn new(slots: usize) -> SlackTree {
        let size = slots.next_power_of_two().max(2);
        SlackTree { size, low: vec![EMPTY; 2 * size], add: vec![0; 2 * size] }
    }

    pub(crate) fn slots(&self) -> usize {
        self.size
    }

    /// Computes `low` of all nodes above `node` anew.
    fn update_ancestors(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            self.low[node] = self.low[2 * node].min(self.low[2 * node + 1]) + self.add[node];
        }
    }

    /// Adds `by` to the slots `0..end`.
    pub(crate) fn add_before(&mut self, end: usize, by: i64) {
        if end == 0 || by == 0 {
            return;
        }
        let (mut left, mut right) = (self.size, self.size + end);
        while left < right {
            for node in [(left % 2 == 1).then_some(left), (right % 2 == 1).then(|| right - 1)] {
                if let Some(node) = node.filter(|&n| n >= left && n < right) {
                    self.low[node] += by;
                    self.add[node] += by;
                }
            }
            left = left.div_ceil(2);
            right /= 2;
        }
        self.update_ancestors(self.size);
        self.update_ancestors(self.size + end - 1);
    }

    /// Sum of the additions at all nodes above `node`.
    fn ancestors_add(&self, mut node: usize) -> i64 {
        let mut sum = 0;
        while node > 1 {
            node /= 2;
            sum += self.add[node];
        }
        sum
    }

    pub(crate) fn get(&self, slot: usize) -> i64 {
        self.low[self.size + slot] + self.ancestors_add(self.size + slot)
    }

    pub(crate) fn set(&mut self, slot: usize, value: i64) {
        let node = self.size + slot;
        self.low[node] = value - self.ancestors_add(node);
        self.update_ancestors(node);
    }

    pub(crate) fn clear(&mut self, slot: usize) {
        self.set(slot, EMPTY);
    }

    /// The last slot in `0..end` whose value is below `threshold`.
    pub(crate) fn last_below(&self, end: usize, threshold: i64) -> Option<usize> {
        self.last_below_in(1, 0, self.size, end, threshold, 0)
    }

    /// [`Self::last_below`] in the subtree of `node`, which covers `len` slots from `from` on;
    /// `above` is the sum of the additions above the node.
    fn last_below_in(
        &self,
        node: usize,
        from: usize,
        len: usize,
        end: usize,
        limit: i64,
        above: i64,
    ) -> Option<usize> {
        if from >= end || self.low[node] + above >= limit {
            return None;
        }
        if len == 1 {
            return Some(from);
        }
        let (half, above) = (len / 2, above + self.add[node]);
        self.last_below_in(2 * node + 1, from + half, half, end, limit, above)
            .or_else(|| self.last_below_in(2 * node, from, half, end, limit, above))
    }

    /// The least value in `0..end`; very large if all slots are empty.
    pub(crate) fn least(&self, end: usize) -> i64 {
        self.least_in(1, 0, self.size, end, 0)
    }

    /// [`Self::least`] in the subtree of `node`, with the same parameters.
    fn least_in(&self, node: usize, from: usize, len: usize, end: usize, above: i64) -> i64 {
        if from >= end {
            return i64::MAX;
        }
        if from + len <= end {
            return self.low[node] + above;
        }
        let (half, above) = (len / 2, above + self.add[node]);
        let left = self.least_in(2 * node, from, half, end, above);
        left.min(self.least_in(2 * node + 1, from + half, half, end, above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Jitter;

    /// Equal to a plain vector under random operations.
    #[test]
    fn equals_a_plain_vector() {
        for seed in 0..20 {
            let mut rng = Jitter::new(seed);
            let mut tree = SlackTree::new(37);
            let n = tree.slots();
            let mut plain = vec![EMPTY; n];
            for _ in 0..2000 {
                let slot = rng.below(n as u64) as usize;
                let end = rng.below(n as u64 + 1) as usize;
                let value = rng.below(1000) as i64 - 500;
                match rng.below(4) {
                    0 => {
                        tree.set(slot, value);
                        plain[slot] = value;
                    }
                    1 => {
                        tree.clear(slot);
                        plain[slot] = EMPTY;
                    }
                    _ => {
                        tree.add_before(end, value);
                        plain[..end].iter_mut().for_each(|v| *v += value);
                    }
                }
                let want = plain[..end].iter().rposition(|&v| v < value);
                assert_eq!(tree.last_below(end, value), want);
                assert_eq!(tree.get(slot), plain[slot]);
                let least = plain[..end].iter().copied().min().unwrap_or(i64::MAX);
                assert_eq!(tree.least(end), least);
            }
        }
    }
}
