//! The order of points before they are summed: runs of equal length side by side.
//!
//! Points that share a label form a run. Runs of the same length stand side by side in a *stack*,
//! one per lane, so adding rows to rows halves all of them at once. A long run takes all lanes of
//! as many stacks as it fills; the sums of its pieces form a run again. The cost of a run therefore
//! depends only on its length. (A queue of points that wait for busy buckets becomes quadratic when
//! few buckets are in use, as with real witnesses.)

use crate::memory::wipe;

/// The most rows of a stack; a tile holds several stacks. A run that does not fit one lane of a
/// stack is long.
const MAX_HEIGHT: usize = 128;
/// The most rows of a stack when there are few points. It exceeds the number of pieces of a run
/// that fills no stack, so every long run has fewer pieces than points.
const SMALL_MAX_HEIGHT: usize = 16;

/// Marks a run without points, which has no sum.
pub(super) const EMPTY_RUN: u32 = u32::MAX;

/// The layout of runs in stacks.
pub(super) struct StackLayout {
    lanes: usize,
    /// Points of each run.
    lengths: Vec<u32>,
    /// The most points of a lane.
    max_height: usize,
    /// Rows of each stack.
    pub(super) heights: Vec<u32>,
    /// `stack · lanes + lane` of each run's first piece; the other pieces of a long run follow.
    first_pieces: Vec<u32>,
    idle: Vec<IdleLanes>,
}

/// Lanes of a stack that no run uses, from `first` on.
struct IdleLanes {
    row: usize,
    height: usize,
    first: usize,
}

/// The position of a run's next point in the order: rows in sequence, and lanes within a row.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    at: u32,
    stride: u32,
}

impl Cursor {
    /// Returns the position and moves to the next.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> usize {
        let at = self.at;
        self.at += self.stride;
        at as usize
    }
}

impl StackLayout {
    /// Lays out runs of these lengths. Also returns the position of the first point of each.
    pub(super) fn new(lengths: Vec<u32>, lanes: usize) -> (Self, Vec<Cursor>) {
        // With few points, stacks are low, so a single run spreads over all lanes.
        let points = lengths.iter().map(|&length| length as usize).sum::<usize>();
        let max_height = (points / (4 * lanes)).clamp(SMALL_MAX_HEIGHT, MAX_HEIGHT);
        let (mut heights, mut idle, mut rows) = (Vec::new(), Vec::new(), 0);
        let mut counts = vec![0usize; max_height + 1];
        let mut cursors = vec![Cursor::default(); lengths.len()];
        let mut first_pieces = vec![EMPTY_RUN; lengths.len()];
        for (run, &length) in lengths.iter().enumerate() {
            let length = length as usize;
            if length <= max_height {
                counts[length] += 1;
                continue;
            }
            first_pieces[run] = (heights.len() * lanes) as u32;
            cursors[run] = Cursor { at: (rows * lanes) as u32, stride: 1 };
            let (whole, rest) = (length / lanes, length % lanes);
            heights.extend(
                (0..whole).step_by(max_height).map(|row| max_height.min(whole - row) as u32),
            );
            rows += whole;
            if rest > 0 {
                heights.push(1);
                idle.push(IdleLanes { row: rows, height: 1, first: rest });
                rows += 1;
            }
        }
        // For each height: the next free lane, and the first row of its stack.
        let mut next = vec![(0, 0); max_height + 1];
        for height in (1..=max_height).rev() {
            next[height] = (heights.len() * lanes, rows);
            let stacks = counts[height].div_ceil(lanes);
            heights.resize(heights.len() + stacks, height as u32);
            rows += stacks * height;
            let taken = counts[height] % lanes;
            if taken > 0 {
                idle.push(IdleLanes { row: rows - height, height, first: taken });
            }
        }
        for (run, &length) in lengths.iter().enumerate() {
            let length = length as usize;
            if (1..=max_height).contains(&length) {
                let (piece, row) = &mut next[length];
                first_pieces[run] = *piece as u32;
                cursors[run] =
                    Cursor { at: (*row * lanes + *piece % lanes) as u32, stride: lanes as u32 };
                *piece += 1;
                if *piece % lanes == 0 {
                    *row += length;
                }
            }
        }
        (Self { lanes, lengths, max_height, heights, first_pieces, idle }, cursors)
    }

