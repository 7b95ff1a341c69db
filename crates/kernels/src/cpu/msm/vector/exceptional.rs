//! Exceptional additions (equal, opposite or infinite points), one lane at a time.

use ark_ff::{AdditiveGroup, Zero};

use super::{LANES, RowOf, limb_to_word_form, read_raw, word_to_limb_form, write_raw};
use crate::{
    Group,
    cpu::msm::{
        adder::{BatchAdder, wipe_rows},
        pairs::{Point, PortableAdder, Step, Tally},
        stored::PrefetchQueue,
    },
    lanes::{MASK, packed_field::PackedField},
};

/// An exceptional step of one lane and its sum; the lane itself performs a harmless step.
pub(super) struct Exceptional<F> {
    step: Step,
    lane: usize,
    sum: Point<F>,
    /// The point that was added.
    from: Point<F>,
}

/// Computes the exceptional steps of a batch and replaces them by harmless ones.
pub(super) fn extract_exceptional<P: Group>(
    rows: &mut [RowOf<P>],
    steps: &[Step],
) -> Vec<Exceptional<P::BaseField>> {
    let mut exceptional = Vec::new();
    for (&step, lane) in steps.iter().flat_map(|step| (0..LANES).map(move |lane| (step, lane))) {
        let [p, q] = [step.into, step.from].map(|row| &rows[row as usize]);
        if !may_be_exceptional::<P>(p, q, lane) {
            continue;
        }
        let [p, q] = [p, q].map(|row| read_raw::<P>(row, lane));
        if p.x.is_zero() || q.x.is_zero() || p.x == q.x {
            exceptional.push(Exceptional { step, lane, sum: p, from: q });
        }
    }
    for Exceptional { step, lane, .. } in &exceptional {
        let [one, two] = [1u64, 2].map(|x| Point { x: x.into(), y: P::BaseField::ZERO });
        write_raw::<P>(&mut rows[step.into as usize], *lane, &one);
        write_raw::<P>(&mut rows[step.from as usize], *lane, &two);
    }
    let (infinite, finite): (Vec<_>, Vec<_>) =
        exceptional.iter_mut().partition(|it| it.sum.is_infinity() || it.from.is_infinity());
    for it in infinite {
        it.sum = if it.sum.is_infinity() { it.from } else { it.sum };
    }
    let mut pairs: Vec<_> =
        finite.iter().flat_map(|it| [it.sum, it.from]).map(limb_to_word_form::<P>()).collect();
    let in_turn: Vec<Step> =
        (0..finite.len() as u32).map(|i| Step { into: 2 * i, from: 2 * i + 1 }).collect();
    let (next, scratch) = (&mut PrefetchQueue::empty(), &mut Default::default());
    let tally = &Tally::default();
    <PortableAdder as BatchAdder<P>>::add_rows(
        &mut pairs, &mut false, &in_turn, next, scratch, tally,
    );
    let word_to_limb_form = word_to_limb_form::<P>();
    for (it, pair) in finite.into_iter().zip(pairs.chunks_exact(2)) {
        it.sum = word_to_limb_form(pair[0]);
    }
    wipe_rows::<P, PortableAdder>(&mut pairs);
    exceptional
}

/// Writes the sums and the added points to their lanes.
pub(super) fn restore_exceptional<P: Group>(
    rows: &mut [RowOf<P>],
    exceptional: &[Exceptional<P::BaseField>],
) {
    for Exceptional { step, lane, sum, from } in exceptional {
        write_raw::<P>(&mut rows[step.into as usize], *lane, sum);
        write_raw::<P>(&mut rows[step.from as usize], *lane, from);
    }
}

/// Whether two x coordinates could be equal or zero, judged by their lowest limbs. Their difference
/// is a multiple of the modulus, at most twice, if they are equal.
#[inline(always)]
fn may_be_exceptional<P: Group>(p: &RowOf<P>, q: &RowOf<P>, lane: usize) -> bool {
    let [p, q] = [p, q].map(|row| row.0.as_ref()[0][lane]);
    let multiple = |difference: u64| {
        [0, P::BaseField::MODULUS_LOW_LIMB, 2 * P::BaseField::MODULUS_LOW_LIMB]
            .map(|m| m & MASK)
            .contains(&difference)
    };
    multiple(p.wrapping_sub(q) & MASK) || multiple(q.wrapping_sub(p) & MASK) || p == 0 || q == 0
}
