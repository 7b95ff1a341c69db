//! Where each point of a sum goes: runs of one length beside each other.
//!
//! Points that share a label are a run. Runs of the same length stand beside each other in a stack, one a
//! lane, so that adding rows to rows halves them all at once. A long run takes all lanes of as many stacks
//! as it fills; their sums are a run again. So what a run costs depends on its length alone: the road not
//! taken, a queue of points that waits for busy buckets, goes quadratic when few buckets are in use, as
//! with real witnesses.

use crate::memory::wipe;

/// Rows of the highest stack: a tile holds several. A run of more points is long.
const MAX_HEIGHT: usize = 128;
/// The same where few points are. More than the pieces of a run that fills no stack, so that every long run
/// has fewer pieces than points.
const SMALL_MAX_HEIGHT: usize = 16;

/// Of a run without points: it has no place.
pub(super) const EMPTY_RUN: u32 = u32::MAX;

/// Runs in stacks.
pub(super) struct StackLayout {
    lanes: usize,
    /// Points of each run.
    lengths: Vec<u32>,
    /// Most points that a lane takes.
    highest: usize,
    /// Rows of each stack.
    pub(super) heights: Vec<u32>,
    /// `stack · lanes + lane` of each run's first piece; a long run's other pieces follow.
    places: Vec<u32>,
    idle: Vec<IdleLanes>,
}

/// Lanes of a stack that no run takes.
struct IdleLanes {
    row: usize,
    height: usize,
    first: usize,
}

/// Where the next point of a run goes: in the order of rows, and in a row of lanes.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    at: u32,
    stride: u32,
}

impl Cursor {
    /// The place, and on to the next.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> usize {
        let at = self.at;
        self.at += self.stride;
        at as usize
    }
}

impl StackLayout {
    /// For runs of these lengths; and where each begins.
    pub(super) fn new(lengths: Vec<u32>, lanes: usize) -> (Self, Vec<Cursor>) {
        // A single run of few points is spread over all lanes.
        let points = lengths.iter().map(|&length| length as usize).sum::<usize>();
        let highest = (points / (4 * lanes)).clamp(SMALL_MAX_HEIGHT, MAX_HEIGHT);
        let (mut heights, mut idle, mut rows) = (Vec::new(), Vec::new(), 0);
        let mut counts = vec![0usize; highest + 1];
        let mut cursors = vec![Cursor::default(); lengths.len()];
        let mut places = vec![EMPTY_RUN; lengths.len()];
        for (run, &length) in lengths.iter().enumerate() {
            let length = length as usize;
            if length <= highest {
                counts[length] += 1;
                continue;
            }
            places[run] = (heights.len() * lanes) as u32;
            cursors[run] = Cursor { at: (rows * lanes) as u32, stride: 1 };
            let (whole, rest) = (length / lanes, length % lanes);
            heights.extend((0..whole).step_by(highest).map(|row| highest.min(whole - row) as u32));
            rows += whole;
            if rest > 0 {
                heights.push(1);
                idle.push(IdleLanes { row: rows, height: 1, first: rest });
                rows += 1;
            }
        }
        // The next lane of stacks of each height, and its first row.
        let mut next = vec![(0, 0); highest + 1];
        for height in (1..=highest).rev() {
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
            if (1..=highest).contains(&length) {
                let (place, row) = &mut next[length];
                places[run] = *place as u32;
                cursors[run] =
                    Cursor { at: (*row * lanes + *place % lanes) as u32, stride: lanes as u32 };
                *place += 1;
                if *place % lanes == 0 {
                    *row += length;
                }
            }
        }
        (Self { lanes, lengths, highest, heights, places, idle }, cursors)
    }

    /// Points in all stacks, idle lanes counted.
    pub(super) fn slots(&self) -> usize {
        self.lanes * self.heights.iter().sum::<u32>() as usize
    }

    /// Gives idle lanes the points of another.
    pub(super) fn fill_idle(&self, order: &mut [u32]) {
        for idle in &self.idle {
            for row in order[idle.row * self.lanes..].chunks_exact_mut(self.lanes).take(idle.height)
            {
                let point = row[0];
                row[idle.first..].fill(point);
            }
        }
    }

    /// The place of each run's sum, or of its first piece's, and how many pieces there are.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u32, usize)> {
        self.places.iter().zip(&self.lengths).map(|(&place, &length)| {
            let length = length as usize;
            if length <= self.highest {
                return (place, 1);
            }
            let (whole, rest) = (length / self.lanes, length % self.lanes);
            (place, whole.div_ceil(self.highest) * self.lanes + rest)
        })
    }
}

impl Drop for StackLayout {
    fn drop(&mut self) {
        for list in [&mut self.lengths, &mut self.heights, &mut self.places] {
            wipe(list, 0);
        }
    }
}

/// Lays out points that stand run by run.
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

    /// Whatever the lengths: each lane of a stack holds points of one run only, and each run's pieces are
    /// all its points.
    #[test]
    fn every_piece_has_a_lane_of_its_own_and_together_they_are_the_runs() {
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
                for place in first as usize..first as usize + count {
                    assert!(taken.insert(place));
                    let lane = stacks[place / lanes].iter().skip(place % lanes).step_by(lanes);
                    found += lane.inspect(|&&point| assert_eq!(point as usize, run)).count();
                }
                assert_eq!(found, length as usize);
            }
            let idle = layout.heights.len() * lanes - taken.len();
            assert!(idle <= 7 * (MAX_HEIGHT + lengths.len()), "{idle} idle lanes");
        }
    }
}
