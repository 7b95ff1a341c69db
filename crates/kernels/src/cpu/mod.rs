//! The CPU as a compute device.

mod msm;
mod ntt;

use ark_ec::models::short_weierstrass::{Affine, Projective};
use ark_ff::{AdditiveGroup, Field, PrimeField};
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::{
    Bases, Curve, Device, DeviceError, Domain, Group, Layout, Matrix, Quotient, Scalar, Scalars,
    ScalarsOf, Words,
    sparse::{Coefficient, montgomery_r},
};

/// The CPU: all work in the caller's rayon pool, data in the host's memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

/// Evaluations in Montgomery form, wiped when dropped: they reveal the witness.
pub struct Values<F: Zeroize>(Vec<F>);

impl<F: Zeroize> Drop for Values<F> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A domain with its twiddle factors.
pub struct CpuDomain<F> {
    domain: Domain<F>,
    twiddles: ntt::Twiddles<F>,
}

impl<C: Curve> Device<C> for Cpu {
    type G1 = Bases;
    type G2 = Bases;
    type Matrix = Matrix<C::Fr>;
    type Domain = CpuDomain<C::Fr>;
    type Scalars = Scalars;
    type Values = Values<C::Fr>;

    fn layout(&self) -> Layout {
        Layout {
            name: "montgomery-64x",
            g1_words: C::G1Config::POINT_WORDS,
            g2_words: C::G2Config::POINT_WORDS,
        }
    }

    fn encode_g1(&self, points: &[C::G1Affine], out: &mut [u64]) {
        encode::<C::G1Config>(points, out);
    }

    fn encode_g2(&self, points: &[C::G2Affine], out: &mut [u64]) {
        encode::<C::G2Config>(points, out);
    }

    fn prepare_g1(&self, bases: Bases) -> Result<Bases, DeviceError> {
        check_bases(bases, C::G1Config::POINT_WORDS)
    }

    fn prepare_g2(&self, bases: Bases) -> Result<Bases, DeviceError> {
        check_bases(bases, C::G2Config::POINT_WORDS)
    }

    fn prepare_matrix(&self, matrix: Matrix<C::Fr>) -> Result<Self::Matrix, DeviceError> {
        Ok(matrix)
    }

    fn prepare_domain(&self, domain: Domain<C::Fr>) -> Result<Self::Domain, DeviceError> {
        Ok(CpuDomain { domain, twiddles: ntt::Twiddles::new(&domain) })
    }

    fn upload(&self, scalars: Scalars) -> Result<Scalars, DeviceError> {
        Ok(scalars)
    }

    fn evaluate(
        &self,
        matrix: &Self::Matrix,
        scalars: &Scalars,
        domain: &Self::Domain,
    ) -> Result<Self::Values, DeviceError> {
        expect("scalars for the matrix", matrix.columns(), scalars.len())?;
        let size = domain.domain.size();
        if matrix.rows() > size {
            let (expected, got) = (size, matrix.rows());
            return Err(DeviceError::Shape { what: "rows of the matrix", expected, got });
        }
        let r = montgomery_r::<C::Fr>();
        let mut values = vec![C::Fr::ZERO; size];
        values[..matrix.rows()].par_iter_mut().with_min_len(256).enumerate().for_each(
            |(row, value)| {
                // Units are summed apart, so that a row of them costs one multiplication.
                let (mut units, mut others) = (C::Fr::ZERO, C::Fr::ZERO);
                for (column, coefficient) in matrix.row(row) {
                    let scalar = C::Fr::read_words_unchecked(&scalars[column]);
                    match coefficient {
                        Coefficient::PlusOne => units += scalar,
                        Coefficient::MinusOne => units -= scalar,
                        Coefficient::Listed(factor) => others += scalar * factor,
                    }
                }
                *value = units * r + others;
            },
        );
        Ok(Values(values))
    }

    fn quotient(
        &self,
        domain: &Self::Domain,
        quotient: Quotient,
        mut a: Self::Values,
        mut b: Self::Values,
    ) -> Result<Scalars, DeviceError> {
        let CpuDomain { domain, twiddles } = domain;
        expect("values on the domain", domain.size(), a.0.len())?;
        expect("values on the domain", domain.size(), b.0.len())?;
        let mut c = Values(a.0.par_iter().zip(&b.0).map(|(&a, &b)| a * b).collect());
        rayon::join(
            || ntt::to_odd_coset(domain, twiddles, &mut a.0),
            || {
                rayon::join(
                    || ntt::to_odd_coset(domain, twiddles, &mut b.0),
                    || ntt::to_odd_coset(domain, twiddles, &mut c.0),
                )
            },
        );
        a.0.par_iter_mut().zip(&b.0).zip(&c.0).for_each(|((a, &b), &c)| *a = *a * b - c);
        if quotient == Quotient::Coefficients {
            // On the odd coset the vanishing polynomial is -2 everywhere.
            let factor = -C::Fr::from(2).inverse().expect("the field's characteristic is odd");
            a.0.par_iter_mut().for_each(|a| *a *= factor);
            ntt::from_odd_coset(domain, twiddles, &mut a.0);
        }
        Ok(Scalars::new(a.0.par_iter().map(|a| a.into_bigint().0).collect()))
    }

    fn msm_g1(&self, bases: &Bases, scalars: &Scalars) -> Result<C::G1, DeviceError> {
        msm_bases::<C::G1Config>(bases, scalars)
    }

    fn msm_g2(&self, bases: &Bases, scalars: &Scalars) -> Result<C::G2, DeviceError> {
        msm_bases::<C::G2Config>(bases, scalars)
    }
}

fn encode<P: Group>(points: &[Affine<P>], out: &mut [u64]) {
    assert_eq!(out.len(), points.len() * P::POINT_WORDS, "one slot for each point");
    out.par_chunks_exact_mut(P::POINT_WORDS)
        .zip(points)
        .for_each(|(out, point)| P::write_point(point, out));
}

fn check_bases(bases: Bases, words: usize) -> Result<Bases, DeviceError> {
    let count = bases.points.words().len() / words;
    expect("words of points", count * words, bases.points.words().len())?;
    if let ScalarsOf::Listed(list) = &bases.scalars {
        expect("listed scalars", count, list.u32s().len())?;
    }
    Ok(bases)
}

fn expect(what: &'static str, expected: usize, got: usize) -> Result<(), DeviceError> {
    if expected == got { Ok(()) } else { Err(DeviceError::Shape { what, expected, got }) }
}

fn msm_bases<P: Group>(bases: &Bases, scalars: &[Scalar]) -> Result<Projective<P>, DeviceError> {
    let count = bases.points.words().len() / P::POINT_WORDS;
    let needed = match &bases.scalars {
        ScalarsOf::From(offset) => offset + count,
        ScalarsOf::Listed(list) => list.u32s().last().map_or(0, |&last| last as usize + 1),
    };
    if needed > scalars.len() {
        let (expected, got) = (needed, scalars.len());
        return Err(DeviceError::Shape { what: "scalars for the points", expected, got });
    }
    Ok(msm::msm::<P>(bases, scalars, count))
}

#[cfg(test)]
mod tests;
