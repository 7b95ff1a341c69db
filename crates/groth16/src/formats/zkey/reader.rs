//! The outline of a proving key, and the points of its header.

use std::{
    io::{Read, Seek},
    marker::PhantomData,
};

use ark_ec::{AffineRepr, models::short_weierstrass::Affine};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Group, SCALAR_WORDS};

use super::{G1Query, KIND, MAX_NOTE, Query, ZkeyError, points, section};
use crate::{
    VerifyingKey,
    formats::{
        binfile::{BinFile, Section, SectionReader},
        field::{self, Role},
    },
};

/// Matrix, row and wire, then a coefficient.
pub(super) const COEFFICIENT_BYTES: u64 = 12 + 8 * SCALAR_WORDS as u64;

/// The header of a proving key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key's curve.
    pub curve: CurveId,
    /// Number of wires, the constant one included.
    pub wires: u32,
    /// Number of public signals, without the constant one.
    pub public: u32,
    /// Number of points of the domain: a power of two.
    pub domain_size: u32,
    /// Number of entries in section 4.
    pub coefficients: u32,
}

impl Header {
    /// Number of points in a section of points.
    pub fn points(&self, query: Query) -> usize {
        let points = match query {
            Query::G1(G1Query::A | G1Query::B1) | Query::B2 => self.wires,
            Query::G1(G1Query::C) => self.wires - self.public - 1,
            Query::G1(G1Query::H) => self.domain_size,
        };
        points as usize
    }

    /// Words of one point in a section of points.
    pub(super) fn point_words(&self, query: Query) -> usize {
        fn words<C: Curve>(query: Query) -> usize {
            match query {
                Query::G1(_) => C::G1Config::POINT_WORDS,
                Query::B2 => C::G2Config::POINT_WORDS,
            }
        }
        match self.curve {
            CurveId::Bn254 => words::<Bn254>(query),
            CurveId::Bls12_381 => words::<Bls12_381>(query),
        }
    }

    pub(super) fn check(&self) -> Result<(), ZkeyError> {
        let impossible = |what, value| Err(ZkeyError::Header { what, value });
        if !self.domain_size.is_power_of_two() {
            return impossible("the domain size is not a power of two", self.domain_size);
        }
        if self.public >= self.wires {
            return impossible("there are more public signals than wires", self.public);
        }
        if self.public >= self.domain_size {
            return impossible("the domain is too small for the public signals", self.public);
        }
        Ok(())
    }
}

/// An open proving key file: its sections lie within it and match its header.
#[derive(Debug)]
pub struct ZkeyFile<R> {
    pub(super) file: BinFile<R>,
    pub(super) header: Header,
    /// Reader of the header's points, which are not read yet.
    points: Section,
}

