//! `.ptau`: powers of tau, phase 1 of a ceremony, common to all circuits.
//!
//! | section | holds |
//! |---|---|
//! | 1 | prime q, the power `p`, and the power of the ceremony from which the file was truncated |
//! | 2, 3 | `τ^i` in G1 for `i < 2^(p+1) - 1`, in G2 for `i < 2^p` |
//! | 4, 5 | `α·τ^i` and `β·τ^i` in G1, for `i < 2^p` |
//! | 6 | `β` in G2 |
//! | 7 | the contributions to this part |
//! | 12, 13, 14, 15 | 2, 3, 4 and 5 in the bases of Lagrange: for each `k` up to `p` (12: up to `p + 1`) the `2^k` polynomials of the domain of that size at `τ` |
//!
//! `powersoftau prepare phase2` adds the last four, which save four transforms over points when a key
//! is made. Files without them are supported too: see [`PtauReader::lagrange_g1`].

use std::{
    io::{Read, Seek},
    marker::PhantomData,
};

use ark_ec::{AffineRepr, CurveGroup, models::short_weierstrass::Affine};
use ark_ff::{AdditiveGroup, PrimeField};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Domain, DomainError, Group};
use rayon::prelude::*;

use super::{
    binfile::{BinFile, BinFileError, Kind, Section, SectionReader},
    field::{self, PrimeError, Role},
    params::Params,
    zkey::points::{PointFault, decode},
};

/// The container of `.ptau`.
pub const KIND: Kind = Kind {
    magic: *b"ptau",
    newest_version: 1,
    sections: &[
        "header",
        "tau in G1",
        "tau in G2",
        "alpha tau in G1",
        "beta tau in G1",
        "beta in G2",
        "contributions",
        "unknown",
        "unknown",
        "unknown",
        "unknown",
        "Lagrange tau in G1",
        "Lagrange tau in G2",
        "Lagrange alpha tau in G1",
        "Lagrange beta tau in G1",
    ],
};

const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const ALPHA_TAU_G1: u32 = 4;
const BETA_TAU_G1: u32 = 5;
const BETA_G2: u32 = 6;
const CONTRIBUTIONS: u32 = 7;
/// Difference between the ids of the prepared and the plain sections.
const PREPARED: u32 = 10;
/// Largest power: the fields have no larger domain.
pub const MAX_POWER: u32 = 28;

/// State of a hash function, the challenge after it, kind and length of parameters.
const FIXED_BYTES: usize = 216 + 64 + 4 + 4;

/// Why a file of powers of tau is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PtauError {
    /// The container is malformed.
    #[error("ptau: {0}")]
    Container(#[from] BinFileError),
    /// The field is not supported.
    #[error("ptau: {0}")]
    Prime(#[from] PrimeError),
    /// The powers are for a different curve than the expected one.
    #[error("ptau: the powers are for {found}, expected {expected}")]
    WrongCurve {
        /// The expected curve.
        expected: CurveId,
        /// The file's curve.
        found: CurveId,
    },
    /// The power is out of range.
    #[error("ptau: the power is {found}; expected 1 to {MAX_POWER}")]
    Power {
        /// The power in the header.
        found: u32,
    },
    /// The circuit needs more powers than the file has.
    #[error(
        "ptau: the powers reach 2^{power} constraints, the circuit needs 2^{needed}; use a file \
         of power {needed} or more"
    )]
    TooSmall {
        /// The file's power.
        power: u32,
        /// The required power.
        needed: u32,
    },
    /// The field has no domain of that size.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Only some of the prepared sections are present.
    #[error("ptau: only some of the Lagrange sections are present; prepare the file again")]
    HalfPrepared,
    /// A point has a coordinate at or above the modulus, or is off the curve.
    #[error("ptau: point {index} of {place} is not on the curve; the file is damaged or forged")]
    NotOnCurve {
        /// Series of the point.
        place: &'static str,
        /// Its index there, from 0.
        index: usize,
    },
    /// A point is on the curve, but outside the subgroup of prime order.
    #[error("ptau: point {index} of {place} is outside the subgroup; the file is forged")]
    NotInSubgroup {
        /// Series of the point.
        place: &'static str,
        /// Its index there, from 0.
        index: usize,
    },
    /// The first powers are not the generators, or a secret is zero.
    #[error("ptau: {0}; the file is damaged or forged")]
    Degenerate(&'static str),
    /// A contribution is malformed.
    #[error("ptau: contribution {index}: {what}")]
    Contribution {
        /// Its index, from 0.
        index: u32,
        /// The fault.
        what: &'static str,
    },
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The curve of the points.
    pub curve: CurveId,
    /// Binary logarithm of the largest number of constraints that the powers support.
    pub power: u32,
    /// The power of the ceremony from which the file was truncated.
    pub ceremony_power: u32,
}

