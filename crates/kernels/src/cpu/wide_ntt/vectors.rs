//! What is done to all elements alike: the way into limbs and out, products and differences.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::factors::Limbs;
use crate::{
    SCALAR_WORDS, Scalar,
    lanes::{
        Lanes, Task,
        field::Element,
        residue::{Eight, Residue, Transformed},
    },
    memory::repeated,
};

/// Vectors that a thread takes at a time.
const SHARE: usize = 1 << 7;

type Of<F, L> = <F as Transformed>::InLanes<L>;

/// Reads elements' words, times a factor; `values` has a vector for each eight.
pub(in crate::cpu) fn import<F: Transformed, L: Lanes>(
    elements: &[F],
    factor: &Limbs,
    values: &mut [Eight],
) {
    let shares = values.par_chunks_mut(SHARE).zip(elements.par_chunks(8 * SHARE));
    shares.for_each(|(values, elements)| import_share::<F, L>(elements, factor, values));
}

/// The same, by this thread.
pub(in crate::cpu) fn import_share<F: Transformed, L: Lanes>(
    elements: &[F],
    factor: &Limbs,
    values: &mut [Eight],
) {
    L::enable(Import { elements, factor, values });
}

struct Import<'a, F> {
    elements: &'a [F],
    factor: &'a Limbs,
    values: &'a mut [Eight],
}

impl<F: Transformed, L: Lanes> Task<L> for Import<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let factor = Of::<F, L>::splat(self.factor);
        for (value, elements) in self.values.iter_mut().zip(self.elements.chunks(8)) {
            let mut columns = [[0; 8]; SCALAR_WORDS];
            for (lane, element) in elements.iter().enumerate() {
                let mut words = [0; SCALAR_WORDS];
                element.write_words(&mut words);
                words.into_iter().zip(&mut columns).for_each(|(word, column)| column[lane] = word);
            }
            let columns = [
                L::load(&columns[0]),
                L::load(&columns[1]),
                L::load(&columns[2]),
                L::load(&columns[3]),
            ];
            L::product(&Of::<F, L>::from_words(&columns), &factor).store(value);
        }
    }
}

/// Writes words below the modulus, of elements times a factor.
pub(in crate::cpu) fn export<F: Transformed, L: Lanes>(
    values: &[Eight],
    factor: &Limbs,
    out: &mut [Scalar],
) {
    let shares = values.par_chunks(SHARE).zip(out.par_chunks_mut(8 * SHARE));
    shares.for_each(|(values, out)| {
        L::enable(Export::<F> { values, factor, out, field: PhantomData });
    });
}

struct Export<'a, F> {
    values: &'a [Eight],
    factor: &'a Limbs,
    out: &'a mut [Scalar],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for Export<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let factor = Of::<F, L>::splat(self.factor);
        for (value, out) in self.values.iter().zip(self.out.chunks_mut(8)) {
            let product = L::product(&Of::<F, L>::load(value), &factor).canonical();
            let mut columns = [L::splat(0); SCALAR_WORDS];
            product.to_words(&mut columns);
            let mut words = [[0; 8]; SCALAR_WORDS];
            for (column, words) in columns.iter().zip(&mut words) {
                column.store(words);
            }
            for (lane, out) in out.iter_mut().enumerate() {
                *out = words.map(|column| column[lane]);
            }
        }
    }
}

/// `a · b`, element by element.
pub(in crate::cpu) fn multiply<F: Transformed, L: Lanes>(a: &[Eight], b: &[Eight]) -> Vec<Eight> {
    let mut products = repeated(Eight::ZERO, a.len());
    products
        .par_chunks_mut(SHARE)
        .zip(a.par_chunks(SHARE).zip(b.par_chunks(SHARE)))
        .for_each(|(out, (a, b))| L::enable(Multiply::<F> { a, b, out, field: PhantomData }));
    products
}

struct Multiply<'a, F> {
    a: &'a [Eight],
    b: &'a [Eight],
    out: &'a mut [Eight],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((out, a), b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            L::product(&Of::<F, L>::load(a), &Of::<F, L>::load(b)).store(out);
        }
    }
}

/// `a · b - c`, element by element, into `a`.
pub(in crate::cpu) fn multiply_subtract<F: Transformed, L: Lanes>(
    a: &mut [Eight],
    b: &[Eight],
    c: &[Eight],
) {
    a.par_chunks_mut(SHARE)
        .zip(b.par_chunks(SHARE).zip(c.par_chunks(SHARE)))
        .for_each(|(a, (b, c))| L::enable(MultiplySubtract::<F> { a, b, c, field: PhantomData }));
}

struct MultiplySubtract<'a, F> {
    a: &'a mut [Eight],
    b: &'a [Eight],
    c: &'a [Eight],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for MultiplySubtract<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((a, b), c) in self.a.iter_mut().zip(self.b).zip(self.c) {
            let product = L::product(&Of::<F, L>::load(a), &Of::<F, L>::load(b));
            product.minus(Of::<F, L>::load(c), 4).keep().store(a);
        }
    }
}
