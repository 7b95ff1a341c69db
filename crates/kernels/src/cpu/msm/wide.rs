//! Batches of affine additions, eight at a time.
//!
//! The same two passes as in [`super::pairs`], in lanes: each lane multiplies up its own share of the
//! divisors, and the products of all lanes (two chains of eight, so that one's latency hides behind the
//! other's work) share an inversion outside. Exceptional additions are not looked for one by one. Infinity
//! shows as zeros, and everything else as a product that is zero; then the batch is sorted out by the
//! portable path, which takes the exceptional steps, and the others are taken here.

use std::marker::PhantomData;

use ark_ec::{AffineRepr, CurveConfig, models::short_weierstrass::Affine};
use ark_ff::{AdditiveGroup, Field, Zero};

use super::{
    adder::Adder,
    pairs::{Plain, Point, Step, Tally},
    stored::{Next, each_stored},
};
use crate::{
    Group, Words,
    lanes::{Lanes, each, field::Element, vectored::Vectored},
};

/// A point's words, on cache lines of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row<A>(A);

/// Addition in lanes.
pub(super) struct Wide<L>(PhantomData<L>);

type In<P, L> = <<P as CurveConfig>::BaseField as Vectored>::In<L>;

impl<P: Group, L: Lanes> Adder<P> for Wide<L> {
    type Point = Row<<P::BaseField as Vectored>::Point>;
    type Scratch = Scratch<In<P, L>>;

    const INFINITY: Self::Point = Row(P::BaseField::ZEROS);

    // Half of the second-level cache where these instructions are: a mebibyte and more.
    const TILE_BYTES: usize = 1 << 19;

    fn gather(words: &[u64], order: &[u32], points: &mut Vec<Self::Point>) {
        let start = points.len();
        points.resize(start + order.len(), Row(P::BaseField::ZEROS));
        let mut rows = points[start..].iter_mut();
        each_stored(words, P::POINT_WORDS, order, |words, negated| {
            let row = rows.next().expect("one row for each index");
            let (into_x, into_y) = row.0.as_mut().split_at_mut(P::BaseField::WORDS);
            let (x, y) = words.split_at(P::BaseField::WORDS);
            into_x.copy_from_slice(x);
            // Infinity must stay zeros. Signs are as good as random: no jump could be foreseen.
            let any = words.iter().fold(0, |any, word| any | word) != 0;
            P::BaseField::copy_signed(y, into_y, negated & any);
        });
    }

    fn is_infinity(point: &Self::Point) -> bool {
        point.0.as_ref().iter().all(|&word| word == 0)
    }

    fn affine(points: &[Self::Point]) -> Vec<Affine<P>> {
        <Plain as Adder<P>>::affine(&to_words_form::<P>(points))
    }

    fn add_pairs(
        points: &mut [Self::Point],
        steps: &[Step],
        next: &mut Next<'_>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    ) {
        if steps.is_empty() {
            return;
        }
        let products = &mut scratch.0;
        if L::enable(Batch::<P, L> { points, steps, next, products }) {
            tally.count(steps.len());
            return;
        }
        let (special, usual): (Vec<Step>, Vec<Step>) = steps.iter().partition(|step| {
            let [p, q] = [step.into, step.from].map(|i| read_as_is::<P>(&points[i as usize]));
            p.x.is_zero() || q.x.is_zero() || p.x == q.x
        });
        let rows = special.iter().flat_map(|step| [step.into, step.from]);
        let rows: Vec<Self::Point> = rows.map(|i| points[i as usize]).collect();
        let mut pairs = to_words_form::<P>(&rows);
        let in_turn: Vec<Step> =
            (0..special.len() as u32).map(|i| Step { into: 2 * i, from: 2 * i + 1 }).collect();
        <Plain as Adder<P>>::add_pairs(&mut pairs, &in_turn, next, &mut Default::default(), tally);
        for (step, sum) in special.iter().zip(pairs.chunks_exact(2)) {
            points[step.into as usize] = to_limb_form::<P>(&sum[0]);
        }
        <Plain as Adder<P>>::wipe(&mut pairs);
        if !usual.is_empty() {
            let served = L::enable(Batch::<P, L> { points, steps: &usual, next, products });
            assert!(served, "no exceptional step is left");
            tally.count(usual.len());
        }
    }

