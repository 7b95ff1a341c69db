//! Batches of affine additions, eight at a time.
//!
//! The same two passes as in [`super::pairs`], in lanes: each lane multiplies up its own share of the
//! divisors, and the products of all lanes (two chains of eight, so that one's latency hides behind the
//! other's work) share an inversion outside. Exceptional additions are not looked for one by one. Infinity
//! shows as zeros, and everything else as a product that is zero; then lanes with an exceptional step are
//! given another, and the portable path takes theirs.

use std::{marker::PhantomData, ops::Range};

use ark_ec::{AffineRepr, CurveConfig, models::short_weierstrass::Affine};
use ark_ff::{AdditiveGroup, Field, Zero};

use super::{
    adder::{Adder, wipe_rows},
    pairs::{Plain, Point, Step, Tally},
    stored::{AHEAD, NEGATED, Next, stored},
};
use crate::{
    Group, Words,
    lanes::{Lanes, MASK, Task, each, field::Element, vectored::Vectored},
    memory::wipe_all,
    prefetch,
};

/// Eight points, limb by limb, on cache lines of their own.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row<A>(A);

/// Addition in lanes.
pub(super) struct Wide<L>(PhantomData<L>);

type In<P, L> = <<P as CurveConfig>::BaseField as Vectored>::In<L>;
type RowOf<P> = Row<<<P as CurveConfig>::BaseField as Vectored>::Row>;

const LANES: usize = 8;

impl<P: Group, L: Lanes> Adder<P> for Wide<L> {
    type Row = RowOf<P>;
    type Scratch = Scratch<In<P, L>>;

    const LANES: usize = LANES;

    const INFINITY: Self::Row = Row(P::BaseField::ZEROS);

    // Half of the second-level cache where these instructions are: a mebibyte and more.
    const TILE_BYTES: usize = 3 << 18;

    fn gather(words: &[u64], indices: &[u32], rows: &mut [Self::Row]) {
        L::enable(Gather::<P> { words, indices, rows });
    }

    fn copy(from: &Self::Row, lane: usize, into: &mut Self::Row, into_lane: usize) {
        for (from, into) in from.0.as_ref().iter().zip(into.0.as_mut()) {
            into[into_lane] = from[lane];
        }
    }

    fn is_infinity(row: &Self::Row) -> bool {
        row.0.as_ref().as_flattened().iter().all(|&limb| limb == 0)
    }

    fn affine(rows: &[Self::Row]) -> Vec<Affine<P>> {
        let over = P::BaseField::limb_factor().inverse().expect("a power of two is not zero");
        let point = |(row, lane)| {
            let Point { x, y } = read_as_is::<P>(row, lane);
            Point { x: x * over, y: y * over }
        };
        let points: Vec<_> = rows
            .iter()
            .flat_map(|row| (0..LANES).map(move |lane| (row, lane)))
            .map(point)
            .collect();
        <Plain as Adder<P>>::affine(&points)
    }

    fn add_rows(
        rows: &mut [Self::Row],
        steps: &[Step],
        next: &mut Next<'_>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    ) {
        if steps.is_empty() {
            return;
        }
        let products = &mut scratch.0;
        if !L::enable(Batch::<P, L> { rows, steps, next, products }) {
            let apart = set_apart::<P>(rows, steps);
            let served = L::enable(Batch::<P, L> { rows, steps, next, products });
            assert!(served, "no exceptional step is left");
            for Apart { step, lane, sum, from } in apart {
                put_as_is::<P>(&mut rows[step.into as usize], lane, &sum);
                put_as_is::<P>(&mut rows[step.from as usize], lane, &from);
            }
        }
        tally.count(LANES * steps.len());
    }
}

/// The sum of a lane whose step is exceptional, which has been given a harmless one.
struct Apart<F> {
    step: Step,
    lane: usize,
    sum: Point<F>,
    /// What was added.
    from: Point<F>,
}