/// A series of points in G1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// `τ^i`.
    Tau,
    /// `α·τ^i`.
    AlphaTau,
    /// `β·τ^i`.
    BetaTau,
}

impl Series {
    fn section(self) -> u32 {
        match self {
            Series::Tau => TAU_G1,
            Series::AlphaTau => ALPHA_TAU_G1,
            Series::BetaTau => BETA_TAU_G1,
        }
    }
}

/// A contributor to the powers, as recorded in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Name. Untrusted text: escape it before display.
    pub name: Option<String>,
    /// 0 for a participant, 1 for a beacon.
    pub kind: u32,
    /// The challenge for the next contributor: a BLAKE2b hash.
    pub next_challenge: [u8; 64],
}

/// An open file of powers: its sections lie within it and match its header.
#[derive(Debug)]
pub struct PtauFile<R> {
    file: BinFile<R>,
    header: Header,
    prepared: bool,
}

/// Bytes of a stored point of a section.
fn point_bytes(curve: CurveId, section: u32) -> u64 {
    fn bytes<C: Curve>(g2: bool) -> usize {
        8 * if g2 { C::G2Config::POINT_WORDS } else { C::G1Config::POINT_WORDS }
    }
    let g2 = [TAU_G2, TAU_G2 + PREPARED, BETA_G2].contains(&section);
    let bytes = match curve {
        CurveId::Bn254 => bytes::<Bn254>(g2),
        CurveId::Bls12_381 => bytes::<Bls12_381>(g2),
    };
    bytes as u64
}

