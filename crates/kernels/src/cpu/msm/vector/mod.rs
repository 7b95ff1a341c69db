//! Batched point addition in lanes, eight points at a time.
//!
//! Stored points are converted to rows of lanes once ([`gather`]); then rows are added to rows
//! ([`batch`]). Exceptional additions are not detected one by one: infinity is found by its zeros,
//! and every other exception makes a product zero. The affected lanes then get a harmless step, and
//! the portable path performs theirs ([`exceptional`]).

mod batch;
mod exceptional;
mod gather;

use std::marker::PhantomData;

use ark_ec::{AffineRepr, CurveConfig, models::short_weierstrass::Affine};
use ark_ff::Field;

use self::{
    batch::{Batch, Products},
    exceptional::{extract_exceptional, restore_exceptional},
    gather::{Gather, Store},
};
use super::{
    adder::BatchAdder,
    pairs::{Point, PortableAdder, Step, Tally},
    stored::{PrefetchQueue, StoredPoints},
};
use crate::{
    Group, Words,
    lanes::{Lanes, field::Element, packed_field::PackedField},
    memory::wipe_all,
};

/// Eight points, limb by limb, aligned to a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row<A>(A);

/// Point addition in lanes.
pub(super) struct VectorAdder<L>(PhantomData<L>);

type Packed<P, L> = <<P as CurveConfig>::BaseField as PackedField>::Packed<L>;
type Operand<P, L> = <Packed<P, L> as Element<L>>::Operand;
type RowOf<P> = Row<<<P as CurveConfig>::BaseField as PackedField>::PackedPoint>;

const LANES: usize = 8;

impl<P: Group, L: Lanes> BatchAdder<P> for VectorAdder<L> {
    type Row = RowOf<P>;
    type Scratch = Scratch<Products<P, L>>;

    const LANES: usize = LANES;

    const INFINITY: Self::Row = Row(P::BaseField::ZERO_POINT);

    // Together with the next tile's points, well within the second-level cache of processors with
    // these instructions: a mebibyte or more.
    const TILE_BYTES: usize = 1 << 19;

    fn gather(points: StoredPoints<'_, P>, indices: &[u32], rows: &mut [Self::Row]) -> bool {
        L::enable(Gather::<P> { points, indices, rows })
    }

    fn store(rows: &[Self::Row], picked: &[u32], words: &mut [u64]) {
        L::enable(Store::<P> { rows, picked, words });
    }

    fn is_infinity(row: &Self::Row) -> bool {
        row.0.as_ref().as_flattened().iter().all(|&limb| limb == 0)
    }

    fn affine(rows: &[Self::Row]) -> Vec<Affine<P>> {
        let lanes = rows.iter().flat_map(|row| (0..LANES).map(move |lane| (row, lane)));
        let points = lanes.map(|(row, lane)| read_raw::<P>(row, lane));
        let points: Vec<_> = points.map(limb_to_word_form::<P>()).collect();
        <PortableAdder as BatchAdder<P>>::affine(&points)
    }

    fn add_rows(
        rows: &mut [Self::Row],
        finite: &mut bool,
        steps: &[Step],
        next: &mut PrefetchQueue<'_, P>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    ) {
        let products = &mut scratch.0;
        if !L::enable(Batch::<P, L> { rows, finite: *finite, steps, next, products }) {
            // Opposite points add up to infinity.
            *finite = false;
            let exceptional = extract_exceptional::<P>(rows, steps);
            let served = L::enable(Batch::<P, L> { rows, finite: false, steps, next, products });
            assert!(served, "no exceptional step is left");
            restore_exceptional::<P>(rows, &exceptional);
        }
        tally.count(LANES * steps.len());
    }
}

/// Running products of a batch, wiped when dropped.
pub(super) struct Scratch<E: Copy>(Vec<E>);

impl<E: Copy> Default for Scratch<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: Copy> Drop for Scratch<E> {
    fn drop(&mut self) {
        // The first product is one, which is not secret.
        if let Some(&one) = self.0.first() {
            wipe_all(&mut self.0, one);
        }
    }
}

/// The most limbs of a coordinate.
const MAX_ROW_LIMBS: usize = 16;

/// Reads limbs as if they were Montgomery form in words. The result is not the coordinates, but it
/// is equal where they are equal and zero where they are zero.
fn read_raw<P: Group>(row: &RowOf<P>, lane: usize) -> Point<P::BaseField> {
    let columns = row.0.as_ref();
    let coordinate = |columns: &[[u64; 8]]| {
        let mut limbs = [0; MAX_ROW_LIMBS];
        limbs.iter_mut().zip(columns).for_each(|(limb, column)| *limb = column[lane]);
        P::BaseField::from_limbs(&limbs[..columns.len()])
    };
    let (x, y) = columns.split_at(columns.len() / 2);
    Point { x: coordinate(x), y: coordinate(y) }
}

/// Writes what [`read_raw`] reads.
fn write_raw<P: Group>(row: &mut RowOf<P>, lane: usize, point: &Point<P::BaseField>) {
    let columns = row.0.as_mut();
    let half = columns.len() / 2;
    let mut limbs = [0; 2 * MAX_ROW_LIMBS];
    point.x.to_limbs(&mut limbs[..half]);
    point.y.to_limbs(&mut limbs[half..2 * half]);
    columns.iter_mut().zip(limbs).for_each(|(column, limb)| column[lane] = limb);
}

/// Converts coordinates read by [`read_raw`] to Montgomery form in words.
fn limb_to_word_form<P: Group>() -> impl Fn(Point<P::BaseField>) -> Point<P::BaseField> {
    let inverse_ratio =
        P::BaseField::montgomery_r_ratio().inverse().expect("a power of two is not zero");
    move |Point { x, y }| Point { x: x * inverse_ratio, y: y * inverse_ratio }
}

/// Converts coordinates for [`write_raw`]; the inverse of [`limb_to_word_form`].
fn word_to_limb_form<P: Group>() -> impl Fn(Point<P::BaseField>) -> Point<P::BaseField> {
    let ratio = P::BaseField::montgomery_r_ratio();
    move |Point { x, y }| Point { x: x * ratio, y: y * ratio }
}

/// Writes a point in the stored form whose coordinates are in Montgomery form with radix `R'`.
pub(in crate::cpu) fn encode<P: Group>(point: &Affine<P>, out: &mut [u64]) {
    let ratio = P::BaseField::montgomery_r_ratio();
    let (x, y) = point.xy().map_or_else(Default::default, |(x, y)| (x * ratio, y * ratio));
    let (into_x, into_y) = out.split_at_mut(P::BaseField::WORDS);
    x.write_words(into_x);
    y.write_words(into_y);
}
