//! A contribution: multiplies `δ` by a secret and divides the points of L and H by it.

use std::io::{Read, Seek, Write};

use ark_ec::{AffineRepr, CurveGroup, models::short_weierstrass::Affine};
use ark_ff::Field;
use athanor_kernels::Curve;
use blake2::{Blake2b512, Digest};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::{
    CeremonyError, Hash, MAX_BEACON_LOG, MIN_BEACON_LOG, contribution_hash, random,
    transcript::Transcript,
};
use crate::{
    endomorphism::{self, Factor},
    formats::zkey::{Contribution, Contributions, G1Query, Part, Query, ZkeyReader, ZkeyWriter},
};

/// Number of points per chunk: multiplied, then written.
const CHUNK: usize = 1 << 14;

/// The source of a contribution's secret.
#[derive(Clone, Copy, Debug)]
pub enum Contributor<'a> {
    /// A participant: the secret comes from the operating system's randomness and `entropy`.
    Person {
        /// Name for the list of contributions, at most 64 characters.
        name: Option<&'a str>,
        /// Additional entropy, of any quality; it cannot weaken the randomness.
        entropy: &'a [u8],
    },
    /// A beacon: a public random value that nobody could predict before all participants contributed.
    Beacon {
        /// Name for the list of contributions.
        name: Option<&'a str>,
        /// The value, of 1 to 255 bytes.
        value: &'a [u8],
        /// Binary logarithm of the number of hash iterations.
        iterations_log: u8,
    },
}

impl<'a> Contributor<'a> {
    fn generator(self) -> Result<rand_chacha::ChaCha20Rng, CeremonyError> {
        match self {
            Contributor::Person { entropy, .. } => {
                let mut fresh = Zeroizing::new([0; 64]);
                getrandom::fill(&mut fresh[..])?;
                let mut hash = Blake2b512::new();
                hash.update(&fresh[..]);
                hash.update(entropy);
                let mut seed = hash.finalize();
                let generator = random::generator(&seed);
                seed.zeroize();
                Ok(generator)
            }
            Contributor::Beacon { value, iterations_log, .. } => {
                if value.is_empty() || value.len() > 255 {
                    return Err(CeremonyError::Beacon("must have 1 to 255 bytes"));
                }
                if !(MIN_BEACON_LOG..=MAX_BEACON_LOG).contains(&iterations_log) {
                    return Err(CeremonyError::Beacon("must be hashed 2^10 to 2^32 times"));
                }
                Ok(random::beacon(value, iterations_log))
            }
        }
    }

    fn name(self) -> Option<&'a str> {
        let (Contributor::Person { name, .. } | Contributor::Beacon { name, .. }) = self;
        let cut = |name: &'a str| match name.char_indices().nth(64) {
            Some((end, _)) => &name[..end],
            None => name,
        };
        name.map(cut).filter(|name| !name.is_empty())
    }
}

/// Writes the key with one more contribution, as a stream. Returns the contribution's hash, which
/// the contributor publishes. The secret is wiped.
pub fn contribute<C: Curve, R: Read + Seek>(
    zkey: &mut ZkeyReader<C, R>,
    out: impl Write,
    contributor: Contributor<'_>,
) -> Result<Hash, CeremonyError> {
    let Contributions { circuit_hash, mut contributions } =
        zkey.contributions()?.ok_or(CeremonyError::NoHistory)?;
    if zkey.note()?.is_some() || circuit_hash == [0; 64] {
        return Err(CeremonyError::Development);
    }
    let mut random = contributor.generator()?;
    let secret = Zeroizing::new(random::element::<C::Fr>(&mut random));
    let s = random::point::<C::G1Config>(&mut random);
    let sx = (s * *secret).into_affine();
    let mut history =
        Contributions { circuit_hash, contributions: std::mem::take(&mut contributions) };
    let mut transcript = Transcript::of_history(&history);
    transcript.points(&[s, sx]);
    let transcript = transcript.end();
    let sp = random::point::<C::G2Config>(&mut random::generator(&transcript));

    let mut points = zkey.header_points().clone();
    points.delta_g1 = (points.delta_g1 * *secret).into_affine();
    points.delta_g2 = (points.delta_g2 * *secret).into_affine();
    let (kind, iterations_log, beacon) = match contributor {
        Contributor::Person { .. } => (0, None, None),
        Contributor::Beacon { value, iterations_log, .. } => {
            (1, Some(iterations_log), Some(value.to_vec()))
        }
    };
    let made = Contribution {
        delta_after: points.delta_g1,
        s,
        sx,
        spx: (sp * *secret).into_affine(),
        transcript,
        kind,
        name: contributor.name().map(ToOwned::to_owned),
        iterations_log,
        beacon,
    };
    let hash = contribution_hash(&made);
    history.contributions.push(made);

    let inverse = Zeroizing::new(secret.inverse().expect("a random scalar is not zero"));
    let factor = Zeroizing::new(Factor::split::<C::G1Config>(*inverse));
    let header = *zkey.header();
    let mut writer = ZkeyWriter::new(out, &header, &points, None)?;
    for part in [
        Part::Ic,
        Part::Coefficients,
        Part::Points(Query::G1(G1Query::A)),
        Part::Points(Query::G1(G1Query::B1)),
        Part::Points(Query::B2),
    ] {
        writer.copy(zkey, part)?;
    }
    for query in [G1Query::C, G1Query::H] {
        writer.begin(Query::G1(query))?;
        zkey.g1_points(query, CHUNK, |_, points| {
            let multiples: Vec<C::G1> =
                points.par_iter().with_min_len(64).map(|point| multiple(point, &factor)).collect();
            writer.g1(&C::G1::normalize_batch(&multiples))
        })?;
    }
    writer.contributions(&history)?;
    writer.finish()?;
    Ok(hash)
}

fn multiple<G: ark_ec::scalar_mul::glv::GLVConfig>(
    point: &Affine<G>,
    factor: &Factor,
) -> ark_ec::models::short_weierstrass::Projective<G> {
    if point.is_zero() { point.into_group() } else { endomorphism::sum(&[(*point, *factor)]) }
}