impl<R: Read + Seek> ZkeyFile<R> {
    /// Reads the outline and checks every section's length against the header.
    pub fn open(file: R) -> Result<Self, ZkeyError> {
        let mut file = BinFile::open(file, KIND)?;
        let mut protocol = file.read(file.section(section::PROTOCOL)?)?;
        let number = protocol.u32()?;
        protocol.end()?;
        if number != 1 {
            let name = match number {
                2 => "PLONK".into(),
                10 => "FFLONK".into(),
                other => format!("an unknown proof system (number {other})"),
            };
            return Err(ZkeyError::Protocol { name });
        }
        let coefficients = file.read(file.section(section::COEFFICIENTS)?)?.u32()?;

        let (header, points) = read_header(&mut file, coefficients)?;
        let g1_bytes = 8 * header.point_words(Query::G1(G1Query::A)) as u64;
        file.section_of(section::IC, (u64::from(header.public) + 1) * g1_bytes)?;
        let entries = u64::from(coefficients) * COEFFICIENT_BYTES;
        file.section_of(section::COEFFICIENTS, 4 + entries)?;
        for query in Query::ALL {
            let bytes = 8 * header.point_words(query) as u64;
            file.section_of(query.section(), header.points(query) as u64 * bytes)?;
        }
        Ok(Self { file, header, points })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The key's curve, which determines the type for [`read_as`](Self::read_as).
    pub fn curve(&self) -> CurveId {
        self.header.curve
    }

    /// The file's length in bytes.
    pub fn file_len(&self) -> u64 {
        self.file.file_len()
    }

    /// Fixes the curve, and reads and checks the header's points.
    pub fn read_as<C: Curve>(mut self) -> Result<ZkeyReader<C, R>, ZkeyError> {
        let found = self.header.curve;
        if C::ID != found {
            return Err(ZkeyError::WrongCurve { expected: C::ID, found });
        }
        let mut fields = self.file.read(self.points)?;
        let points = HeaderPoints {
            alpha_g1: read_nonzero::<C::G1Config, _>(&mut fields, "α in G1")?,
            beta_g1: read_nonzero::<C::G1Config, _>(&mut fields, "β in G1")?,
            beta_g2: read_nonzero::<C::G2Config, _>(&mut fields, "β in G2")?,
            gamma_g2: read_nonzero::<C::G2Config, _>(&mut fields, "γ in G2")?,
            delta_g1: read_nonzero::<C::G1Config, _>(&mut fields, "δ in G1")?,
            delta_g2: read_nonzero::<C::G2Config, _>(&mut fields, "δ in G2")?,
        };
        fields.end()?;
        Ok(ZkeyReader { file: self, points, curve: PhantomData })
    }
}

/// Reads the header up to its points; returns the offset of the points.
fn read_header<R: Read + Seek>(
    file: &mut BinFile<R>,
    coefficients: u32,
) -> Result<(Header, Section), ZkeyError> {
    let whole = file.section(section::HEADER)?;
    let mut fields = file.read(whole)?;
    let coordinates = field::read_prime::<_, ZkeyError>(&mut fields, Role::Coordinates)?;
    let scalars = field::read_prime::<_, ZkeyError>(&mut fields, Role::Scalars)?;
    if coordinates != scalars {
        return Err(ZkeyError::MixedCurves { coordinates, scalars });
    }
    let header = Header {
        curve: scalars,
        wires: fields.u32()?,
        public: fields.u32()?,
        domain_size: fields.u32()?,
        coefficients,
    };
    header.check()?;
    let g1_words = header.point_words(Query::G1(G1Query::A));
    let g2_words = header.point_words(Query::B2);
    fields.needs_exactly(3 * 8 * (g1_words + g2_words) as u64)?;
    Ok((header, Section { offset: fields.offset(), len: fields.left(), ..whole }))
}

/// Reads a point of the header, which must not be at infinity.
fn read_nonzero<G: Group, R: Read>(
    fields: &mut SectionReader<'_, R>,
    place: &'static str,
) -> Result<Affine<G>, ZkeyError> {
    let mut words = vec![0; G::POINT_WORDS];
    fields.words(&mut words)?;
    let point = points::decode_one::<G>(&words, place, 0)?;
    if point.is_zero() {
        return Err(ZkeyError::Infinity { place });
    }
    Ok(point)
}

/// The points in a proving key's header. None is at infinity, all are in their subgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPoints<C: Curve> {
    /// `α` in G1.
    pub alpha_g1: C::G1Affine,
    /// `β` in G1.
    pub beta_g1: C::G1Affine,
    /// `β` in G2.
    pub beta_g2: C::G2Affine,
    /// `γ` in G2.
    pub gamma_g2: C::G2Affine,
    /// `δ` in G1.
    pub delta_g1: C::G1Affine,
    /// `δ` in G2.
    pub delta_g2: C::G2Affine,
}

impl<C: Curve> HeaderPoints<C> {
    /// Whether nobody has contributed to the key: `δ = γ`, so that anyone can forge proofs.
    pub fn delta_is_gamma(&self) -> bool {
        self.delta_g2 == self.gamma_g2
    }
}

/// A reader of a proving key over a known curve; the header's points are checked.
#[derive(Debug)]
pub struct ZkeyReader<C: Curve, R> {
    pub(super) file: ZkeyFile<R>,
    pub(super) points: HeaderPoints<C>,
    curve: PhantomData<C>,
}

impl<C: Curve, R: Read + Seek> ZkeyReader<C, R> {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.file.header
    }

    /// The header's points.
    pub fn header_points(&self) -> &HeaderPoints<C> {
        &self.points
    }

    /// Reads the verifying key and checks every point. A point of IC may be at infinity;
    /// [`Verifier`](crate::Verifier) decides whether to accept it.
    pub fn verifying_key(&mut self) -> Result<VerifyingKey<C>, ZkeyError> {
        let count = self.file.header.public as usize + 1;
        let section = self.file.file.section(section::IC)?;
        let mut reader = self.file.file.read(section)?;
        let mut words = vec![0; count * C::G1Config::POINT_WORDS];
        reader.words(&mut words)?;
        let ic = points::decode_at::<C::G1Config>(&words, "IC", 0)?;
        let HeaderPoints { alpha_g1, beta_g2, gamma_g2, delta_g2, .. } = self.points.clone();
        Ok(VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, ic })
    }

    /// The key's note, if Athanor wrote the key. Untrusted text: escape it before display.
    pub fn note(&mut self) -> Result<Option<String>, ZkeyError> {
        let file = &mut self.file.file;
        let Some(section) = file.find(section::NOTE) else {
            return Ok(None);
        };
        if section.len > MAX_NOTE as u64 {
            return Err(ZkeyError::Note);
        }
        let mut note = vec![0; section.len as usize];
        file.read(section)?.fill(&mut note)?;
        String::from_utf8(note).map(Some).map_err(|_| ZkeyError::Note)
    }
}
