//! Batched subgroup check: sixteen additions per point, where a single check multiplies the point by
//! a 127-bit scalar.
//!
//! A random linear combination of the points lies in the subgroup if all points do. If one point does
//! not, its image in the quotient by the subgroup has an order that divides the cofactor. With
//! coefficients below the cofactor's least prime factor, at most one value of this point's
//! coefficient, for given other coefficients, puts the combination into the subgroup. Coefficients
//! are bytes. Sums are taken in buckets, with one addition per point, in [`ROUNDS`] rounds. A point
//! outside is missed with probability at most `2^(-8·ROUNDS)`, also for adversarial points, since the
//! coefficients are drawn afterwards from the operating system's randomness.
//!
//! It applies to groups whose cofactor has no prime factor below 257: here G2 of BN254 (least factor
//! 10069). The cofactors of BLS12-381 have the factors 3 and 13, so its points are checked one by one.

use ark_ec::models::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ff::Zero;
use athanor_kernels::Group;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// Number of rounds: bytes of coefficient per point.
const ROUNDS: usize = 16;
/// Number of values of one byte.
const BUCKETS: usize = 256;
/// Smallest number of points for which the buckets are faster than single checks.
const LEAST: usize = 256;

/// Index of the first point outside the subgroup. All points must be on the curve.
pub(crate) fn first_outside<G: Group>(points: &[Affine<G>]) -> Option<usize> {
    if G::cofactor_is_one() {
        return None;
    }
    let inside =
        |point: &Affine<G>| <G as SWCurveConfig>::is_in_correct_subgroup_assuming_on_curve(point);
    let batch = points.len() >= LEAST && !has_factor_below(G::COFACTOR, BUCKETS as u64 + 1);
    if batch && combinations(points).iter().all(|sum| inside(&Affine::from(*sum))) {
        return None;
    }
    points.iter().position(|point| !inside(point))
}

/// Random linear combinations of the points.
fn combinations<G: Group>(points: &[Affine<G>]) -> [Projective<G>; ROUNDS] {
    let mut random = StdRng::from_os_rng();
    let mut coefficients = vec![0; points.len()];
    std::array::from_fn(|_| {
        random.fill_bytes(&mut coefficients);
        let mut buckets = [Projective::<G>::zero(); BUCKETS];
        for (point, &coefficient) in points.iter().zip(&coefficients) {
            buckets[usize::from(coefficient)] += point;
        }
        // Bucket k is added k times: once in each of the running sums from the top down to k.
        let (mut running, mut sum) = (Projective::zero(), Projective::zero());
        for bucket in buckets[1..].iter().rev() {
            running += bucket;
            sum += running;
        }
        sum
    })
}

/// Whether a little-endian number has a divisor `d` with `2 <= d < bound`.
fn has_factor_below(number: &[u64], bound: u64) -> bool {
    let remainder = |divisor: u64| {
        let divisor = u128::from(divisor);
        number.iter().rev().fold(0, |high, &word| ((high << 64) | u128::from(word)) % divisor)
    };
    (2..bound).any(|divisor| remainder(divisor) == 0)
}

#[cfg(test)]
mod tests {
    use ark_ec::{CurveConfig, CurveGroup};
    use ark_ff::{PrimeField, UniformRand};
    use ark_std::test_rng;
    use athanor_kernels::{Bls12_381, Bn254, Curve};

    use super::*;

    fn stray<G: Group>() -> Affine<G> {
        let rng = &mut test_rng();
        let points = std::iter::repeat_with(|| G::BaseField::rand(rng))
            .filter_map(|x| Affine::<G>::get_point_from_x_unchecked(x, false));
        points
            .into_iter()
            .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
            .expect("most points are outside")
    }

    fn strays_are_found_wherever_they_stand<G: Group>() {
        let rng = &mut test_rng();
        let projective: Vec<_> = (0..LEAST + 2).map(|_| Projective::<G>::rand(rng)).collect();
        let mut points = Projective::normalize_batch(&projective);
        points[7] = Affine::identity();
        assert_eq!(first_outside(&points), None);
        let stray = stray::<G>();
        for index in [0, 7, LEAST + 1] {
            let inside = std::mem::replace(&mut points[index], stray);
            assert_eq!(first_outside(&points), Some(index));
            points[index] = inside;
        }
        // Two points that cancel in the plain sum, among few points.
        (points[3], points[4]) = (stray, -stray);
        assert_eq!(first_outside(&points), Some(3));
        assert_eq!(first_outside(&points[..5]), Some(3));
    }

    #[test]
    fn a_stray_point_is_found_in_every_group_that_has_any() {
        strays_are_found_wherever_they_stand::<<Bn254 as Curve>::G2Config>();
        strays_are_found_wherever_they_stand::<<Bls12_381 as Curve>::G1Config>();
        strays_are_found_wherever_they_stand::<<Bls12_381 as Curve>::G2Config>();
    }

    #[test]
    fn combinations_see_every_round_of_a_stray_and_stay_inside_without_one() {
        type G = <Bn254 as Curve>::G2Config;
        let rng = &mut test_rng();
        let inside: Vec<_> = (0..LEAST).map(|_| Projective::<G>::rand(rng).into_affine()).collect();
        let outside = |points: &[Affine<G>]| {
            let is_in =
                |sum: &Projective<G>| sum.into_affine().is_in_correct_subgroup_assuming_on_curve();
            combinations(points).iter().filter(|sum| !is_in(sum)).count()
        };
        assert_eq!(outside(&inside), 0);
        let mut points = inside;
        points[100] = stray();
        // Each round misses it with probability 1/256.
        assert!(outside(&points) >= ROUNDS - 3);
    }

    #[test]
    fn only_cofactors_without_small_factors_are_served() {
        assert!(!has_factor_below(<Bn254 as Curve>::G2Config::COFACTOR, 257));
        assert!(has_factor_below(<Bn254 as Curve>::G2Config::COFACTOR, 10_070));
        assert!(has_factor_below(<Bls12_381 as Curve>::G1Config::COFACTOR, 257));
        assert!(has_factor_below(<Bls12_381 as Curve>::G2Config::COFACTOR, 257));
        assert!(!has_factor_below(&[1], 257));
        // The cofactor is that of this curve: the multiple by cofactor times order is zero.
        type G = <Bn254 as Curve>::G2Config;
        let order = <Bn254 as Curve>::Fr::MODULUS.0;
        let cleared = G::mul_affine(&stray(), G::COFACTOR);
        assert!(!cleared.is_zero() && G::mul_projective(&cleared, &order).is_zero());
    }
}
