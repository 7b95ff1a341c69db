//! What is done to all elements alike: the way into limbs and out, and products.
//!
//! Elements come as what their words say, and constants leave that as it is. A product in lanes divides by
//! `R' = 2^260`, which [`number_factor`] takes back.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::levels::Of;
use crate::{
    SCALAR_WORDS, Scalar,
    lanes::{
        LIMB, Lanes, Task,
        constant::Splat,
        field::Element,
        residue::{Constant, Eight, Residue, SCALAR_LIMBS, Transformed},
    },
    memory::repeated,
};

/// Vectors that a thread takes at a time.
const SHARE: usize = 1 << 7;

/// What takes products to numbers: `R'`.
pub(in crate::cpu) fn number_factor<F: Transformed>() -> F {
    F::from(2u64).pow([u64::from(LIMB) * SCALAR_LIMBS as u64])
}

/// Reads elements' words; `values` has a vector for each eight, and there are pairs of vectors.
pub(in crate::cpu) fn import<F: Transformed, L: Lanes>(elements: &[F], values: &mut [Eight]) {
    let shares = values.par_chunks_mut(SHARE).zip(elements.par_chunks(8 * SHARE));
    shares.for_each(|(values, elements)| import_share::<F, L>(elements, values));
}

/// The same, by this thread.
pub(in crate::cpu) fn import_share<F: Transformed, L: Lanes>(elements: &[F], values: &mut [Eight]) {
    L::enable(Import { elements, values });
}

struct Import<'a, F> {
    elements: &'a [F],
    values: &'a mut [Eight],
}

impl<F: Transformed, L: Lanes> Task<L> for Import<'_, F> {
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
            let columns = turned::<L>(&rows);
            let (low, high) = columns.split_at(SCALAR_WORDS);
            Of::<F, L>::from_words(low).store(first);
            Of::<F, L>::from_words(high).store(second);
        }
    }
}

/// Rows as columns.
#[inline(always)]
fn turned<L: Lanes>(rows: &[[u64; 8]; 8]) -> [L; 8] {
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

/// `a · b`, element by element, of settled values.
pub(in crate::cpu) fn product<F: Transformed, L: Lanes>(a: &[Eight], b: &[Eight]) -> Vec<Eight> {
    let mut products = repeated(Eight::ZERO, a.len());
    products.par_chunks_mut(SHARE).zip(a.par_chunks(SHARE).zip(b.par_chunks(SHARE))).for_each(
        |(out, (a, b))| {
            out.copy_from_slice(a);
            L::enable(Multiply::<F> { a: out, b, field: PhantomData });
        },
    );
    products
}

/// The same, into `a`.
pub(in crate::cpu) fn multiply<F: Transformed, L: Lanes>(a: &mut [Eight], b: &[Eight]) {
    a.par_chunks_mut(SHARE)
        .zip(b.par_chunks(SHARE))
        .for_each(|(a, b)| L::enable(Multiply::<F> { a, b, field: PhantomData }));
}

struct Multiply<'a, F> {
    a: &'a mut [Eight],
    b: &'a [Eight],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (a, b) in self.a.as_chunks_mut::<2>().0.iter_mut().zip(self.b.as_chunks::<2>().0) {
            let first = [Of::<F, L>::load(&a[0]).factor(), Of::<F, L>::load(&a[1]).factor()];
            let second = [Of::<F, L>::load(&b[0]).factor(), Of::<F, L>::load(&b[1]).factor()];
            let products: [Of<F, L>; 2] =
                L::products([&first[0], &first[1]], [&second[0], &second[1]]);
            products[0].store(&mut a[0]);
            products[1].store(&mut a[1]);
        }
    }
}

/// Writes words below the modulus, of settled values times a factor.
pub(in crate::cpu) fn export<F: Transformed, L: Lanes>(
    values: &[Eight],
    factor: F,
    out: &mut [Scalar],
) {
    let factor = &factor.constant();
    values.par_chunks(SHARE).zip(out.par_chunks_mut(8 * SHARE)).for_each(|(values, out)| {
        L::enable(Export::<F> { values, less: None, factor, out, field: PhantomData });
    });
}

/// The same of differences, `a - b`.
pub(in crate::cpu) fn export_difference<F: Transformed, L: Lanes>(
    a: &[Eight],
    b: &[Eight],
    factor: F,
    out: &mut [Scalar],
) {
    let factor = &factor.constant();
    a.par_chunks(SHARE).zip(b.par_chunks(SHARE)).zip(out.par_chunks_mut(8 * SHARE)).for_each(
        |((values, b), out)| {
            L::enable(Export::<F> { values, less: Some(b), factor, out, field: PhantomData });
        },
    );
}

/// The same of products less something, `a · b - c`; what becomes of `a` is of no use.
pub(in crate::cpu) fn export_remainder<F: Transformed, L: Lanes>(
    a: &mut [Eight],
    b: &[Eight],
    c: &[Eight],
    factor: F,
    out: &mut [Scalar],
) {
    let factor = &factor.constant();
    a.par_chunks_mut(SHARE)
        .zip(b.par_chunks(SHARE).zip(c.par_chunks(SHARE)))
        .zip(out.par_chunks_mut(8 * SHARE))
        .for_each(|((a, (b, c)), out)| {
            let field = PhantomData::<F>;
            L::enable(Multiply { a, b, field });
            L::enable(Export { values: a, less: Some(c), factor, out, field });
        });
}

struct Export<'a, F> {
    values: &'a [Eight],
    less: Option<&'a [Eight]>,
    factor: &'a Constant,
    out: &'a mut [Scalar],
    field: PhantomData<F>,
}

impl<F: Transformed, L: Lanes> Task<L> for Export<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let factor = Splat::new(self.factor);
        let (pairs, out) = (self.values.as_chunks::<2>().0, self.out.as_chunks_mut::<16>().0);
        for (at, ([first, second], out)) in pairs.iter().zip(out).enumerate() {
            let mut both = [Of::<F, L>::load(first), Of::<F, L>::load(second)];
            if let Some(less) = self.less {
                let less = [Of::<F, L>::load(&less[2 * at]), Of::<F, L>::load(&less[2 * at + 1])];
                both = [both[0].minus(less[0], 4), both[1].minus(less[1], 4)];
            }
            let [first, second] = Residue::times(both, [&factor, &factor]);
            let mut columns = [L::splat(0); 8];
            let (low, high) = columns.split_at_mut(SCALAR_WORDS);
            first.carry().canonical().to_words(low);
            second.carry().canonical().to_words(high);
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
