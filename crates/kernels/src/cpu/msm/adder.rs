//! Who adds points: one of the paths.

use ark_ec::models::short_weierstrass::Affine;

use super::{
    pairs::{Step, Tally},
    stored::Next,
};
use crate::Group;

/// A way to add points, with its own form of them.
pub(super) trait Adder<P: Group>: 'static {
    /// An affine point; infinity is all zeros.
    type Point: Copy + Send + Sync;
    /// Memory that a batch of additions works in, reused from batch to batch.
    type Scratch: Default + Send;

    /// The neutral element.
    const INFINITY: Self::Point;

    /// Bytes of points in a tile, which stays in the cache next to the core.
    const TILE_BYTES: usize;

    /// Appends stored points, by their indices; those with the bit [`NEGATED`](super::stored::NEGATED) as their opposites.
    fn gather(words: &[u64], order: &[u32], points: &mut Vec<Self::Point>);
    /// Whether it is the neutral element.
    fn is_infinity(point: &Self::Point) -> bool;
    /// The points as arkworks has them.
    fn affine(points: &[Self::Point]) -> Vec<Affine<P>>;
    /// Takes all steps of a batch, and asks for what comes next meanwhile.
    fn add_pairs(
        points: &mut [Self::Point],
        steps: &[Step],
        next: &mut Next<'_>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    );
    /// Overwrites points, which reveal scalars.
    fn wipe(points: &mut [Self::Point]);
}