/// Takes exceptional steps out of a batch.
fn set_apart<P: Group>(rows: &mut [RowOf<P>], steps: &[Step]) -> Vec<Apart<P::BaseField>> {
    let mut apart = Vec::new();
    for (&step, lane) in steps.iter().flat_map(|step| (0..LANES).map(move |lane| (step, lane))) {
        let [p, q] = [step.into, step.from].map(|row| &rows[row as usize]);
        if !may_be_exceptional::<P>(p, q, lane) {
            continue;
        }
        let [p, q] = [p, q].map(|row| read_as_is::<P>(row, lane));
        if p.x.is_zero() || q.x.is_zero() || p.x == q.x {
            apart.push(Apart { step, lane, sum: p, from: q });
        }
    }
    for Apart { step, lane, .. } in &apart {
        let [one, two] = [1u64, 2].map(|x| Point { x: x.into(), y: P::BaseField::ZERO });
        put_as_is::<P>(&mut rows[step.into as usize], *lane, &one);
        put_as_is::<P>(&mut rows[step.from as usize], *lane, &two);
    }
    let (infinite, finite): (Vec<_>, Vec<_>) =
        apart.iter_mut().partition(|it| it.sum.is_infinity() || it.from.is_infinity());
    for it in infinite {
        it.sum = if it.sum.is_infinity() { it.from } else { it.sum };
    }
    let mut pairs: Vec<_> =
        finite.iter().flat_map(|it| [it.sum, it.from]).map(to_words_form::<P>).collect();
    let in_turn: Vec<Step> =
        (0..finite.len() as u32).map(|i| Step { into: 2 * i, from: 2 * i + 1 }).collect();
    let (next, scratch) = (&mut Next::nothing(), &mut Default::default());
    <Plain as Adder<P>>::add_rows(&mut pairs, &in_turn, next, scratch, &Tally::default());
    for (it, pair) in finite.into_iter().zip(pairs.chunks_exact(2)) {
        it.sum = to_limb_form::<P>(&pair[0]);
    }
    wipe_rows::<P, Plain>(&mut pairs);
    apart
}

/// Whether two first coordinates could be equal or zero, from their lowest limbs: they are at most twice
/// the modulus.
#[inline(always)]
fn may_be_exceptional<P: Group>(p: &RowOf<P>, q: &RowOf<P>, lane: usize) -> bool {
    let [p, q] = [p, q].map(|row| row.0.as_ref()[0][lane]);
    let multiple = |difference: u64| {
        [0, P::BaseField::LOWEST, 2 * P::BaseField::LOWEST].map(|m| m & MASK).contains(&difference)
    };
    multiple(p.wrapping_sub(q) & MASK) || multiple(q.wrapping_sub(p) & MASK) || p == 0 || q == 0
}

/// What batches products, wiped when dropped.
pub(super) struct Scratch<E: Copy>(Vec<E>);

impl<E: Copy> Default for Scratch<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: Copy> Drop for Scratch<E> {
    fn drop(&mut self) {
        // The first product is no secret: it is one.
        if let Some(&one) = self.0.first() {
            wipe_all(&mut self.0, one);
        }
    }
}

/// Most limbs of a coordinate.
const MOST_LIMBS: usize = 16;

/// The limbs taken for Montgomery form in words: not the coordinates, but equal and zero where they are.
fn read_as_is<P: Group>(row: &RowOf<P>, lane: usize) -> Point<P::BaseField> {
    let columns = row.0.as_ref();
    let coordinate = |columns: &[[u64; 8]]| {
        let mut limbs = [0; MOST_LIMBS];
        limbs.iter_mut().zip(columns).for_each(|(limb, column)| *limb = column[lane]);
        P::BaseField::from_limbs(&limbs[..columns.len()])
    };
    let (x, y) = columns.split_at(columns.len() / 2);
    Point { x: coordinate(x), y: coordinate(y) }
}

/// What [`read_as_is`] reads.
fn put_as_is<P: Group>(row: &mut RowOf<P>, lane: usize, point: &Point<P::BaseField>) {
    let columns = row.0.as_mut();
    let half = columns.len() / 2;
    let mut limbs = [0; 2 * MOST_LIMBS];
    point.x.to_limbs(&mut limbs[..half]);
    point.y.to_limbs(&mut limbs[half..2 * half]);
    columns.iter_mut().zip(limbs).for_each(|(column, limb)| column[lane] = limb);
}

fn to_words_form<P: Group>(point: Point<P::BaseField>) -> Point<P::BaseField> {
    let over = P::BaseField::limb_factor().inverse().expect("a power of two is not zero");
    Point { x: point.x * over, y: point.y * over }
}

fn to_limb_form<P: Group>(point: &Point<P::BaseField>) -> Point<P::BaseField> {
    let factor = P::BaseField::limb_factor();
    Point { x: point.x * factor, y: point.y * factor }
}

/// Converts points of a key to the stored form with coordinates in limb form.
pub(in crate::cpu) fn encode<P: Group>(point: &Affine<P>, out: &mut [u64]) {
    let point = point.xy().map_or(Point::INFINITY, |(x, y)| Point { x, y });
    let Point { x, y } = to_limb_form::<P>(&point);
    let (into_x, into_y) = out.split_at_mut(P::BaseField::WORDS);
    x.write_words(into_x);
    y.write_words(into_y);
}

/// Most words of a point.
const MOST_WORDS: usize = 24;

/// Fills rows with stored points.
struct Gather<'a, P: Group> {
    words: &'a [u64],
    indices: &'a [u32],
    rows: &'a mut [RowOf<P>],
}

