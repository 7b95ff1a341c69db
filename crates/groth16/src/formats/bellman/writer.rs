//! Writes parameters.

use std::io::{self, Write};

use ark_ec::{AffineRepr, models::short_weierstrass::Affine};
use athanor_kernels::{Bls12_381, Group, Quotient};
use rayon::prelude::*;

use super::points::{self, Coordinate};
use crate::RawKey;

/// Number of points per chunk: encoded, then written.
const CHUNK: usize = 1 << 14;

/// Writes a key that bellman and bellperson read.
///
/// # Errors
/// If writing fails, or the key's quotient is not in coefficient form.
pub fn write(key: &RawKey<Bls12_381>, mut out: impl Write) -> io::Result<()> {
    if key.quotient != Quotient::Coefficients {
        let message = "bellman's parameters need a key with the quotient in coefficient form";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let verifying = &key.verifying;
    each(&[verifying.alpha_g1, key.beta_g1], &mut out)?;
    each(&[verifying.beta_g2, verifying.gamma_g2], &mut out)?;
    each(&[key.delta_g1], &mut out)?;
    each(&[verifying.delta_g2], &mut out)?;
    counted(&verifying.ic, &mut out)?;
    counted(&key.h_query, &mut out)?;
    counted(&key.l_query, &mut out)?;
    counted(&finite(&key.a_query), &mut out)?;
    counted(&finite(&key.b_g1_query), &mut out)?;
    counted(&finite(&key.b_g2_query), &mut out)?;
    out.flush()
}

fn finite<P: Group>(points: &[Affine<P>]) -> Vec<Affine<P>> {
    points.par_iter().filter(|point| !point.is_zero()).copied().collect()
}

fn counted<P: Group<BaseField: Coordinate>>(
    points: &[Affine<P>],
    out: &mut impl Write,
) -> io::Result<()> {
    let count = u32::try_from(points.len()).map_err(io::Error::other)?;
    out.write_all(&count.to_be_bytes())?;
    each(points, out)
}

fn each<P: Group<BaseField: Coordinate>>(
    points: &[Affine<P>],
    out: &mut impl Write,
) -> io::Result<()> {
    let size = points::bytes_of::<P>();
    let mut buffer = vec![0; CHUNK.min(points.len()) * size];
    for points in points.chunks(CHUNK) {
        let bytes = &mut buffer[..points.len() * size];
        bytes
            .par_chunks_exact_mut(size)
            .zip(points)
            .for_each(|(bytes, point)| points::write(point, bytes));
        out.write_all(bytes)?;
    }
    Ok(())
}
