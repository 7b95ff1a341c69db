//! Window size policy: the window width and the number of bucket sets with the fewest additions.

use super::digits::MAX_WIDTH;

/// Bits of a scalar's absolute value, and one more that its digits may carry into.
pub(super) const SCALAR_BITS: usize = 255;

/// Windows whose digits share buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketSet {
    /// The weight of the sum of the buckets, as a number of windows to shift it by.
    pub(super) shift: usize,
    /// Each window, and the index of the first of its precomputed multiples.
    pub(super) windows: Vec<(usize, u32)>,
}

/// Additions of a sum: one for each point in each window, and two for each bucket.
pub(super) fn additions(points: usize, width: usize, sets: usize) -> usize {
    SCALAR_BITS.div_ceil(width) * points + sets * (2 << (width - 1))
}

/// The window width with the fewest additions when each window has its own buckets.
pub(super) fn best_width_without_tables(points: usize) -> usize {
    let cost = |&width: &usize| additions(points, width, SCALAR_BITS.div_ceil(width));
    (2..=MAX_WIDTH).min_by_key(cost).expect("there are widths")
}

/// One bucket set for each window.
pub(super) fn one_set_per_window(windows: usize) -> Vec<BucketSet> {
    (0..windows).map(|window| BucketSet { shift: window, windows: vec![(window, 0)] }).collect()
}

/// The window width and number of bucket sets with the fewest additions, given memory for `copies`
/// multiples of each point; `None` if they save less than a tenth of the additions without tables.
pub(super) fn best_width_and_sets(points: usize, copies: usize) -> Option<(usize, usize)> {
    let shapes =
        (2..=MAX_WIDTH).map(|width| (width, SCALAR_BITS.div_ceil(width).div_ceil(copies.max(1))));
    let (width, sets) = shapes.min_by_key(|&(width, sets)| additions(points, width, sets))?;
    let alone = best_width_without_tables(points);
    let alone = additions(points, alone, SCALAR_BITS.div_ceil(alone));
    (10 * additions(points, width, sets) <= 9 * alone).then_some((width, sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_copies_take_fewer_additions_and_too_few_give_no_tables() {
        assert_eq!(best_width_and_sets(1 << 14, 1), None);
        let all = best_width_and_sets(1 << 14, 64).unwrap();
        assert_eq!(all.1, 1);
        let costs: Vec<usize> = (2..20)
            .filter_map(|copies| best_width_and_sets(1 << 14, copies))
            .map(|(width, sets)| additions(1 << 14, width, sets))
            .collect();
        assert!(costs.len() > 8 && costs.is_sorted_by(|more, less| more >= less), "{costs:?}");
        let saved = |points: usize| {
            let (alone, (width, sets)) =
                (best_width_without_tables(points), best_width_and_sets(points, 64).unwrap());
            let alone = additions(points, alone, SCALAR_BITS.div_ceil(alone));
            1.0 - additions(points, width, sets) as f64 / alone as f64
        };
        assert!(saved(1 << 14) > 0.25 && saved(1 << 18) > 0.14);
    }
}
