//! The three levels inside vectors of eight, and the coset shift between the way in and the way out.
//!
//! Eight vectors are turned over, so that each block of eight elements has a lane of its own. A block
//! stands for a polynomial modulo `X^8 - f^8`; times `f^i` the `i`-th coefficient is that of one modulo
//! `Y^8 - 1`, and what is left is a transform of eight, whose factors do not depend on the block. On the
//! way out the order is the opposite. `f` is the square of the power `h` of `η` by which the block's
//! elements are shifted, up to factors that do not depend on the block either; so `f^i` and `h` together are
//! the odd powers of `h`.

use std::marker::PhantomData;

use super::{
    factors::Direction,
    levels::{Packed, inward_first, load_four, outward_first, quarters, store_four},
};
use crate::lanes::{
    Lanes, Task,
    field::Element,
    ntt_field::{NttElement, NttField, ScalarVector, ShoupConstant},
    shoup::SplatConstant,
};

type OperandOf<F, L> = <Packed<F, L> as Element<L>>::Operand;

/// What becomes of a block.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// Settled coefficients, not shifted.
    Coefficients,
    /// Coefficients times the steps, shifted by the powers of the direction's `η`.
    Shifted(&'a [ShoupConstant; 8]),
    /// Coefficients times the steps, shifted by the powers of another direction's `η`, and that direction's
    /// way out.
    Back(&'a [ShoupConstant; 8], &'a Direction),
}

/// Eight vectors, which are group number `group`.
pub(super) struct Inside<'a, F> {
    pub(super) values: &'a mut [ScalarVector; 8],
    pub(super) group: usize,
    pub(super) inward: &'a Direction,
    pub(super) way: Way<'a>,
    pub(super) field: PhantomData<F>,
}

impl<F: NttField, L: Lanes> Task<L> for Inside<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, group, inward, way, .. } = self;
        Packed::<F, L>::transpose(values);
        let first = Packed::<F, L>::load(&inward.firsts[group]).to_operand();
        let powers = match way {
            Way::Shifted(_) => odd_powers::<F, L>(first),
            _ => even_powers::<F, L>(
                first,
                <Packed<F, L> as Element<L>>::splat(&inward.one).to_operand(),
            ),
        };
        twist::<F, L>(values, &powers);
        eight_inward::<F, L>(values, inward);
        match way {
            Way::Coefficients => {
                for value in &mut *values {
                    Packed::<F, L>::load(value).reduce_to_4p().store(value);
                }
            }
            Way::Shifted(steps) => step::<F, L>(values, steps),
            Way::Back(steps, outward) => {
                step::<F, L>(values, steps);
                eight_outward::<F, L>(values, outward);
                let first = Packed::<F, L>::load(&outward.firsts[group]).to_operand();
                twist::<F, L>(values, &odd_powers::<F, L>(first));
            }
        }
        Packed::<F, L>::transpose(values);
    }
}

/// `h, h^3, … h^15`.
#[inline(always)]
fn odd_powers<F: NttField, L: Lanes>(h: OperandOf<F, L>) -> [OperandOf<F, L>; 8] {
    let [two] = times::<F, L, 1>([&h], [&h]);
    let [three, four] = times::<F, L, 2>([&h, &two], [&two, &two]);
    let [five, seven] = times::<F, L, 2>([&h, &three], [&four, &four]);
    let [eight] = times::<F, L, 1>([&four], [&four]);
    let [nine, eleven] = times::<F, L, 2>([&h, &three], [&eight, &eight]);
    let [thirteen, fifteen] = times::<F, L, 2>([&five, &seven], [&eight, &eight]);
    [h, three, five, seven, nine, eleven, thirteen, fifteen]
}

/// `1, h^2, … h^14`.
#[inline(always)]
fn even_powers<F: NttField, L: Lanes>(
    h: OperandOf<F, L>,
    one: OperandOf<F, L>,
) -> [OperandOf<F, L>; 8] {
    let [two] = times::<F, L, 1>([&h], [&h]);
    let [four] = times::<F, L, 1>([&two], [&two]);
    let [six, eight] = times::<F, L, 2>([&two, &four], [&four, &four]);
    let [ten, twelve] = times::<F, L, 2>([&two, &four], [&eight, &eight]);
    let [fourteen] = times::<F, L, 1>([&six], [&eight]);
    [one, two, four, six, eight, ten, twelve, fourteen]
}

