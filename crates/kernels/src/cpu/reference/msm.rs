//! A sum by its definition: one scalar multiplication for each point.

use ark_ec::models::short_weierstrass::Projective;
use ark_ff::{AdditiveGroup, Zero};

use crate::{Group, SCALAR_WORDS, Scalar};

/// `Σ scalar(i) · point(i)` of points in stored form, by double-and-add.
pub(in crate::cpu) fn msm<P: Group>(points: &[u64], scalars: &[Scalar]) -> Projective<P> {
    let mut total = Projective::<P>::zero();
    for bit in (0..64 * SCALAR_WORDS).rev() {
        total.double_in_place();
        for (point, scalar) in points.chunks_exact(P::POINT_WORDS).zip(scalars) {
            if scalar[bit / 64] >> (bit % 64) & 1 == 1 {
                total += P::read_point_unchecked(point);
            }
        }
    }
    total
}