impl<R: Read + Seek> PtauFile<R> {
    /// Reads the outline and checks every section's length against the power.
    pub fn open(file: R) -> Result<Self, PtauError> {
        let mut file = BinFile::open(file, KIND)?;
        let mut fields = file.read(file.section(HEADER)?)?;
        let curve = field::read_prime::<_, PtauError>(&mut fields, Role::Coordinates)?;
        let header = Header { curve, power: fields.u32()?, ceremony_power: fields.u32()? };
        fields.end()?;
        if !(1..=MAX_POWER).contains(&header.power) {
            return Err(PtauError::Power { found: header.power });
        }
        let size = 1u64 << header.power;
        for (section, points) in [
            (TAU_G1, 2 * size - 1),
            (TAU_G2, size),
            (ALPHA_TAU_G1, size),
            (BETA_TAU_G1, size),
            (BETA_G2, 1),
        ] {
            file.section_of(section, points * point_bytes(curve, section))?;
        }
        let all = [TAU_G1, TAU_G2, ALPHA_TAU_G1, BETA_TAU_G1].map(|section| section + PREPARED);
        let there = all.iter().filter(|&&section| file.find(section).is_some()).count();
        if there != 0 && there != all.len() {
            return Err(PtauError::HalfPrepared);
        }
        for section in all.into_iter().filter(|_| there != 0) {
            let points = if section == TAU_G1 + PREPARED { 4 * size - 1 } else { 2 * size - 1 };
            file.section_of(section, points * point_bytes(curve, section))?;
        }
        Ok(Self { file, header, prepared: there != 0 })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the file has the Lagrange sections.
    pub fn prepared(&self) -> bool {
        self.prepared
    }

    /// The file's length in bytes.
    pub fn file_len(&self) -> u64 {
        self.file.file_len()
    }

    /// The contributors. Contributions are not verified.
    pub fn contributors(&mut self) -> Result<Vec<Contributor>, PtauError> {
        let Some(section) = self.file.find(CONTRIBUTIONS) else { return Ok(Vec::new()) };
        let g1 = point_bytes(self.header.curve, TAU_G1) as usize;
        let g2 = point_bytes(self.header.curve, TAU_G2) as usize;
        // Five powers, then the contributor's public key.
        let points = 3 * g1 + 2 * g2 + 6 * g1 + 3 * g2;
        let mut reader = self.file.read(section)?;
        let count = reader.u32()?;
        reader.needs(u64::from(count) * (points + FIXED_BYTES) as u64)?;
        let contributors = (0..count)
            .map(|index| read_contributor(&mut reader, index, points))
            .collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(contributors)
    }

    /// Fixes the curve, and checks that the first powers are the generators and no secret is zero.
    pub fn read_as<C: Curve>(self) -> Result<PtauReader<C, R>, PtauError> {
        let found = self.header.curve;
        if C::ID != found {
            return Err(PtauError::WrongCurve { expected: C::ID, found });
        }
        let mut reader = PtauReader::<C, R> { file: self, curve: PhantomData };
        let degenerate =
            |wrong, what| if wrong { Err(PtauError::Degenerate(what)) } else { Ok(()) };
        let tau = reader.g1(Series::Tau, 0, 2)?;
        let tau_g2 = reader.tau_g2(0, 2)?;
        degenerate(tau[0] != C::G1Affine::generator(), "τ^0 in G1 is not the generator")?;
        degenerate(tau_g2[0] != C::G2Affine::generator(), "τ^0 in G2 is not the generator")?;
        degenerate(tau[1].is_zero() || tau_g2[1].is_zero(), "τ is zero")?;
        degenerate(reader.g1(Series::AlphaTau, 0, 1)?[0].is_zero(), "α is zero")?;
        degenerate(reader.g1(Series::BetaTau, 0, 1)?[0].is_zero(), "β is zero")?;
        degenerate(reader.beta_g2()?.is_zero(), "β in G2 is zero")?;
        Ok(reader)
    }
}

fn read_contributor<R: Read>(
    reader: &mut SectionReader<'_, R>,
    index: u32,
    points: usize,
) -> Result<Contributor, PtauError> {
    reader.fill(&mut vec![0; points])?;
    let _hash_state: [u8; 216] = reader.bytes()?;
    let next_challenge = reader.bytes()?;
    let kind = reader.u32()?;
    let length = reader.u32()?;
    reader.needs(length.into())?;
    let mut bytes = vec![0; length as usize];
    reader.fill(&mut bytes)?;
    let params = Params::parse(&bytes);
    let params = params.map_err(|what| PtauError::Contribution { index, what })?;
    Ok(Contributor { name: params.name, kind, next_challenge })
}

/// A reader of powers over a known curve. Each point is checked to lie on the curve and in the
/// subgroup. It does not check that the points are powers of one secret.
#[derive(Debug)]
pub struct PtauReader<C, R> {
    file: PtauFile<R>,
    curve: PhantomData<C>,
}

impl<C: Curve, R: Read + Seek> PtauReader<C, R> {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.file.header
    }

    /// Fails unless the powers support `2^log_size` constraints.
    pub fn reaches(&self, log_size: u32) -> Result<(), PtauError> {
        let power = self.file.header.power;
        if log_size > power {
            return Err(PtauError::TooSmall { power, needed: log_size });
        }
        Ok(())
    }

    /// `count` points of a series from number `first` on.
    pub fn g1(
        &mut self,
        series: Series,
        first: usize,
        count: usize,
    ) -> Result<Vec<C::G1Affine>, PtauError> {
        self.points::<C::G1Config>(series.section(), first, count)
    }

    /// `count` powers in G2 from number `first` on.
    pub fn tau_g2(&mut self, first: usize, count: usize) -> Result<Vec<C::G2Affine>, PtauError> {
        self.points::<C::G2Config>(TAU_G2, first, count)
    }

    /// `β` in G2.
    pub fn beta_g2(&mut self) -> Result<C::G2Affine, PtauError> {
        Ok(self.points::<C::G2Config>(BETA_G2, 0, 1)?[0])
    }

