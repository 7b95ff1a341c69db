//! Verification of many proofs of one key at once, by a random linear combination.
//!
//! Each proof gets a random weight `r_i`, drawn after the proofs are fixed. If the combined equation
//! holds, every single equation holds, except with probability 2^-128:
//!
//! ```text
//! Π e(r_i·A_i, B_i) · e(Σ r_i·x_i, -γ) · e(Σ r_i·C_i, -δ) = e(α, β)^(Σ r_i)
//! ```
//!
//! where `x_i` is the statement's point. A proof then costs one Miller loop instead of three, its
//! signals are combined as scalars instead of as points, and there is one final exponentiation. If
//! the combination fails, it is split in halves until the bad proofs are found.
//!
//! A weight is `a + b·λ` for two random 64-bit words from the operating system, where `λ` is the
//! eigenvalue of G1's endomorphism. The 2^128 weights are distinct, and a multiplication takes half
//! the doublings of a 128-bit scalar.

use std::ops::Range;

use ark_ec::{CurveGroup, VariableBaseMSM, pairing::MillerLoopOutput};
use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField};
use athanor_kernels::{Curve, Scalar};
use rayon::prelude::*;

use crate::{
    Proof, Verifier, VerifyError,
    endomorphism::{self, Factor},
    subgroup,
    verifier::{PointFault, check_on_curve, check_point},
};

/// Number of proofs per task; they share doublings and the Miller loop's squarings.
const CHUNK: usize = 16;
/// Largest range with a bad proof whose proofs are verified one by one.
const ALONE: usize = 2;

/// A proof and the public signals that it claims to prove.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a, C: Curve> {
    /// The public signals, canonical, without the constant one.
    pub public: &'a [Scalar],
    /// The proof.
    pub proof: &'a Proof<C>,
}

/// A proof of a batch that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proof {index}: {error}")]
pub struct Refusal {
    /// Index of the claim in the batch, from 0.
    pub index: usize,
    /// Why it was not accepted.
    pub error: VerifyError,
}

/// Why a batch was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Some proofs are not valid; all proofs that are not listed are valid.
    #[error("{} of {of} proofs are not accepted; the first is {}", bad.len(), bad[0])]
    Refused {
        /// Number of proofs in the batch.
        of: usize,
        /// The proofs that are not valid, by ascending index; at least one.
        bad: Vec<Refusal>,
    },
    /// The operating system's randomness cannot be read.
    #[error("cannot read randomness from the operating system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// Draws `count` weights.
fn weights(count: usize) -> Result<Vec<Factor>, getrandom::Error> {
    let mut bytes = vec![0; 16 * count];
    getrandom::fill(&mut bytes)?;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let pairs = bytes.chunks_exact(16);
    Ok(pairs.map(|bytes| Factor::of(word(&bytes[..8]), word(&bytes[8..]))).collect())
}

impl<C: Curve> Verifier<C> {
    /// Accepts all proofs of a batch, or returns every bad one. The caller limits the number of
    /// proofs; memory grows by about 1 KiB per proof. Runs in the caller's rayon pool.
    ///
    /// One bad proof doubles the cost of the batch. If all are bad, the cost is about three times
    /// that of verifying them one by one.
    pub fn verify_batch(&self, claims: &[Claim<'_, C>]) -> Result<(), BatchError> {
        // For one proof, the plain equation costs less than a combination.
        if let [claim] = claims {
            return self.verify(claim.public, claim.proof).map_err(|error| BatchError::Refused {
                of: 1,
                bad: vec![Refusal { index: 0, error }],
            });
        }
        let mut bad = self.malformed(claims);
        let sound: Vec<usize> = match bad.len() {
            0 => (0..claims.len()).collect(),
            _ => (0..claims.len()).filter(|at| bad.iter().all(|bad| bad.index != *at)).collect(),
        };
        let terms = Terms::new(self, claims, sound)?;
        if !terms.hold(0..terms.len()) {
            let before = bad.len();
            terms.name_bad(0..terms.len(), &mut bad);
            assert!(bad.len() > before, "a batch fails only by a bad proof");
        }
        bad.sort_by_key(|bad| bad.index);
        if bad.is_empty() { Ok(()) } else { Err(BatchError::Refused { of: claims.len(), bad }) }
    }

    /// The claims that are refused without an equation, by their points and signals.
    fn malformed(&self, claims: &[Claim<'_, C>]) -> Vec<Refusal> {
        let at_fault = |point| move |fault| VerifyError::BadProofPoint { point, fault };
        let check = |claim: &Claim<'_, C>| {
            self.check_signals(claim.public)?;
            check_point(&claim.proof.a).map_err(at_fault("A"))?;
            check_on_curve(&claim.proof.b).map_err(at_fault("B"))?;
            check_point(&claim.proof.c).map_err(at_fault("C"))
        };
        let faults: Vec<Option<VerifyError>> =
            claims.par_iter().map(|claim| check(claim).err()).collect();
        let on_curve: Vec<usize> = (0..claims.len()).filter(|&at| faults[at].is_none()).collect();
        // The batched subgroup test is cheaper for many points of G2, single tests for few.
        let strays = on_curve.par_chunks(256).flat_map_iter(|indices| {
            let points: Vec<_> = indices.iter().map(|&at| claims[at].proof.b).collect();
            let mut strays = Vec::new();
            let mut from = 0;
            while let Some(stray) = subgroup::first_outside(&points[from..]) {
                strays.push(indices[from + stray]);
                from += stray + 1;
            }
            strays
        });
        let strays: Vec<usize> = strays.collect();
        let outside = at_fault("B")(PointFault::OutsideSubgroup);
        let strays = strays.into_iter().map(|index| Refusal { index, error: outside.clone() });
        let faults = faults.into_iter().enumerate();
        let faults = faults.filter_map(|(index, error)| Some(Refusal { index, error: error? }));
        faults.chain(strays).collect()
    }
}

/// The terms of the combined equation; it can be evaluated on ranges.
struct Terms<'a, C: Curve> {
    verifier: &'a Verifier<C>,
    claims: &'a [Claim<'a, C>],
    /// Indices of the claims that take part.
    members: Vec<usize>,
    weights: Vec<Factor>,
    /// `r_i·A_i`.
    scaled_a: Vec<C::G1Affine>,
}

