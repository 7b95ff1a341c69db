//! Window size policy: which window width and how many bucket sets make a sum cheapest.

use super::digits::WIDEST;

/// Bits of a scalar's absolute value, and one that its digits may carry into.
pub(super) const SCALAR_BITS: usize = 255;

/// Windows whose digits go to the same buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketSet {
    /// Windows by whose width the sum of the buckets is to be shifted.
    pub(super) shift: usize,
    /// Each window, and the index of the first of the multiples that go with it.
    pub(super) windows: Vec<(usize, u32)>,
}

/// Additions that a sum takes: one for each point in each window, and two for each bucket.
pub(super) fn additions(points: usize, width: usize, sets: usize) -> usize {
    SCALAR_BITS.div_ceil(width) * points + sets * (2 << (width - 1))
}

/// The width of windows with buckets of their own at which additions are fewest.
pub(super) fn best_width_without_tables(points: usize) -> usize {
    let cost = |&width: &usize| additions(points, width, SCALAR_BITS.div_ceil(width));
    (2..=WIDEST).min_by_key(cost).expect("there are widths")
}

/// Each window's buckets for itself.
pub(super) fn one_set_per_window(windows: usize) -> Vec<BucketSet> {
    (0..windows).map(|window| BucketSet { shift: window, windows: vec![(window, 0)] }).collect()
}

/// Width and sets at which additions are fewest, with room for so many copies; none if a tenth of them
/// cannot be saved.
pub(super) fn best_width_and_sets(points: usize, copies: usize) -> Option<(usize, usize)> {
    let shapes =
        (2..=WIDEST).map(|width| (width, SCALAR_BITS.div_ceil(width).div_ceil(copies.max(1))));
    let (width, sets) = shapes.min_by_key(|&(width, sets)| additions(points, width, sets))?;
    let alone = best_width_without_tables(points);
    let alone = additions(points, alone, SCALAR_BITS.div_ceil(alone));
    (10 * additions(points, width, sets) <= 9 * alone).then_some((width, sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_room_the_fewer_additions_and_too_little_is_left_alone() {
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
