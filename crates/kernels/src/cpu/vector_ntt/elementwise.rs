//! Elementwise operations: conversion from and to words, products and differences.
//!
//! Elements are read as the numbers that their words are, and multiplication by constants keeps
//! that form. A product of two values in lanes is divided by `R' = 2^260`; [`limb_montgomery_r`] is
//! the factor that undoes it.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::levels::Packed;
use crate::{
    SCALAR_WORDS, Scalar,
    lanes::{
        LIMB, Lanes, Task,
        field::Element,
        ntt_field::{NttElement, NttField, SCALAR_LIMBS, ScalarVector, ShoupConstant},
        shoup::SplatConstant,
    },
    memory::repeated,
};

/// Vectors that one task processes.
const VECTORS_PER_TASK: usize = 1 << 7;

/// `R' = 2^260` as an element.
pub(in crate::cpu) fn limb_montgomery_r<F: NttField>() -> F {
    F::from(2u64).pow([u64::from(LIMB) * SCALAR_LIMBS as u64])
}

/// Reads elements' words into `values`, eight elements to a vector; the number of vectors must be
/// even.
pub(in crate::cpu) fn import<F: NttField, L: Lanes>(elements: &[F], values: &mut [ScalarVector]) {
    let tasks =
        values.par_chunks_mut(VECTORS_PER_TASK).zip(elements.par_chunks(8 * VECTORS_PER_TASK));
    tasks.for_each(|(values, elements)| import_serial::<F, L>(elements, values));
}

/// Like [`import`], in the current thread.
pub(in crate::cpu) fn import_serial<F: NttField, L: Lanes>(
    elements: &[F],
    values: &mut [ScalarVector],
) {
    L::enable(Import { elements, values });
}

struct Import<'a, F> {
    elements: &'a [F],
    values: &'a mut [ScalarVector],
}

impl<F: NttField, L: Lanes> Task<L> for Import<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (pairs, elements) =
            (self.values.as_chunks_mut::<2>().0, self.elements.as_chunks::<16>().0);
        for ([first, second], elements) in pairs.iter_mut().zip(elements) {
            let mut rows = [[0; 8]; 8];
            for (lane, row) in rows.iter_mut().enumerate() {
                let (low, high) = row.split_at_mut(SCALAR_WORDS);
                elements[lane].write_words(low);
                elements[lane + 8].write_words(high);
            }
            let columns = load_transposed::<L>(&rows);
            let (low, high) = columns.split_at(SCALAR_WORDS);
            Packed::<F, L>::from_words(low).store(first);
            Packed::<F, L>::from_words(high).store(second);
        }
    }
}

/// Transposes rows to columns.
#[inline(always)]
fn load_transposed<L: Lanes>(rows: &[[u64; 8]; 8]) -> [L; 8] {
    let mut square = [
        L::load(&rows[0]),
        L::load(&rows[1]),
        L::load(&rows[2]),
        L::load(&rows[3]),
        L::load(&rows[4]),
        L::load(&rows[5]),
        L::load(&rows[6]),
        L::load(&rows[7]),
    ];
    L::transpose(&mut square);
    square
}

/// `a · b / R'`, element by element, of values below `4p`; the products are below `2p`.
pub(in crate::cpu) fn product<F: NttField, L: Lanes>(
    a: &[ScalarVector],
    b: &[ScalarVector],
) -> Vec<ScalarVector> {
    let mut products = repeated(ScalarVector::ZERO, a.len());
    products
        .par_chunks_mut(VECTORS_PER_TASK)
        .zip(a.par_chunks(VECTORS_PER_TASK).zip(b.par_chunks(VECTORS_PER_TASK)))
        .for_each(|(out, (a, b))| {
            out.copy_from_slice(a);
            L::enable(Multiply::<F> { a: out, b, field: PhantomData });
        });
    products
}

/// `a · b / R'` in place; see [`product`].
pub(in crate::cpu) fn multiply<F: NttField, L: Lanes>(a: &mut [ScalarVector], b: &[ScalarVector]) {
    a.par_chunks_mut(VECTORS_PER_TASK)
        .zip(b.par_chunks(VECTORS_PER_TASK))
        .for_each(|(a, b)| L::enable(Multiply::<F> { a, b, field: PhantomData }));
}

struct Multiply<'a, F> {
    a: &'a mut [ScalarVector],
    b: &'a [ScalarVector],
    field: PhantomData<F>,
}

