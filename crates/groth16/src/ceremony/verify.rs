//! Verification: follows `δ` through the contributions and compares the rest with the initial key.

use std::io::{Read, Seek};

use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM, pairing::PairingOutput};
use ark_ff::AdditiveGroup;
use athanor_kernels::Curve;

use super::{
    CeremonyError, Hash, MAX_BEACON_LOG, MIN_BEACON_LOG, contribution_hash, random,
    transcript::Transcript,
};
use crate::formats::zkey::{Contribution, Contributions, G1Query, Part, Query, ZkeyReader};

/// Number of points per chunk.
const CHUNK: usize = 1 << 16;

/// The contributions of a verified key.
#[derive(Clone, Debug)]
pub struct Verified<C: Curve> {
    /// The hash of the initial key.
    pub circuit_hash: Hash,
    /// The contributions, each with its hash. If there are none, anyone can forge proofs.
    pub contributions: Vec<(Contribution<C>, Hash)>,
}

/// Verifies a key against the initial key, which is computed from the circuit and the powers of tau.
/// The powers themselves are not verified. Points are compared by random linear combinations with
/// 128-bit weights.
pub fn verify<C: Curve, R: Read + Seek, I: Read + Seek>(
    zkey: &mut ZkeyReader<C, R>,
    initial: &mut ZkeyReader<C, I>,
) -> Result<Verified<C>, CeremonyError> {
    let history = zkey.contributions()?.ok_or(CeremonyError::NoHistory)?;
    let first = initial.contributions()?.ok_or(CeremonyError::NoHistory)?;
    if zkey.note()?.is_some() {
        return Err(CeremonyError::Development);
    }
    same_outline(zkey, initial)?;
    let differ = |differ: bool, what| {
        if differ { Err(CeremonyError::NotFromInitial(what)) } else { Ok(()) }
    };
    differ(history.circuit_hash != first.circuit_hash, "the circuit's hash differs")?;
    let delta = follow(&history)?;
    let points = zkey.header_points().clone();
    differ(points.delta_g1 != delta, "δ is not the product of the contributions")?;
    let generator = (C::G1Affine::generator(), C::G2Affine::generator());
    let same = same_ratio::<C>((generator.0, delta), (generator.1, points.delta_g2));
    differ(!same, "δ in G1 and in G2 differ")?;
    for (query, what) in [
        (G1Query::C, "the points of L are not the initial points divided by δ"),
        (G1Query::H, "the points of H are not the initial points divided by δ"),
    ] {
        let (before, after) = combined(initial, zkey, query)?;
        // Both are zero if a query has no points.
        let holds = (before.is_zero() && after.is_zero())
            || same_ratio::<C>((after, before), (generator.1, points.delta_g2));
        differ(!holds, what)?;
    }
    let hashed = |made: Contribution<C>| {
        let hash = contribution_hash(&made);
        (made, hash)
    };
    let Contributions { circuit_hash, contributions } = history;
    Ok(Verified { circuit_hash, contributions: contributions.into_iter().map(hashed).collect() })
}

/// Compares everything that contributions do not change.
fn same_outline<C: Curve, R: Read + Seek, I: Read + Seek>(
    zkey: &mut ZkeyReader<C, R>,
    initial: &mut ZkeyReader<C, I>,
) -> Result<(), CeremonyError> {
    let differ = |differ: bool, what| {
        if differ { Err(CeremonyError::NotFromInitial(what)) } else { Ok(()) }
    };
    differ(zkey.header() != initial.header(), "the number of wires, signals or rows differs")?;
    let (ours, theirs) = (zkey.header_points(), initial.header_points());
    differ(ours.alpha_g1 != theirs.alpha_g1, "α differs")?;
    differ(ours.beta_g1 != theirs.beta_g1 || ours.beta_g2 != theirs.beta_g2, "β differs")?;
    differ(ours.gamma_g2 != theirs.gamma_g2, "γ differs")?;
    for (part, what) in [
        (Part::Ic, "the points of the public signals differ"),
        (Part::Coefficients, "the coefficients differ"),
        (Part::Points(Query::G1(G1Query::A)), "the points of A differ"),
        (Part::Points(Query::G1(G1Query::B1)), "the points of B in G1 differ"),
        (Part::Points(Query::B2), "the points of B in G2 differ"),
    ] {
        differ(!zkey.same(initial, part)?, what)?;
    }
    Ok(())
}

