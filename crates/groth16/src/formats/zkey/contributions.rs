//! Section 10: the contributions to the key.

use std::io::{Read, Seek};

use ark_ec::models::short_weierstrass::Affine;
use athanor_kernels::{Curve, Group};

use super::{ZkeyError, ZkeyReader, points, section};
use crate::formats::{binfile::SectionReader, params::Params};

/// Transcript, kind and length of parameters, after a contribution's points.
const FIXED_BYTES: usize = 64 + 4 + 4;

/// One contribution to the ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution<C: Curve> {
    /// `δ` in G1 after it.
    pub delta_after: C::G1Affine,
    /// A random point of G1.
    pub s: C::G1Affine,
    /// `s` times the contributor's secret.
    pub sx: C::G1Affine,
    /// A point of G2 that the transcript determines, times the contributor's secret.
    pub spx: C::G2Affine,
    /// Hash of the initial key and the earlier contributions.
    pub transcript: [u8; 64],
    /// 0 for a participant, 1 for a beacon.
    pub kind: u32,
    /// The contributor's name, if there is one. Untrusted text: escape it before display.
    pub name: Option<String>,
    /// For a beacon: binary logarithm of the number of hash iterations.
    pub iterations_log: Option<u8>,
    /// For a beacon: its value.
    pub beacon: Option<Vec<u8>>,
}

impl<C: Curve> Contribution<C> {
    /// Its optional fields, in the file's encoding.
    pub(super) fn params(&self) -> Vec<u8> {
        Params::bytes(self.name.as_deref(), self.iterations_log, self.beacon.as_deref())
    }
}

/// The contributions to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributions<C: Curve> {
    /// BLAKE2b hash of the circuit's initial key.
    pub circuit_hash: [u8; 64],
    /// All contributions, in order. If there are none, `δ = γ` and anyone can forge proofs.
    pub contributions: Vec<Contribution<C>>,
}

impl<C: Curve, R: Read + Seek> ZkeyReader<C, R> {
    /// The number of contributions, if the file has the section. Reads nothing else of it.
    pub fn contribution_count(&mut self) -> Result<Option<u32>, ZkeyError> {
        let file = &mut self.file.file;
        let Some(section) = file.find(section::CONTRIBUTIONS) else {
            return Ok(None);
        };
        let mut reader = file.read(section)?;
        let _circuit_hash: [u8; 64] = reader.bytes()?;
        Ok(Some(reader.u32()?))
    }

    /// The contributions, if the file has the section. Checks the points, but not whether the
    /// contributions follow from each other; see [`ceremony::verify`](crate::ceremony::verify()).
    pub fn contributions(&mut self) -> Result<Option<Contributions<C>>, ZkeyError> {
        let file = &mut self.file.file;
        let Some(section) = file.find(section::CONTRIBUTIONS) else {
            return Ok(None);
        };
        let mut reader = file.read(section)?;
        let circuit_hash = reader.bytes()?;
        let count = reader.u32()?;
        let words = 3 * C::G1Config::POINT_WORDS + C::G2Config::POINT_WORDS;
        reader.needs(u64::from(count) * (8 * words + FIXED_BYTES) as u64)?;
        let contributions =
            (0..count).map(|index| read_one(&mut reader, index)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Some(Contributions { circuit_hash, contributions }))
    }
}

fn read_one<C: Curve, R: Read>(
    reader: &mut SectionReader<'_, R>,
    index: u32,
) -> Result<Contribution<C>, ZkeyError> {
    let delta_after = read_point::<C::G1Config, R>(reader, index)?;
    let s = read_point::<C::G1Config, R>(reader, index)?;
    let sx = read_point::<C::G1Config, R>(reader, index)?;
    let spx = read_point::<C::G2Config, R>(reader, index)?;
    let transcript = reader.bytes()?;
    let kind = reader.u32()?;
    let params = reader.u32()?;
    reader.needs(params.into())?;
    let mut bytes = vec![0; params as usize];
    reader.fill(&mut bytes)?;
    let Params { name, iterations_log, beacon } =
        Params::parse(&bytes).map_err(|what| ZkeyError::Contribution { index, what })?;
    Ok(Contribution { delta_after, s, sx, spx, transcript, kind, name, iterations_log, beacon })
}

fn read_point<G: Group, R: Read>(
    reader: &mut SectionReader<'_, R>,
    index: u32,
) -> Result<Affine<G>, ZkeyError> {
    let mut words = vec![0; G::POINT_WORDS];
    reader.words(&mut words)?;
    points::decode_one(&words, "a contribution", index as usize)
}
