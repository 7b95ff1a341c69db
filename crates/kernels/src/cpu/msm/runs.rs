//! Sums of runs: points that share a label stand next to each other and are added as a tree.
//!
//! Halving a run pairs each of its points with another, so no two steps of a batch touch the same
//! sum, whatever the scalars are: a single run of a million points costs what a million runs of two
//! do. The road not taken, a queue of points that waits for busy buckets, goes quadratic when few
//! buckets are in use, as with real witnesses. Work goes in tiles that fit the cache next to the
//! core; a run that spans tiles is finished in the next level.

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroize;

use super::{
    adder::Adder,
    pairs::{Step, Tally},
    stored::Next,
};
use crate::Group;

/// Points in a tile.
pub(super) fn tile_len<P: Group, A: Adder<P>>() -> usize {
    A::TILE_BYTES / size_of::<A::Point>()
}

/// Which points belong together: run `i` ends before `ends[i]` and is called `labels[i]`.
#[derive(Default)]
pub(super) struct Runs {
    pub(super) labels: Vec<u32>,
    pub(super) ends: Vec<u32>,
}

impl Runs {
    fn points(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// Appends so many points to the last run if it has this label, else as a new run.
    fn push(&mut self, label: u32, points: u32) {
        let end = self.ends.last().copied().unwrap_or(0) + points;
        if self.labels.last() == Some(&label) {
            *self.ends.last_mut().expect("as many ends as labels") = end;
        } else {
            self.labels.push(label);
            self.ends.push(end);
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.labels.zeroize();
        self.ends.zeroize();
    }
}

/// Points in runs; partial sums of an MSM reveal its scalars, so they are wiped.
pub(super) struct Sums<P: Group, A: Adder<P>> {
    pub(super) runs: Runs,
    pub(super) points: Vec<A::Point>,
}

impl<P: Group, A: Adder<P>> Drop for Sums<P, A> {
    fn drop(&mut self) {
        A::wipe(&mut self.points);
    }
}

/// The sum of each run of stored points, with one point a run.
pub(super) fn sum_runs<P: Group, A: Adder<P>>(
    runs: Runs,
    words: &[u64],
    order: &[u32],
    tally: &Tally,
) -> Sums<P, A> {
    // Few pairs are left in a tile's last rounds; the first level leaves those to the next, where
    // they share their inversions with other tiles' pairs.
    let tile = tile_len::<P, A>();
    let leave = if runs.points() > tile { tile / 64 } else { 0 };
    let stored = |range: Range<usize>, points: &mut _| A::gather(words, &order[range], points);
    let next = |range: Range<usize>| Next::new::<P>(words, &order[range]);
    let mut sums = level::<P, A>(&runs, stored, next, leave, tally);
    while sums.points.len() > sums.runs.labels.len() {
        let summed = |range, points: &mut Vec<_>| points.extend_from_slice(&sums.points[range]);
        sums = level::<P, A>(&sums.runs, summed, |_| Next::nothing(), 0, tally);
    }
    sums
}

/// One level: each tile's runs are halved until at most `leave` pairs remain.
fn level<'n, P: Group, A: Adder<P>>(
    runs: &Runs,
    fill: impl Fn(Range<usize>, &mut Vec<A::Point>) + Sync,
    next: impl Fn(Range<usize>) -> Next<'n> + Sync,
    leave: usize,
    tally: &Tally,
) -> Sums<P, A> {
    let (tile, count) = (tile_len::<P, A>(), runs.points());
    let tiles: Vec<Sums<P, A>> = (0..count.div_ceil(tile))
        .into_par_iter()
        .map_init(Scratch::<P, A>::default, |scratch, index| {
            let end = |tiles: usize| count.min(tiles * tile);
            scratch.load(runs, index * tile..end(index + 1), &fill);
            let mut next = next(end(index + 1)..end(index + 2));
            while scratch.pairs > leave {
                scratch.halve(&mut next, tally);
            }
            scratch.unload()
        })
        .collect();
    let mut sums = Sums {
        runs: Runs::default(),
        points: Vec::with_capacity(tiles.iter().map(|tile| tile.points.len()).sum()),
    };
    for tile in &tiles {
        let mut start = 0;
        for (&label, &end) in tile.runs.labels.iter().zip(&tile.runs.ends) {
            sums.runs.push(label, end - start);
            start = end;
        }
        sums.points.extend_from_slice(&tile.points);
    }
    sums
}

/// A part of a run that lies in the tile.
#[derive(Clone, Copy)]
struct Part {
    label: u32,
    start: u32,
    len: u32,
}

/// A tile in the works, reused from tile to tile.
struct Scratch<P: Group, A: Adder<P>> {
    points: Vec<A::Point>,
    parts: Vec<Part>,
    /// Pairs in all parts.
    pairs: usize,
    steps: Vec<Step>,
    batch: A::Scratch,
}

impl<P: Group, A: Adder<P>> Default for Scratch<P, A> {
    fn default() -> Self {
        let (points, parts, steps, batch) = Default::default();
        Self { points, parts, pairs: 0, steps, batch }
    }
}

impl<P: Group, A: Adder<P>> Drop for Scratch<P, A> {
    fn drop(&mut self) {
        A::wipe(&mut self.points);
    }
}

impl<P: Group, A: Adder<P>> Scratch<P, A> {
    fn load(
        &mut self,
        runs: &Runs,
        range: Range<usize>,
        fill: &impl Fn(Range<usize>, &mut Vec<A::Point>),
    ) {
        self.points.clear();
        fill(range.clone(), &mut self.points);
        self.parts.clear();
        self.pairs = 0;
        let mut start = range.start;
        let mut run = runs.ends.partition_point(|&end| end as usize <= start);
        while start < range.end {
            let end = range.end.min(runs.ends[run] as usize);
            let (at, len) = (start - range.start, end - start);
            self.parts.push(Part { label: runs.labels[run], start: at as u32, len: len as u32 });
            self.pairs += len / 2;
            (start, run) = (end, run + 1);
        }
    }

    /// Adds the second half of each part to its first.
    fn halve(&mut self, next: &mut Next<'_>, tally: &Tally) {
        self.steps.clear();
        self.pairs = 0;
        for part in &mut self.parts {
            let (pairs, kept) = (part.len / 2, part.len.div_ceil(2));
            let steps = part.start..part.start + pairs;
            self.steps.extend(steps.map(|into| Step { into, from: into + kept }));
            part.len = kept;
            self.pairs += kept as usize / 2;
        }
        A::add_pairs(&mut self.points, &self.steps, next, &mut self.batch, tally);
    }

    fn unload(&self) -> Sums<P, A> {
        let mut runs = Runs::default();
        let mut points = Vec::with_capacity(self.parts.iter().map(|part| part.len as usize).sum());
        for part in &self.parts {
            runs.push(part.label, part.len);
            points.extend_from_slice(&self.points[part.start as usize..][..part.len as usize]);
        }
        Sums { runs, points }
    }
}