    fn wipe(points: &mut [Self::Point]) {
        for point in points {
            zeroize::Zeroize::zeroize(point.0.as_mut());
        }
    }
}

/// Running products, wiped when dropped.
pub(super) struct Scratch<E>(Vec<E>);

impl<E> Default for Scratch<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Drop for Scratch<E> {
    fn drop(&mut self) {
        let len = size_of_val(&self.0[..]) / 8;
        // SAFETY: elements are vectors of words, for which zeros are values like any others, and the
        // slice covers no more than the vector's elements.
        let words =
            unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<u64>(), len) };
        zeroize::Zeroize::zeroize(words);
    }
}

/// The words taken for Montgomery form in words: not the coordinates, but equal and zero where they are.
fn read_as_is<P: Group>(row: &Row<<P::BaseField as Vectored>::Point>) -> Point<P::BaseField> {
    let (x, y) = row.0.as_ref().split_at(P::BaseField::WORDS);
    Point { x: P::BaseField::read_loose(x), y: P::BaseField::read_loose(y) }
}

fn to_words_form<P: Group>(
    rows: &[Row<<P::BaseField as Vectored>::Point>],
) -> Vec<Point<P::BaseField>> {
    let over = P::BaseField::limb_factor().inverse().expect("a power of two is not zero");
    let convert = |row| {
        let Point { x, y } = read_as_is::<P>(row);
        Point { x: x * over, y: y * over }
    };
    rows.iter().map(convert).collect()
}

fn to_limb_form<P: Group>(point: &Point<P::BaseField>) -> Row<<P::BaseField as Vectored>::Point> {
    let factor = P::BaseField::limb_factor();
    let mut row = P::BaseField::ZEROS;
    let (x, y) = row.as_mut().split_at_mut(P::BaseField::WORDS);
    (point.x * factor).write_words(x);
    (point.y * factor).write_words(y);
    Row(row)
}

/// Converts points of a key to the stored form with coordinates in limb form.
pub(in crate::cpu) fn encode<P: Group>(point: &Affine<P>, out: &mut [u64]) {
    let point = point.xy().map_or(Point::INFINITY, |(x, y)| Point { x, y });
    out.copy_from_slice(to_limb_form::<P>(&point).0.as_ref());
}

/// Most words of a point.
const MOST_WORDS: usize = 24;

/// Chains of eight products. Their groups are worked on in lockstep, for the steps of one wait for each
/// other; more than two did not fit beside each other.
const CHAINS: usize = 2;

/// Points that are asked for beside eight additions, which read twice as many, going forward; going back,
/// which takes longer, twice as many. All that the next tile needs is asked for before this one is done.
const FETCHED: usize = 4;

/// Steps of a round: a group of eight for each chain.
const ROUND: usize = 8 * CHAINS;

/// A batch of steps; the task tells whether it took them, or changed nothing because one is exceptional.
struct Batch<'a, 'n, P: Group, L: Lanes> {
    points: &'a mut [Row<<P::BaseField as Vectored>::Point>],
    steps: &'a [Step],
    next: &'a mut Next<'n>,
    products: &'a mut Vec<In<P, L>>,
}