#[inline(always)]
fn times<F: NttField, L: Lanes, const K: usize>(
    a: [&OperandOf<F, L>; K],
    b: [&OperandOf<F, L>; K],
) -> [OperandOf<F, L>; K] {
    L::mul_operand::<Packed<F, L>, K>(a, b)
}

/// Products with the powers, below `2p`.
#[inline(always)]
fn twist<F: NttField, L: Lanes>(values: &mut [ScalarVector; 8], powers: &[OperandOf<F, L>; 8]) {
    let pairs = values.as_chunks_mut::<2>().0.iter_mut().zip(powers.as_chunks::<2>().0);
    for ([a, b], [first, second]) in pairs {
        let both = [Packed::<F, L>::load(a).to_operand(), Packed::<F, L>::load(b).to_operand()];
        let both: [Packed<F, L>; 2] = L::mul([&both[0], &both[1]], [first, second]);
        both[0].store(a);
        both[1].store(b);
    }
}

/// A transform of eight elements below `2p`, to bit-reversed order; they come out below `32p`.
#[inline(always)]
fn eight_inward<F: NttField, L: Lanes>(values: &mut [ScalarVector; 8], direction: &Direction) {
    let roots = &direction.roots;
    let fourth = SplatConstant::new(&roots[0]);
    for four in quarters(values) {
        store_four::<F, L>(inward_first::<F, L>(load_four::<F, L>(&four), &fourth), four);
    }
    let [[a, b], pairs @ ..] = values.as_chunks_mut::<2>().0 else { unreachable!("four pairs") };
    let (first, second) = (Packed::<F, L>::load(a), Packed::<F, L>::load(b));
    first.add_lazy(second).store(a);
    first.sub_plus_multiple(second, 16).store(b);
    for ([a, b], root) in pairs.iter_mut().zip(roots) {
        let first = Packed::<F, L>::load(a);
        let [product] =
            NttElement::mul_shoup([Packed::<F, L>::load(b)], [&SplatConstant::new(root)]);
        first.add_lazy(product).store(a);
        first.sub_plus_multiple(product, 2).store(b);
    }
}

/// And back to natural order, of elements below `2p`; they come out below `16p`.
#[inline(always)]
fn eight_outward<F: NttField, L: Lanes>(values: &mut [ScalarVector; 8], direction: &Direction) {
    let roots = &direction.roots;
    let [[a, b], pairs @ ..] = values.as_chunks_mut::<2>().0 else { unreachable!("four pairs") };
    let (first, second) = (Packed::<F, L>::load(a), Packed::<F, L>::load(b));
    first.add_lazy(second).store(a);
    first.sub_plus_multiple(second, 2).store(b);
    for ([a, b], root) in pairs.iter_mut().zip(roots) {
        let (first, second) = (Packed::<F, L>::load(a), Packed::<F, L>::load(b));
        let [product] = NttElement::mul_shoup(
            [first.sub_plus_multiple(second, 2)],
            [&SplatConstant::new(root)],
        );
        first.add_lazy(second).store(a);
        product.store(b);
    }
    let fourth = SplatConstant::new(&roots[0]);
    for four in quarters(values) {
        store_four::<F, L>(outward_first::<F, L>(load_four::<F, L>(&four), &fourth), four);
    }
}

/// Products with the steps, below `2p`.
#[inline(always)]
fn step<F: NttField, L: Lanes>(values: &mut [ScalarVector; 8], steps: &[ShoupConstant; 8]) {
    let pairs = values.as_chunks_mut::<2>().0.iter_mut().zip(steps.as_chunks::<2>().0);
    for ([a, b], [first, second]) in pairs {
        let both = [Packed::<F, L>::load(a), Packed::<F, L>::load(b)];
        let both =
            NttElement::mul_shoup(both, [&SplatConstant::new(first), &SplatConstant::new(second)]);
        both[0].store(a);
        both[1].store(b);
    }
}
