//! Verification: `e(A, B) = e(α, β) · e(Σ x_i·IC_i, γ) · e(C, δ)` (eprint 2016/260, section 3.2).

use std::fmt;

use ark_ec::{
    AffineRepr, CurveGroup,
    models::short_weierstrass::{Affine, SWCurveConfig},
    pairing::PairingOutput,
};
use ark_ff::PrimeField;
use athanor_kernels::{Curve, Scalar};

use crate::{Proof, VerifyingKey, witness::is_canonical};

/// Why a proof or a verifying key is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    /// The pairing equation does not hold.
    #[error("the proof does not verify: it is not a proof of these public signals under this key")]
    Invalid,
    /// The number of public signals is wrong.
    #[error("the key is for {expected} public signals, but {got} were given")]
    SignalCount {
        /// Number of public signals of the key.
        expected: usize,
        /// Number of public signals given.
        got: usize,
    },
    /// A signal is not canonical. If it were accepted, one proof would pass for two statements.
    #[error("public signal {index} is not below the field's modulus")]
    SignalNotCanonical {
        /// Index of the signal, from 0.
        index: usize,
    },
    /// A point of the proof is invalid.
    #[error("point {point} of the proof {fault}")]
    BadProofPoint {
        /// Name of the point.
        point: &'static str,
        /// The fault.
        fault: PointFault,
    },
    /// A point of the verifying key is invalid.
    #[error("the verifying key is unusable: {point} {fault}")]
    BadKey {
        /// Name of the point.
        point: &'static str,
        /// The fault.
        fault: PointFault,
    },
}

/// Fault of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFault {
    /// The point at infinity.
    Infinity,
    /// Not on the curve.
    OffCurve,
    /// On the curve, but outside the subgroup of prime order.
    OutsideSubgroup,
}

impl fmt::Display for PointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PointFault::Infinity => "is the point at infinity",
            PointFault::OffCurve => "is not on the curve",
            PointFault::OutsideSubgroup => "is outside the subgroup of prime order",
        })
    }
}

/// A verifying key, checked and prepared for many proofs.
#[derive(Clone, Debug)]
pub struct Verifier<C: Curve> {
    pub(crate) ic: Vec<C::G1Affine>,
    pub(crate) alpha_beta: PairingOutput<C>,
    pub(crate) minus_gamma: C::G2Prepared,
    pub(crate) minus_delta: C::G2Prepared,
}

impl<C: Curve> Verifier<C> {
    /// Checks every point of the key and prepares its pairings.
    pub fn new(key: &VerifyingKey<C>) -> Result<Self, VerifyError> {
        Self::check(key)?;
        Ok(Self::prepare(key))
    }

    /// Prepares a key that was read from a `.zkey`, without checking its points again: the reader accepts only points
    /// on the curve and in their subgroup, and none at infinity except in IC.
    pub fn of_zkey(key: &VerifyingKey<C>) -> Result<Self, VerifyError> {
        match key.ic.is_empty() {
            true => Err(VerifyError::BadKey { point: "IC[0]", fault: PointFault::Infinity }),
            false => Ok(Self::prepare(key)),
        }
    }

    /// Checks every point of the key.
    fn check(key: &VerifyingKey<C>) -> Result<(), VerifyError> {
        let bad = |point| move |fault| VerifyError::BadKey { point, fault };
        check_point(&key.alpha_g1).map_err(bad("alpha"))?;
        check_point(&key.beta_g2).map_err(bad("beta"))?;
        check_point(&key.gamma_g2).map_err(bad("gamma"))?;
        check_point(&key.delta_g2).map_err(bad("delta"))?;
        for point in &key.ic {
            // Some tools write the point at infinity for a signal that occurs in no constraint.
            match check_point(point) {
                Ok(()) | Err(PointFault::Infinity) => {}
                Err(fault) => return Err(VerifyError::BadKey { point: "IC", fault }),
            }
        }
        if key.ic.is_empty() {
            return Err(VerifyError::BadKey { point: "IC[0]", fault: PointFault::Infinity });
        }
        Ok(())
    }

    /// Prepares the pairings of a checked key.
    fn prepare(key: &VerifyingKey<C>) -> Self {
        Self {
            ic: key.ic.clone(),
            alpha_beta: C::pairing(key.alpha_g1, key.beta_g2),
            minus_gamma: (-key.gamma_g2.into_group()).into_affine().into(),
            minus_delta: (-key.delta_g2.into_group()).into_affine().into(),
        }
    }

