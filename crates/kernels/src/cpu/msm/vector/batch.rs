//! A batch of additions: two passes and an inversion.
//!
//! The same two passes as in [`super::super::pairs`], in lanes. Each lane multiplies its own
//! divisors, in two chains of eight lanes, so that the latency of one chain is hidden by the work
//! of the other. All lanes of both chains share one inversion.

use std::{array::from_mut, ops::Range};

use ark_ff::{AdditiveGroup, Field};

use super::{LANES, MAX_ROW_LIMBS, Operand, Packed, Row, RowOf};
use crate::{
    Group, Words,
    cpu::msm::{pairs::Step, stored::PrefetchQueue},
    lanes::{Lanes, Task, field::Element, packed_field::PackedField},
    memory::set_len,
    prefetch,
};

/// Interleaved chains of eight products. The steps of a chain depend on each other; more than two
/// chains do not fit the registers.
const CHAINS: usize = 2;

/// Points prefetched after each pair of products. An addition of two rows takes six pairs, and a
/// tile takes about as many additions as it has rows of eight points. Prefetching more at once
/// would stall the core on its fill buffers.
const PREFETCH_PER_MUL: usize = 3;

/// A batch of steps. The task returns `true` if it performed them, or `false`, with the rows
/// unchanged, if a step is exceptional.
pub(super) struct Batch<'a, 'n, P: Group, L: Lanes> {
    pub(super) rows: &'a mut [RowOf<P>],
    /// Whether no row contains infinity; otherwise each row is checked.
    pub(super) finite: bool,
    pub(super) steps: &'a [Step],
    pub(super) next: &'a mut PrefetchQueue<'n, P>,
    pub(super) products: &'a mut Vec<Products<P, L>>,
}

/// Running products of each chain.
pub(super) type Products<P, L> = [Operand<P, L>; CHAINS];

impl<P: Group, L: Lanes> Task<L> for Batch<'_, '_, P, L> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { rows, finite, steps, next, products } = self;
        let limbs = Packed::<P, L>::LIMBS;
        // A chain without a step repeats the last step with the same result, because rows are read
        // before they are written.
        let Some(&last) = steps.last() else { return true };
        let (rounds, rest) = steps.as_chunks::<CHAINS>();
        let tail: [Step; CHAINS] = std::array::from_fn(|chain| *rest.get(chain).unwrap_or(&last));
        let count = rounds.len() + usize::from(!rest.is_empty());
        let round = |at: usize| rounds.get(at).unwrap_or(&tail);
        let mut one = [0; MAX_ROW_LIMBS];
        P::BaseField::montgomery_r_ratio().to_limbs(&mut one[..limbs]);
        let ones = [Packed::<P, L>::splat(&one[..limbs]).to_operand(); CHAINS];
        if products.len() <= count {
            set_len(products, 1 + count, ones);
        }
        // Buffers outlive the rounds, because returned arrays would be copied.
        let mut divisors = ones;
        for at in 0..count {
            for (step, divisor) in round(at).iter().zip(&mut divisors) {
                let Step { into, from } = *step;
                let [x1, x2] = [into, from].map(|row| &rows[row as usize].0.as_ref()[..limbs]);
                if !finite && (any_zero::<L>(x1) || any_zero::<L>(x2)) {
                    return false;
                }
                *divisor = Packed::<P, L>::read(x2).sub_to_operand(Packed::<P, L>::read(x1));
            }
            let (before, after) = products[at..].split_at_mut(1);
            let ahead = round((at + 1).min(count - 1));
            prefetch_columns(rows, ahead, |step| step.into, 0..limbs);
            mul_chains_to_operands::<P, L>(&before[0], &divisors, &mut after[0], next);
            prefetch_columns(rows, ahead, |step| step.from, 0..limbs);
        }
        let (mut chains, mut after) = (products[count], products[0]);
        if !invert_chains::<P, L>(&mut chains) {
            return false;
        }
        let (mut chains, mut after) = (&mut chains, &mut after);
        let (mut dy, mut inverses, mut slope_operands, mut dx_back) =
            (divisors, divisors, divisors, divisors);
        let zero = [Packed::<P, L>::zero(); CHAINS];
        let (mut slopes, mut squares, mut x, mut y) = (zero, zero, zero, zero);
        for (at, before) in products[..count].iter().enumerate().rev() {
            let steps = round(at);
            for k in 0..CHAINS {
                let [one, two] = row_pair(rows, steps[k]);
                divisors[k] = Packed::<P, L>::read(two).sub_to_operand(Packed::<P, L>::read(one));
                dy[k] = Packed::<P, L>::read(&two[limbs..])
                    .sub_to_operand(Packed::<P, L>::read(&one[limbs..]));
            }
            let ahead = round(at.saturating_sub(1));
            mul_chains_to_operands::<P, L>(chains, before, &mut inverses, next);
            prefetch_columns(rows, ahead, |step| step.into, 0..limbs);
            mul_chains_to_operands::<P, L>(chains, &divisors, after, next);
            std::mem::swap(&mut chains, &mut after);
            prefetch_columns(rows, ahead, |step| step.into, limbs..2 * limbs);
            mul_chains::<P, L>(&dy, &inverses, &mut slopes, next);
            prefetch_columns(rows, ahead, |step| step.from, 0..limbs);
            L::square_into([&slopes[0], &slopes[1]], &mut slope_operands, &mut squares);
            next.prefetch(PREFETCH_PER_MUL);
            prefetch_columns(rows, ahead, |step| step.from, limbs..2 * limbs);
            for k in 0..CHAINS {
                let [one, two] = row_pair(rows, steps[k]);
                let x1 = Packed::<P, L>::read(one);
                x[k] = squares[k].sub_two_reduced(x1, Packed::<P, L>::read(two));
                dx_back[k] = x1.sub_to_operand(x[k]);
            }
            mul_chains::<P, L>(&slope_operands, &dx_back, &mut y, next);
            // All rows are read before one is written, because chains may share a step.
            for k in 0..CHAINS {
                let [one, _] = row_pair(rows, steps[k]);
                y[k] = y[k].sub_lazy(Packed::<P, L>::read(&one[limbs..]));
            }
            for k in 0..CHAINS {
                let row = rows[steps[k].into as usize].0.as_mut();
                x[k].write(row);
                y[k].write(&mut row[limbs..]);
            }
        }
        true
    }
}