impl<F: NttField, L: Lanes> Task<L> for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (a, b) in self.a.as_chunks_mut::<2>().0.iter_mut().zip(self.b.as_chunks::<2>().0) {
            let first = [
                Packed::<F, L>::load(&a[0]).to_operand(),
                Packed::<F, L>::load(&a[1]).to_operand(),
            ];
            let second = [
                Packed::<F, L>::load(&b[0]).to_operand(),
                Packed::<F, L>::load(&b[1]).to_operand(),
            ];
            let products: [Packed<F, L>; 2] =
                L::mul([&first[0], &first[1]], [&second[0], &second[1]]);
            products[0].store(&mut a[0]);
            products[1].store(&mut a[1]);
        }
    }
}

/// Writes `values · scale` as canonical words. Values must be below `4p`.
pub(in crate::cpu) fn export<F: NttField, L: Lanes>(
    values: &[ScalarVector],
    scale: F,
    out: &mut [Scalar],
) {
    let scale = &scale.shoup_constant();
    values.par_chunks(VECTORS_PER_TASK).zip(out.par_chunks_mut(8 * VECTORS_PER_TASK)).for_each(
        |(values, out)| {
            L::enable(Export::<F> { values, subtrahend: None, scale, out, field: PhantomData });
        },
    );
}

/// Writes `(a - b) · scale` as canonical words. Values must be below `4p`.
pub(in crate::cpu) fn export_difference<F: NttField, L: Lanes>(
    a: &[ScalarVector],
    b: &[ScalarVector],
    scale: F,
    out: &mut [Scalar],
) {
    let scale = &scale.shoup_constant();
    a.par_chunks(VECTORS_PER_TASK)
        .zip(b.par_chunks(VECTORS_PER_TASK))
        .zip(out.par_chunks_mut(8 * VECTORS_PER_TASK))
        .for_each(|((values, b), out)| {
            L::enable(Export::<F> { values, subtrahend: Some(b), scale, out, field: PhantomData });
        });
}

/// Writes `(a · b / R' - c) · scale` as canonical words. Values must be below `4p`; `a` is
/// overwritten with intermediate values.
pub(in crate::cpu) fn export_remainder<F: NttField, L: Lanes>(
    a: &mut [ScalarVector],
    b: &[ScalarVector],
    c: &[ScalarVector],
    scale: F,
    out: &mut [Scalar],
) {
    let scale = &scale.shoup_constant();
    a.par_chunks_mut(VECTORS_PER_TASK)
        .zip(b.par_chunks(VECTORS_PER_TASK).zip(c.par_chunks(VECTORS_PER_TASK)))
        .zip(out.par_chunks_mut(8 * VECTORS_PER_TASK))
        .for_each(|((a, (b, c)), out)| {
            let field = PhantomData::<F>;
            L::enable(Multiply { a, b, field });
            L::enable(Export { values: a, subtrahend: Some(c), scale, out, field });
        });
}

struct Export<'a, F> {
    values: &'a [ScalarVector],
    subtrahend: Option<&'a [ScalarVector]>,
    scale: &'a ShoupConstant,
    out: &'a mut [Scalar],
    field: PhantomData<F>,
}

impl<F: NttField, L: Lanes> Task<L> for Export<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let scale = SplatConstant::new(self.scale);
        let (pairs, out) = (self.values.as_chunks::<2>().0, self.out.as_chunks_mut::<16>().0);
        for (at, ([first, second], out)) in pairs.iter().zip(out).enumerate() {
            let mut both = [Packed::<F, L>::load(first), Packed::<F, L>::load(second)];
            if let Some(subtrahend) = self.subtrahend {
                let subtrahends = [
                    Packed::<F, L>::load(&subtrahend[2 * at]),
                    Packed::<F, L>::load(&subtrahend[2 * at + 1]),
                ];
                both = [
                    both[0].sub_plus_multiple(subtrahends[0], 4),
                    both[1].sub_plus_multiple(subtrahends[1], 4),
                ];
            }
            let [first, second] = NttElement::mul_shoup(both, [&scale, &scale]);
            let mut columns = [L::splat(0); 8];
            let (low, high) = columns.split_at_mut(SCALAR_WORDS);
            first.carried().canonical().to_words(low);
            second.carried().canonical().to_words(high);
            L::transpose(&mut columns);
            let (low, high) = out.split_at_mut(8);
            let mut row = [0; 8];
            for ((column, low), high) in columns.iter().zip(low).zip(high) {
                column.store(&mut row);
                low.copy_from_slice(&row[..SCALAR_WORDS]);
                high.copy_from_slice(&row[SCALAR_WORDS..]);
            }
        }
    }
}