impl<P: Group, L: Lanes> Task<L> for Gather<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (words, (indices, _)) = (P::POINT_WORDS, self.indices.as_chunks::<LANES>());
        let point = |index: u32| stored(self.words, words, index);
        for (at, (row, indices)) in self.rows.iter_mut().zip(indices).enumerate() {
            if let Some(ahead) = self.indices.get(LANES * at + AHEAD..LANES * (at + 1) + AHEAD) {
                ahead.iter().for_each(|&index| prefetch::soon(point(index)));
            }
            let mut columns = [L::splat(0); MOST_WORDS];
            each!(3, |block| {
                // The last block of twelve words overlaps the one before.
                let start = (8 * block).min(words - 8);
                if 8 * block < words {
                    let mut square = [L::splat(0); 8];
                    each!(8, |lane| {
                        let words = &point(indices[lane])[start..start + 8];
                        square[lane] = L::load(words.try_into().expect("eight words"));
                    });
                    L::transpose(&mut square);
                    each!(8, |word| columns[start + word] = square[word]);
                }
            });
            let mut any = columns[0];
            for column in &columns[1..words] {
                any = any.or(*column);
            }
            // Infinity must stay zeros.
            let finite = L::splat(0).sub(any).or(any).negative();
            let negated = L::load_half_words(indices).shl(NEGATED.leading_zeros() + 32).negative();
            let (x, y) = columns[..words].split_at(words / 2);
            let y = In::<P, L>::from_words(y).negated_where(negated.and(finite));
            let (into_x, into_y) = row.0.as_mut().split_at_mut(In::<P, L>::LIMBS);
            In::<P, L>::from_words(x).write(into_x);
            y.write(into_y);
        }
    }
}

/// Chains of eight products. Their rows are worked on in lockstep, for the steps of one wait for each
/// other; more than two did not fit beside each other.
const CHAINS: usize = 2;

/// Points that are asked for after each pair of products, of which an addition of two rows takes six; a tile
/// takes about as many additions as it has rows of eight points. More at once would have the core wait for
/// room to ask.
const FETCHED: usize = 3;

/// A batch of steps; the task tells whether it took them, or changed nothing because one is exceptional.
struct Batch<'a, 'n, P: Group, L: Lanes> {
    rows: &'a mut [RowOf<P>],
    steps: &'a [Step],
    next: &'a mut Next<'n>,
    products: &'a mut Vec<In<P, L>>,
}

impl<P: Group, L: Lanes> Task<L> for Batch<'_, '_, P, L> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { rows, steps, next, products } = self;
        let limbs = In::<P, L>::LIMBS;
        let mut one = [0; MOST_LIMBS];
        P::BaseField::limb_factor().to_limbs(&mut one[..limbs]);
        let mut chains = [In::<P, L>::splat(&one[..limbs]); CHAINS];
        products.clear();
        // A chain without a step repeats the last one, to the same result: it is read before it is written.
        let Some(&last) = steps.last() else { return true };
        let (rounds, rest) = steps.as_chunks::<CHAINS>();
        let tail: [Step; CHAINS] = std::array::from_fn(|chain| *rest.get(chain).unwrap_or(&last));
        let count = rounds.len() + usize::from(!rest.is_empty());
        let round = |at: usize| rounds.get(at).unwrap_or(&tail);
        let zero = In::<P, L>::zero();
        for at in 0..count {
            let mut divisors = [zero; CHAINS];
            for (step, divisor) in round(at).iter().zip(&mut divisors) {
                let Step { into, from } = *step;
                let [x1, x2] = [into, from].map(|row| &rows[row as usize].0.as_ref()[..limbs]);
                if any_zero::<L>(x1) || any_zero::<L>(x2) {
                    return false;
                }
                *divisor = In::<P, L>::read(x2).sub(In::<P, L>::read(x1));
            }
            products.extend_from_slice(&chains);
            let ahead = round((at + 1).min(count - 1));
            bring_near(rows, ahead, |step| step.into, 0..limbs);
            chains = multiply::<P, L>(&chains, &divisors);
            bring_near(rows, ahead, |step| step.from, 0..limbs);
            next.fetch(FETCHED);
        }
        if !invert::<P, L>(&mut chains) {
            return false;
        }
        for (at, before) in products.as_chunks::<CHAINS>().0.iter().enumerate().rev() {
            let (mut x1, mut y1, mut x2) = ([zero; CHAINS], [zero; CHAINS], [zero; CHAINS]);
            let (mut divisors, mut dy) = ([zero; CHAINS], [zero; CHAINS]);
            for k in 0..CHAINS {
                let Step { into, from } = round(at)[k];
                let [one, two] = [into, from].map(|row| rows[row as usize].0.as_ref());
                (x1[k], y1[k]) = (In::<P, L>::read(one), In::<P, L>::read(&one[limbs..]));
                x2[k] = In::<P, L>::read(two);
                dy[k] = In::<P, L>::read(&two[limbs..]).sub(y1[k]);
                divisors[k] = x2[k].sub(x1[k]);
            }
            let ahead = round(at.saturating_sub(1));
            let inverses = multiply::<P, L>(&chains, before);
            bring_near(rows, ahead, |step| step.into, 0..limbs);
            next.fetch(FETCHED);
            chains = multiply::<P, L>(&chains, &divisors);
            bring_near(rows, ahead, |step| step.into, limbs..2 * limbs);
            next.fetch(FETCHED);
            let slopes = multiply::<P, L>(&dy, &inverses);
            bring_near(rows, ahead, |step| step.from, 0..limbs);
            next.fetch(FETCHED);
            let squares = L::squares([&slopes[0], &slopes[1]]);
            bring_near(rows, ahead, |step| step.from, limbs..2 * limbs);
            next.fetch(FETCHED);
            let (mut x, mut back) = ([zero; CHAINS], [zero; CHAINS]);
            for k in 0..CHAINS {
                x[k] = squares[k].sub_two(x1[k], x2[k]);
                back[k] = x1[k].sub(x[k]);
            }
            let rises = multiply::<P, L>(&slopes, &back);
            next.fetch(FETCHED);
            for k in 0..CHAINS {
                let row = rows[round(at)[k].into as usize].0.as_mut();
                x[k].write(row);
                rises[k].sub_one(y1[k]).write(&mut row[limbs..]);
            }
        }
        true
    }
}

