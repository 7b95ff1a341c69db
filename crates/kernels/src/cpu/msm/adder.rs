//! The interface of batched point addition, which the portable and the vector path implement.

use ark_ec::models::short_weierstrass::Affine;

use super::{
    pairs::{Step, Tally},
    stored::{PrefetchQueue, StoredPoints},
};
use crate::{Group, memory::wipe};

/// Batched affine addition on one path, with its own representation of points.
pub(super) trait BatchAdder<P: Group>: 'static {
    /// Affine points that are added at once, [`BatchAdder::LANES`] of them; infinity is all zeros.
    type Row: Copy + Send + Sync;
    /// Working memory of a batch, reused between batches.
    type Scratch: Default + Send;

    /// Points in a row.
    const LANES: usize;

    /// A row of points at infinity.
    const INFINITY: Self::Row;

    /// Bytes of points in a tile. A tile stays in the second-level cache.
    const TILE_BYTES: usize;

    /// Loads stored points into rows, by their indices. A point whose index has the bit
    /// [`NEGATED`](super::stored::NEGATED) is negated. Returns whether all points are known to be
    /// finite.
    fn gather(points: StoredPoints<'_, P>, indices: &[u32], rows: &mut [Self::Row]) -> bool;
    /// Writes the points of the picked rows in stored form, one row after the other, as
    /// [`BatchAdder::gather`] reads them.
    fn store(rows: &[Self::Row], picked: &[u32], words: &mut [u64]);
    /// Whether all points of the row are at infinity.
    fn is_infinity(row: &Self::Row) -> bool;
    /// Converts points to arkworks types.
    fn affine(rows: &[Self::Row]) -> Vec<Affine<P>>;
    /// Performs all steps of a batch, which must not be empty, and prefetches points from `next`
    /// meanwhile. `finite` says whether all rows are known to be finite, first as
    /// [`BatchAdder::gather`] returned it, and is updated.
    fn add_rows(
        rows: &mut [Self::Row],
        finite: &mut bool,
        steps: &[Step],
        next: &mut PrefetchQueue<'_, P>,
        scratch: &mut Self::Scratch,
        tally: &Tally,
    );
}

/// Overwrites points, because they reveal scalars.
pub(super) fn wipe_rows<P: Group, A: BatchAdder<P>>(rows: &mut [A::Row]) {
    wipe(rows, A::INFINITY);
}

/// Rows in a tile.
pub(super) fn tile_rows<P: Group, A: BatchAdder<P>>() -> usize {
    A::TILE_BYTES / size_of::<A::Row>()
}

/// Converts stored points to arkworks types.
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
