//! Converts a `.zkey` or bellman's parameters to a device's layout as a stream; the file is never whole in memory.

use std::io::{Read, Seek};

use athanor_kernels::{
    Bases, Bls12_381, Curve, Device, Domain, DomainError, Matrix, Quotient, ScalarsOf, Slab,
    SlabError, SlabMut,
};

use crate::{
    NativeKey, Origin, QueryBuilder,
    formats::{
        bellman::{BellmanError, BellmanReader, Density, Query as BellmanQuery, Trust},
        zkey::{G1Query, Query, ZkeyError, ZkeyReader},
    },
};

/// Number of points per chunk: decoded, checked and encoded.
const CHUNK: usize = 1 << 14;

/// Why a key cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file is malformed.
    #[error(transparent)]
    Zkey(#[from] ZkeyError),
    /// The domain is larger than the field allows.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The converted key does not fit into memory.
    #[error(transparent)]
    Memory(#[from] SlabError),
}

impl<C: Curve> NativeKey<C> {
    /// Converts a snarkjs key for a device, checking every point on the way.
    ///
    /// `source` is the digest of the key's file; see [`digest_of`](crate::digest_of).
    pub fn from_zkey<D: Device<C>, R: Read + Seek>(
        device: &D,
        zkey: &mut ZkeyReader<C, R>,
        source: [u8; 32],
    ) -> Result<Self, ConvertError> {
        let verifying = zkey.verifying_key()?;
        let (a, b) = zkey.matrices()?;
        let private = verifying.ic.len();
        let points = zkey.header_points();
        Ok(Self {
            layout: device.layout().name.to_owned(),
            origin: Origin::Zkey,
            source,
            quotient: Quotient::OddCoset,
            domain: Domain::snarkjs(zkey.header().domain_size.ilog2())?,
            beta_g1: points.beta_g1,
            delta_g1: points.delta_g1,
            verifying,
            a,
            b,
            a_query: g1(device, zkey, G1Query::A, 0)?,
            b_g1_query: g1(device, zkey, G1Query::B1, 0)?,
            b_g2_query: g2(device, zkey)?,
            l_query: g1(device, zkey, G1Query::C, private)?,
            h_query: g1(device, zkey, G1Query::H, 0)?,
        })
    }
}

fn g1<C: Curve, D: Device<C>, R: Read + Seek>(
    device: &D,
    zkey: &mut ZkeyReader<C, R>,
    query: G1Query,
    first_scalar: usize,
) -> Result<Bases, ConvertError> {
    let count = zkey.header().points(Query::G1(query));
    let mut builder = QueryBuilder::<C::G1Config>::new(count, device.layout().g1_words)?;
    zkey.g1_points(query, CHUNK, |_, points| {
        builder.push(points, |points, out| device.encode_g1(points, out));
        Ok::<_, ConvertError>(())
    })?;
    Ok(builder.finish(first_scalar)?)
}

fn g2<C: Curve, D: Device<C>, R: Read + Seek>(
    device: &D,
    zkey: &mut ZkeyReader<C, R>,
) -> Result<Bases, ConvertError> {
    let count = zkey.header().points(Query::B2);
    let mut builder = QueryBuilder::<C::G2Config>::new(count, device.layout().g2_words)?;
    zkey.g2_points(CHUNK, |_, points| {
        builder.push(points, |points, out| device.encode_g2(points, out));
        Ok::<_, ConvertError>(())
    })?;
    Ok(builder.finish(0)?)
}

/// The field of [`Bls12_381`].
type Fr = <Bls12_381 as Curve>::Fr;

impl NativeKey<Bls12_381> {
    /// Converts bellman's parameters for a device. The file holds no constraints, so the matrices are
    /// parameters: `a`, whose last rows bind the statement, and `b`.
    ///
    /// `source` is the digest of the key's file; see [`digest_of`](crate::digest_of).
    pub fn from_bellman<D: Device<Bls12_381>, R: Read + Seek>(
        device: &D,
        parameters: &mut BellmanReader<R>,
        (a, b): (Matrix<Fr>, Matrix<Fr>),
        trust: Trust,
        source: [u8; 32],
    ) -> Result<Self, BellmanError> {
        let density = Density::of(&a, &b);
        let verifying = parameters.verifying_key().clone();
        let (statement, wires) = (verifying.ic.len(), a.columns());
        let domain = Domain::new(a.rows().next_power_of_two().ilog2())?;
        let expected = [
            (BellmanQuery::H, domain.size() - 1, "h"),
            (BellmanQuery::L, wires.saturating_sub(statement), "l"),
            (BellmanQuery::A, density.a.len(), "a"),
            (BellmanQuery::B1, density.b.len(), "b in G1"),
            (BellmanQuery::B2, density.b.len(), "b in G2"),
        ];
        for (query, expected, what) in expected {
            let got = parameters.points(query);
            if got != expected {
                return Err(BellmanError::OtherCircuit { what, expected, got });
            }
        }
        let layout = device.layout();
        let mut g1 = |query, scalars| -> Result<Bases, BellmanError> {
            let words = layout.g1_words;
            let mut points = SlabMut::zeroed(parameters.points(query) * words * 8)?;
            let mut at = 0;
            parameters.g1_points(query, trust, |decoded| {
                let end = at + decoded.len() * words;
                device.encode_g1(decoded, &mut points.words()[at..end]);
                at = end;
                Ok::<_, BellmanError>(())
            })?;
            Ok(Bases { points: points.freeze(), scalars })
        };
        let listed = |list: &[u32]| Ok::<_, SlabError>(ScalarsOf::Listed(Slab::from_u32s(list)?));
        let b_scalars = listed(&density.b)?;
        let h_query = g1(BellmanQuery::H, ScalarsOf::From(0))?;
        let l_query = g1(BellmanQuery::L, ScalarsOf::From(statement))?;
        let a_query = g1(BellmanQuery::A, listed(&density.a)?)?;
        let b_g1_query = g1(BellmanQuery::B1, b_scalars.clone())?;
        let words = layout.g2_words;
        let mut points = SlabMut::zeroed(density.b.len() * words * 8)?;
        let mut at = 0;
        parameters.g2_points(trust, |decoded| {
            let end = at + decoded.len() * words;
            device.encode_g2(decoded, &mut points.words()[at..end]);
            at = end;
            Ok::<_, BellmanError>(())
        })?;
        let (beta_g1, delta_g1) = parameters.fixed_g1();
        Ok(Self {
            layout: layout.name.to_owned(),
            origin: Origin::Bellman,
            source,
            quotient: Quotient::Coefficients,
            domain,
            verifying,
            beta_g1,
            delta_g1,
            a,
            b,
            a_query,
            b_g1_query,
            b_g2_query: Bases { points: points.freeze(), scalars: b_scalars },
            l_query,
            h_query,
        })
    }
}