impl<P: Group, L: Lanes> crate::lanes::Task<L> for Batch<'_, '_, P, L> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { points, steps, next, products } = self;
        let mut one = [0; MOST_WORDS / 2];
        let one = &mut one[..P::BaseField::WORDS];
        P::BaseField::limb_factor().write_words(one);
        let mut chains = [splat::<P, L>(one); CHAINS];
        products.clear();
        // Lanes without a step repeat the last one, to the same result: they are read before it is written.
        let Some(&last) = steps.last() else { return true };
        let (rounds, rest) = steps.as_chunks::<ROUND>();
        let tail: [Step; ROUND] = std::array::from_fn(|lane| *rest.get(lane).unwrap_or(&last));
        let count = rounds.len() + usize::from(!rest.is_empty());
        let round = |at: usize| rounds.get(at).unwrap_or(&tail).as_chunks::<8>().0;
        let zero = In::<P, L>::zero();
        for at in 0..count {
            let groups = round(at);
            let mut differences = [zero; CHAINS];
            for (group, difference) in groups.iter().zip(&mut differences) {
                next.fetch(FETCHED);
                let (x1, first) = gather_x::<P, L>(points, |lane| group[lane].into);
                let (x2, second) = gather_x::<P, L>(points, |lane| group[lane].from);
                if first.any_zero() || second.any_zero() {
                    return false;
                }
                *difference = x2.sub(x1);
            }
            products.extend_from_slice(&chains);
            chains = multiply::<P, L>(&chains, &differences);
        }
        if !invert::<P, L>(&mut chains) {
            return false;
        }
        for (at, before) in products.as_chunks::<CHAINS>().0.iter().enumerate().rev() {
            let groups = round(at);
            let (mut x1, mut y1, mut x2) = ([zero; CHAINS], [zero; CHAINS], [zero; CHAINS]);
            let (mut dx, mut dy) = ([zero; CHAINS], [zero; CHAINS]);
            for k in 0..CHAINS {
                let group = &groups[k];
                next.fetch(2 * FETCHED);
                let [x, y] = gather::<P, L>(points, |lane| group[lane].into);
                let [other_x, other_y] = gather::<P, L>(points, |lane| group[lane].from);
                (x1[k], y1[k], x2[k]) = (x, y, other_x);
                (dx[k], dy[k]) = (other_x.sub(x), other_y.sub(y));
            }
            let inverses = multiply::<P, L>(&chains, before);
            chains = multiply::<P, L>(&chains, &dx);
            let slopes = multiply::<P, L>(&dy, &inverses);
            let squares = multiply::<P, L>(&slopes, &slopes);
            let (mut x, mut back) = ([zero; CHAINS], [zero; CHAINS]);
            for k in 0..CHAINS {
                x[k] = squares[k].sub_two(x1[k], x2[k]);
                back[k] = x1[k].sub(x[k]);
            }
            let rises = multiply::<P, L>(&slopes, &back);
            for k in 0..CHAINS {
                let group = &groups[k];
                scatter::<P, L>(points, |lane| group[lane].into, x[k], rises[k].sub_one(y1[k]));
            }
        }
        true
    }
}

/// The products of all chains.
#[inline(always)]
fn multiply<P: Group, L: Lanes>(
    a: &[In<P, L>; CHAINS],
    b: &[In<P, L>; CHAINS],
) -> [In<P, L>; CHAINS] {
    L::products([&a[0], &a[1]], [&b[0], &b[1]])
}

#[inline(always)]
fn splat<P: Group, L: Lanes>(words: &[u64]) -> In<P, L> {
    let mut columns = [L::splat(0); MOST_WORDS / 2];
    for (column, &word) in columns.iter_mut().zip(words) {
        *column = L::splat(word);
    }
    In::<P, L>::from_words(&columns)
}

/// Eight points' first coordinates, and all words of each or-ed together: zero at infinity, and hardly
/// ever else.
#[inline(always)]
fn gather_x<P: Group, L: Lanes>(
    points: &[Row<<P::BaseField as Vectored>::Point>],
    rows: impl Fn(usize) -> u32,
) -> (In<P, L>, L) {
    let words = P::BaseField::WORDS;
    let mut columns = [L::splat(0); MOST_WORDS];
    let row = |lane: usize| points[rows(lane) as usize].0.as_ref();
    if words == 4 {
        let half = |lane: usize| row(lane)[..4].try_into().expect("four words");
        let mut pairs = [L::splat(0); 4];
        each!(4, |i| {
            // Rows 0, 1, 4, 5 and beside each the one two later.
            let lane = i % 2 + 4 * (i / 2);
            pairs[i] = L::load_halves(half(lane), half(lane + 2));
        });
        L::transpose_halves(&mut pairs);
        each!(4, |word| columns[word] = pairs[word]);
    } else {
        each!(2, |block| {
            let start = (8 * block).min(words.saturating_sub(8));
            if 8 * block < words {
                let mut square = [L::splat(0); 8];
                each!(8, |lane| {
                    square[lane] =
                        L::load(row(lane)[start..start + 8].try_into().expect("eight words"));
                });
                L::transpose(&mut square);
                each!(8, |word| columns[start + word] = square[word]);
            }
        });
    }
    let mut all = columns[0];
    for column in &columns[1..words] {
        all = all.or(*column);
    }
    (In::<P, L>::from_words(&columns[..words]), all)
}

