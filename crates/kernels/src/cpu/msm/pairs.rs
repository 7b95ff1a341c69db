//! Batched affine addition: many additions share one inversion.
//!
//! An affine addition needs a field inversion. Montgomery's trick shares one inversion among a
//! batch, so an addition costs 5 multiplications and a squaring, where a mixed addition to a
//! projective sum costs 10. Everything an MSM does to its points is a list of independent steps
//! `rows[i] += rows[j]`, so this is the only place where points are added and where the exceptional
//! cases (equal, opposite, infinite) are handled.

use std::sync::atomic::{AtomicU64, Ordering};

use ark_ec::models::short_weierstrass::Affine;
use ark_ff::{AdditiveGroup, Field};

use super::{
    adder::BatchAdder,
    stored::{NEGATED, PrefetchQueue, StoredPoints},
};
use crate::{Group, Words, memory::wipe_all};

/// An affine point in stored form: infinity is all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point<F> {
    pub(super) x: F,
    pub(super) y: F,
}

impl<F: Words> Point<F> {
    pub(super) const INFINITY: Self = Self { x: F::ZERO, y: F::ZERO };

    pub(super) fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }
}

/// `rows[into] += rows[from]`. A row that is written occurs only once in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) into: u32,
    pub(super) from: u32,
}

/// Operation counts of an MSM, to check that its work is bounded.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    additions: AtomicU64,
    inversions: AtomicU64,
}

impl Tally {
    pub(crate) fn additions(&self) -> u64 {
        self.additions.load(Ordering::Relaxed)
    }

    pub(crate) fn inversions(&self) -> u64 {
        self.inversions.load(Ordering::Relaxed)
    }

    /// Counts a batch of additions. Additions in idle lanes are performed too, and counted.
    pub(super) fn count(&self, additions: usize) {
        self.additions.fetch_add(additions as u64, Ordering::Relaxed);
        self.inversions.fetch_add(1, Ordering::Relaxed);
    }
}

/// The formula by which two points are added.
enum Case {
    /// Chord: different x coordinates.
    Chord,
    /// Tangent: equal points.
    Tangent,
    /// One point is infinity, and the other is the sum.
    Other,
    /// Opposite points: the sum is infinity.
    Infinity,
}

/// The case, and the divisor of its formula, which is never zero.
#[inline(always)]
fn divisor<F: Words>(p: &Point<F>, q: &Point<F>) -> (Case, F) {
    let dx = q.x - p.x;
    if p.is_infinity() || q.is_infinity() {
        (Case::Other, F::ONE)
    } else if !dx.is_zero() {
        (Case::Chord, dx)
    } else if p.y == q.y && !p.y.is_zero() {
        (Case::Tangent, p.y.double())
    } else {
        (Case::Infinity, F::ONE)
    }
}

/// Portable addition, one point at a time.
pub(super) struct PortableAdder;

impl<P: Group> BatchAdder<P> for PortableAdder {
    type Row = Point<P::BaseField>;
    type Scratch = Products<P::BaseField>;

    const LANES: usize = 1;

    const INFINITY: Self::Row = Point::INFINITY;

    // Half of a common second-level cache.
    const TILE_BYTES: usize = 1 << 18;

    fn gather(stored: StoredPoints<'_, P>, indices: &[u32], points: &mut [Self::Row]) -> bool {
        let read = P::BaseField::read_words_unchecked;
        for (at, (point, &index)) in points.iter_mut().zip(indices).enumerate() {
            stored.prefetch_ahead(indices, at);
            let (x, y) = stored.get(index).split_at(P::BaseField::WORDS);
            let (x, y) = (read(x), read(y));
            *point = Point { x, y: if index & NEGATED != 0 { -y } else { y } };
        }
        // The result is not used: every step is checked here.
        false
    }

    fn store(points: &[Self::Row], picked: &[u32], words: &mut [u64]) {
        for (&at, words) in picked.iter().zip(words.chunks_exact_mut(P::POINT_WORDS)) {
            let (x, y) = words.split_at_mut(P::BaseField::WORDS);
            points[at as usize].x.write_words(x);
            points[at as usize].y.write_words(y);
        }
    }

    fn is_infinity(point: &Self::Row) -> bool {
        point.is_infinity()
    }

    fn affine(points: &[Self::Row]) -> Vec<Affine<P>> {
        let affine = |point: &Self::Row| match point.is_infinity() {
            true => Affine::identity(),
            false => Affine::new_unchecked(point.x, point.y),
        };
        points.iter().map(affine).collect()
    }

    fn add_rows(
        points: &mut [Self::Row],
        _finite: &mut bool,
        steps: &[Step],
        next: &mut PrefetchQueue<'_, P>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    ) {
        let products = &mut scratch.0;
        if steps.is_empty() {
            return;
        }
        products.clear();
        let mut product = P::BaseField::ONE;
        for step in steps {
            products.push(product);
            product *= divisor(&points[step.into as usize], &points[step.from as usize]).1;
        }
        let mut inverse = product.quick_inverse().expect("no divisor is zero");
        for (step, before) in steps.iter().zip(products.iter()).rev() {
            next.prefetch(2);
            let (p, q) = (points[step.into as usize], points[step.from as usize]);
            let (case, divisor) = divisor(&p, &q);
            let slope = match case {
                Case::Chord => (q.y - p.y) * (inverse * before),
                Case::Tangent => {
                    let square = p.x.square();
                    (square.double() + square + P::COEFF_A) * (inverse * before)
                }
                Case::Other => {
                    points[step.into as usize] = if p.is_infinity() { q } else { p };
                    continue;
                }
                Case::Infinity => {
                    points[step.into as usize] = Point::INFINITY;
                    continue;
                }
            };
            inverse *= divisor;
            let x = slope.square() - p.x - q.x;
            points[step.into as usize] = Point { x, y: slope * (p.x - x) - p.y };
        }
        tally.count(steps.len());
    }
}

/// Running products, wiped when dropped.
pub(super) struct Products<F: Words>(Vec<F>);

impl<F: Words> Default for Products<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Words> Drop for Products<F> {
    fn drop(&mut self) {
        wipe_all(&mut self.0, F::ZERO);
    }
}