/// Asks for columns of the next round's rows: what lies in the second-level cache takes as long to come
/// as a product.
#[inline(always)]
fn bring_near<A: AsRef<[[u64; 8]]>>(
    rows: &[Row<A>],
    steps: &[Step; CHAINS],
    row: impl Fn(&Step) -> u32,
    columns: Range<usize>,
) {
    steps
        .iter()
        .for_each(|step| prefetch::soon(&rows[row(step) as usize].0.as_ref()[columns.clone()]));
}

/// The products of all chains.
#[inline(always)]
fn multiply<P: Group, L: Lanes>(
    a: &[In<P, L>; CHAINS],
    b: &[In<P, L>; CHAINS],
) -> [In<P, L>; CHAINS] {
    L::products([&a[0], &a[1]], [&b[0], &b[1]])
}

/// Whether any lane's limbs are all zeros, as at infinity and hardly ever else.
#[inline(always)]
fn any_zero<L: Lanes>(limbs: &[[u64; 8]]) -> bool {
    let mut all = L::splat(0);
    for limb in limbs {
        all = all.or(L::load(limb));
    }
    all.any_zero()
}

/// Inverts the lanes of all chains with one inversion; tells whether there are inverses.
#[inline(always)]
fn invert<P: Group, L: Lanes>(chains: &mut [In<P, L>; CHAINS]) -> bool {
    let [a, b] = chains;
    let mut columns = [[0; 8]; MOST_LIMBS];
    let columns = &mut columns[..In::<P, L>::LIMBS];
    L::product(a, b).write(columns);
    if !invert_outside::<P>(columns) {
        return false;
    }
    let over = In::<P, L>::read(columns);
    *chains = L::products([&over, &over], [b, a]);
    true
}

/// The part of [`invert`] that needs no lanes.
#[inline(never)]
fn invert_outside<P: Group>(columns: &mut [[u64; 8]]) -> bool {
    let mut limbs = [0; MOST_LIMBS];
    let limbs = &mut limbs[..columns.len()];
    let mut values = [P::BaseField::ZERO; LANES];
    for (lane, value) in values.iter_mut().enumerate() {
        limbs.iter_mut().zip(&*columns).for_each(|(limb, column)| *limb = column[lane]);
        *value = P::BaseField::from_limbs(limbs);
    }
    let mut before = [P::BaseField::ONE; LANES];
    for i in 1..LANES {
        before[i] = before[i - 1] * values[i - 1];
    }
    let Some(inverse) = (before[7] * values[7]).quick_inverse() else { return false };
    // Limbs of `v·R'` read as `v·R'/R`; the inverse is to be limbs of `R'/v`.
    let factor = P::BaseField::limb_factor();
    let mut inverse = inverse * factor * factor;
    for lane in (0..LANES).rev() {
        (inverse * before[lane]).to_limbs(limbs);
        limbs.iter().zip(&mut *columns).for_each(|(limb, column)| column[lane] = *limb);
        inverse *= values[lane];
    }
    true
}