    /// Number of public signals, without the constant one.
    pub fn public_signals(&self) -> usize {
        self.ic.len() - 1
    }

    /// Verifies the proof of these public signals.
    pub fn verify(&self, public: &[Scalar], proof: &Proof<C>) -> Result<(), VerifyError> {
        self.check_signals(public)?;
        let bad = |point| move |fault| VerifyError::BadProofPoint { point, fault };
        check_point(&proof.a).map_err(bad("A"))?;
        check_point(&proof.b).map_err(bad("B"))?;
        check_point(&proof.c).map_err(bad("C"))?;
        let statement = public
            .iter()
            .zip(&self.ic[1..])
            .fold(self.ic[0].into_group(), |sum, (signal, point)| sum + point.mul_bigint(signal))
            .into_affine();
        let product = C::multi_pairing(
            [proof.a, statement, proof.c],
            [proof.b.into(), self.minus_gamma.clone(), self.minus_delta.clone()],
        );
        if product == self.alpha_beta { Ok(()) } else { Err(VerifyError::Invalid) }
    }
}

impl<C: Curve> Verifier<C> {
    /// Refuses signals whose number is wrong or which are not canonical.
    pub(crate) fn check_signals(&self, public: &[Scalar]) -> Result<(), VerifyError> {
        let (expected, got) = (self.public_signals(), public.len());
        if expected != got {
            return Err(VerifyError::SignalCount { expected, got });
        }
        match public.iter().position(|signal| !is_canonical::<C>(signal)) {
            Some(index) => Err(VerifyError::SignalNotCanonical { index }),
            None => Ok(()),
        }
    }
}

/// Refuses infinity, points off the curve and points outside the subgroup of prime order.
pub(crate) fn check_point<P: SWCurveConfig>(point: &Affine<P>) -> Result<(), PointFault>
where
    P::ScalarField: PrimeField,
{
    check_on_curve(point)?;
    if point.is_in_correct_subgroup_assuming_on_curve() {
        Ok(())
    } else {
        Err(PointFault::OutsideSubgroup)
    }
}