impl<'a, C: Curve> Terms<'a, C> {
    fn new(
        verifier: &'a Verifier<C>,
        claims: &'a [Claim<'a, C>],
        members: Vec<usize>,
    ) -> Result<Self, getrandom::Error> {
        let weights = weights(members.len())?;
        let scaled: Vec<C::G1> = members
            .par_iter()
            .zip(&weights)
            .with_min_len(8)
            .map(|(&at, &weight)| endomorphism::sum(&[(claims[at].proof.a, weight)]))
            .collect();
        let scaled_a = C::G1::normalize_batch(&scaled);
        Ok(Self { verifier, claims, members, weights, scaled_a })
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn claim(&self, at: usize) -> &Claim<'a, C> {
        &self.claims[self.members[at]]
    }

    /// Whether the combined equation of these members holds.
    fn hold(&self, range: Range<usize>) -> bool {
        if range.is_empty() {
            return true;
        }
        let chunks: Vec<Range<usize>> =
            range.clone().step_by(CHUNK).map(|start| start..range.end.min(start + CHUNK)).collect();
        let identity = || (C::TargetField::ONE, C::G1::ZERO);
        let (product, c_sum) = chunks
            .into_par_iter()
            .map(|chunk| {
                let pairs = chunk.clone().map(|at| self.claim(at).proof.b);
                let product =
                    C::multi_miller_loop(self.scaled_a[chunk.clone()].iter().copied(), pairs);
                let c: Vec<_> =
                    chunk.map(|at| (self.claim(at).proof.c, self.weights[at])).collect();
                (product.0, endomorphism::sum(&c))
            })
            .reduce(identity, |(f, c), (g, d)| (f * g, c + d));

        let (total, statement) = self.statement(range);
        let ends = [statement, c_sum];
        let [statement, c_sum] = C::G1::normalize_batch(&ends)[..] else { unreachable!() };
        let (gamma, delta) = (&self.verifier.minus_gamma, &self.verifier.minus_delta);
        let fixed = C::multi_miller_loop([statement, c_sum], [gamma.clone(), delta.clone()]);
        let Some(product) = C::final_exponentiation(MillerLoopOutput(product * fixed.0)) else {
            return false;
        };
        product == self.verifier.alpha_beta * total
    }

    /// The sum of the weights, and the weighted sum of the statements' points.
    fn statement(&self, range: Range<usize>) -> (C::Fr, C::G1) {
        let mut sums = vec![C::Fr::ZERO; self.verifier.ic.len()];
        for at in range {
            let weight = self.weights[at].number::<C::G1Config>();
            sums[0] += weight;
            for (sum, &signal) in sums[1..].iter_mut().zip(self.claim(at).public) {
                let signal = C::Fr::from_bigint(BigInt(signal)).expect("signals are canonical");
                *sum += weight * signal;
            }
        }
        (sums[0], C::G1::msm_unchecked(&self.verifier.ic, &sums))
    }

    /// Finds the bad members of a range that has at least one.
    fn name_bad(&self, range: Range<usize>, bad: &mut Vec<Refusal>) {
        if range.len() <= ALONE {
            for at in range {
                let Claim { public, proof } = self.claim(at);
                if let Err(error) = self.verifier.verify(public, proof) {
                    bad.push(Refusal { index: self.members[at], error });
                }
            }
            return;
        }
        let middle = range.start + range.len() / 2;
        let (left, right) = (range.start..middle, middle..range.end);
        let left_holds = self.hold(left.clone());
        if !left_holds {
            self.name_bad(left, bad);
        }
        // If the left half is valid, the bad proof is in the right half, which needs no test.
        if left_holds || !self.hold(right.clone()) {
            self.name_bad(right, bad);
        }
    }
}

