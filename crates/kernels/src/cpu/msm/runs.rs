//! Sums of runs: points that share a label stand next to each other and are added as a tree.
//!
//! Halving a run pairs each of its points with another, so no two steps of a batch touch the same
//! sum, whatever the scalars are: a single run of a million points costs what a million runs of two
//! do. The road not taken, a queue of points that waits for busy buckets, goes quadratic when few
//! buckets are in use, as with real witnesses. Work goes in tiles that fit the cache next to the
//! core; a run that spans tiles is finished in the next level.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::pairs::{Point, Step, Tally, add_pairs};
use crate::{Group, Words};

/// Bytes of points in a tile: half of a common second-level cache.
const TILE_BYTES: usize = 1 << 18;

/// Points in a tile.
pub(super) fn tile_len<F: Words>() -> usize {
    TILE_BYTES / size_of::<Point<F>>()
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
pub(super) struct Sums<F: Words> {
    pub(super) runs: Runs,
    pub(super) points: Vec<Point<F>>,
}

impl<F: Words> Drop for Sums<F> {
    fn drop(&mut self) {
        wipe(&mut self.points);
    }
}

pub(super) fn wipe<F: Words>(points: &mut [Point<F>]) {
    for point in points {
        point.x.zeroize();
        point.y.zeroize();
    }
}

/// The sum of each run, with one point a run. `point(i)` reads the `i`-th point.
pub(super) fn sum_runs<P: Group>(
    runs: Runs,
    point: impl Fn(usize) -> Point<P::BaseField> + Sync,
    tally: &Tally,
) -> Sums<P::BaseField> {
    // Few pairs are left in a tile's last rounds; the first level leaves those to the next, where
    // they share their inversions with other tiles' pairs.
    let tile = tile_len::<P::BaseField>();
    let leave = if runs.points() > tile { tile / 16 } else { 0 };
    let mut sums = level::<P>(&runs, point, leave, tally);
    while sums.points.len() > sums.runs.labels.len() {
        sums = level::<P>(&sums.runs, |i| sums.points[i], 0, tally);
    }
    sums
}

/// One level: each tile's runs are halved until at most `leave` pairs remain.
fn level<P: Group>(
    runs: &Runs,
    point: impl Fn(usize) -> Point<P::BaseField> + Sync,
    leave: usize,
    tally: &Tally,
) -> Sums<P::BaseField> {
    let (tile, count) = (tile_len::<P::BaseField>(), runs.points());
    let tiles: Vec<Sums<P::BaseField>> = (0..count.div_ceil(tile))
        .into_par_iter()
        .map_init(Scratch::<P::BaseField>::default, |scratch, index| {
            let range = index * tile..count.min((index + 1) * tile);
            scratch.load(runs, range, &point);
            while scratch.pairs > leave {
                scratch.halve::<P>(tally);
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
struct Scratch<F: Words> {
    points: Vec<Point<F>>,
    parts: Vec<Part>,
    /// Pairs in all parts.
    pairs: usize,
    steps: Vec<Step>,
    products: Vec<F>,
}

impl<F: Words> Default for Scratch<F> {
    fn default() -> Self {
        let (points, parts, steps, products) = Default::default();
        Self { points, parts, pairs: 0, steps, products }
    }
}

impl<F: Words> Drop for Scratch<F> {
    fn drop(&mut self) {
        wipe(&mut self.points);
        self.products.zeroize();
    }
}

impl<F: Words> Scratch<F> {
    fn load(
        &mut self,
        runs: &Runs,
        range: std::ops::Range<usize>,
        point: &impl Fn(usize) -> Point<F>,
    ) {
        self.points.clear();
        self.points.extend(range.clone().map(point));
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
    fn halve<P: Group<BaseField = F>>(&mut self, tally: &Tally) {
        self.steps.clear();
        self.pairs = 0;
        for part in &mut self.parts {
            let (pairs, kept) = (part.len / 2, part.len.div_ceil(2));
            let steps = part.start..part.start + pairs;
            self.steps.extend(steps.map(|into| Step { into, from: into + kept }));
            part.len = kept;
            self.pairs += kept as usize / 2;
        }
        add_pairs::<P>(&mut self.points, &self.steps, &mut self.products, tally);
    }

    fn unload(&self) -> Sums<F> {
        let mut runs = Runs::default();
        let mut points = Vec::with_capacity(self.parts.iter().map(|part| part.len as usize).sum());
        for part in &self.parts {
            runs.push(part.label, part.len);
            points.extend_from_slice(&self.points[part.start as usize..][..part.len as usize]);
        }
        Sums { runs, points }
    }
}
