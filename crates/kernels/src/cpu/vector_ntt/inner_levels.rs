//! The three levels inside vectors of eight, and the coset shift between the inverse and the
//! forward transform.
//!
//! Eight vectors are transposed, so that each block of eight elements has a lane of its own. A
//! block represents a polynomial modulo `X^8 - f^8`. Multiplying coefficient `i` by `f^i` makes it
//! a polynomial modulo `Y^8 - 1`; what is left is a transform of eight elements whose twiddles do
//! not depend on the block. The forward transform does the same in reverse order. `f` is the square
//! of `h`, the power of `η` by which the block's elements are shifted, up to constants that do not
//! depend on the block. So the products of `f^i` and `h` are the odd powers of `h`.

use std::marker::PhantomData;

use super::{
    levels::{
        Packed, forward_first_butterfly, inverse_first_butterfly, load_four, quarters, store_four,
    },
    twiddles::DirectionTwiddles,
};
use crate::lanes::{
    Lanes, Task,
    field::Element,
    ntt_field::{NttElement, NttField, ScalarVector, ShoupConstant},
    shoup::SplatConstant,
};

type OperandOf<F, L> = <Packed<F, L> as Element<L>>::Operand;

/// The result of a transform.
#[derive(Clone, Copy)]
pub(super) enum TransformOutput<'a> {
    /// Coefficients below `4p`, not shifted.
    Coefficients,
    /// Coefficients times the given constants, shifted by the powers of the inverse direction's
    /// `η`.
    ShiftedCoefficients(&'a [ShoupConstant; 8]),
    /// Evaluations on the odd coset: coefficients times the given constants, shifted by the powers
    /// of the forward direction's `η`, and transformed forward.
    CosetEvaluations(&'a [ShoupConstant; 8], &'a DirectionTwiddles),
}

/// The inner levels of eight vectors, which are group number `group`.
pub(super) struct InnerLevels<'a, F> {
    pub(super) values: &'a mut [ScalarVector; 8],
    pub(super) group: usize,
    pub(super) inverse: &'a DirectionTwiddles,
    pub(super) output: TransformOutput<'a>,
    pub(super) field: PhantomData<F>,
}

impl<F: NttField, L: Lanes> Task<L> for InnerLevels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, group, inverse, output, .. } = self;
        Packed::<F, L>::transpose(values);
        let first = Packed::<F, L>::load(&inverse.eta_powers[group]).to_operand();
        let powers = match output {
            TransformOutput::ShiftedCoefficients(_) => odd_powers::<F, L>(first),
            _ => even_powers::<F, L>(
                first,
                <Packed<F, L> as Element<L>>::splat(&inverse.one).to_operand(),
            ),
        };
        twist::<F, L>(values, &powers);
        inverse_eight::<F, L>(values, inverse);
        match output {
            TransformOutput::Coefficients => {
                for value in &mut *values {
                    Packed::<F, L>::load(value).reduce_to_4p().store(value);
                }
            }
            TransformOutput::ShiftedCoefficients(steps) => shift::<F, L>(values, steps),
            TransformOutput::CosetEvaluations(steps, forward) => {
                shift::<F, L>(values, steps);
                forward_eight::<F, L>(values, forward);
                let first = Packed::<F, L>::load(&forward.eta_powers[group]).to_operand();
                twist::<F, L>(values, &odd_powers::<F, L>(first));
            }
        }
        Packed::<F, L>::transpose(values);
    }
}

/// `h, h^3, … h^15`.
#[inline(always)]
fn odd_powers<F: NttField, L: Lanes>(h: OperandOf<F, L>) -> [OperandOf<F, L>; 8] {
    let [two] = mul::<F, L, 1>([&h], [&h]);
    let [three, four] = mul::<F, L, 2>([&h, &two], [&two, &two]);
    let [five, seven] = mul::<F, L, 2>([&h, &three], [&four, &four]);
    let [eight] = mul::<F, L, 1>([&four], [&four]);
    let [nine, eleven] = mul::<F, L, 2>([&h, &three], [&eight, &eight]);
    let [thirteen, fifteen] = mul::<F, L, 2>([&five, &seven], [&eight, &eight]);
    [h, three, five, seven, nine, eleven, thirteen, fifteen]
}

/// `1, h^2, … h^14`.
#[inline(always)]
fn even_powers<F: NttField, L: Lanes>(
    h: OperandOf<F, L>,
    one: OperandOf<F, L>,
) -> [OperandOf<F, L>; 8] {
    let [two] = mul::<F, L, 1>([&h], [&h]);
    let [four] = mul::<F, L, 1>([&two], [&two]);
    let [six, eight] = mul::<F, L, 2>([&two, &four], [&four, &four]);
    let [ten, twelve] = mul::<F, L, 2>([&two, &four], [&eight, &eight]);
    let [fourteen] = mul::<F, L, 1>([&six], [&eight]);
    [one, two, four, six, eight, ten, twelve, fourteen]
}

#[inline(always)]
fn mul<F: NttField, L: Lanes, const K: usize>(
    a: [&OperandOf<F, L>; K],
    b: [&OperandOf<F, L>; K],
) -> [OperandOf<F, L>; K] {
    L::mul_operand::<Packed<F, L>, K>(a, b)
}

/// Montgomery products with the powers, in `[0, 2p)`.
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

/// A transform of eight elements below `2p` from natural to bit-reversed order. Outputs are below
/// `32p`.
#[inline(always)]
fn inverse_eight<F: NttField, L: Lanes>(
    values: &mut [ScalarVector; 8],
    direction: &DirectionTwiddles,
) {
    let roots = &direction.roots;
    let fourth = SplatConstant::new(&roots[0]);
    for four in quarters(values) {
        store_four::<F, L>(
            inverse_first_butterfly::<F, L>(load_four::<F, L>(&four), &fourth),
            four,
        );
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

/// A transform of eight elements below `2p` from bit-reversed to natural order. Outputs are below
/// `16p`.
#[inline(always)]
fn forward_eight<F: NttField, L: Lanes>(
    values: &mut [ScalarVector; 8],
    direction: &DirectionTwiddles,
) {
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
        store_four::<F, L>(
            forward_first_butterfly::<F, L>(load_four::<F, L>(&four), &fourth),
            four,
        );
    }
}

/// Products with the constants of the coset shift, in `[0, 2p)`.
#[inline(always)]
fn shift<F: NttField, L: Lanes>(values: &mut [ScalarVector; 8], steps: &[ShoupConstant; 8]) {
    let pairs = values.as_chunks_mut::<2>().0.iter_mut().zip(steps.as_chunks::<2>().0);
    for ([a, b], [first, second]) in pairs {
        let both = [Packed::<F, L>::load(a), Packed::<F, L>::load(b)];
        let both =
            NttElement::mul_shoup(both, [&SplatConstant::new(first), &SplatConstant::new(second)]);
        both[0].store(a);
        both[1].store(b);
    }
}