    /// Points in all stacks, including idle lanes.
    pub(super) fn slots(&self) -> usize {
        self.lanes * self.heights.iter().sum::<u32>() as usize
    }

    /// Fills idle lanes with the points of the row's first lane.
    pub(super) fn fill_idle(&self, order: &mut [u32]) {
        for idle in &self.idle {
            for row in order[idle.row * self.lanes..].chunks_exact_mut(self.lanes).take(idle.height)
            {
                let point = row[0];
                row[idle.first..].fill(point);
            }
        }
    }

    /// For each run: the index of its sum or of the sum of its first piece, and the number of
    /// pieces.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u32, usize)> {
        self.first_pieces.iter().zip(&self.lengths).map(|(&piece, &length)| {
            let length = length as usize;
            if length <= self.max_height {
                return (piece, 1);
            }
            let (whole, rest) = (length / self.lanes, length % self.lanes);
            (piece, whole.div_ceil(self.max_height) * self.lanes + rest)
        })
    }
}

impl Drop for StackLayout {
    fn drop(&mut self) {
        for list in [&mut self.lengths, &mut self.heights, &mut self.first_pieces] {
            wipe(list, 0);
        }
    }
}

/// Lays out points that are ordered run by run.
pub(super) fn layout_runs(
    lengths: Vec<u32>,
    points: &[u32],
    lanes: usize,
) -> (StackLayout, Vec<u32>) {
    let (layout, mut cursors) = StackLayout::new(lengths, lanes);
    let mut order = vec![0; layout.slots()];
    let mut points = points.iter();
    for (cursor, &length) in cursors.iter_mut().zip(&layout.lengths) {
        for &point in points.by_ref().take(length as usize) {
            order[cursor.advance()] = point;
        }
    }
    wipe(&mut cursors, Cursor::default());
    layout.fill_idle(&mut order);
    (layout, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For any lengths, each lane of a stack holds points of one run only, and the pieces of a run
    /// contain all its points.
    #[test]
    fn pieces_do_not_share_lanes_and_cover_the_runs() {
        for (lanes, lengths) in [1, 8].into_iter().flat_map(|lanes| {
            let many = (0..200).map(|i| i % 23).collect();
            let few = vec![3, 0, 20, 8, 3, 3, 16, 5, 0, 9, 1, 700];
            let odd = vec![31];
            [vec![2], vec![100_000], odd, few, many].map(|lengths| (lanes, lengths))
        }) {
            let runs = lengths.iter().zip(0u32..);
            let points: Vec<u32> =
                runs.flat_map(|(&length, run)| std::iter::repeat_n(run, length as usize)).collect();
            let (layout, order) = layout_runs(lengths.clone(), &points, lanes);
            assert_eq!(order.len(), layout.slots());
            let mut stacks = Vec::new();
            let mut rest = order.as_slice();
            for &height in &layout.heights {
                assert!((1..=MAX_HEIGHT as u32).contains(&height));
                let (stack, others) = rest.split_at(height as usize * lanes);
                stacks.push(stack);
                rest = others;
            }
            let mut taken = std::collections::HashSet::new();
            for ((run, (first, count)), &length) in layout.pieces().enumerate().zip(&lengths) {
                if length == 0 {
                    assert_eq!(first, EMPTY_RUN);
                    continue;
                }
                assert!(count == 1 || count < length as usize, "summing {length} never ends");
                let mut found = 0;
                for piece in first as usize..first as usize + count {
                    assert!(taken.insert(piece));
                    let lane = stacks[piece / lanes].iter().skip(piece % lanes).step_by(lanes);
                    found += lane.inspect(|&&point| assert_eq!(point as usize, run)).count();
                }
                assert_eq!(found, length as usize);
            }
            let idle = layout.heights.len() * lanes - taken.len();
            assert!(idle <= 7 * (MAX_HEIGHT + lengths.len()), "{idle} idle lanes");
        }
    }
}