/// Refuses infinity and points off the curve; does not check the subgroup.
pub(crate) fn check_on_curve<P: SWCurveConfig>(point: &Affine<P>) -> Result<(), PointFault> {
    if point.is_zero() {
        Err(PointFault::Infinity)
    } else if !point.is_on_curve() {
        Err(PointFault::OffCurve)
    } else {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ark_ff::{AdditiveGroup, BigInteger, Field, UniformRand};
    use ark_std::test_rng;
    use athanor_kernels::{Bls12_381, Bn254, Device, Quotient, cpu::Cpu};

    use super::*;
    use crate::{ProvingKey, Witness, development_setup, synthetic::dense};

    struct Case<C: Curve> {
        key: VerifyingKey<C>,
        public: Vec<Scalar>,
        proof: Proof<C>,
    }

    fn case<C: Curve>() -> Case<C>
    where
        Cpu: Device<C>,
    {
        let example = dense::<C>(10, 3);
        let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset).unwrap();
        let key = ProvingKey::load(Cpu, raw.to_native(&Cpu).unwrap()).unwrap();
        let witness = Witness::new(example.witness).unwrap();
        let public = witness.public(1).to_vec();
        Case { key: raw.verifying, public, proof: key.prove(witness).unwrap().proof }
    }

    /// A point of the curve outside the subgroup of prime order.
    pub(crate) fn outside<P: SWCurveConfig>() -> Affine<P>
    where
        P::BaseField: Field,
    {
        let rng = &mut test_rng();
        loop {
            let x = P::BaseField::rand(rng);
            if let Some(point) = Affine::<P>::get_point_from_x_unchecked(x, false)
                && !point.is_in_correct_subgroup_assuming_on_curve()
            {
                return point;
            }
        }
    }

    fn hostile_proofs_are_refused_by_name<C: Curve>()
    where
        Cpu: Device<C>,
    {
        let Case { key, public, proof } = case::<C>();
        let verifier = Verifier::new(&key).unwrap();
        let verify = |proof: &Proof<C>| verifier.verify(&public, proof);
        let fault = |point, fault| Err(VerifyError::BadProofPoint { point, fault });
        assert_eq!(verify(&proof), Ok(()));
        let infinite = Proof { a: C::G1Affine::zero(), ..proof.clone() };
        assert_eq!(verify(&infinite), fault("A", PointFault::Infinity));
        let infinite = Proof { b: C::G2Affine::zero(), ..proof.clone() };
        assert_eq!(verify(&infinite), fault("B", PointFault::Infinity));
        let infinite = Proof { c: C::G1Affine::zero(), ..proof.clone() };
        assert_eq!(verify(&infinite), fault("C", PointFault::Infinity));
        let mut off = proof.clone();
        off.c.x.double_in_place();
        assert_eq!(verify(&off), fault("C", PointFault::OffCurve));
        let stray = Proof { b: outside::<C::G2Config>(), ..proof.clone() };
        assert_eq!(verify(&stray), fault("B", PointFault::OutsideSubgroup));
        let other = Proof { c: proof.a, ..proof.clone() };
        assert_eq!(verify(&other), Err(VerifyError::Invalid));
    }

    #[test]
    fn proofs_with_points_at_infinity_off_the_curve_or_outside_the_subgroup_are_refused() {
        hostile_proofs_are_refused_by_name::<Bn254>();
        hostile_proofs_are_refused_by_name::<Bls12_381>();
        let Case { key, public, proof } = case::<Bls12_381>();
        let stray = Proof { a: outside::<<Bls12_381 as Curve>::G1Config>(), ..proof };
        let expected =
            VerifyError::BadProofPoint { point: "A", fault: PointFault::OutsideSubgroup };
        assert_eq!(Verifier::new(&key).unwrap().verify(&public, &stray), Err(expected));
    }

    #[test]
    fn a_signal_plus_the_modulus_is_refused_though_the_equation_holds() {
        let Case { key, public, proof } = case::<Bn254>();
        let mut aliased = ark_ff::BigInt(public[0]);
        assert!(!aliased.add_with_carry(&<Bn254 as Curve>::Fr::MODULUS));
        let verifier = Verifier::new(&key).unwrap();
        let result = verifier.verify(&[aliased.0], &proof);
        assert_eq!(result, Err(VerifyError::SignalNotCanonical { index: 0 }));
    }

    #[test]
    fn too_few_and_too_many_signals_are_refused() {
        let Case { key, public, proof } = case::<Bn254>();
        let verifier = Verifier::new(&key).unwrap();
        for signals in [vec![], vec![public[0], [0; 4]]] {
            let (expected, got) = (1, signals.len());
            let result = verifier.verify(&signals, &proof);
            assert_eq!(result, Err(VerifyError::SignalCount { expected, got }));
        }
    }

    #[test]
    fn degenerate_keys_are_refused() {
        let Case { key, .. } = case::<Bn254>();
        let refused = |change: fn(&mut VerifyingKey<Bn254>)| {
            let mut key = key.clone();
            change(&mut key);
            matches!(Verifier::new(&key), Err(VerifyError::BadKey { .. }))
        };
        assert!(refused(|key| key.alpha_g1 = Affine::identity()));
        assert!(refused(|key| key.beta_g2 = Affine::identity()));
        assert!(refused(|key| key.gamma_g2 = Affine::identity()));
        assert!(refused(|key| key.delta_g2 = Affine::identity()));
        assert!(refused(|key| key.delta_g2 = outside()));
        assert!(refused(|key| key.ic[1].x = key.ic[1].y));
        assert!(refused(|key| key.ic.clear()));
        assert!(!refused(|_| ()));
    }

    #[test]
    fn a_proving_key_with_a_bad_verifying_key_gives_no_proof() {
        let example = dense::<Bn254>(10, 3);
        let mut raw = development_setup::<Bn254>(&example.r1cs, Quotient::OddCoset).unwrap();
        raw.verifying.delta_g2 = outside();
        let key = ProvingKey::load(Cpu, raw.to_native(&Cpu).unwrap()).unwrap();
        let witness = Witness::new(example.witness).unwrap();
        let refused = key.prove(witness).map(drop).unwrap_err();
        let fault = VerifyError::BadKey { point: "delta", fault: PointFault::OutsideSubgroup };
        assert!(matches!(refused, crate::ProveError::Key(error) if error == fault));
    }

    #[test]
    fn a_key_that_nobody_contributed_to_is_told_apart() {
        let Case { mut key, .. } = case::<Bn254>();
        assert_eq!(key.standing(), crate::Standing::Contributed);
        key.delta_g2 = key.gamma_g2;
        assert_eq!(key.standing(), crate::Standing::NoContribution);
    }
}