/// Eight points' coordinates.
#[inline(always)]
fn gather<P: Group, L: Lanes>(
    points: &[Row<<P::BaseField as Vectored>::Point>],
    rows: impl Fn(usize) -> u32,
) -> [In<P, L>; 2] {
    let words = P::POINT_WORDS;
    let mut columns = [L::splat(0); MOST_WORDS];
    each!(3, |block| {
        // The last block of twelve words overlaps the one before.
        let start = (8 * block).min(words - 8);
        if 8 * block < words {
            let mut square = [L::splat(0); 8];
            each!(8, |lane| {
                let row = points[rows(lane) as usize].0.as_ref();
                square[lane] = L::load(row[start..start + 8].try_into().expect("eight words"));
            });
            L::transpose(&mut square);
            each!(8, |word| columns[start + word] = square[word]);
        }
    });
    let (x, y) = columns[..words].split_at(words / 2);
    [In::<P, L>::from_words(x), In::<P, L>::from_words(y)]
}

#[inline(always)]
fn scatter<P: Group, L: Lanes>(
    points: &mut [Row<<P::BaseField as Vectored>::Point>],
    rows: impl Fn(usize) -> u32,
    x: In<P, L>,
    y: In<P, L>,
) {
    let words = P::POINT_WORDS;
    let mut columns = [L::splat(0); MOST_WORDS];
    x.to_words(&mut columns[..words / 2]);
    y.to_words(&mut columns[words / 2..words]);
    each!(3, |block| {
        let start = (8 * block).min(words - 8);
        if 8 * block < words {
            let mut square = [L::splat(0); 8];
            each!(8, |word| square[word] = columns[start + word]);
            L::transpose(&mut square);
            each!(8, |lane| {
                let row = points[rows(lane) as usize].0.as_mut();
                let slot = (&mut row[start..start + 8]).try_into().expect("eight words");
                square[lane].store(slot);
            });
        }
    });
}

/// Inverts the lanes of all chains with one inversion; tells whether there are inverses.
#[inline(always)]
fn invert<P: Group, L: Lanes>(chains: &mut [In<P, L>; CHAINS]) -> bool {
    let [a, b] = chains;
    let words = P::BaseField::WORDS;
    let mut columns = [L::splat(0); MOST_WORDS / 2];
    L::product(a, b).to_words(&mut columns[..words]);
    let mut stored = [[0; 8]; MOST_WORDS / 2];
    for (column, stored) in columns[..words].iter().zip(&mut stored) {
        column.store(stored);
    }
    if !invert_outside::<P>(&mut stored[..words]) {
        return false;
    }
    for (column, stored) in columns[..words].iter_mut().zip(&stored) {
        *column = L::load(stored);
    }
    let over = In::<P, L>::from_words(&columns);
    *chains = L::products([&over, &over], [b, a]);
    true
}

/// The part of [`invert`] that needs no lanes: columns of the words of eight elements.
#[inline(never)]
fn invert_outside<P: Group>(columns: &mut [[u64; 8]]) -> bool {
    let mut row = [0; MOST_WORDS / 2];
    let row = &mut row[..columns.len()];
    let mut values = [P::BaseField::ZERO; 8];
    for (lane, value) in values.iter_mut().enumerate() {
        row.iter_mut().zip(&*columns).for_each(|(word, column)| *word = column[lane]);
        *value = P::BaseField::read_loose(row);
    }
    let mut before = [P::BaseField::ONE; 8];
    for i in 1..8 {
        before[i] = before[i - 1] * values[i - 1];
    }
    let Some(inverse) = (before[7] * values[7]).quick_inverse() else { return false };
    // Words of `v·R'` read as `v·R'/R`; the inverse is to be words of `R'/v`.
    let factor = P::BaseField::limb_factor();
    let mut inverse = inverse * factor * factor;
    for lane in (0..8).rev() {
        (inverse * before[lane]).write_words(row);
        row.iter().zip(&mut *columns).for_each(|(word, column)| column[lane] = *word);
        inverse *= values[lane];
    }
    true
}
