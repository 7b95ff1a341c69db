//! Who adds points: one of the paths.

use ark_ec::models::short_weierstrass::Affine;

use super::pairs::{Step, Tally};
use crate::Group;

/// A way to add points, with its own form of them.
pub(super) trait Adder<P: Group>: 'static {
    /// An affine point; infinity is all zeros.
    type Point: Copy + Send + Sync;
    /// Memory that a batch of additions works in, reused from batch to batch.
    type Scratch: Default + Send;

    /// The neutral element.
    const INFINITY: Self::Point;

    /// Reads a stored point.
    fn read(words: &[u64]) -> Self::Point;
    /// The opposite of a stored point.
    fn negated(point: Self::Point) -> Self::Point;
    /// Whether it is the neutral element.
    fn is_infinity(point: &Self::Point) -> bool;
    /// The points as arkworks has them.
    fn affine(points: &[Self::Point]) -> Vec<Affine<P>>;
    /// Takes all steps of a batch.
    fn add_pairs(
        points: &mut [Self::Point],
        steps: &[Step],
        scratch: &mut Self::Scratch,
        tally: &Tally,
    );
    /// Overwrites points, which reveal scalars.
    fn wipe(points: &mut [Self::Point]);
}
