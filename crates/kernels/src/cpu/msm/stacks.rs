//! Sums of stacks: rows of points are halved until one row is left.
//!
//! Halving a stack adds its upper rows to its lower rows, so no two steps of a batch touch the same
//! sum. Stacks are processed in tiles that fit the second-level cache.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    adder::{BatchAdder, tile_rows, wipe_rows},
    pairs::{Step, Tally},
    stored::{PrefetchQueue, StoredPoints},
};
use crate::{Group, memory::set_len};

/// Sums each lane of each stack, in stored form: the sum has index `stack · lanes + lane`.
/// `heights` are in rows; `order` holds the indices of the points row by row, with the bit
/// [`NEGATED`](super::stored::NEGATED) for opposites.
pub(super) fn sum_stacks<P: Group, A: BatchAdder<P>>(
    heights: &[u32],
    points: StoredPoints<'_, P>,
    order: &[u32],
    sums: &mut Vec<u64>,
    tally: &Tally,
) {
    let tiles = tiles(heights, tile_rows::<P, A>());
    let order_of = |tile: &Tile| &order[A::LANES * tile.rows.start..A::LANES * tile.rows.end];
    let each = A::LANES * P::POINT_WORDS;
    set_len(sums, heights.len() * each, 0);
    let mut rest = sums.as_mut_slice();
    let sums_of_tile = |tile: &Tile| {
        let (sums, others) = std::mem::take(&mut rest).split_at_mut(tile.stacks.len() * each);
        rest = others;
        sums
    };
    let sums_of_tiles: Vec<&mut [u64]> = tiles.iter().map(sums_of_tile).collect();
    let work = sums_of_tiles.into_par_iter().zip(&tiles).enumerate();
    work.for_each_init(TileBuffer::<P, A>::default, |work, (at, (sums, tile))| {
        let rows = work.load(&heights[tile.stacks.clone()]);
        let mut finite = A::gather(points, order_of(tile), rows);
        let next = tiles.get(at + 1).map_or(&[][..], order_of);
        work.halve_stacks(&mut finite, PrefetchQueue::new(points, next), tally);
        A::store(&work.rows, &work.starts, sums);
    });
}

/// Consecutive stacks.
struct Tile {
    stacks: Range<usize>,
    rows: Range<usize>,
}

/// Splits stacks into tiles of at most `most` rows; a higher stack is a tile by itself.
fn tiles(heights: &[u32], most: usize) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    let mut row = 0;
    for (stack, &height) in heights.iter().enumerate() {
        let end = row + height as usize;
        match tiles.last_mut() {
            Some(tile) if end - tile.rows.start <= most => {
                (tile.stacks.end, tile.rows.end) = (stack + 1, end);
            }
            _ => tiles.push(Tile { stacks: stack..stack + 1, rows: row..end }),
        }
        row = end;
    }
    tiles
}

/// The points of a tile and their state, reused between tiles.
struct TileBuffer<P: Group, A: BatchAdder<P>> {
    rows: Vec<A::Row>,
    /// The first row of each stack.
    starts: Vec<u32>,
    /// Rows left in each stack.
    heights: Vec<u32>,
    steps: Vec<Step>,
    batch: A::Scratch,
}

impl<P: Group, A: BatchAdder<P>> Default for TileBuffer<P, A> {
    fn default() -> Self {
        let (rows, starts, heights, steps, batch) = Default::default();
        Self { rows, starts, heights, steps, batch }
    }
}

impl<P: Group, A: BatchAdder<P>> Drop for TileBuffer<P, A> {
    fn drop(&mut self) {
        wipe_rows::<P, A>(&mut self.rows);
    }
}

impl<P: Group, A: BatchAdder<P>> TileBuffer<P, A> {
    /// Prepares for stacks of these heights and returns the rows to fill.
    fn load(&mut self, heights: &[u32]) -> &mut [A::Row] {
        self.heights.clear();
        self.heights.extend_from_slice(heights);
        self.starts.clear();
        let mut start = 0;
        for height in heights {
            self.starts.push(start);
            start += height;
        }
        let count = start as usize;
        if self.rows.len() < count {
            self.rows.resize(count, A::INFINITY);
        }
        &mut self.rows[..count]
    }

    /// Halves all stacks until one row of each is left.
    fn halve_stacks(&mut self, finite: &mut bool, mut next: PrefetchQueue<'_, P>, tally: &Tally) {
        loop {
            self.steps.clear();
            for (&start, height) in self.starts.iter().zip(&mut self.heights) {
                let (pairs, kept) = (*height / 2, height.div_ceil(2));
                let steps = start..start + pairs;
                self.steps.extend(steps.map(|into| Step { into, from: into + kept }));
                *height = kept;
            }
            if self.steps.is_empty() {
                return;
            }
            let (rows, steps) = (&mut self.rows, &self.steps);
            A::add_rows(rows, finite, steps, &mut next, &mut self.batch, tally);
        }
    }
}
