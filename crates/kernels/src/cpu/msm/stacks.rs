//! Sums of stacks: rows of points on top of each other, halved until one is left.
//!
//! Halving a stack adds its upper rows to its lower ones, so no two steps of a batch touch the same sum.
//! Work goes in tiles of several stacks that fit the cache next to the core.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    adder::{Adder, tile_rows, wipe_rows},
    pairs::{Step, Tally},
    stored::Next,
};
use crate::{Group, memory::set_len};

/// Where points come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, R> {
    /// A key: by index, and with the bit [`NEGATED`](super::stored::NEGATED) as opposites.
    Stored(&'a [u64]),
    /// Sums: `row · lanes + lane`.
    Rows(&'a [R]),
}

/// One row for each stack, in `sums`. The heights are in rows, and `order` has the points of each row in
/// turn.
pub(super) fn sum_stacks<P: Group, A: Adder<P>>(
    heights: &[u32],
    source: Source<'_, A::Row>,
    order: &[u32],
    sums: &mut Vec<A::Row>,
    tally: &Tally,
) {
    let tiles = tiles(heights, tile_rows::<P, A>());
    let points = |tile: &Tile| &order[A::LANES * tile.rows.start..A::LANES * tile.rows.end];
    set_len(sums, heights.len(), A::INFINITY);
    let mut rest = sums.as_mut_slice();
    let sums_of_tile = |tile: &Tile| {
        let (sums, others) = std::mem::take(&mut rest).split_at_mut(tile.stacks.len());
        rest = others;
        sums
    };
    let sums_of_tiles: Vec<&mut [A::Row]> = tiles.iter().map(sums_of_tile).collect();
    let work = sums_of_tiles.into_par_iter().zip(&tiles).enumerate();
    work.for_each_init(Work::<P, A>::default, |work, (at, (sums, tile))| {
        let rows = work.load(&heights[tile.stacks.clone()]);
        let mut next = Next::nothing();
        match source {
            Source::Stored(words) => {
                A::gather(words, points(tile), rows);
                if let Some(tile) = tiles.get(at + 1) {
                    next = Next::new::<P>(words, points(tile));
                }
            }
            Source::Rows(from) => copy::<P, A>(from, points(tile), rows),
        }
        work.reduce(next, tally);
        for (sum, stack) in sums.iter_mut().zip(&work.stacks) {
            *sum = work.rows[stack.start as usize];
        }
    });
}

/// Fills rows with points of other rows.
fn copy<P: Group, A: Adder<P>>(from: &[A::Row], places: &[u32], rows: &mut [A::Row]) {
    for (row, places) in rows.iter_mut().zip(places.chunks_exact(A::LANES)) {
        for (lane, &place) in places.iter().enumerate() {
            let place = place as usize;
            A::copy(&from[place / A::LANES], place % A::LANES, row, lane);
        }
    }
}

/// Consecutive stacks.
struct Tile {
    stacks: Range<usize>,
    rows: Range<usize>,
}

/// Tiles of at most so many rows, or of one stack.
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

/// A stack in a tile.
#[derive(Clone, Copy)]
struct Stack {
    start: u32,
    height: u32,
}

/// A tile in the works, reused from tile to tile.
struct Work<P: Group, A: Adder<P>> {
    rows: Vec<A::Row>,
    stacks: Vec<Stack>,
    steps: Vec<Step>,
    batch: A::Scratch,
}

impl<P: Group, A: Adder<P>> Default for Work<P, A> {
    fn default() -> Self {
        let (rows, stacks, steps, batch) = Default::default();
        Self { rows, stacks, steps, batch }
    }
}

impl<P: Group, A: Adder<P>> Drop for Work<P, A> {
    fn drop(&mut self) {
        wipe_rows::<P, A>(&mut self.rows);
    }
}

impl<P: Group, A: Adder<P>> Work<P, A> {
    /// Makes room for stacks of these heights: the rows to be filled.
    fn load(&mut self, heights: &[u32]) -> &mut [A::Row] {
        self.stacks.clear();
        let mut start = 0;
        for &height in heights {
            self.stacks.push(Stack { start, height });
            start += height;
        }
        let count = start as usize;
        if self.rows.len() < count {
            self.rows.resize(count, A::INFINITY);
        }
        &mut self.rows[..count]
    }

    /// Halves all stacks until one row of each is left.
    fn reduce(&mut self, mut next: Next<'_>, tally: &Tally) {
        loop {
            self.steps.clear();
            for stack in &mut self.stacks {
                let (pairs, kept) = (stack.height / 2, stack.height.div_ceil(2));
                let steps = stack.start..stack.start + pairs;
                self.steps.extend(steps.map(|into| Step { into, from: into + kept }));
                stack.height = kept;
            }
            if self.steps.is_empty() {
                return;
            }
            A::add_rows(&mut self.rows, &self.steps, &mut next, &mut self.batch, tally);
        }
    }
}
