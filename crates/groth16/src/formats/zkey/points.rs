//! Reads the sections of points in chunks, as stored words or decoded and checked.

use std::io::{Read, Seek};

use ark_ec::models::short_weierstrass::Affine;
use athanor_kernels::{Curve, Group};
use rayon::prelude::*;

use super::{ZkeyError, ZkeyReader, section};
use crate::subgroup;

/// A section of G1 points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum G1Query {
    /// `A_i(τ)`, for each wire.
    A,
    /// `B_i(τ)` in G1, for each wire.
    B1,
    /// `(β·A_i(τ) + α·B_i(τ) + C_i(τ)) / δ`, for each private wire.
    C,
    /// The quotient's bases, for each point of the domain.
    H,
}

/// A section of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// One in G1.
    G1(G1Query),
    /// The section in G2: `B_i(τ)`, for each wire.
    B2,
}

impl Query {
    /// All sections of points, by ascending id.
    pub const ALL: [Self; 5] = [
        Self::G1(G1Query::A),
        Self::G1(G1Query::B1),
        Self::B2,
        Self::G1(G1Query::C),
        Self::G1(G1Query::H),
    ];

    pub(super) fn section(self) -> u32 {
        match self {
            Query::G1(G1Query::A) => section::A,
            Query::G1(G1Query::B1) => section::B1,
            Query::B2 => section::B2,
            Query::G1(G1Query::C) => section::C,
            Query::G1(G1Query::H) => section::H,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Query::G1(G1Query::A) => "A",
            Query::G1(G1Query::B1) => "B1",
            Query::B2 => "B2",
            Query::G1(G1Query::C) => "C",
            Query::G1(G1Query::H) => "H",
        }
    }
}

impl<C: Curve, R: Read + Seek> ZkeyReader<C, R> {
    /// Streams a section as stored words, unchecked. `each` is called for each chunk, with the index
    /// of its first point and the words of at most `chunk` points.
    pub fn point_words<E: From<ZkeyError>>(
        &mut self,
        query: Query,
        chunk: usize,
        mut each: impl FnMut(usize, &[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let points = self.header().points(query);
        let point_words = self.header().point_words(query);
        let file = &mut self.file.file;
        let section = file.section(query.section()).map_err(ZkeyError::from)?;
        let mut reader = file.read(section).map_err(ZkeyError::from)?;
        let chunk = chunk.clamp(1, points.max(1));
        let mut buffer = vec![0; chunk * point_words];
        for first in (0..points).step_by(chunk) {
            let words = &mut buffer[..chunk.min(points - first) * point_words];
            reader.words(words).map_err(ZkeyError::from)?;
            each(first, words)?;
        }
        Ok(())
    }

    /// Streams a section of G1 points and checks that each is on the curve and in the subgroup.
    /// `each` is called for each chunk, with the index of its first point and at most `chunk` points.
    /// Points may be at infinity. Decodes in the caller's rayon pool.
    pub fn g1_points<E: From<ZkeyError>>(
        &mut self,
        query: G1Query,
        chunk: usize,
        mut each: impl FnMut(usize, &[C::G1Affine]) -> Result<(), E>,
    ) -> Result<(), E> {
        let query = Query::G1(query);
        self.point_words(query, chunk, |first, words| {
            each(first, &decode_at::<C::G1Config>(words, query.name(), first)?)
        })
    }

    /// Streams the section of G2 points; see [`g1_points`](Self::g1_points).
    pub fn g2_points<E: From<ZkeyError>>(
        &mut self,
        chunk: usize,
        mut each: impl FnMut(usize, &[C::G2Affine]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.point_words(Query::B2, chunk, |first, words| {
            each(first, &decode_at::<C::G2Config>(words, Query::B2.name(), first)?)
        })
    }
}

/// Number of points per task.
const TASK: usize = 1 << 12;

/// Fault of a stored point.
#[derive(Clone, Copy, Debug)]
pub(in crate::formats) enum PointFault {
    /// A coordinate is at or above the modulus, or the point is off the curve.
    NotOnCurve,
    /// On the curve, outside the group of prime order.
    NotInSubgroup,
}

/// Decodes and checks stored points, which may be at infinity. An error has the index of its point.
pub(in crate::formats) fn decode<G: Group>(
    words: &[u64],
) -> Result<Vec<Affine<G>>, (usize, PointFault)> {
    let mut points = vec![Affine::identity(); words.len() / G::POINT_WORDS];
    let tasks = words.par_chunks(TASK * G::POINT_WORDS).zip(points.par_chunks_mut(TASK));
    tasks.enumerate().try_for_each(|(task, (words, points))| {
        let first = task * TASK;
        for (offset, words) in words.chunks_exact(G::POINT_WORDS).enumerate() {
            points[offset] =
                G::read_point(words).ok_or((first + offset, PointFault::NotOnCurve))?;
        }
        match subgroup::first_outside(points) {
            Some(offset) => Err((first + offset, PointFault::NotInSubgroup)),
            None => Ok(()),
        }
    })?;
    Ok(points)
}

/// As [`decode`], for errors with a place: the first point has index `first` in `place`.
pub(super) fn decode_at<G: Group>(
    words: &[u64],
    place: &'static str,
    first: usize,
) -> Result<Vec<Affine<G>>, ZkeyError> {
    decode(words).map_err(|(at, fault)| {
        let index = first + at;
        match fault {
            PointFault::NotOnCurve => ZkeyError::NotOnCurve { place, index },
            PointFault::NotInSubgroup => ZkeyError::NotInSubgroup { place, index },
        }
    })
}

/// Decodes and checks a stored point, which may be at infinity.
pub(super) fn decode_one<G: Group>(
    words: &[u64],
    place: &'static str,
    index: usize,
) -> Result<Affine<G>, ZkeyError> {
    decode_at(words, place, index).map(|points| points[0])
}
