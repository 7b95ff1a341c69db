//! Sums of runs: points that share a label, laid in stacks ([`super::plan`]) that are halved until one
//! row is left ([`super::stacks`]).

use super::{
    adder::Adder,
    pairs::Tally,
    plan::{NOWHERE, Plan, laid},
    stacks::{Source, sum_stacks},
};
use crate::{
    Group,
    memory::{wipe, wipe_all},
};

/// The sum of each run: at `row · lanes + lane`, or nowhere if it has no points.
///
/// Partial sums of an MSM reveal its scalars, so they are wiped.
pub(super) struct Sums<P: Group, A: Adder<P>> {
    rows: Vec<A::Row>,
    places: Vec<u32>,
}

impl<P: Group, A: Adder<P>> Sums<P, A> {
    /// The rows, for others.
    pub(super) fn into_rows(mut self) -> Vec<A::Row> {
        std::mem::take(&mut self.rows)
    }

    /// Copies the sum of a run into a row's lane.
    pub(super) fn copy(&self, run: usize, into: &mut A::Row, lane: usize) {
        match self.places[run] {
            NOWHERE => A::copy(&A::INFINITY, 0, into, lane),
            place => {
                let place = place as usize;
                A::copy(&self.rows[place / A::LANES], place % A::LANES, into, lane);
            }
        }
    }
}

impl<P: Group, A: Adder<P>> Drop for Sums<P, A> {
    fn drop(&mut self) {
        wipe_all(&mut self.rows, A::INFINITY);
        wipe(&mut self.places, 0);
    }
}

/// The sum of each run of points, which stand run by run.
pub(super) fn sum_runs<P: Group, A: Adder<P>>(
    lengths: Vec<u32>,
    source: Source<'_, A::Row>,
    points: &[u32],
    tally: &Tally,
) -> Sums<P, A> {
    let (plan, mut order) = laid(lengths, points, A::LANES);
    let sums = sum_laid::<P, A>(&plan, source, &order, Vec::new(), tally);
    wipe(&mut order, 0);
    sums
}

/// The sum of each run of points, which are laid as planned, in the vector of rows.
pub(super) fn sum_laid<P: Group, A: Adder<P>>(
    plan: &Plan,
    source: Source<'_, A::Row>,
    order: &[u32],
    mut rows: Vec<A::Row>,
    tally: &Tally,
) -> Sums<P, A> {
    sum_stacks::<P, A>(&plan.heights, source, order, &mut rows, tally);
    let places = plan.pieces().map(|(place, _)| place).collect();
    let mut sums = Sums { rows, places };
    // The sums of a long run's pieces are a run again.
    let (mut long, mut lengths, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for (run, (place, count)) in plan.pieces().enumerate() {
        if count > 1 {
            long.push(run);
            lengths.push(count as u32);
            pieces.extend(place..place + count as u32);
        }
    }
    if !long.is_empty() {
        let whole = sum_runs::<P, A>(lengths, Source::Rows(&sums.rows), &pieces, tally);
        let before = (sums.rows.len() * A::LANES) as u32;
        for (run, place) in long.into_iter().zip(&whole.places) {
            sums.places[run] = before + place;
        }
        sums.rows.extend_from_slice(&whole.rows);
    }
    sums
}