/// The rows of a step.
#[inline(always)]
fn row_pair<A: AsRef<[[u64; 8]]>>(rows: &[Row<A>], step: Step) -> [&[[u64; 8]]; 2] {
    [step.into, step.from].map(|row| rows[row as usize].0.as_ref())
}

/// Prefetches columns of the next round's rows: reading them from the second-level cache takes as
/// long as a product.
#[inline(always)]
fn prefetch_columns<A: AsRef<[[u64; 8]]>>(
    rows: &[Row<A>],
    steps: &[Step; CHAINS],
    row: impl Fn(&Step) -> u32,
    columns: Range<usize>,
) {
    steps
        .iter()
        .for_each(|step| prefetch::to_l1(&rows[row(step) as usize].0.as_ref()[columns.clone()]));
}

/// The products of all chains as operands; prefetches points of the next tile.
#[inline(always)]
fn mul_chains_to_operands<P: Group, L: Lanes>(
    a: &Products<P, L>,
    b: &Products<P, L>,
    products: &mut Products<P, L>,
    next: &mut PrefetchQueue<'_, P>,
) {
    if Packed::<P, L>::INTERLEAVE == CHAINS {
        L::mul_operand_into::<Packed<P, L>, CHAINS>(a.each_ref(), b.each_ref(), products);
        next.prefetch(PREFETCH_PER_MUL);
        return;
    }
    for k in 0..CHAINS {
        L::mul_operand_into::<Packed<P, L>, 1>([&a[k]], [&b[k]], from_mut(&mut products[k]));
        next.prefetch((PREFETCH_PER_MUL + k) / CHAINS);
    }
}

/// The products of all chains as elements; prefetches points of the next tile.
#[inline(always)]
fn mul_chains<P: Group, L: Lanes>(
    a: &Products<P, L>,
    b: &Products<P, L>,
    products: &mut [Packed<P, L>; CHAINS],
    next: &mut PrefetchQueue<'_, P>,
) {
    if Packed::<P, L>::INTERLEAVE == CHAINS {
        L::mul_into(a.each_ref(), b.each_ref(), products);
        next.prefetch(PREFETCH_PER_MUL);
        return;
    }
    for k in 0..CHAINS {
        L::mul_into([&a[k]], [&b[k]], from_mut(&mut products[k]));
        next.prefetch((PREFETCH_PER_MUL + k) / CHAINS);
    }
}

/// Whether the limbs of any lane are all zero, as at infinity and almost never otherwise.
#[inline(always)]
fn any_zero<L: Lanes>(limbs: &[[u64; 8]]) -> bool {
    let mut all = L::splat(0);
    for limb in limbs {
        all = all.or(L::load(limb));
    }
    all.any_zero()
}

/// Inverts the lanes of all chains with one inversion. Returns `false` if one of them is zero.
#[inline(always)]
fn invert_chains<P: Group, L: Lanes>(chains: &mut Products<P, L>) -> bool {
    let mut columns = [[0; 8]; MAX_ROW_LIMBS];
    let columns = &mut columns[..Packed::<P, L>::LIMBS];
    let [product]: [Packed<P, L>; 1] = L::mul([&chains[0]], [&chains[1]]);
    product.write(columns);
    if !invert_lanes::<P>(columns) {
        return false;
    }
    let inverse = Packed::<P, L>::read(columns).to_operand();
    let [b, a] =
        chains.each_ref().map(|chain| L::mul_operand::<Packed<P, L>, 1>([&inverse], [chain]));
    *chains = [a[0], b[0]];
    true
}

/// The part of [`invert_chains`] in scalar code.
#[inline(never)]
fn invert_lanes<P: Group>(columns: &mut [[u64; 8]]) -> bool {
    let mut limbs = [0; MAX_ROW_LIMBS];
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
    // Limbs of `v·R'` are read as `v·R'/R`; the result must be the limbs of `R'/v`.
    let ratio = P::BaseField::montgomery_r_ratio();
    let mut inverse = inverse * ratio * ratio;
    for lane in (0..LANES).rev() {
        (inverse * before[lane]).to_limbs(limbs);
        limbs.iter().zip(&mut *columns).for_each(|(limb, column)| column[lane] = *limb);
        inverse *= values[lane];
    }
    true
}