#[cfg(test)]
mod tests {
    use ark_ec::AffineRepr;
    use athanor_kernels::{Bls12_381, Bn254, Device, Quotient, cpu::Cpu};

    use super::*;
    use crate::{ProvingKey, Witness, development_setup, synthetic::dense};

    /// A verifier, and distinct proofs with their statements.
    #[allow(clippy::type_complexity)]
    fn proofs<C: Curve>(count: usize) -> (Verifier<C>, Vec<(Vec<Scalar>, Proof<C>)>)
    where
        Cpu: Device<C>,
    {
        let example = dense::<C>(6, 3);
        let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset).unwrap();
        let key = ProvingKey::load(Cpu, raw.to_native(&Cpu).unwrap()).unwrap();
        let made = (0..count).map(|seed| {
            let witness = Witness::new(dense::<C>(6, seed as u64).witness).unwrap();
            (witness.public(1).to_vec(), key.prove(witness).unwrap().proof)
        });
        (Verifier::new(&raw.verifying).unwrap(), made.collect())
    }

    fn claims<C: Curve>(made: &[(Vec<Scalar>, Proof<C>)]) -> Vec<Claim<'_, C>> {
        made.iter().map(|(public, proof)| Claim { public, proof }).collect()
    }

    fn refused<C: Curve>(verifier: &Verifier<C>, made: &[(Vec<Scalar>, Proof<C>)]) -> Vec<Refusal> {
        match verifier.verify_batch(&claims(made)) {
            Ok(()) => Vec::new(),
            Err(BatchError::Refused { bad, of }) => {
                assert_eq!(of, made.len());
                bad
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The reference: verifies every proof by itself.
    fn one_by_one<C: Curve>(
        verifier: &Verifier<C>,
        made: &[(Vec<Scalar>, Proof<C>)],
    ) -> Vec<Refusal> {
        let errors = made.iter().map(|(public, proof)| verifier.verify(public, proof).err());
        let errors = errors.enumerate();
        errors.filter_map(|(index, error)| Some(Refusal { index, error: error? })).collect()
    }

    fn a_batch_names_what_single_verification_refuses<C: Curve>()
    where
        Cpu: Device<C>,
    {
        let (verifier, good) = proofs::<C>(CHUNK + 3);
        assert_eq!(refused(&verifier, &good), []);
        assert_eq!(refused(&verifier, &good[..1]), []);
        assert_eq!(refused(&verifier, &good[..0]), []);
        let mut made = good.clone();
        made[0].1.a = -made[0].1.a;
        made[1].0 = made[2].0.clone();
        made[4].0.push([0; 4]);
        made[5].0[0] = [u64::MAX; 4];
        made[7].1.c = C::G1Affine::zero();
        made[9].1.b = crate::verifier::tests::outside();
        made[CHUNK].1.c = made[CHUNK + 1].1.c;
        let bad = refused(&verifier, &made);
        assert_eq!(bad, one_by_one(&verifier, &made));
        let indices: Vec<usize> = bad.iter().map(|bad| bad.index).collect();
        assert_eq!(indices, [0, 1, 4, 5, 7, 9, CHUNK]);
    }

    #[test]
    fn a_batch_names_what_single_verification_refuses_on_both_curves() {
        a_batch_names_what_single_verification_refuses::<Bn254>();
        a_batch_names_what_single_verification_refuses::<Bls12_381>();
    }

    #[test]
    fn of_a_thousand_proofs_the_one_bad_is_named() {
        let (verifier, few) = proofs::<Bn254>(8);
        let mut made: Vec<_> = few.iter().cycle().take(1000).cloned().collect();
        assert_eq!(refused(&verifier, &made), []);
        made[617].0[0][0] ^= 1;
        let expected = [Refusal { index: 617, error: VerifyError::Invalid }];
        assert_eq!(refused(&verifier, &made), expected);
    }

    #[test]
    fn two_faults_that_cancel_without_weights_are_both_named() {
        let (verifier, mut made) = proofs::<Bn254>(6);
        // The plain product of the six equations still holds.
        let shift = made[0].1.c.into_group();
        made[1].1.c = (made[1].1.c + shift).into_affine();
        made[4].1.c = (made[4].1.c.into_group() - shift).into_affine();
        let indices: Vec<_> = refused(&verifier, &made).iter().map(|bad| bad.index).collect();
        assert_eq!(indices, [1, 4]);
    }
}
