//! Multi-scalar multiplication by the bucket method (Pippenger).

use ark_ec::{
    AffineRepr,
    models::short_weierstrass::{Affine, Projective},
};
use ark_ff::{AdditiveGroup, PrimeField, Zero};
use rayon::prelude::*;

use crate::{Bases, Group, Scalar, ScalarsOf};

/// `Σ scalar(i) · point(i)`; the caller has checked that every scalar exists.
pub(super) fn msm<P: Group>(bases: &Bases, scalars: &[Scalar], count: usize) -> Projective<P> {
    let words = bases.points.words();
    let scalar_of = |i: usize| match &bases.scalars {
        ScalarsOf::From(offset) => &scalars[offset + i],
        ScalarsOf::Listed(list) => &scalars[list.u32s()[i] as usize],
    };
    let point = |i: usize| -> Affine<P> {
        P::read_point_unchecked(&words[i * P::POINT_WORDS..(i + 1) * P::POINT_WORDS])
    };
    let mut ones = Projective::<P>::zero();
    let mut rest = Vec::new();
    for i in 0..count {
        match scalar_of(i) {
            [0, 0, 0, 0] => {}
            [1, 0, 0, 0] => ones += point(i),
            _ => rest.push(i),
        }
    }
    if rest.is_empty() {
        return ones;
    }
    let width = window_width(rest.len());
    let bits = P::ScalarField::MODULUS_BIT_SIZE as usize;
    let windows: Vec<Projective<P>> = (0..bits.div_ceil(width))
        .into_par_iter()
        .map(|window| {
            let mut buckets = vec![Projective::<P>::zero(); (1 << width) - 1];
            for &i in &rest {
                let digit = digit(scalar_of(i), window * width, width);
                let point = point(i);
                if digit != 0 && !point.is_zero() {
                    buckets[digit - 1] += point;
                }
            }
            let (mut running, mut sum) = (Projective::<P>::zero(), Projective::<P>::zero());
            for bucket in buckets.iter().rev() {
                running += bucket;
                sum += running;
            }
            sum
        })
        .collect();
    let total = windows.into_iter().rev().fold(Projective::<P>::zero(), |mut total, window| {
        for _ in 0..width {
            total.double_in_place();
        }
        total + window
    });
    ones + total
}

fn window_width(count: usize) -> usize {
    (count.max(8).ilog2() as usize * 7 / 10).clamp(3, 16)
}

fn digit(scalar: &Scalar, start: usize, width: usize) -> usize {
    let (word, shift) = (start / 64, start % 64);
    let mut value = scalar[word] >> shift;
    if shift + width > 64 && word + 1 < scalar.len() {
        value |= scalar[word + 1] << (64 - shift);
    }
    value as usize & ((1 << width) - 1)
}