/// Follows `δ` through the contributions.
fn follow<C: Curve>(history: &Contributions<C>) -> Result<C::G1Affine, CeremonyError> {
    let mut delta = C::G1Affine::generator();
    let mut transcript = Transcript::new();
    transcript.bytes(&history.circuit_hash);
    for (index, made) in history.contributions.iter().enumerate() {
        let sound = |holds: bool, what| match holds {
            true => Ok(()),
            false => Err(CeremonyError::Contribution { number: index + 1, what }),
        };
        let mut expected = transcript.clone();
        expected.points(&[made.s, made.sx]);
        sound(
            expected.end() == made.transcript,
            "its transcript hash does not match the contributions before it",
        )?;
        let sp = random::point::<C::G2Config>(&mut random::generator(&made.transcript));
        let known = same_ratio::<C>((made.s, made.sx), (sp, made.spx));
        sound(known, "its proof of knowledge of the secret does not verify")?;
        let follows = same_ratio::<C>((delta, made.delta_after), (sp, made.spx));
        sound(follows, "δ after it is not δ before it times its secret")?;
        if made.kind == 1 {
            let (Some(value), Some(log)) = (&made.beacon, made.iterations_log) else {
                return sound(false, "it is a beacon without a value").map(|()| delta);
            };
            let in_range = (MIN_BEACON_LOG..=MAX_BEACON_LOG).contains(&log);
            sound(in_range, "its beacon's number of hash iterations is not between 2^10 and 2^32")?;
            let mut random = random::beacon(value, log);
            let secret = random::element::<C::Fr>(&mut random);
            let s = random::point::<C::G1Config>(&mut random);
            let same = s == made.s && (s * secret).into_affine() == made.sx;
            sound(same, "its secret does not follow from its beacon")?;
        }
        transcript.contribution(made);
        delta = made.delta_after;
    }
    Ok(delta)
}

/// Whether the pairs `(a, b)` and `(c, d)` have the same ratio: `e(a, d) = e(b, c)`, none zero.
fn same_ratio<C: Curve>(g1: (C::G1Affine, C::G1Affine), g2: (C::G2Affine, C::G2Affine)) -> bool {
    let zero = g1.0.is_zero() || g1.1.is_zero() || g2.0.is_zero() || g2.1.is_zero();
    let minus = (-g1.1.into_group()).into_affine();
    !zero && C::multi_pairing([g1.0, minus], [g2.1, g2.0]) == PairingOutput::ZERO
}

/// The same random combination of both keys' points.
fn combined<C: Curve, R: Read + Seek, I: Read + Seek>(
    initial: &mut ZkeyReader<C, I>,
    zkey: &mut ZkeyReader<C, R>,
    query: G1Query,
) -> Result<(C::G1Affine, C::G1Affine), CeremonyError> {
    let mut seed = [0; 64];
    getrandom::fill(&mut seed)?;
    let weights = |first: usize, count: usize| -> Vec<C::Fr> {
        // The weights depend only on the position, so they are the same for both keys.
        let mut random = random::generator(&seed);
        random.set_word_pos(first as u128 * 4);
        let mut draw = || u128::from(rand::RngCore::next_u64(&mut random));
        (0..count).map(|_| C::Fr::from(draw() << 64 | draw())).collect()
    };
    fn sum<C: Curve, R: Read + Seek>(
        key: &mut ZkeyReader<C, R>,
        query: G1Query,
        weights: &impl Fn(usize, usize) -> Vec<C::Fr>,
    ) -> Result<C::G1Affine, CeremonyError> {
        let mut sum = C::G1::ZERO;
        key.g1_points(query, CHUNK, |first, points| {
            sum += C::G1::msm_unchecked(points, &weights(first, points.len()));
            Ok::<_, CeremonyError>(())
        })?;
        Ok(sum.into_affine())
    }
    Ok((sum(initial, query, &weights)?, sum(zkey, query, &weights)?))
}