    /// A series in the Lagrange basis of the domain of `2^log_size` points: read from a prepared file,
    /// else computed by a transform. For [`Series::Tau`] the domain may have twice as many points as
    /// there are constraints; the file then lacks the power `τ^(2n - 1)`, which is set to zero as in
    /// `prepare phase2`, so only half of the points are meaningful.
    pub fn lagrange_g1(
        &mut self,
        series: Series,
        log_size: u32,
    ) -> Result<Vec<C::G1Affine>, PtauError> {
        let size = 1usize << log_size;
        if self.file.prepared {
            return self.points::<C::G1Config>(series.section() + PREPARED, size - 1, size);
        }
        let doubled = log_size == self.file.header.power + 1;
        let there = if doubled { size - 1 } else { size };
        let mut points: Vec<C::G1> =
            self.g1(series, 0, there)?.into_iter().map(Into::into).collect();
        points.resize(size, C::G1::ZERO);
        Ok(lagrange::<C::Fr, C::G1>(points, log_size)?)
    }

    /// The powers in G2 in the Lagrange basis of the domain of `2^log_size` points.
    pub fn lagrange_g2(&mut self, log_size: u32) -> Result<Vec<C::G2Affine>, PtauError> {
        let size = 1usize << log_size;
        if self.file.prepared {
            return self.points::<C::G2Config>(TAU_G2 + PREPARED, size - 1, size);
        }
        let points = self.tau_g2(0, size)?.into_iter().map(Into::into).collect();
        Ok(lagrange::<C::Fr, C::G2>(points, log_size)?)
    }

    fn points<G: Group>(
        &mut self,
        section: u32,
        first: usize,
        count: usize,
    ) -> Result<Vec<Affine<G>>, PtauError> {
        let file = &mut self.file.file;
        let place = KIND.sections[section as usize - 1];
        let whole = file.section(section)?;
        let (start, length) = ((first * G::POINT_WORDS * 8) as u64, count * G::POINT_WORDS);
        let part = start.checked_add(8 * length as u64).filter(|&end| end <= whole.len);
        assert!(part.is_some(), "points {first}.. of {place} are in the file");
        let part = Section { offset: whole.offset + start, len: 8 * length as u64, ..whole };
        let mut reader = file.read(part)?;
        let mut points = Vec::with_capacity(count);
        let mut words = Vec::new();
        const CHUNK: usize = 1 << 14;
        for start in (0..count).step_by(CHUNK) {
            words.resize(CHUNK.min(count - start) * G::POINT_WORDS, 0);
            reader.words(&mut words)?;
            points.extend(decode::<G>(&words).map_err(|(at, fault)| {
                let index = first + start + at;
                match fault {
                    PointFault::NotOnCurve => PtauError::NotOnCurve { place, index },
                    PointFault::NotInSubgroup => PtauError::NotInSubgroup { place, index },
                }
            })?);
        }
        Ok(points)
    }
}

/// `Σ_j τ^j·ω^(-ij) / n` for each `i`: the inverse transform, over points, in snarkjs's order of the
/// domain. `n·log n / 2` multiplications of points.
fn lagrange<F, G>(mut points: Vec<G>, log_size: u32) -> Result<Vec<G::Affine>, DomainError>
where
    F: PrimeField,
    G: CurveGroup<ScalarField = F>,
{
    // The root comes from the domain of half the size: this domain may be larger than a prover's largest.
    let over = match log_size {
        0 => F::ONE,
        log_size => Domain::<F>::snarkjs(log_size - 1)?.eta().inverse().expect("it is not zero"),
    };
    // Decimation in frequency leaves the result in bit-reversed order.
    let mut half = points.len() / 2;
    let mut step = over;
    while half > 0 {
        let factors: Vec<F> =
            std::iter::successors(Some(F::ONE), |factor| Some(*factor * step)).take(half).collect();
        points.par_chunks_mut(2 * half).for_each(|chunk| {
            let (low, high) = chunk.split_at_mut(half);
            let pairs = low.par_iter_mut().zip(high.par_iter_mut()).zip(&factors);
            pairs.with_min_len(16).for_each(|((low, high), factor)| {
                let difference = *low - *high;
                *low += *high;
                *high = if factor.is_one() { difference } else { difference * *factor };
            });
        });
        step.square_in_place();
        half /= 2;
    }
    let size = F::from(points.len() as u64);
    let scale = size.inverse().expect("2^k is not zero in the field");
    points.par_iter_mut().with_min_len(16).for_each(|point| *point *= scale);
    let bits = usize::BITS - log_size;
    let reordered: Vec<G> = (0..points.len())
        .map(|index| points[if log_size == 0 { 0 } else { index.reverse_bits() >> bits }])
        .collect();
    Ok(G::normalize_batch(&reordered))
}
