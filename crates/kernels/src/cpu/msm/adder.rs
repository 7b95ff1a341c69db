//! Who adds points: one of the paths.

use ark_ec::models::short_weierstrass::Affine;

use super::{
    pairs::{Step, Tally},
    stored::{PrefetchQueue, StoredPoints},
};
use crate::{Group, memory::wipe};

/// A way to add points, with its own form of them.
pub(super) trait BatchAdder<P: Group>: 'static {
    /// Affine points beside each other, as many as are added at once; infinity is all zeros.
    type Row: Copy + Send + Sync;
    /// Memory that a batch of additions works in, reused from batch to batch.
    type Scratch: Default + Send;

    /// Points in a row.
    const LANES: usize;

    /// A row of neutral elements.
    const INFINITY: Self::Row;

    /// Bytes of points in a tile, which stays in the cache next to the core.
    const TILE_BYTES: usize;

    /// Fills rows with stored points, by their indices; those with the bit [`NEGATED`](super::stored::NEGATED)
    /// as their opposites. Tells whether it is known that all of them are finite.
    fn gather(points: StoredPoints<'_, P>, indices: &[u32], rows: &mut [Self::Row]) -> bool;
    /// Writes the points of some rows, one row after the other, as [`BatchAdder::gather`] reads them.
    fn store(rows: &[Self::Row], picked: &[u32], words: &mut [u64]);
    /// Whether all points are the neutral element.
    fn is_infinity(row: &Self::Row) -> bool;
    /// The points as arkworks has them.
    fn affine(rows: &[Self::Row]) -> Vec<Affine<P>>;
    /// Takes all steps of a batch, of which there is one at least, and asks for what comes next meanwhile.
    /// `finite` is what [`BatchAdder::gather`] told, and is kept true.
    fn add_rows(
        rows: &mut [Self::Row],
        finite: &mut bool,
        steps: &[Step],
        next: &mut PrefetchQueue<'_, P>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    );
}

/// Overwrites points, which reveal scalars.
pub(super) fn wipe_rows<P: Group, A: BatchAdder<P>>(rows: &mut [A::Row]) {
    wipe(rows, A::INFINITY);
}

/// Rows in a tile.
pub(super) fn tile_rows<P: Group, A: BatchAdder<P>>() -> usize {
    A::TILE_BYTES / size_of::<A::Row>()
}

/// Stored points as arkworks has them.
pub(super) fn stored_points<P: Group, A: BatchAdder<P>>(
    points: StoredPoints<'_, P>,
    indices: &[u32],
) -> Vec<Affine<P>> {
    let Some(&last) = indices.last() else { return Vec::new() };
    let mut filled = indices.to_vec();
    filled.resize(indices.len().next_multiple_of(A::LANES), last);
    let mut rows = vec![A::INFINITY; filled.len() / A::LANES];
    A::gather(points, &filled, &mut rows);
    wipe(&mut filled, 0);
    let mut points = A::affine(&rows);
    points.truncate(indices.len());
    points
}
