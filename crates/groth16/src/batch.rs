//! Verification of many proofs of one key at once, by a random linear combination.
//!
//! With a weight `r_i` for each proof, drawn after the proofs are fixed, all equations hold (but for
//! a chance of 2^-128) if their combination does:
//!
//! ```text
//! Π e(r_i·A_i, B_i) · e(Σ r_i·x_i, -γ) · e(Σ r_i·C_i, -δ) = e(α, β)^(Σ r_i)
//! ```
//!
//! where `x_i` is the statement's point. A proof then costs one Miller loop instead of three, its
//! signals are added up as numbers instead of multiplied as points, and the final exponentiation is
//! paid once. Where the combination fails, halves are tried until the bad proofs are named.
//!
//! A weight is `a + b·λ` for two words of 64 bits from the operating system, where `λ` is what G1's
//! endomorphism multiplies by: 128 bits of choice, all different, at half the doublings of a number
//! of 128 bits.

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

/// Proofs that share their doublings, and their Miller loop's squarings, on one thread.
const CHUNK: usize = 16;
/// From how many proofs down each is verified by itself when one of them is bad.
const ALONE: usize = 2;

/// A proof and the public signals that it is said to prove.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a, C: Curve> {
    /// The public signals, canonical, the constant one left out.
    pub public: &'a [Scalar],
    /// The proof.
    pub proof: &'a Proof<C>,
}

/// A proof of a batch that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proof {index}: {error}")]
pub struct Refusal {
    /// Which claim of the batch, from 0.
    pub index: usize,
    /// Why it was not accepted.
    pub error: VerifyError,
}

/// Why a batch was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Some proofs are bad; those that are not named are good.
    #[error("{} of {of} proofs are not accepted; the first is {}", bad.len(), bad[0])]
    Refused {
        /// How many proofs the batch has.
        of: usize,
        /// Every bad one, by ascending index; at least one.
        bad: Vec<Refusal>,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// As many weights.
fn weights(count: usize) -> Result<Vec<Factor>, getrandom::Error> {
    let mut bytes = vec![0; 16 * count];
    getrandom::fill(&mut bytes)?;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let pairs = bytes.chunks_exact(16);
    Ok(pairs.map(|bytes| Factor::of(word(&bytes[..8]), word(&bytes[8..]))).collect())
}

impl<C: Curve> Verifier<C> {
    /// Accepts all proofs of a batch, or names every bad one. The number of proofs is up to the
    /// caller; memory grows by about a kilobyte for each. Works in the caller's rayon pool.
    ///
    /// One bad proof costs about as much again as the whole batch; were all bad, it would cost
    /// some three times what verifying them one by one does.
    pub fn verify_batch(&self, claims: &[Claim<'_, C>]) -> Result<(), BatchError> {
        // A combination of one costs more than its only proof.
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

    /// The claims that no equation is needed to refuse.
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
        // Many points of G2 have a cheaper test together; few are tested one by one.
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

/// What the combination is made of; ranges of it can be tried.
struct Terms<'a, C: Curve> {
    verifier: &'a Verifier<C>,
    claims: &'a [Claim<'a, C>],
    /// Which claims take part.
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

    /// The sum of the weights, and of the statements' points times them.
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

    /// Names the bad members of a range that has at least one.
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
        // With the left half whole, the fault is in the right one: no need to try it.
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

    /// The slow twin: every proof by itself.
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
