//! blst 0.3, with assembly, one thread.

use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use athanor_kernels::{Bls12_381, Curve};
use blst::{MultiPoint, blst_fp, blst_fp2, blst_p1, blst_p1_affine, blst_p2, blst_p2_affine};

type Fr = <Bls12_381 as Curve>::Fr;

const SCALAR_BITS: usize = 255;

/// Scalars in blst's form: 32 little-endian bytes each.
pub(super) fn scalars(scalars: &[Fr]) -> Vec<u8> {
    scalars.iter().flat_map(|scalar| scalar.into_bigint().to_bytes_le()).collect()
}

fn fp(element: &ark_bls12_381::Fq) -> blst_fp {
    // Both keep six words in Montgomery form with the same R.
    blst_fp { l: element.0.0 }
}

pub(super) fn g1(points: &[ark_bls12_381::G1Affine]) -> Vec<blst_p1_affine> {
    points
        .iter()
        .map(|point| {
            point
                .xy()
                .map_or_else(Default::default, |(x, y)| blst_p1_affine { x: fp(&x), y: fp(&y) })
        })
        .collect()
}

pub(super) fn g2(points: &[ark_bls12_381::G2Affine]) -> Vec<blst_p2_affine> {
    let fp2 = |element: ark_bls12_381::Fq2| blst_fp2 { fp: [fp(&element.c0), fp(&element.c1)] };
    points
        .iter()
        .map(|point| {
            point
                .xy()
                .map_or_else(Default::default, |(x, y)| blst_p2_affine { x: fp2(x), y: fp2(y) })
        })
        .collect()
}

pub(super) fn msm_g1(points: &[blst_p1_affine], scalars: &[u8]) -> blst_p1 {
    points.mult(scalars, SCALAR_BITS)
}

pub(super) fn msm_g2(points: &[blst_p2_affine], scalars: &[u8]) -> blst_p2 {
    points.mult(scalars, SCALAR_BITS)
}

/// blst's MSM result in the form of its inputs.
pub(super) fn affine_g1(sum: &blst_p1) -> blst_p1_affine {
    blst::p1_affines::from(std::slice::from_ref(sum)).as_slice()[0]
}

/// blst's MSM result in the form of its inputs.
pub(super) fn affine_g2(sum: &blst_p2) -> blst_p2_affine {
    blst::p2_affines::from(std::slice::from_ref(sum)).as_slice()[0]
}
