//! Reads parameters as a stream.

use std::io::{Read, Seek, SeekFrom};

use ark_ec::models::short_weierstrass::{Affine, SWCurveConfig};
use athanor_kernels::{Bls12_381, Group};
use rayon::prelude::*;

use super::{
    BellmanError, G1Config, G2Config, Query,
    points::{self, Coordinate},
};
use crate::{
    PointFault, VerifyingKey,
    verifier::{check_on_curve, check_point},
};

/// Which checks a file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The file's digest is a trusted one: points are only checked to lie on the curve.
    Vouched,
    /// The file is untrusted: each point is also checked to lie in the subgroup, which takes about
    /// 50 microseconds per point.
    Foreign,
}

/// An open parameter file: its verifying key and counts have been read.
#[derive(Debug)]
pub struct BellmanReader<R> {
    file: R,
    verifying: VerifyingKey<Bls12_381>,
    verifying_bytes: Vec<u8>,
    beta_g1: <Bls12_381 as ark_ec::pairing::Pairing>::G1Affine,
    delta_g1: <Bls12_381 as ark_ec::pairing::Pairing>::G1Affine,
    /// Offset and number of points of each query.
    queries: [(u64, usize); 5],
}

const G1: usize = points::bytes_of::<G1Config>();
const G2: usize = points::bytes_of::<G2Config>();
/// Offset of the count of IC.
const IC_COUNT: usize = 3 * G1 + 3 * G2;
/// Number of points per chunk.
const CHUNK: usize = 1 << 14;

impl<R: Read + Seek> BellmanReader<R> {
    /// Reads the verifying key, checks each of its points, and reads the counts.
    pub fn open(mut file: R) -> Result<Self, BellmanError> {
        let length = file.seek(SeekFrom::End(0))?;
        let short = |expected: u64| BellmanError::Length { expected, got: length };
        let head = (IC_COUNT + 4) as u64;
        if length < head {
            return Err(short(head));
        }
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = vec![0; IC_COUNT + 4];
        file.read_exact(&mut bytes)?;
        let count = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let ic = count(&bytes[IC_COUNT..]) as usize;
        let mut at = head + (ic * G1) as u64;
        // Counts are compared with the file's length, so they cannot cause large allocations.
        if length < at {
            return Err(short(at));
        }
        bytes.resize(IC_COUNT + 4 + ic * G1, 0);
        file.read_exact(&mut bytes[IC_COUNT + 4..])?;
        let mut queries = [(0, 0); 5];
        for (query, place) in Query::ALL.into_iter().zip(&mut queries) {
            if length < at + 4 {
                return Err(short(at + 4));
            }
            file.seek(SeekFrom::Start(at))?;
            let mut four = [0; 4];
            file.read_exact(&mut four)?;
            let points = count(&four) as usize;
            *place = (at + 4, points);
            at += 4 + points as u64 * if query == Query::B2 { G2 } else { G1 } as u64;
        }
        if at != length {
            return Err(BellmanError::Length { expected: at, got: length });
        }
        let g1 =
            |at: usize, index| point::<G1Config>(&bytes[at..at + G1], "the verifying key", index);
        let g2 =
            |at: usize, index| point::<G2Config>(&bytes[at..at + G2], "the verifying key", index);
        let verifying = VerifyingKey {
            alpha_g1: g1(0, 0)?,
            beta_g2: g2(2 * G1, 2)?,
            gamma_g2: g2(2 * G1 + G2, 3)?,
            delta_g2: g2(3 * G1 + 2 * G2, 5)?,
            ic: (0..ic)
                .map(|index| g1(IC_COUNT + 4 + index * G1, 6 + index))
                .collect::<Result<_, _>>()?,
        };
        let (beta_g1, delta_g1) = (g1(G1, 1)?, g1(2 * G1 + 2 * G2, 4)?);
        Ok(Self { file, verifying, beta_g1, delta_g1, queries, verifying_bytes: bytes })
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey<Bls12_381> {
        &self.verifying
    }

    /// The verifying key in the form of bellman's separate file.
    pub fn verifying_key_bytes(&self) -> &[u8] {
        &self.verifying_bytes
    }

    /// `β` and `δ` in G1.
    pub(crate) fn fixed_g1(&self) -> (Affine<G1Config>, Affine<G1Config>) {
        (self.beta_g1, self.delta_g1)
    }

    /// Number of points of a query.
    pub fn points(&self, query: Query) -> usize {
        self.queries[query as usize].1
    }

    /// Streams a query in G1, decoded in the caller's rayon pool.
    pub(crate) fn g1_points<E: From<BellmanError>>(
        &mut self,
        query: Query,
        trust: Trust,
        each: impl FnMut(&[Affine<G1Config>]) -> Result<(), E>,
    ) -> Result<(), E> {
        assert_ne!(query, Query::B2, "that query is in G2");
        self.stream(query, trust, each)
    }

    /// Streams the query in G2.
    pub(crate) fn g2_points<E: From<BellmanError>>(
        &mut self,
        trust: Trust,
        each: impl FnMut(&[Affine<G2Config>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.stream(Query::B2, trust, each)
    }

    fn stream<P: Group<BaseField: Coordinate>, E: From<BellmanError>>(
        &mut self,
        query: Query,
        trust: Trust,
        mut each: impl FnMut(&[Affine<P>]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        P::ScalarField: ark_ff::PrimeField,
    {
        let (start, count) = self.queries[query as usize];
        let size = points::bytes_of::<P>();
        self.file.seek(SeekFrom::Start(start)).map_err(BellmanError::from)?;
        let mut buffer = vec![0; CHUNK.min(count) * size];
        for first in (0..count).step_by(CHUNK) {
            let bytes = &mut buffer[..CHUNK.min(count - first) * size];
            self.file.read_exact(bytes).map_err(BellmanError::from)?;
            let decoded: Result<Vec<_>, _> = bytes
                .par_chunks_exact(size)
                .enumerate()
                .map(|(at, bytes)| checked::<P>(bytes, trust, query.name(), first + at))
                .collect();
            each(&decoded?)?;
        }
        Ok(())
    }
}

fn point<P: SWCurveConfig<BaseField: Coordinate>>(
    bytes: &[u8],
    section: &'static str,
    index: usize,
) -> Result<Affine<P>, BellmanError>
where
    P::ScalarField: ark_ff::PrimeField,
{
    checked(bytes, Trust::Foreign, section, index)
}

fn checked<P: SWCurveConfig<BaseField: Coordinate>>(
    bytes: &[u8],
    trust: Trust,
    section: &'static str,
    index: usize,
) -> Result<Affine<P>, BellmanError>
where
    P::ScalarField: ark_ff::PrimeField,
{
    let wrong = |fault| BellmanError::Point { section, index, fault };
    let point = points::read::<P>(bytes).ok_or_else(|| wrong(None))?;
    let check = match trust {
        Trust::Vouched => check_on_curve(&point),
        Trust::Foreign => check_point(&point),
    };
    check.map_err(|fault: PointFault| wrong(Some(fault)))?;
    Ok(point)
}
