//! From a `.zkey` to a device's layout, in a stream: the file is never held whole.

use std::io::{Read, Seek};

use athanor_kernels::{Bases, Curve, Device, Domain, DomainError, Quotient, SlabError};

use crate::{
    NativeKey, Origin, QueryBuilder,
    formats::zkey::{G1Query, Query, ZkeyError, ZkeyReader},
};

/// Points that are decoded, checked and encoded at a time.
const CHUNK: usize = 1 << 14;

/// Why a key was not converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file is at fault.
    #[error(transparent)]
    Zkey(#[from] ZkeyError),
    /// The domain is larger than the field allows.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// No memory for the converted key.
    #[error(transparent)]
    Memory(#[from] SlabError),
}

impl<C: Curve> NativeKey<C> {
    /// Converts a snarkjs key for a device, checking every point on the way.
    ///
    /// `source` is the digest by which the key will be known; see [`digest_of`](crate::digest_of).
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
